"""``/ack/{token}``: GET shows and changes nothing, since link previews fetch it; the button's POST acknowledges."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import structlog
from aiohttp import web

from responder.engine.desk import Outcome
from responder.incident.escalation.everybody import has_answered, waiting_for
from responder.incident.facts import AcknowledgedBy
from responder.incident.reach import is_by
from responder.incident.state import Incident, StateName
from responder.signing import AckClaim, BadTokenError, ExpiredTokenError
from responder.store.errors import StoreError
from responder.web.pages import page
from responder.web.parts import PARTS, WebParts

log = structlog.get_logger(__name__)


def routes() -> list[web.RouteDef]:
    """The two forms of the link."""
    return [web.get("/ack/{token}", show), web.post("/ack/{token}", acknowledge)]


async def show(request: web.Request) -> web.Response:
    """The incident and a button."""
    claim = _claim(request)
    if isinstance(claim, web.Response):
        return claim
    parts = request.app[PARTS]
    try:
        return await _page(request, claim)
    except StoreError as error:
        if not parts.blind():
            return _not_now(error)
        return private(page("ack_blind.html", contact=claim.contact, taken=False))


async def acknowledge(request: web.Request) -> web.Response:
    """Acknowledge in the name of the contact who was paged; pressed twice, it says who has it.

    With ``list`` it takes, besides, whatever the page listed and nobody has acknowledged.
    """
    claim = _claim(request)
    if isinstance(claim, web.Response):
        return claim
    parts = request.app[PARTS]
    fact = AcknowledgedBy(at=parts.clock.now(), by=claim.contact, via="link")
    try:
        answer = await parts.desk.record(claim.incident, fact)
    except StoreError as error:
        return _not_now(error)
    if answer.note or (parts.blind() and answer.outcome is Outcome.RECORDED):
        # Kept in memory: another replica may have paged, and what it knows is not known here.
        return private(page("ack_blind.html", 202, contact=claim.contact, taken=True))
    if answer.incident is not None and await _asks_for_all(request):
        listed = await _still_listed(parts, answer.incident)
        await asyncio.gather(*(parts.desk.record(one.id, fact) for one in listed))
    return await _page(request, claim)


async def _asks_for_all(request: web.Request) -> bool:
    """Whether the button for the whole list was pressed; what presses a link without a form sends anything."""
    return request.content_type == "application/x-www-form-urlencoded" and "list" in await request.post()


async def _still_listed(parts: WebParts, incident: Incident) -> list[Incident]:
    """What the incident's page told of as well and nobody has acknowledged: at most what fits one page."""
    waited = incident.episode.waited
    ids = [one.incident for one in waited.listed] if waited is not None else []
    found = await asyncio.gather(*(parts.desk.incident(one, alerts=0) for one in ids))
    return [
        one.incident for one in found if one is not None and one.incident.state_name is StateName.TRIGGERED
    ]


def _not_now(error: StoreError) -> web.Response:
    log.warning("a link cannot be served", error=str(error))
    text = "The store does not answer, and nothing was taken. Please try again in a moment."
    return private(page("message.html", 503, title="Not now", text=text))


def _claim(request: web.Request) -> AckClaim | web.Response:
    parts = request.app[PARTS]
    try:
        return parts.tokens.read(request.match_info["token"], parts.clock.now())
    except ExpiredTokenError:
        return private(
            page("message.html", 410, title="This link has expired", text="Open the incident instead.")
        )
    except BadTokenError:
        return private(page("message.html", 404, title="Not found", text="This is no link of ours."))


async def _page(request: web.Request, claim: AckClaim) -> web.Response:
    parts = request.app[PARTS]
    detail = await parts.desk.incident(claim.incident, alerts=5)
    if detail is None:
        return private(page("message.html", 404, title="Not found", text="The incident is no longer kept."))
    incident, now = detail.incident, parts.clock.now()
    left = datetime.fromtimestamp(claim.expires, UTC) - now
    others = await _still_listed(parts, incident)
    # The link acknowledges; an action asks who is there, on a page of its own.
    values: dict[str, Any] = {
        "incident": incident,
        "contact": claim.contact,
        "now": now,
        "others": [(one, parts.tokens.issue(one.id, claim.contact, now, left)) for one in others],
        "answered": has_answered(incident, claim.contact),
        "waiting": waiting_for(incident),
        "own": is_by(incident.acknowledged_by, claim.contact),
        "offers": parts.actions.offers(incident) if incident.open else (),
        "switch": None if parts.blind() else await parts.actions.kill_switch(),
        "token": request.match_info["token"],
    }
    return private(page("ack.html", **values))


def private(response: web.Response) -> web.Response:
    """The address is a secret: nobody keeps it, indexes it or passes it on."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return response
