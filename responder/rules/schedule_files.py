"""The shapes of ``schedules:``; times read themselves from texts (:mod:`responder.oncall.notation`)."""

from __future__ import annotations

from datetime import timedelta
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec

from responder.oncall.notation import Day, Days, Handoff, Hours, Moment, Window
from responder.registry import closest
from responder.secrets import Secret

#: What people write, and a place that they may mean. Some are fixed offsets in the tz database.
_ABBREVIATIONS = {
    "EST": "America/New_York", "EDT": "America/New_York", "CST": "America/Chicago", "CDT": "America/Chicago",
    "MST": "America/Denver", "MDT": "America/Denver", "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles",
    "HST": "Pacific/Honolulu", "BST": "Europe/London", "IST": "Asia/Kolkata", "CEST": "Europe/Berlin",
    "JST": "Asia/Tokyo", "SGT": "Asia/Singapore", "AEST": "Australia/Sydney", "PHT": "Asia/Manila",
}  # fmt: skip


class Zone(msgspec.Struct, frozen=True):
    """A time zone by its name in the tz database."""

    info: ZoneInfo

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read ``Europe/Berlin``. An abbreviation is refused: ``EST`` would be a zone, without any summer time."""
        if text in _ABBREVIATIONS:
            raise ValueError(
                f"{text} is an abbreviation, not a place: expected a time zone such as {_ABBREVIATIONS[text]}, which knows "
                "its summer time"
            )
        try:
            return cls(ZoneInfo(text))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            hint = closest(text, available_timezones())
            raise ValueError(f"expected a time zone such as Europe/Berlin, got {text!r}{hint}") from None


class _Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class TurnsShape(_Shape, frozen=True, kw_only=True):
    """Who takes turns, when they hand over, and the hours of the week that this is for."""

    rotation: tuple[str, ...] = ()
    handoff: Handoff | None = None
    every: timedelta | None = None
    start: Day | None = None
    end: Day | None = None
    hours: tuple[Hours, ...] | Hours = ()
    days: tuple[Days, ...] | Days = ()
    during: tuple[Window, ...] | Window = ()


class LayerShape(TurnsShape, frozen=True, kw_only=True):
    """One of several; a later one wins over an earlier one."""

    name: str = ""


class OverrideShape(_Shape, frozen=True, kw_only=True):
    """Somebody else for a while."""

    start: Moment = msgspec.field(name="from")
    end: Moment = msgspec.field(name="to")
    who: tuple[str, ...] | str


class SwapShape(_Shape, frozen=True, kw_only=True):
    """Two people who take each other's turns for a while."""

    start: Moment = msgspec.field(name="from")
    end: Moment = msgspec.field(name="to")
    between: tuple[str, ...]


class IcalShape(_Shape, frozen=True, kw_only=True):
    """An iCalendar file or URL; ``people`` says whom names, addresses and titles in it mean."""

    file: str | None = None
    url: Secret | None = None
    refresh: timedelta = timedelta(minutes=15)
    people: dict[str, str] = {}


class ScheduleShape(TurnsShape, frozen=True, kw_only=True):
    """One rotation, or ``layers`` of them, or ``ical``."""

    timezone: Zone
    layers: tuple[LayerShape, ...] = ()
    ical: IcalShape | None = None
    overrides: tuple[OverrideShape, ...] = ()
    swaps: tuple[SwapShape, ...] = ()
