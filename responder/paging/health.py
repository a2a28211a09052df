"""Whether a provider is down, as our own sends know it: several failures in a row, until the first success. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

#: So many passing failures in a row, none further from the one before than this, and the channel is down.
DOWN_AFTER = 3
WINDOW = timedelta(minutes=2)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Failures in a row: how many, since when, the last one, and whether they have made the channel down."""

    count: int
    since: datetime
    last: datetime
    down: bool = False


def after_failure(run: Run | None, now: datetime) -> Run:
    """The run with another passing failure; one that is long over begins anew, unless the channel is down."""
    if run is None or (now - run.last > WINDOW and not run.down):
        return Run(count=1, since=now, last=now)
    count = run.count + 1
    return msgspec.structs.replace(
        run, count=count, last=max(now, run.last), down=run.down or count >= DOWN_AFTER
    )


class Health:
    """The runs of every channel of this process. A refusal for good counts for nothing: who refuses is there."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}

    def failed(self, channel: str, now: datetime) -> bool:
        """Note a passing failure; whether it is this one that made the channel down."""
        before = self._runs.get(channel)
        after = self._runs[channel] = after_failure(before, now)
        return after.down and not (before is not None and before.down)

    def delivered(self, channel: str) -> bool:
        """Note a success; whether the channel was down until now."""
        run = self._runs.pop(channel, None)
        return run is not None and run.down

    def down_since(self, channel: str) -> datetime | None:
        """Since when it is down; ``None`` while it is up, or nothing else is known."""
        run = self._runs.get(channel)
        return run.since if run is not None and run.down else None
