"""Schedules in a few words, and an oracle that knows them by looking at a clock minute by minute."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from responder.durations import parse_duration
from responder.oncall.layer import Bounds, RotationLayer, rotation
from responder.oncall.notation import DAY, WEEK, Handoff, Hours, Window
from responder.oncall.schedule import Override, Schedule, Swap
from responder.oncall.spans import Span

MINUTE = timedelta(minutes=1)


def at(text: str) -> datetime:
    """An instant in UTC: ``2026-03-29 01:00``."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def layer(
    people: str,
    handoff: str = "Mon 09:00",
    every: str = "1w",
    *,
    start: str = "",
    end: str = "",
    windows: Sequence[Window] = (),
    name: str = "layer",
) -> RotationLayer:
    bounds = Bounds(start=_midnight(start), end=_midnight(end))
    turns = rotation(people.split(), Handoff.from_text(handoff), parse_duration(every), bounds)
    return RotationLayer(name=name, rotation=turns, windows=tuple(windows))


def _midnight(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def hours(text: str, days: Sequence[int] = range(7)) -> tuple[Window, ...]:
    found = Hours.from_text(text)
    return tuple(Window(day, found.start, found.length) for day in days)


def schedule(
    zone: str,
    *layers: RotationLayer,
    swaps: Sequence[Swap] = (),
    overrides: Sequence[Override] = (),
    name: str = "team",
) -> Schedule:
    return Schedule(
        name=name, zone=ZoneInfo(zone), layers=layers, swaps=tuple(swaps), overrides=tuple(overrides)
    )


def override(start: datetime, end: datetime, *people: str) -> Override:
    return Override(start=start, end=end, people=people)


def swap(start: datetime, end: datetime, one: str, other: str) -> Swap:
    return Swap(start=start, end=end, one=one, other=other)


def shown(spans: Sequence[Span]) -> list[str]:
    """Each span as ``MM-DD HH:MM HOURS people``, in UTC."""
    return [
        f"{span.start:%m-%d %H:%M} {(span.end - span.start) / timedelta(hours=1):g}h {'+'.join(span.people) or '-'}"
        for span in spans
    ]


class WatchedClock:
    """The clock of a zone, watched minute by minute over some days.

    What counts is the latest time that it has ever shown: it never goes back, jumps over gaps, and stands still while
    an hour is repeated. The rules of the schedules say nothing else.
    """

    def __init__(self, zone: str, start: datetime, end: datetime) -> None:
        self.start = start
        latest = datetime.fromisoformat("1970-01-01")
        self.latest: list[datetime] = []
        # Two days earlier, so that a repeated hour just before the start is known as one.
        minute = start - 2 * DAY
        while minute < end:
            latest = max(latest, minute.astimezone(ZoneInfo(zone)).replace(tzinfo=None))
            if minute >= start:
                self.latest.append(latest)
            minute += MINUTE

    def people(self, schedule: Schedule, minute: int) -> tuple[str, ...]:
        """Who is on call in a minute after the start, by the plainest reading of the rules."""
        now, wall = self.start + minute * MINUTE, self.latest[minute]
        for one in reversed(schedule.overrides):
            if one.start <= now < one.end:
                return one.people
        found: tuple[str, ...] = ()
        for one_layer in reversed(schedule.layers):
            assert isinstance(one_layer, RotationLayer)
            if person := on_turn(one_layer, wall):
                found = (person,)
                break
        for exchange in schedule.swaps:
            if exchange.start <= now < exchange.end:
                found = exchange.exchanged(found)
        return found


def on_turn(one: RotationLayer, wall: datetime) -> str | None:
    """The layer's one person while the clock shows ``wall``."""
    if one.windows and not any(_inside(window, wall) for window in one.windows):
        return None
    turn = (wall - one.rotation.first) // one.rotation.every
    if (turn < 0 and one.rotation.bounded) or (one.rotation.turns is not None and turn >= one.rotation.turns):
        return None
    return one.rotation.people[turn % len(one.rotation.people)]


def _inside(window: Window, wall: datetime) -> bool:
    monday = datetime.combine(wall.date() - wall.weekday() * DAY, datetime.min.time())
    begins = [monday + window.offset - weeks * WEEK for weeks in (0, 1)]
    return any(begin <= wall < begin + window.length for begin in begins)
