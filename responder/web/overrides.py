"""Overrides and swaps of schedules over the API: made, listed and taken back; kept in the store."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

import msgspec
import structlog
from aiohttp import web

from responder.oncall.changes import objections
from responder.oncall.notation import Moment
from responder.oncall.schedule import Change, Override, Swap
from responder.registry import did_you_mean
from responder.rules.schedules import plain
from responder.store.overrides import KEPT, id_of
from responder.web.api import who
from responder.web.auth import CALLER, Role, requires
from responder.web.oncall import ChangeView, change_view, changes_of, schedule_of
from responder.web.parts import PARTS
from responder.web.problems import ProblemError, answer, decoded, named, noted, read

log = structlog.get_logger(__name__)

_PEOPLE_LIMIT = 20


class _ChangeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times are RFC 3339, or ``2026-12-24 09:00`` on the schedule's wall."""

    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    by: str = ""
    note: str = ""


class OverrideBody(_ChangeBody, frozen=True, kw_only=True):
    """These people instead of whom the schedule says."""

    who: tuple[str, ...] | str


class SwapBody(_ChangeBody, frozen=True, kw_only=True):
    """Two people who take each other's turns."""

    between: tuple[str, str]


class ChangeListView(msgspec.Struct, frozen=True, kw_only=True):
    """Overrides and swaps in the order in which they were made; where two overlap, the later one wins."""

    overrides: tuple[ChangeView, ...]


def routes() -> list[web.RouteDef]:
    """Every route below a schedule."""
    one = "/api/v1/schedules/{name}"
    return [
        web.get(f"{one}/overrides", list_changes),
        web.post(f"{one}/overrides", make_override),
        web.post(f"{one}/swaps", make_swap),
        web.delete(f"{one}/overrides/{{id:[0-9a-f]{{16}}}}", take_back),
    ]


@requires(Role.VIEWER)
async def list_changes(request: web.Request) -> web.Response:
    """What people changed of a schedule; what the rule files say is not repeated here."""
    name, _ = schedule_of(request)
    await request.app[PARTS].duty.look_again()
    return answer(ChangeListView(overrides=changes_of(request.app[PARTS], name)))


@requires(Role.RESPONDER)
async def make_override(request: web.Request) -> web.Response:
    """Put somebody else on call for a while."""
    _, schedule = schedule_of(request)
    body = decoded(await read(request), OverrideBody)
    names = (body.who,) if isinstance(body.who, str) else body.who
    if len(names) > _PEOPLE_LIMIT:
        raise ProblemError(400, f"body.who: expected at most {_PEOPLE_LIMIT} names")
    people = tuple(_name("body.who", name) for name in names)
    return await _made(request, Override(people=people, **_common(request, body, schedule.zone)))


@requires(Role.RESPONDER)
async def make_swap(request: web.Request) -> web.Response:
    """Let two people exchange their turns for a while."""
    _, schedule = schedule_of(request)
    body = decoded(await read(request), SwapBody)
    one, other = (_name("body.between", name) for name in body.between)
    return await _made(request, Swap(one=one, other=other, **_common(request, body, schedule.zone)))


def _name(field: str, text: str) -> str:
    return plain(named(field, text))


def _common(request: web.Request, body: _ChangeBody, zone: tzinfo) -> dict[str, Any]:
    """What overrides and swaps have in common."""
    return {
        "schedule": request.match_info["name"],
        "start": _moment("from", body.start).at(zone),
        "end": _moment("to", body.end).at(zone),
        "by": who(request[CALLER], body.by),
        "note": noted("body.note", body.note),
        "made_at": request.app[PARTS].clock.now(),
    }


def _moment(field: str, text: str) -> Moment:
    try:
        return Moment.from_text(text)
    except ValueError as error:
        raise ProblemError(400, f"body.{field}: {error}") from None


async def _made(request: web.Request, change: Change) -> web.Response:
    """Check a change and keep it; the same one sent again changes nothing but who said so last."""
    parts = request.app[PARTS]
    roster, rules = parts.duty.roster, parts.rules()
    known = {*rules.contacts, *(name for row in rules.rows.values() for name in row.values())}
    for wrong in objections(change, roster, known, parts.clock.now()):
        hint = did_you_mean(wrong.name, known) if wrong.name else ""
        raise ProblemError(400, f"body.{wrong.field}: {wrong.text}{hint}"[:500])
    change = msgspec.structs.replace(change, id=id_of(change))
    outcome = await parts.duty.make(change)
    if outcome == "full":
        raise ProblemError(409, f"{KEPT} overrides and swaps are kept already; take some back first")
    log.info(
        "schedule changed",
        schedule=change.schedule,
        change=type(change).__name__.lower(),
        id=change.id,
        by=change.by,
    )
    return answer(change_view(change), 201 if outcome == "ok" else 200)


@requires(Role.RESPONDER)
async def take_back(request: web.Request) -> web.Response:
    """Take back an override or a swap."""
    name, _ = schedule_of(request)
    change_id, duty = request.match_info["id"], request.app[PARTS].duty
    await duty.look_again()
    known = any(one.id == change_id and one.schedule == name for one in duty.changes)
    if not known or not await duty.take_back(change_id):
        raise ProblemError(404, f"no override or swap {change_id} of {name}")
    log.info("schedule changed back", schedule=name, id=change_id, by=who(request[CALLER], ""))
    return web.Response(status=204)
