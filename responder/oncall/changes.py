"""Whether an override or a swap that somebody asks for makes sense."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

import msgspec

from responder.oncall.roster import Roster
from responder.oncall.schedule import Change, Override

LONGEST = timedelta(days=366)


class Objection(msgspec.Struct, frozen=True):
    """The field that is wrong, and why; ``name`` is the unknown one, where that is it."""

    field: str
    text: str
    name: str = ""


def objections(
    change: Change, roster: Roster, contacts: Collection[str], now: datetime
) -> Iterator[Objection]:
    """What is wrong with a change of a schedule of the roster; nothing where it can be made.

    ``contacts`` are names that are known besides teams, schedules and the people in them.
    """
    if change.end <= change.start:
        yield Objection("to", "expected a time after from")
    elif change.end <= now:
        yield Objection("to", "expected a time to come: what is over cannot be changed")
    elif change.end - change.start > LONGEST:
        yield Objection("to", f"expected at most {LONGEST.days} days after from")
    field, names = _named(change)
    for name in names:
        known = name in contacts or roster.stands_for_others(name) or _is_person(roster, name)
        if not known:
            yield Objection(field, f"no contact {name!r}", name)
    if not names:
        yield Objection(field, "expected at least one name")
    if len(set(names)) < len(names):
        yield Objection(field, "expected different names")
    if roster.with_changes([change]).circle(change.schedule):
        yield Objection(field, f"leads back to {change.schedule}")


def _named(change: Change) -> tuple[str, tuple[str, ...]]:
    if isinstance(change, Override):
        return "who", change.people
    return "between", (change.one, change.other)


def _is_person(roster: Roster, name: str) -> bool:
    return any(name in roster.parts(one) for one in (*roster.schedules, *roster.teams))
