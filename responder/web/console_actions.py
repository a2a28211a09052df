"""Actions on the console: a page that says exactly what would happen, and the button; the switch that stops them all."""

from __future__ import annotations

from aiohttp import web

from responder.actions.book import Offer
from responder.actions.desk import Person, Wanted
from responder.engine.desk import IncidentDetail, Outcome
from responder.incident.action import ActionRole, Gate, RunKind
from responder.store.errors import AuditChangedError
from responder.web import session
from responder.web.actions import only_looks, refused, role_for_actions
from responder.web.api import who
from responder.web.auth import Role, caller_of
from responder.web.pages import page
from responder.web.parts import PARTS
from responder.web.problems import ProblemError, form_fields, noted

_KINDS = {"perform": RunKind.PERFORM, "rehearse": RunKind.REHEARSE, "undo": RunKind.UNDO}


def routes() -> list[web.RouteDef]:
    """The confirmation of an action, and the kill switch."""
    one = "/incidents/{id:[0-9a-f]{16}}/actions/{name}"
    return [
        web.get(one, confirm),
        web.post(one, perform),
        web.post("/kill-switch/{to:on|off}", throw_switch),
    ]


async def confirm(request: web.Request) -> web.Response:
    """What exactly would happen, and the buttons to have it done, rehearsed or taken back."""
    role = _role(request)
    detail, offer = await _offered(request)
    parts = request.app[PARTS]
    return page(
        "action.html",
        incident=detail.incident,
        offer=offer,
        runs=[run for run in reversed(detail.incident.actions) if run.name == offer.name],
        switch=await parts.actions.kill_switch(),
        lacks=_lacks(role, offer),
        now=parts.clock.now(),
        form_token=session.form_token(request),
    )


async def perform(request: web.Request) -> web.StreamResponse:
    """The button was pressed."""
    name, role = caller_of(request)
    fields = await form_fields(request)
    session.check_form(request, fields.get(session.FORM_FIELD, ""))
    own = role_for_actions(role)
    if own is None:
        return page("message.html", 403, title=f"Refused: {Gate.ROLE}", text=f"{only_looks(name)}.")
    kind = _KINDS.get(fields.get("kind", ""))
    if kind is None:
        raise ProblemError(400, "kind: expected perform, rehearse or undo")
    by = _by(name, fields)
    wanted = Wanted(
        name=request.match_info["name"][:100], kind=kind, note=noted("note", fields.get("note", ""))
    )
    person = Person(name=by, role=own, via="console")
    asked = await request.app[PARTS].actions.ask(request.match_info["id"], wanted, person)
    if asked.refusal is not None:
        gate, reason = asked.refusal
        return page("message.html", refused(asked.refusal).status, title=f"Refused: {gate}", text=reason)
    if asked.answer is None or asked.answer.outcome is Outcome.UNKNOWN:
        return page("message.html", 404, title="Not found", text="There is no such incident.")
    if asked.answer.outcome is Outcome.REFUSED:
        text = "The incident is over: nothing is done for it any more."
        return page("message.html", 409, title=f"Refused: {Gate.OFFERED}", text=text)
    raise web.HTTPSeeOther(f"/incidents/{request.match_info['id']}#actions")


async def throw_switch(request: web.Request) -> web.StreamResponse:
    """Every action off (a responder may), or on again (an admin may)."""
    name, role = caller_of(request)
    fields = await form_fields(request)
    session.check_form(request, fields.get(session.FORM_FIELD, ""))
    off = request.match_info["to"] == "off"
    needed = Role.RESPONDER if off else Role.ADMIN
    if role < needed:
        raise ProblemError(403, f"this needs the role {needed.name.lower()}")
    desk, note = request.app[PARTS].actions, noted("note", fields.get("note", ""))
    by = _by(name, fields)
    if off:
        if warning := (await desk.switch_off(by, note)).warning:
            return page("message.html", title="Actions are off", text=f"{warning[0].upper()}{warning[1:]}.")
        raise web.HTTPSeeOther("/")
    try:
        await desk.switch_on(by, note)
    except AuditChangedError as error:
        return page("message.html", 409, title="Actions stay off", text=f"It was not done: {error}.")
    raise web.HTTPSeeOther("/")


def _by(caller: str, fields: dict[str, str]) -> str:
    given = fields.get("by", "")
    return who(caller, given) if caller or given else "console"


def _lacks(role: Role, offer: Offer) -> str:
    """What a caller may not, in a sentence; empty where nothing stands in the way."""
    if role < Role.RESPONDER:
        return "You may look at it; to start it you need the role responder."
    if offer.role == ActionRole.ADMIN and role < Role.ADMIN:
        return "To start it you need the role admin."
    return ""


def _role(request: web.Request) -> Role:
    """The caller's role. Ask for a login where nobody is known, and come back here after it."""
    try:
        return caller_of(request)[1]
    except ProblemError as error:
        if error.status == web.HTTPUnauthorized.status_code:
            raise web.HTTPSeeOther(session.login_address(request.path)) from None
        raise


async def _offered(request: web.Request) -> tuple[IncidentDetail, Offer]:
    parts = request.app[PARTS]
    detail = await parts.desk.incident(request.match_info["id"], alerts=1)
    if detail is None:
        raise ProblemError(404, f"no incident {request.match_info['id']}")
    name = request.match_info["name"]
    offer = next((one for one in parts.actions.offers(detail.incident) if one.name == name), None)
    if offer is None:
        raise ProblemError(404, f"the incident's runbook does not offer {name[:100]}")
    return detail, offer
