"""Silences over the API and on the console: made in Alertmanager for what fires in an incident, and withdrawn."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta

import msgspec
from aiohttp import web

from responder.engine.desk import Outcome
from responder.intake.silence_desk import Asker, Silenced, Why, span_of
from responder.text import one_line
from responder.web import session
from responder.web.api import digest_of, idempotency_key, incident_answer, via, who
from responder.web.auth import CALLER, Role, requires
from responder.web.pages import page
from responder.web.parts import PARTS
from responder.web.problems import ProblemError, answer, decoded, form_fields, noted, read

_STATUS = {Why.UNCONFIGURED: 409, Why.AWAY: 503, Why.REFUSED: 502, Why.IMPOSSIBLE: 409}
_RETRY_AFTER = {"Retry-After": "10"}


class SilenceBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long (a duration such as ``2h``, at most ``30d``), why, and who says so."""

    span: str = msgspec.field(name="for")
    comment: str = ""
    by: str = ""


class UnsilenceBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who withdraws it, and why."""

    by: str = ""
    comment: str = ""


def routes() -> list[web.RouteDef]:
    """The API's and the console's."""
    one = "/api/v1/incidents/{id:[0-9a-f]{16}}/silence"
    return [
        web.post(one, silence),
        web.delete(one, unsilence),
        web.post("/incidents/{id:[0-9a-f]{16}}/{form:silence|unsilence}", act),
    ]


@requires(Role.RESPONDER)
async def silence(request: web.Request) -> web.Response:
    """Make a silence that matches every alert of the incident that fires."""
    raw = await read(request)
    body = decoded(raw, SilenceBody)
    try:
        span = span_of(body.span)
    except ValueError as error:
        raise ProblemError(400, f"body.for: {error}") from None
    asker = _asker(request, raw, body.by, body.comment)
    return await _answered(
        request, request.app[PARTS].silences.silence(request.match_info["id"], span, asker)
    )


@requires(Role.RESPONDER)
async def unsilence(request: web.Request) -> web.Response:
    """Withdraw the silences that were made from the incident."""
    raw = await read(request)
    body = decoded(raw, UnsilenceBody)
    asker = _asker(request, raw, body.by, body.comment)
    return await _answered(request, request.app[PARTS].silences.withdraw(request.match_info["id"], asker))


def _asker(request: web.Request, raw: bytes, by: str, comment: str) -> Asker:
    return Asker(
        by=who(request[CALLER], by),
        via=via(request),
        comment=noted("body.comment", comment),
        key=idempotency_key(request),
        digest=digest_of(request, raw),
    )


async def _answered(request: web.Request, asked: Awaitable[Silenced]) -> web.Response:
    found = await asked
    if found.refusal is not None:
        raise _refused(*found.refusal)
    if found.answer is None:
        raise ProblemError(500, "an error of our own; see the log")
    status = 202 if found.answer.outcome is Outcome.RECORDED else 200
    return answer(incident_answer(request, found.answer, request.match_info["id"]), status)


def _refused(why: Why, text: str) -> ProblemError:
    return ProblemError(
        _STATUS[why], text, headers=_RETRY_AFTER if why is Why.AWAY else None, reason=str(why)
    )


@requires(Role.RESPONDER)
async def act(request: web.Request) -> web.StreamResponse:
    """The console's forms."""
    fields = await form_fields(request)
    session.check_form(request, fields.get(session.FORM_FIELD, ""))
    incident = request.match_info["id"]
    asker = Asker(
        by=request[CALLER] or one_line(fields.get("by", ""), 100) or "console",
        via="console",
        comment=noted("note", fields.get("note", "")),
    )
    desk = request.app[PARTS].silences
    if request.match_info["form"] == "unsilence":
        found = await desk.withdraw(incident, asker)
    else:
        found = await desk.silence(incident, _span(fields), asker)
    return _shown(found, incident)


def _span(fields: dict[str, str]) -> timedelta:
    try:
        return span_of(fields.get("silence_for", ""))
    except ValueError as error:
        raise ProblemError(400, f"Silence: {error}") from None


def _shown(found: Silenced, incident: str) -> web.Response:
    if found.refusal is not None:
        why, text = found.refusal
        return page("message.html", _STATUS[why], title="Not done", text=text)
    if found.answer is None or found.answer.outcome is Outcome.UNKNOWN:
        return page("message.html", 404, title="Not found", text="There is no such incident.")
    if found.answer.outcome is Outcome.REFUSED:
        text = "Not possible in the present state: it has changed meanwhile."
        return page("message.html", 409, title="Not done", text=text)
    raise web.HTTPSeeOther(f"/incidents/{incident}")
