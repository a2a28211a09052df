"""``/ack/{token}``: GET shows and changes nothing, since link previews fetch it; the button's POST acknowledges."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from responder.engine.desk import IncidentDetail
from responder.incident.escalation.everybody import has_answered, waiting_for
from responder.incident.facts import AcknowledgedBy
from responder.incident.reach import is_by
from responder.signing import AckClaim, BadTokenError, ExpiredTokenError
from responder.web.pages import page
from responder.web.parts import PARTS


def routes() -> list[web.RouteDef]:
    """The two forms of the link."""
    return [web.get("/ack/{token}", show), web.post("/ack/{token}", acknowledge)]


async def show(request: web.Request) -> web.Response:
    """The incident and a button."""
    claim = _claim(request)
    if isinstance(claim, web.Response):
        return claim
    return _page(request, claim, await request.app[PARTS].desk.incident(claim.incident, alerts=5))


async def acknowledge(request: web.Request) -> web.Response:
    """Acknowledge in the name of the contact who was paged; pressed twice, it says who has it."""
    claim = _claim(request)
    if isinstance(claim, web.Response):
        return claim
    parts = request.app[PARTS]
    fact = AcknowledgedBy(at=parts.clock.now(), by=claim.contact, via="link")
    await parts.desk.record(claim.incident, fact)
    return _page(request, claim, await parts.desk.incident(claim.incident, alerts=5))


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


def _page(request: web.Request, claim: AckClaim, detail: IncidentDetail | None) -> web.Response:
    if detail is None:
        return private(page("message.html", 404, title="Not found", text="The incident is no longer kept."))
    incident, parts = detail.incident, request.app[PARTS]
    # The link acknowledges; an action asks who is there, on a page of its own.
    values: dict[str, Any] = {
        "incident": incident,
        "contact": claim.contact,
        "now": parts.clock.now(),
        "answered": has_answered(incident, claim.contact),
        "waiting": waiting_for(incident),
        "own": is_by(incident.acknowledged_by, claim.contact),
        "offers": parts.actions.offers(incident) if incident.open else (),
        "token": request.match_info["token"],
    }
    return private(page("ack.html", **values))


def private(response: web.Response) -> web.Response:
    """The address is a secret: nobody keeps it, indexes it or passes it on."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return response
