"""One layer of a schedule: people who take turns, or a calendar that says who.

Turns are counted in wall time from the first handoff, so turn ``n`` is found by a division and never by counting; then
the rules of :mod:`responder.oncall.wall` make instants of its two ends.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol

import msgspec

from responder.oncall.notation import DAY, WEEK, Handoff, Window
from responder.oncall.spans import Span, Why, clip
from responder.oncall.wall import instant, local

#: Where turns are counted from if no start is given, and a Monday for the weeks of windows.
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall time
_MONDAY = datetime(1970, 1, 5)  # noqa: DTZ001 - wall time
_TURNS_COUNTED = 5_000


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """People in the order of their turns.

    ``first`` is the wall time of the handoff that begins turn 0, ``every`` a turn's length in wall time. ``bounded``:
    there is nothing before turn 0. ``turns``: so many, and nothing after; ``None`` for ever.
    """

    people: tuple[str, ...]
    first: datetime
    every: timedelta
    bounded: bool = False
    turns: int | None = None

    def begins(self, turn: int, zone: tzinfo) -> datetime:
        """The instant at which a turn begins."""
        return instant(self.first + turn * self.every, zone)

    def turn_at(self, at: datetime, zone: tzinfo) -> int:
        """The turn that runs at an instant."""
        turn = (local(at, zone) - self.first) // self.every
        # Around a change of the clock the wall alone can be a turn off.
        while self.begins(turn + 1, zone) <= at:
            turn += 1
        while self.begins(turn, zone) > at:
            turn -= 1
        return turn

    def between(
        self, start: datetime, end: datetime, zone: tzinfo
    ) -> Iterator[tuple[datetime, datetime, str]]:
        """Beginning, end and person of every turn that touches the time from ``start`` to ``end``."""
        turn = self.turn_at(start, zone)
        begin = self.begins(turn, zone)
        while begin < end and (self.turns is None or turn < self.turns):
            finish = self.begins(turn + 1, zone)
            if (turn >= 0 or not self.bounded) and begin < finish:
                yield begin, finish, self.people[turn % len(self.people)]
            turn, begin = turn + 1, finish


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """When a rotation begins and ends: wall times that move on to the next handoff; ``None`` for no bound."""

    start: datetime | None = None
    end: datetime | None = None


def rotation(people: Sequence[str], handoff: Handoff, every: timedelta, bounds: Bounds) -> Rotation:
    """People who hand over at these times; without a start, turns are counted from the first handoff of 1970."""
    origin = bounds.start or _EPOCH
    first = origin.replace(hour=0, minute=0, second=0, microsecond=0) + handoff.time
    if handoff.weekday is not None:
        first += (handoff.weekday - first.weekday()) % 7 * DAY
    if first < origin:
        first += WEEK if handoff.weekday is not None else DAY
    turns = None if bounds.end is None else max(-((first - bounds.end) // every), 0)
    return Rotation(
        people=tuple(people), first=first, every=every, bounded=bounds.start is not None, turns=turns
    )


class Layer(Protocol):
    """Who is on call by one layer."""

    @property
    def name(self) -> str:
        """How it is called in lists."""
        ...

    def spans(self, start: datetime, end: datetime, zone: tzinfo) -> Iterable[Span]:
        """In order and without overlaps; holes mean that the layer says nothing."""
        ...

    def names(self) -> tuple[str, ...]:
        """Everybody it can name."""
        ...


class RotationLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A rotation that holds all the time, or only within windows of the week."""

    name: str
    rotation: Rotation
    windows: tuple[Window, ...] = ()

    def spans(self, start: datetime, end: datetime, zone: tzinfo) -> Iterable[Span]:
        """The turns, cut to the windows."""
        turns = (
            Span(start=begin, end=finish, people=(name,), layer=self.name, why=Why.ROTATION)
            for begin, finish, name in self.rotation.between(start, end, zone)
        )
        if not self.windows:
            return turns
        return _cut(turns, covered(self.windows, start, end, zone))

    def names(self) -> tuple[str, ...]:
        """Everybody of the rotation."""
        return tuple(dict.fromkeys(self.rotation.people))

    def never(self) -> tuple[str, ...]:
        """Those of the rotation whose every turn falls outside of the windows; nobody where that is too much to count."""
        rotation = self.rotation
        seconds = round(rotation.every.total_seconds()) * len(rotation.people)
        until = math.lcm(
            seconds, round(WEEK.total_seconds())
        )  # then turns and windows are as at the beginning
        if (
            not self.windows
            or rotation.turns is not None
            or until > _TURNS_COUNTED * rotation.every.total_seconds()
        ):
            return ()
        start = rotation.first.replace(tzinfo=UTC)
        spans = self.spans(start, start + timedelta(seconds=until), UTC)
        seen = {name for span in spans for name in span.people}
        return tuple(name for name in self.names() if name not in seen)


def covered(
    windows: Sequence[Window], start: datetime, end: datetime, zone: tzinfo
) -> list[tuple[datetime, datetime]]:
    """The times that the windows cover, in order and joined where they touch."""
    found: list[tuple[datetime, datetime]] = []
    for begin, finish in sorted(one for window in windows for one in _weekly(window, start, end, zone)):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], finish))
        elif begin < finish:
            found.append((begin, finish))
    return found


def _weekly(
    window: Window, start: datetime, end: datetime, zone: tzinfo
) -> Iterator[tuple[datetime, datetime]]:
    origin = _MONDAY + window.offset
    # One week earlier than the wall says, since a change of the clock can move either edge.
    week = (local(start, zone) - window.length - origin) // WEEK - 1
    while (begin := instant(origin + week * WEEK, zone)) < end:
        finish = instant(origin + week * WEEK + window.length, zone)
        if finish > start:
            yield begin, finish
        week += 1


def _cut(spans: Iterable[Span], covered: Sequence[tuple[datetime, datetime]]) -> Iterator[Span]:
    position = 0
    for span in spans:
        while position < len(covered) and covered[position][1] <= span.start:
            position += 1
        for begin, finish in covered[position:]:
            if begin >= span.end:
                break
            part = clip(span, begin, finish)
            if part is not None:
                yield part


class Calendar(msgspec.Struct, frozen=True, kw_only=True):
    """What an iCalendar file says from ``start`` to ``end``; outside of it nothing is known.

    ``spans`` are in order and without overlaps. ``strangers`` are events that name nobody whom we know.
    """

    start: datetime
    end: datetime
    spans: tuple[Span, ...] = ()
    strangers: tuple[str, ...] = ()


class CalendarLayer(msgspec.Struct, frozen=True, kw_only=True):
    """Who an iCalendar file says; ``calendar`` is ``None`` where it could not be read yet.

    ``expected`` are the people whom the rule files know by its texts.
    """

    name: str
    expected: tuple[str, ...] = ()
    calendar: Calendar | None = None

    def spans(self, start: datetime, end: datetime, zone: tzinfo) -> Iterable[Span]:  # noqa: ARG002 - the protocol's
        """The events; before and after what is known, that it is unknown."""
        known = self.calendar
        if known is None:
            return [Span(start=start, end=end, layer=self.name, why=Why.UNKNOWN)]
        before = Span(start=start, end=known.start, layer=self.name, why=Why.UNKNOWN)
        after = Span(start=known.end, end=end, layer=self.name, why=Why.UNKNOWN)
        first = bisect_right(known.spans, start, key=lambda span: span.end)
        found = [] if start >= known.start else [before]
        for span in known.spans[first:]:
            if span.start >= end:
                break
            found.append(span)
        return found if end <= known.end else [*found, after]

    def names(self) -> tuple[str, ...]:
        """Everybody who is expected, and whom the calendar names."""
        spans = self.calendar.spans if self.calendar else ()
        return tuple(dict.fromkeys([*self.expected, *(name for span in spans for name in span.people)]))
