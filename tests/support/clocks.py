"""Clocks that a test turns by hand."""

from __future__ import annotations

from datetime import datetime, timedelta

from responder.clock import SystemClock


class TurnedClock:
    """The store's clock, turned by hand: milliseconds are added to the server's own time."""

    def __init__(self) -> None:
        self.ms = 0

    def __call__(self) -> int:
        return self.ms

    def turn(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0) -> None:
        self.ms += round((seconds + minutes * 60 + hours * 3600) * 1000)

    def to_next(self, multiple: timedelta, now: datetime) -> None:
        """Go on to the next multiple of this: what depends on the time of day is then the same in every run."""
        self.turn(seconds=-now.timestamp() % multiple.total_seconds())


class Turned(SystemClock):
    """The machine's clock, turned as the store's is."""

    def __init__(self, turned: TurnedClock) -> None:
        self._turned = turned

    def now(self) -> datetime:
        return super().now() + timedelta(milliseconds=self._turned())
