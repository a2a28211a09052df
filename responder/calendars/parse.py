"""iCalendar bytes become occurrences within a window. Runs in a process of its own (:mod:`responder.calendars.child`).

Sources: RFC 5545 (iCalendar) and RFC 7986 (``EMAIL`` of an attendee).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any

import icalendar
import msgspec
import recurring_ical_events

from responder.oncall.calendar import Event
from responder.oncall.notation import FIRST_YEAR, LAST_YEAR
from responder.text import one_line

BODY_LIMIT = 1024 * 1024  # bytes of a file
_COMPONENT_LIMIT = 5_000  # events as they are written
OCCURRENCE_LIMIT = 20_000  # events as they take place within the window
_TEXT_LIMIT = 200
_ATTENDEE_LIMIT = 20
#: No shift changes every minute; a rule that says so is a bomb or a mistake.
_TOO_OFTEN = re.compile(rb"FREQ=(SECONDLY|MINUTELY)", re.IGNORECASE)


class CalendarError(Exception):
    """A calendar cannot be read; the text is for people and holds no address."""


class Occurrences(msgspec.Struct, frozen=True, kw_only=True):
    """What was read. ``warning`` says what had to be left out, ``problem`` why nothing could be read."""

    events: tuple[Event, ...] = ()
    warning: str = ""
    problem: str = ""


def occurrences(raw: bytes, start: datetime, end: datetime) -> Occurrences:
    """Every event that takes place between two times; whatever the file is, an answer."""
    try:
        _check(raw)
        calendars: Any = icalendar.Calendar.from_ical(raw, multiple=True)
        return _between(calendars, start, end)
    except CalendarError as error:
        return Occurrences(problem=str(error))
    except MemoryError:
        return Occurrences(problem="it needs too much memory")
    except Exception as error:  # noqa: BLE001 - a hostile file can raise anything in the library
        return Occurrences(problem=one_line(f"not readable: {type(error).__name__}: {error}", _TEXT_LIMIT))


def _check(raw: bytes) -> None:
    if len(raw) > BODY_LIMIT:
        raise CalendarError(f"it is over {BODY_LIMIT // 1024} KiB")
    if not raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:15].upper().startswith(b"BEGIN:VCALENDAR"):
        raise CalendarError("it is no iCalendar file: BEGIN:VCALENDAR is missing (a login page?)")
    if not raw.rstrip().upper().endswith(b"END:VCALENDAR"):
        raise CalendarError("it breaks off: END:VCALENDAR is missing")
    count = raw.upper().count(b"BEGIN:VEVENT")
    if count > _COMPONENT_LIMIT:
        raise CalendarError(f"it has {count} events, more than {_COMPONENT_LIMIT}")
    # Long lines are folded anywhere, also in the middle of a rule.
    if found := _TOO_OFTEN.search(re.sub(rb"\r?\n[ \t]", b"", raw)):
        raise CalendarError(f"an event repeats too often: {found[0].decode()}")


def _between(calendars: list[Any], start: datetime, end: datetime) -> Occurrences:
    found: list[Event] = []
    warnings: dict[str, None] = {}
    for calendar in calendars:
        try:
            components = recurring_ical_events.of(calendar).between(start, end)
        except (recurring_ical_events.InvalidCalendar, ValueError) as error:
            warnings[f"some events cannot be read and are left out: {error}"] = None
            components = recurring_ical_events.of(calendar, skip_bad_series=True).between(start, end)
        if len(found) + len(components) > OCCURRENCE_LIMIT:
            raise CalendarError(
                f"more than {OCCURRENCE_LIMIT} events take place between {start:%F} and {end:%F}"
            )
        found += [event for one in components if (event := _event(one)) is not None]
        warnings |= dict.fromkeys(_unknown_zones(calendar))
    warning = one_line("; ".join(warnings), _TEXT_LIMIT)
    return Occurrences(events=tuple(sorted(found, key=_order)), warning=warning)


def _unknown_zones(calendar: Any) -> Iterator[str]:
    """A zone that the library does not know leaves a time without one."""
    for component in calendar.walk("VEVENT"):
        value = component.get("DTSTART")
        zone = getattr(value, "params", {}).get("TZID")
        time_of = getattr(value, "dt", None) if zone else None
        if isinstance(time_of, datetime) and time_of.tzinfo is None:
            yield f"no time zone {zone}: its events are taken as times of the schedule's zone"


def _order(event: Event) -> tuple[datetime, str]:
    return event.start.replace(tzinfo=UTC) if event.start.tzinfo is None else event.start, event.summary


def _event(component: Any) -> Event | None:
    """One occurrence; ``None`` where it was cancelled or has no length."""
    if str(component.get("STATUS", "")).upper() == "CANCELLED":
        return None
    start, end = _time(component["DTSTART"].dt), _time(component["DTEND"].dt)
    if not FIRST_YEAR <= start.year <= end.year < LAST_YEAR or start == end:
        return None
    return Event(
        start=start,
        end=end,
        summary=one_line(str(component.get("SUMMARY", "")), _TEXT_LIMIT),
        attendees=tuple(_attendees(component))[:_ATTENDEE_LIMIT],
    )


def _time(value: date) -> datetime:
    """An instant in UTC; a date or a floating time stays one of the wall."""
    if not isinstance(value, datetime):
        return datetime.combine(value, time())
    return value if value.tzinfo is None else value.astimezone(UTC)


def _attendees(component: Any) -> Iterator[tuple[str, str]]:
    """Displayed name and address of everybody who has not declined."""
    listed = component.get("ATTENDEE", [])
    for one in listed if isinstance(listed, list) else [listed]:
        parameters = getattr(one, "params", {})
        if str(parameters.get("PARTSTAT", "")).upper() == "DECLINED":
            continue
        address = str(parameters.get("EMAIL", "")) or re.sub("(?i)^mailto:", "", str(one))
        yield one_line(str(parameters.get("CN", "")), _TEXT_LIMIT), one_line(address, _TEXT_LIMIT)
