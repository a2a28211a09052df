"""When people sleep: stretches of the week on their own wall, during which what is not urgent waits for the morning."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from responder.oncall.layer import covered
from responder.oncall.notation import WEEK, Window

#: The longest night that is not the whole week ends within this.
_AHEAD = WEEK + timedelta(days=2)
_DAYS_KEPT = 256


def morning(windows: Sequence[Window], at: datetime, zone: tzinfo) -> datetime | None:
    """When the stretch ends that an instant lies in, on the wall of a zone; ``None`` outside of them all."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for begin, end in _nights(tuple(windows), day, zone):
        if at < end:
            return end if begin <= at else None
    return None


@lru_cache(maxsize=_DAYS_KEPT)
def _nights(
    windows: tuple[Window, ...], day: datetime, zone: tzinfo
) -> tuple[tuple[datetime, datetime], ...]:
    """The stretches from a day on: worked out once a day and zone, since every decision of a storm asks."""
    return tuple(covered(windows, day, day + timedelta(days=1) + _AHEAD, zone))


def is_whole_week(windows: Sequence[Window]) -> bool:
    """Whether no time of the week is left between them."""
    reached = timedelta(0)
    pieces = sorted((one.offset + shift, one.length) for one in windows for shift in (-WEEK, timedelta(0)))
    for offset, length in pieces:
        if offset > reached:
            return False
        reached = max(reached, offset + length)
    return reached >= WEEK
