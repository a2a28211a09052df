"""Who takes over from whom, and when: the changes of schedules within a stretch of time. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from responder.oncall.roster import Roster


class Takeover(msgspec.Struct, frozen=True, kw_only=True):
    """A person is on call from this time on who was not just before; ``schedules`` are those where that is so."""

    at: datetime
    person: str
    schedules: tuple[str, ...]


def takeovers(roster: Roster, start: datetime, end: datetime) -> tuple[Takeover, ...]:
    """Every change after ``start`` and before ``end``, in order; one who takes over several schedules at once is one."""
    found: dict[tuple[datetime, str], list[str]] = {}
    for schedule in sorted(roster.schedules):
        for at, person in _of(roster, schedule, start, end):
            found.setdefault((at, person), []).append(schedule)
    return tuple(
        Takeover(at=at, person=person, schedules=tuple(schedules))
        for (at, person), schedules in sorted(found.items())
    )


def _of(roster: Roster, schedule: str, start: datetime, end: datetime) -> Iterator[tuple[datetime, str]]:
    before: tuple[str, ...] | None = None
    for span in roster.spans(schedule, start, end):
        if before is not None:
            yield from ((span.start, person) for person in span.people if person not in before)
        before = span.people


def stands_for(roster: Roster, name: str) -> frozenset[str]:
    """A name of the matrix with every team and schedule that it is made of."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += roster.parts(one)
    return frozenset(found)
