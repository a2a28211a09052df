"""The only place that knows the time."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where a process takes its time from. Tests turn one by hand."""

    def now(self) -> datetime:
        """The present, an aware time in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present, in UTC."""
        return datetime.now(tz=UTC)  # noqa: TID251 - the one place that may

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)


class Stopwatch:
    """Goes on from a time that somebody else's clock gave, without asking it again."""

    def __init__(self, at: datetime) -> None:
        self._at = at
        self._begun = time.monotonic()

    def now(self) -> datetime:
        """That time, and what has passed since."""
        return self._at + timedelta(seconds=time.monotonic() - self._begun)
