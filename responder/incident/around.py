"""What is true of others at the time of a decision: what an incident stands on, who sleeps, what else waits.

An incident never sees another one; it sees outlines of those that matter to it, handed in from outside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from responder.incident.severity import Severity
from responder.text import one_line

_LINE_LIMIT = 90
_MARK_LIMIT = 40
_BETWEEN_WORDS = re.compile(r"[^\w.-]+")
_SHOWN_ELSEWHERE = frozenset({"alertname", "service", "severity"})

#: Until when a person's pages of a severity wait, by name; who is not in it does not sleep.
Asleep = Mapping[str, Mapping[Severity, datetime]]


class Morning(msgspec.Struct, frozen=True):
    """Whose morning pages wait for, and when it is."""

    by: str
    until: datetime


class Outline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What others need to know of an open incident.

    ``pages``: people are paged for it or at work on it, or are in a moment; a held one is none of these. ``morning`` is
    set where it waits for one, or was paged at one and waits for an answer since; ``only`` where nothing else holds it.
    ``mark`` tells it apart from others of its title. ``carrier`` is the incident that it is attached to, where nothing else holds it: without that one it is paged at once.
    """

    id: str
    service: str
    severity: Severity
    title: str
    mark: str = ""
    opened_at: datetime
    pages: bool = False
    morning: Morning | None = None
    only: bool = False
    carrier: str = ""

    @property
    def order(self) -> tuple[int, datetime, str]:
        """The worst first, then the oldest: the same on every replica."""
        return self.severity.rank, self.opened_at, self.id


class Listed(msgspec.Struct, frozen=True):
    """An incident that another one's page tells of, and the line that it has there."""

    incident: str
    line: str


def mark_of(group: Sequence[tuple[str, str]], title: str) -> str:
    """What tells an incident apart from others of its kind: the labels by which it is grouped, as far as not in the title."""
    words = set(_BETWEEN_WORDS.split(title))
    values = (value for name, value in group if name not in _SHOWN_ELSEWHERE and value not in words)
    return one_line("/".join(values), _MARK_LIMIT)


def list_line(severity: Severity, service: str, title: str, mark: str = "") -> str:
    """The line of an incident in a list, whatever a sender wrote."""
    apart = f" [{mark}]" if mark else ""
    return one_line(f"{severity} {service}: {title}", _LINE_LIMIT - len(apart)) + apart


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What was known elsewhere at ``as_of``; ``None`` where nothing is.

    ``beneath`` are open incidents of services that this one's stands on, in their order; ``beside`` those that wait for
    the same mornings. ``over`` are those of which is known for certain that they page nobody any more. ``hold_down``: how
    long a page waits to see whether something beneath is paged as well; zero where the service stands on nothing.
    """

    as_of: datetime | None = None
    beneath: tuple[Outline, ...] = ()
    beside: tuple[Outline, ...] = ()
    over: frozenset[str] = frozenset()
    hold_down: timedelta = timedelta(0)
    asleep: Asleep = {}
