"""``/api/v1/oncall`` and ``/api/v1/schedules``: who is on call at a time, and what the coming weeks look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from aiohttp import web

from responder.calendars.feeds import CalendarState
from responder.incident.severity import LEVELS, Level
from responder.oncall.notation import Moment
from responder.oncall.roster import Roster
from responder.oncall.schedule import INSTANT, Change, Override, Schedule
from responder.oncall.spans import Span, Why
from responder.registry import did_you_mean
from responder.text import one_line
from responder.web.auth import Role, requires
from responder.web.parts import PARTS, WebParts
from responder.web.problems import ProblemError, answer
from responder.web.times import rfc3339, rfc3339_or_none

_SHOWN = timedelta(weeks=4)
_LONGEST = timedelta(days=366)
#: A plus sign in a query that was not escaped is a space.
_LOST_PLUS = re.compile(r" (\d\d:\d\d)$")


class OnCallLevelView(msgspec.Struct, frozen=True, kw_only=True):
    """A level of a row: the name that stands there, and who that is at the time; nobody in a gap."""

    level: Level
    contact: str
    people: tuple[str, ...]
    why: Why


class OnCallServiceView(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the matrix."""

    service: str
    levels: tuple[OnCallLevelView, ...]


class OnCallView(msgspec.Struct, frozen=True, kw_only=True):
    """Who is on call for every service at a time."""

    at: str
    oncall: tuple[OnCallServiceView, ...]


class SpanView(msgspec.Struct, frozen=True, kw_only=True):
    """From one time to another the same people for the same reason; a gap has none."""

    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    people: tuple[str, ...]
    layer: str
    why: Why


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """An override (``who`` is on call instead) or a swap (``who`` are the two that exchange their turns)."""

    id: str
    kind: str
    schedule: str
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    who: tuple[str, ...]
    by: str
    note: str
    made_at: str | None


class CalendarView(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with an iCalendar file; while ``problem`` is set, it is as of ``confirmed_at``."""

    confirmed_at: str | None
    failing_since: str | None
    problem: str
    warning: str
    strangers: tuple[str, ...]


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule in the list, with the overrides and swaps that people made."""

    name: str
    timezone: str
    people: tuple[str, ...]
    why: Why
    calendar: CalendarView | None
    overrides: tuple[ChangeView, ...]


class ScheduleListView(msgspec.Struct, frozen=True, kw_only=True):
    """Every schedule, by name."""

    at: str
    schedules: tuple[ScheduleView, ...]


class ScheduleWeeksView(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule over a stretch of time, without holes."""

    name: str
    timezone: str
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    spans: tuple[SpanView, ...]


def routes() -> list[web.RouteDef]:
    """Every route that only looks; changes are made in :mod:`responder.web.overrides`."""
    return [
        web.get("/api/v1/oncall", show_on_call),
        web.get("/api/v1/schedules", list_schedules),
        web.get("/api/v1/schedules/{name}", show_schedule),
    ]


@requires(Role.VIEWER)
async def show_on_call(request: web.Request) -> web.Response:
    """Who is on call for each service, level by level, now or at a time."""
    parts = request.app[PARTS]
    at = time_of(request, "at", parts.clock.now())
    return answer(on_call_view(parts.rules().rows, parts.duty.roster, at))


def on_call_view(rows: Mapping[str, Mapping[Level, str]], roster: Roster, at: datetime) -> OnCallView:
    """Who is on call for every row at a time."""
    listed = tuple(
        OnCallServiceView(
            service=service,
            levels=tuple(_level(roster, level, row[level], at) for level in LEVELS if level in row),
        )
        for service, row in sorted(rows.items())
    )
    return OnCallView(at=rfc3339(at), oncall=listed)


def _level(roster: Roster, level: Level, name: str, at: datetime) -> OnCallLevelView:
    span = roster.spans(name, at, at + INSTANT)[0]
    return OnCallLevelView(level=level, contact=name, people=span.people, why=span.why)


@requires(Role.VIEWER)
async def list_schedules(request: web.Request) -> web.Response:
    """Every schedule with who is on call, how it stands with its calendar, and what people changed."""
    parts = request.app[PARTS]
    at = time_of(request, "at", parts.clock.now())
    calendars = {state.name: state for state in parts.duty.calendars()}
    roster, listed = parts.duty.roster, []
    for name, schedule in sorted(roster.schedules.items()):
        span = roster.spans(name, at, at + INSTANT)[0]
        listed.append(
            ScheduleView(
                name=name,
                timezone=str(schedule.zone),
                people=span.people,
                why=span.why,
                calendar=_calendar(calendars[name]) if name in calendars else None,
                overrides=changes_of(parts, name),
            )
        )
    return answer(ScheduleListView(at=rfc3339(at), schedules=tuple(listed)))


@requires(Role.VIEWER)
async def show_schedule(request: web.Request) -> web.Response:
    """A schedule over the coming four weeks, or another stretch of at most a year."""
    parts = request.app[PARTS]
    name, _ = schedule_of(request)
    start = time_of(request, "from", parts.clock.now())
    end = time_of(request, "to", start + _SHOWN)
    if not timedelta(0) < end - start <= _LONGEST:
        raise ProblemError(400, f"to: expected a time after from, at most {_LONGEST.days} days later")
    return answer(weeks_view(parts.duty.roster, name, start, end))


def weeks_view(roster: Roster, name: str, start: datetime, end: datetime) -> ScheduleWeeksView:
    """A schedule of the roster from one time to another."""
    return ScheduleWeeksView(
        name=name,
        timezone=str(roster.schedules[name].zone),
        start=rfc3339(start),
        end=rfc3339(end),
        spans=tuple(_span(span) for span in roster.spans(name, start, end)),
    )


def schedule_of(request: web.Request) -> tuple[str, Schedule]:
    """The schedule that the path names, or a 404 with what there is."""
    name, schedules = request.match_info["name"], request.app[PARTS].duty.roster.schedules
    if name not in schedules:
        raise ProblemError(404, f"no schedule {one_line(name, 60)!r}{did_you_mean(name, schedules)}")
    return name, schedules[name]


def time_of(request: web.Request, name: str, otherwise: datetime) -> datetime:
    """A time of the query, in UTC; 400 for what is none."""
    text = request.query.get(name)
    if text is None:
        return otherwise
    try:
        moment = Moment.from_text(_LOST_PLUS.sub(r"+\1", text) if "T" in text else text)
    except ValueError as error:
        raise ProblemError(400, f"{name}: {one_line(str(error), 300)}") from None
    if moment.time.tzinfo is None:
        raise ProblemError(
            400, f"{name}: expected an offset or Z, as in 2026-12-24T09:00:00Z, got {one_line(text, 40)!r}"
        )
    return moment.at(moment.time.tzinfo)


def changes_of(parts: WebParts, name: str) -> tuple[ChangeView, ...]:
    """What people changed of a schedule, in the order in which they did."""
    return tuple(change_view(one) for one in parts.duty.changes if one.schedule == name)


def change_view(change: Change) -> ChangeView:
    """A change as the API shows it."""
    override = isinstance(change, Override)
    return ChangeView(
        id=change.id,
        kind="override" if override else "swap",
        schedule=change.schedule,
        start=rfc3339(change.start),
        end=rfc3339(change.end),
        who=change.people if isinstance(change, Override) else (change.one, change.other),
        by=change.by,
        note=change.note,
        made_at=rfc3339_or_none(change.made_at),
    )


def _span(span: Span) -> SpanView:
    return SpanView(
        start=rfc3339(span.start), end=rfc3339(span.end), people=span.people, layer=span.layer, why=span.why
    )


def _calendar(state: CalendarState) -> CalendarView:
    return CalendarView(
        confirmed_at=rfc3339_or_none(state.confirmed_at),
        failing_since=rfc3339_or_none(state.failing_since),
        problem=state.problem,
        warning=state.warning,
        strangers=state.strangers,
    )
