"""When people sleep: stretches of the week on their own wall, during which what is not urgent waits for the morning."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from responder.oncall.layer import covered
from responder.oncall.notation import WEEK, Window

#: The longest night that is not the whole week ends within this.
_AHEAD = WEEK + timedelta(days=2)


def morning(windows: Sequence[Window], at: datetime, zone: tzinfo) -> datetime | None:
    """When the stretch ends that an instant lies in, on the wall of a zone; ``None`` outside of them all."""
    nights = covered(windows, at, at + _AHEAD, zone)
    if nights and nights[0][0] <= at < nights[0][1]:
        return nights[0][1]
    return None


def is_whole_week(windows: Sequence[Window]) -> bool:
    """Whether no time of the week is left between them."""
    reached = timedelta(0)
    pieces = sorted((one.offset + shift, one.length) for one in windows for shift in (-WEEK, timedelta(0)))
    for offset, length in pieces:
        if offset > reached:
            return False
        reached = max(reached, offset + length)
    return reached >= WEEK
