"""How times are written in schedules: ``Mon 09:00``, ``09:00-17:00``, ``Mon-Fri``, ``Fri 17:00-Mon 09:00``.

Each type reads itself from a text (``from_text``) and raises ``ValueError`` with what would be right.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Self

import msgspec

from responder.oncall.wall import instant

DAY = timedelta(days=1)
WEEK = timedelta(weeks=1)
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LONG = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)? ?(?:[Zz]|[+-]\d\d:?\d\d)?)?", re.ASCII
)
#: ``PST``, ``CET``: ``IST`` alone is three zones, and who writes ``EST`` in summer means another one.
_ABBREVIATION = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+ ?((?![Zz]$)[A-Za-z]{1,5})", re.ASCII)
#: Times beyond these years are typing mistakes, and would take arithmetic out of the calendar.
FIRST_YEAR, LAST_YEAR = 2000, 2100


def weekday_of(text: str) -> int:
    """0 for Monday to 6 for Sunday."""
    name = text.strip().lower()
    for number, (short, long) in enumerate(zip(WEEKDAYS, _LONG, strict=True)):
        if name in (short.lower(), long):
            return number
    raise ValueError(f"expected a weekday ({', '.join(WEEKDAYS)}), got {text.strip()!r}")


def time_of_day(text: str, *, end: bool = False) -> timedelta:
    """``09:00`` as the wall time since midnight; ``24:00`` only where something ends."""
    match = _TIME.fullmatch(text.strip())
    since = timedelta(hours=int(match[1]), minutes=int(match[2])) if match else None
    if since is None or since > DAY or (since == DAY and not end):
        raise ValueError(f"expected a time of day such as 09:00, got {text.strip()!r}")
    return since


class Handoff(msgspec.Struct, frozen=True):
    """When a turn ends and the next one begins: ``Mon 09:00``, or ``09:00`` for turns of days or hours."""

    time: timedelta
    weekday: int | None = None

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read ``[weekday] HH:MM``."""
        day, _, time = text.strip().rpartition(" ")
        return cls(time_of_day(time), weekday_of(day) if day else None)


class Window(msgspec.Struct, frozen=True):
    """A stretch of every week: from a weekday's wall time on, for a length in wall time."""

    weekday: int
    start: timedelta
    length: timedelta

    @property
    def offset(self) -> timedelta:
        """From Monday's midnight to its beginning."""
        return self.weekday * DAY + self.start

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read ``Fri 17:00-Mon 09:00``."""
        first, dash, last = text.partition("-")
        if not dash:
            raise ValueError(f"expected a stretch of the week such as Fri 17:00-Mon 09:00, got {text!r}")
        ends = Handoff.from_text(last.replace("24:00", "00:00"))
        begins = Handoff.from_text(first)
        if begins.weekday is None or ends.weekday is None:
            raise ValueError(f"expected weekdays on both sides, such as Fri 17:00-Mon 09:00, got {text!r}")
        to = ends.weekday * DAY + ends.time + (DAY if "24:00" in last else timedelta(0))
        length = (to - begins.weekday * DAY - begins.time) % WEEK
        if not length:
            raise ValueError(f"{text!r} begins and ends at the same time; leave it out for the whole week")
        return cls(begins.weekday, begins.time, length)


class Hours(msgspec.Struct, frozen=True):
    """A stretch of a day: ``09:00-17:00``; ``22:00-06:00`` goes over midnight and belongs to the day it begins on."""

    start: timedelta
    length: timedelta

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read ``HH:MM-HH:MM``."""
        first, dash, last = text.partition("-")
        if not dash:
            raise ValueError(f"expected hours such as 09:00-17:00, got {text!r}")
        start, end = time_of_day(first), time_of_day(last, end=True)
        if start == end:
            raise ValueError(f"{text!r} begins and ends at the same time; leave it out for the whole day")
        return cls(start, (end - start) % DAY or DAY)


class Days(msgspec.Struct, frozen=True):
    """Days of the week: ``Mon``, or ``Mon-Fri``; ``Sat-Mon`` goes over the end of the week."""

    days: tuple[int, ...]

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read a weekday or a range of them."""
        first, dash, last = text.partition("-")
        begin = weekday_of(first)
        end = weekday_of(last) if dash else begin
        return cls(tuple((begin + step) % 7 for step in range((end - begin) % 7 + 1)))


class Day(msgspec.Struct, frozen=True):
    """A date, as ``2026-01-05``."""

    date: date

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read ``YYYY-MM-DD``."""
        try:
            found = date.fromisoformat(text.strip())
        except ValueError:
            found = date.min
        if not FIRST_YEAR <= found.year < LAST_YEAR:
            raise ValueError(f"expected a date such as 2026-01-05, got {text.strip()!r}")
        return cls(found)


class Moment(msgspec.Struct, frozen=True):
    """A point in time: ``2026-12-24 09:00`` on the schedule's wall, or with an offset as RFC 3339 has it.

    A date alone is its midnight.
    """

    time: datetime

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read either form, and nothing that could be meant otherwise."""
        if zone := _ABBREVIATION.fullmatch(text.strip()):
            raise ValueError(
                f"{zone[1]} means different zones to different people: give an offset, as in 2026-12-24T09:00:00-08:00, "
                "or Z for UTC"
            )
        try:
            found = datetime.fromisoformat(text.strip().upper() if _MOMENT.fullmatch(text.strip()) else "")
        except ValueError:
            found = datetime.min  # noqa: DTZ901 - only its year is looked at
        if not FIRST_YEAR <= found.year < LAST_YEAR:
            raise ValueError(
                f"expected a time such as 2026-12-24 09:00 or 2026-12-24T09:00:00+01:00, got {text.strip()[:60]!r}"
            )
        return cls(found)

    def at(self, zone: tzinfo) -> datetime:
        """The instant, in UTC."""
        return self.time.astimezone(UTC) if self.time.tzinfo is not None else instant(self.time, zone)
