"""``quiet_hours:``: when what is not urgent waits for the morning, by severity."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Self
from zoneinfo import ZoneInfo

import msgspec

from responder.incident.severity import Severity
from responder.oncall.notation import Days, Hours, Window
from responder.oncall.quiet import is_whole_week
from responder.rules.schedule_files import Zone
from responder.rules.schedules import several, stretches

#: What may wait: P1 and P2 never do.
MAY_WAIT = (Severity.P3, Severity.P4)
_CONTACT = "contact"
_SHOWN = 5


class NightZone(msgspec.Struct, frozen=True):
    """On whose wall: a zone for who has none, or only each contact's own (``contact``)."""

    info: ZoneInfo | None = None

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read ``contact`` or ``Europe/Berlin``."""
        return cls() if text == _CONTACT else cls(Zone.from_text(text).info)


class QuietShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``hours`` of the ``days`` on which they begin (of each day without any), and stretches of the week (``during``)."""

    hours: tuple[Hours, ...] | Hours = ()
    days: tuple[Days, ...] | Days = ()
    during: tuple[Window, ...] | Window = ()
    timezone: NightZone = NightZone()


class QuietHours(msgspec.Struct, frozen=True, kw_only=True):
    """The quiet stretches of every week; ``zone`` is that of people who have none of their own."""

    windows: tuple[Window, ...]
    zone: ZoneInfo | None = None


def quiet_hours_of(named: Mapping[str, Mapping[str, Any]]) -> dict[Severity, QuietHours]:
    """The quiet hours of rule files without faults."""
    return {
        Severity(name): QuietHours(windows=_windows(shape), zone=shape.timezone.info)
        for name, shape in named.get("quiet_hours", {}).items()
    }


def zones_of(named: Mapping[str, Mapping[str, Any]]) -> dict[str, ZoneInfo]:
    """On whose wall people, teams and schedules live, as far as the files say."""
    zones = {name: shape.timezone.info for name, shape in named.get("schedules", {}).items()}
    contacts = named.get("contacts", {})
    return zones | {name: shape.timezone.info for name, shape in contacts.items() if shape.timezone}


def quiet_problems(named: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Everything that is wrong: the severity, what, and how bad that is."""
    homeless = _homeless(named)
    for name, shape in named["quiet_hours"].items():
        what = f"quiet_hours.{name}"
        if name not in MAY_WAIT:
            known = " or ".join(MAY_WAIT)
            yield name, f"{what}: only {known} may wait: what is urgent never does", "error"
        elif not (shape.hours or shape.during):
            yield name, f"{what}: give hours, or during", "error"
        elif is_whole_week(_windows(shape)):
            yield name, f"{what}: leaves no time at all in which anybody is paged", "error"
        elif homeless and shape.timezone.info is None:
            shown = ", ".join(sorted(homeless)[:_SHOWN]) + (" and others" if len(homeless) > _SHOWN else "")
            text = f"{what}: no timezone is known for {shown}: nothing waits for them; give theirs in contacts, or one here"
            yield name, text, "warning"


def _windows(shape: QuietShape) -> tuple[Window, ...]:
    nights = stretches(several(shape.hours), several(shape.days)) if shape.hours else ()
    return (*nights, *several(shape.during))


def _homeless(named: Mapping[str, Mapping[str, Any]]) -> Collection[str]:
    """People whose wall nobody knows: neither theirs nor that of a schedule or a contact of the same name."""
    zones = zones_of(named)
    return [name for name, one in named["contacts"].items() if not one.members and name not in zones]
