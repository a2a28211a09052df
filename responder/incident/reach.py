"""Whom a level reached, and how far each person's plan has come."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

import msgspec

from responder.incident.policy import ChannelStep, Plans
from responder.incident.severity import Level


class Person(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the people of a level.

    ``plan`` is copied when the person is reached, so that edited rules change nothing that is under way. ``tried``
    holds the numbers of its steps that were tried. ``exhausted``: no step is left and none delivered.
    ``acknowledged_at`` is set where everybody on the level has to acknowledge and this one did.
    """

    name: str
    plan: tuple[ChannelStep, ...] = ()
    tried: tuple[int, ...] = ()
    exhausted: bool = False
    acknowledged_at: datetime | None = None


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """A level that has been reached in the present episode.

    ``contact`` is the row's name, ``people`` who it stood for at ``at``: nobody, where nobody was on call. ``asked``: a
    person wanted it now, and nobody of it sleeps for that.
    """

    level: Level
    contact: str
    at: datetime
    people: tuple[Person, ...] = ()
    round: int = 1
    asked: bool = False

    @property
    def exhausted(self) -> bool:
        """Whether nobody of the level could be reached."""
        return all(person.exhausted for person in self.people)

    @property
    def waits_for(self) -> tuple[str, ...]:
        """Who could be reached and has not acknowledged, where everybody has to."""
        return tuple(p.name for p in self.people if p.acknowledged_at is None and not p.exhausted)


class OnCall(msgspec.Struct, frozen=True, kw_only=True):
    """Who is on call at the time of a decision.

    ``people``: the people that a name of the matrix stands for, in order; a name that is not in it stands for itself.
    ``plans``: the channels of people whom the policy does not know.
    """

    people: Mapping[str, tuple[str, ...]] = {}
    plans: Mapping[str, Plans] = {}


_SIGNED = re.compile(r"(?:[a-z]+:)?(.+?)(?: \(token .*\))?")


def contact_names(by: str) -> tuple[str, ...]:
    """The names of a contact that a signature may mean: ``slack:ana`` and ``ana (token ci)`` are ana's."""
    match = _SIGNED.fullmatch(by)
    return tuple(dict.fromkeys([by, match[1] if match else by]))


def is_by(by: str, name: str) -> bool:
    """Whether a signature is that of a contact; capitals do not matter."""
    return name.casefold() in {one.casefold() for one in contact_names(by)}
