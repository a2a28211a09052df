"""``/api/v1/maintenance``: windows in which paging is suppressed; made, listed and ended. Those of the rule files are listed too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import structlog
from aiohttp import web

from responder.durations import format_duration, parse_duration
from responder.incident.maintenance import MaintenanceWindow, Repeated, Stretch
from responder.oncall.notation import Moment
from responder.oncall.rrule import Rule
from responder.rules.maintenance import MaintenanceShape, faults, spec_of
from responder.rules.schedule_files import Zone
from responder.store.windows import KEPT, id_of
from responder.text import one_line
from responder.web.api import who
from responder.web.auth import CALLER, Role, requires
from responder.web.bodies import NAME_LIMIT
from responder.web.parts import PARTS
from responder.web.problems import ProblemError, answer, decoded, noted, read
from responder.web.times import rfc3339, rfc3339_or_none

log = structlog.get_logger(__name__)
T = TypeVar("T")


class MaintenanceBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A window as the rule files have it. Without ``from`` it begins now; ``for`` may stand instead of ``to``."""

    name: str = ""
    match: tuple[str, ...]
    start: str | None = msgspec.field(default=None, name="from")
    end: str | None = msgspec.field(default=None, name="to")
    span: str | None = msgspec.field(default=None, name="for")
    starts: str | None = None
    every: str | None = None
    lasts: str | None = None
    timezone: str | None = None
    by: str = ""
    note: str = ""


class StretchView(msgspec.Struct, frozen=True, kw_only=True):
    """From one time to just before another."""

    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")


class MaintenanceView(msgspec.Struct, frozen=True, kw_only=True):
    """A window.

    ``id`` is ``null`` where it stands in the rule files. ``running`` is the stretch that runs now, ``next`` the one that
    comes; one without either is over. ``every``, ``lasts`` and ``timezone`` are there where it comes again.
    """

    id: str | None
    name: str
    match: tuple[str, ...]
    running: StretchView | None
    next: StretchView | None
    every: str | None
    lasts: str | None
    timezone: str | None
    by: str
    note: str
    made_at: str | None


class MaintenanceListView(msgspec.Struct, frozen=True, kw_only=True):
    """Every window: those of the rule files first, then in the order in which they were made."""

    maintenance: tuple[MaintenanceView, ...]


def routes() -> list[web.RouteDef]:
    """Every route."""
    path = "/api/v1/maintenance"
    return [
        web.get(path, list_windows),
        web.post(path, make_window),
        web.delete(f"{path}/{{id:[0-9a-f]{{16}}}}", end_window),
    ]


@requires(Role.VIEWER)
async def list_windows(request: web.Request) -> web.Response:
    """What suppresses paging now, what will, and what did lately."""
    parts = request.app[PARTS]
    await parts.keeper.look()
    now = parts.clock.now()
    files = [window_view(window, now) for window in parts.rules().maintenance]
    kept = [window_view(window, now, spec.made_at) for spec, window in parts.keeper.known.kept]
    return answer(MaintenanceListView(maintenance=(*files, *kept)))


def window_view(window: MaintenanceWindow, now: datetime, made_at: datetime | None = None) -> MaintenanceView:
    """A window as it is at a time."""
    when = window.when
    repeated = when if isinstance(when, Repeated) else None
    return MaintenanceView(
        id=window.id or None,
        name=window.name,
        match=tuple(str(one) for one in window.matchers),
        running=_stretch(when.at(now)),
        next=_stretch(when.following(now)),
        every=str(repeated.times.rule) if repeated else None,
        lasts=format_duration(repeated.lasts) if repeated else None,
        timezone=str(repeated.zone) if repeated else None,
        by=window.by,
        note=window.note,
        made_at=rfc3339_or_none(made_at),
    )


def _stretch(stretch: Stretch | None) -> StretchView | None:
    return StretchView(start=rfc3339(stretch.start), end=rfc3339(stretch.end)) if stretch else None


@requires(Role.RESPONDER)
async def make_window(request: web.Request) -> web.Response:
    """Suppress paging for what matches, for a while or again and again."""
    parts = request.app[PARTS]
    body, now = decoded(await read(request), MaintenanceBody), parts.clock.now()
    shape = _shape(body, now.replace(microsecond=0))
    for fault in faults(shape):
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in fault.path)
        raise ProblemError(400, f"body{where}: {fault.text}"[:500])
    spec = msgspec.structs.replace(
        spec_of(shape), by=who(request[CALLER], body.by), note=noted("body.note", body.note), made_at=now
    )
    if spec.end is not None and spec.end <= now:
        raise ProblemError(400, "body.to: expected a time to come")
    spec = msgspec.structs.replace(spec, id=id_of(spec))
    outcome = await parts.keeper.make(spec)
    if outcome == "full":
        raise ProblemError(409, f"{KEPT} windows are kept already; end some first")
    window = next(window for kept, window in parts.keeper.known.kept if kept.id == spec.id)
    log.info("maintenance window made", window=spec.id, name=spec.name, by=spec.by)
    return answer(window_view(window, now, spec.made_at), 201 if outcome == "ok" else 200)


def _shape(body: MaintenanceBody, now: datetime) -> MaintenanceShape:
    """The window as a rule file would have it. Raises ``ProblemError`` for what cannot be read."""
    start, end = _read("from", body.start, Moment.from_text), _read("to", body.end, Moment.from_text)
    span = _read("for", body.span, parse_duration)
    zone = _read("timezone", body.timezone, Zone.from_text)
    if span is not None and end is not None:
        raise ProblemError(400, "body.for: give either for, or to")
    if body.starts is None and body.every is None and body.lasts is None:
        start = start or Moment(now)
        end = end or (Moment(start.time + span) if span is not None else None)
    elif span is not None:
        raise ProblemError(400, "body.for: goes with from; with starts it is lasts")
    return MaintenanceShape(
        name=one_line(body.name, NAME_LIMIT) or "maintenance",
        match=body.match,
        start=start,
        end=end,
        starts=_read("starts", body.starts, Moment.from_text),
        every=_read("every", body.every, Rule.from_text),
        lasts=_read("lasts", body.lasts, parse_duration),
        timezone=zone,
    )


def _read(field: str, text: str | None, reader: Callable[[str], T]) -> T | None:
    try:
        return reader(text) if text is not None else None
    except ValueError as error:
        raise ProblemError(400, f"body.{field}: {error}"[:500]) from None


@requires(Role.RESPONDER)
async def end_window(request: web.Request) -> web.Response:
    """End a window now, or take back one that is to come; what still fires is paged."""
    window_id: Any = request.match_info["id"]
    if not await request.app[PARTS].keeper.end(window_id):
        raise ProblemError(404, f"no maintenance window {window_id}; those of the rule files are ended there")
    log.info("maintenance window ended", window=window_id, by=who(request[CALLER], ""))
    return web.Response(status=204)
