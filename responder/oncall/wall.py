"""Wall-clock time of a zone and instants, by three rules.

A wall time that does not exist, because the clock sprang over it, is the first instant after the gap. One that comes
twice is its first occurrence. Everything else is what the clock on the wall says; so a day or a week from one wall time
to the same one can be an hour (on Lord Howe Island half an hour) shorter or longer than another.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

_SECOND = timedelta(seconds=1)


def instant(wall: datetime, zone: tzinfo) -> datetime:
    """The instant, in UTC, at which the clock of the zone shows ``wall`` (a time without zone)."""
    first = wall.replace(tzinfo=zone, fold=0)
    before, after = _offset(first), _offset(first.replace(fold=1))
    if before < after:
        return _end_of_gap(wall.replace(tzinfo=UTC, microsecond=0), zone, before, after)
    return first.astimezone(UTC)


def local(at: datetime, zone: tzinfo) -> datetime:
    """What the clock of the zone shows at an instant; without zone."""
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def _offset(at: datetime) -> timedelta:
    return at.utcoffset() or timedelta(0)


def _end_of_gap(wall: datetime, zone: tzinfo, before: timedelta, after: timedelta) -> datetime:
    """The first second of the new offset; it lies between the readings of ``wall`` by the new and by the old one."""
    early, late = wall - after, wall - before
    while late - early > _SECOND:
        middle = early + (late - early) // _SECOND // 2 * _SECOND
        if _offset(middle.astimezone(zone)) == before:
            early = middle
        else:
            late = middle
    return late
