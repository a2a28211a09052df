"""``/api/v1/maintenance``: windows in which paging is suppressed; made, listed and ended. Those of the rule files are listed too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
import structlog
from aiohttp import web

from responder.durations import format_duration, parse_duration
from responder.holding.making import Made, MakeOutcome, TooLongError
from responder.incident.maintenance import MaintenanceWindow, Repeated, Stretch
from responder.oncall.notation import Moment
from responder.oncall.rrule import Rule
from responder.rules.maintenance import LONGEST, MaintenanceShape, WindowSpec, compiled, faults, spec_of
from responder.rules.schedule_files import Zone
from responder.rules.slips import contradiction, slips
from responder.store.shelf import Asking
from responder.store.windows import KEPT, id_of
from responder.web.api import REUSED, digest_of, idempotency_key, who
from responder.web.auth import CALLER, Role, requires
from responder.web.parts import PARTS, WebParts
from responder.web.problems import ProblemError, answer, decoded, limited, named, noted, read
from responder.web.times import rfc3339, rfc3339_or_none

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: Longer than any alternation of services that a person writes.
MATCHER_LIMIT = 1_000
_TIME_LIMIT = 500


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


class MadeWindowView(MaintenanceView, frozen=True, kw_only=True):
    """A window that somebody asked for.

    ``outcome``: ``made``; ``extended``, where one with the same name, matchers and author was there and goes on longer now;
    ``known``, where one was there that lasts as long; ``repeated``, where the same request came before. ``warnings`` say
    what is likely a slip.
    """

    outcome: MakeOutcome
    warnings: tuple[str, ...]


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
    parts, raw = request.app[PARTS], await read(request)
    now = parts.clock.now()
    spec = _wanted(request, decoded(raw, MaintenanceBody), now)
    key = idempotency_key(request)
    asking = Asking(key=key, digest=digest_of(request, raw)) if key else None
    try:
        found = await parts.keeper.make(spec, asking)
    except TooLongError as error:
        raise ProblemError(400, f"body.to: {error}") from None
    if found.outcome is MakeOutcome.FULL:
        text = f"{KEPT} windows that are not over are kept already; end some first"
        raise ProblemError(409, text)
    if found.outcome is MakeOutcome.KEY_REUSED:
        raise ProblemError(422, REUSED)
    kept = {one.id: (one, window) for one, window in parts.keeper.known.kept}
    if found.id not in kept:
        raise ProblemError(409, f"this request made window {found.id}, which has been ended since")
    log.info("maintenance window", outcome=str(found.outcome), window=found.id, name=spec.name, by=spec.by)
    return answer(_made_view(found, kept[found.id], parts), 201 if found.outcome is MakeOutcome.MADE else 200)


def _wanted(request: web.Request, body: MaintenanceBody, now: datetime) -> WindowSpec:
    """The window that is asked for. Raises ``ProblemError`` for what is none."""
    _bounded(body)
    shape = _shape(body, now.replace(microsecond=0))
    _in_time(shape, body, now)
    for fault in faults(shape):
        raise ProblemError(400, f"body{fault.key}: {fault.text}"[:500])
    spec = msgspec.structs.replace(
        spec_of(shape), by=who(request[CALLER], body.by), note=noted("body.note", body.note), made_at=now
    )
    window = compiled(spec)
    if (pair := contradiction(window.matchers)) is not None:
        raise ProblemError(
            400, f"body.match: {pair[0]} and {pair[1]} never hold together; make a window for each"[:500]
        )
    if not (window.when.at(now) or window.when.following(now)):
        raise ProblemError(400, "body.every: every time that it names is over; expected one to come")
    return msgspec.structs.replace(spec, id=id_of(spec))


def _in_time(shape: MaintenanceShape, body: MaintenanceBody, now: datetime) -> None:
    """Raises ``ProblemError`` for an end that has passed: without ``from`` it would be told as one before the beginning."""
    if shape.end is None or (shape.end.time.tzinfo is None and shape.timezone is None):
        return
    end = shape.end.at(shape.timezone.info if shape.timezone else UTC)
    if end <= now:
        field = "body.to" if body.end is not None else "body.for"
        says = f"{end:%Y-%m-%d %H:%M:%S} UTC has passed already (it is {now:%Y-%m-%d %H:%M:%S} UTC)"
        raise ProblemError(400, f"{field}: {says}; expected a time to come")


def _made_view(found: Made, kept: tuple[WindowSpec, MaintenanceWindow], parts: WebParts) -> MadeWindowView:
    spec, window = kept
    view = window_view(window, parts.clock.now(), spec.made_at)
    return MadeWindowView(
        **msgspec.structs.asdict(view), outcome=found.outcome, warnings=slips(window, parts.rules())
    )


def _bounded(body: MaintenanceBody) -> None:
    """Raises ``ProblemError`` (422) for a text that is too long to be kept and shown."""
    for index, text in enumerate(body.match):
        limited(f"body.match[{index}]", text, MATCHER_LIMIT)
    for field, given in (
        ("from", body.start), ("to", body.end), ("for", body.span), ("starts", body.starts), ("every", body.every),
        ("lasts", body.lasts), ("timezone", body.timezone),
    ):  # fmt: skip
        limited(f"body.{field}", given or "", _TIME_LIMIT)


def _shape(body: MaintenanceBody, now: datetime) -> MaintenanceShape:
    """The window as a rule file would have it. Raises ``ProblemError`` for what cannot be read."""
    start, end = _read("from", body.start, Moment.from_text), _read("to", body.end, Moment.from_text)
    span = _read("for", body.span, parse_duration)
    zone = _read("timezone", body.timezone, Zone.from_text)
    if span is not None and end is not None:
        raise ProblemError(400, "body.for: give either for, or to")
    if body.starts is None and body.every is None and body.lasts is None:
        start, end = _once(start, end, span, now)
    elif span is not None:
        raise ProblemError(400, "body.for: goes with from; with starts it is lasts")
    return MaintenanceShape(
        name=named("body.name", body.name) or "maintenance",
        match=tuple(dict.fromkeys(body.match)),
        start=start,
        end=end,
        starts=_read("starts", body.starts, Moment.from_text),
        every=_read("every", body.every, Rule.from_text),
        lasts=_read("lasts", body.lasts, parse_duration),
        timezone=zone,
    )


def _once(
    start: Moment | None, end: Moment | None, span: timedelta | None, now: datetime
) -> tuple[Moment, Moment | None]:
    """The beginning and the end of a window that comes once."""
    if span is not None and not timedelta(0) < span <= LONGEST:
        limit = format_duration(LONGEST)
        raise ProblemError(
            400, f"body.for: expected more than 0s and at most {limit}, got {format_duration(span)}"
        )
    begin = start or Moment(now)
    return begin, Moment(begin.time + span) if span is not None else end


def _read(field: str, text: str | None, reader: Callable[[str], T]) -> T | None:
    try:
        return reader(text) if text is not None else None
    except ValueError as error:
        raise ProblemError(400, f"body.{field}: {error}"[:500]) from None


@requires(Role.RESPONDER)
async def end_window(request: web.Request) -> web.Response:
    """End a window now, or take back one that is to come; what still fires and nothing else holds back is paged."""
    window_id: Any = request.match_info["id"]
    if not await request.app[PARTS].keeper.end(window_id):
        raise ProblemError(404, f"no maintenance window {window_id}; those of the rule files are ended there")
    log.info("maintenance window ended", window=window_id, by=who(request[CALLER], ""))
    return web.Response(status=204)
