"""The console: what is open, one incident with everything, and the forms to act on it. Rendered on the server."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any, get_args

from aiohttp import web

from responder.engine.blind.desk import AWAY
from responder.engine.desk import IncidentFilter, Outcome
from responder.incident import facts
from responder.incident.facts import Fact
from responder.incident.moves import TAKEN_IN
from responder.incident.state import Incident, StateName
from responder.store.digests import FoldedIncident
from responder.text import note_text
from responder.web import session
from responder.web.api import who
from responder.web.auth import CALLER, Role, authorise, known_token, requires, role_of
from responder.web.bodies import snoozed_until
from responder.web.pages import page
from responder.web.parts import PARTS, WebParts
from responder.web.problems import ProblemError, form_fields
from responder.web.views import detail_view, next_step

_OPEN = frozenset({StateName.TRIGGERED, StateName.ACKNOWLEDGED, StateName.MONITORING})
_SHOWN = 100
_RECENT = 20
_FOLDED_SHOWN = 200
_FORMS: dict[str, type[Fact]] = {
    "acknowledge": facts.AcknowledgedBy,
    "snooze": facts.SnoozedBy,
    "escalate": facts.EscalatedBy,
    "resolve": facts.ResolvedBy,
    "reopen": facts.ReopenedBy,
    "note": facts.NoteAdded,
}
_STYLE = resources.files("responder.web").joinpath("static", "console.css").read_text("utf-8")


def routes() -> list[web.RouteDef]:
    """The pages and their forms."""
    one = "/incidents/{id:[0-9a-f]{16}}"
    return [
        web.get("/", index),
        web.get(one, show),
        web.post(f"{one}/{{form:{'|'.join(_FORMS)}}}", act),
        web.get("/login", login_form),
        web.post("/login", login),
        web.get("/static/console.css", style),
    ]


async def style(_request: web.Request) -> web.Response:
    """The one style sheet."""
    return web.Response(text=_STYLE, content_type="text/css", headers={"Cache-Control": "max-age=300"})


def _may_look(request: web.Request) -> bool:
    try:
        authorise(request, Role.VIEWER)
    except ProblemError:
        return False
    return True


async def index(request: web.Request) -> web.Response:
    """Open incidents first, then the latest that are over."""
    if not _may_look(request):
        raise web.HTTPSeeOther("/login")
    desk = request.app[PARTS].desk
    found = await desk.incidents(IncidentFilter(states=_OPEN), limit=_SHOWN, cursor=None)
    over = await desk.incidents(
        IncidentFilter(states=frozenset({StateName.RESOLVED})), limit=_RECENT, cursor=None
    )
    order = {state: rank for rank, state in enumerate(StateName)}
    listed = sorted(found.incidents, key=lambda one: (one.severity.rank, order[one.state_name]))
    parts, role = request.app[PARTS], role_of(request)
    blind = parts.blind()
    return page(
        "index.html",
        blind=AWAY if blind else "",
        incidents=listed,
        more=found.next_cursor is not None,
        over=over.incidents,
        now=parts.clock.now(),
        next_step=next_step,
        switch=None if blind else await parts.actions.kill_switch(),
        may_switch_off=role >= Role.RESPONDER and not blind,
        may_switch_on=role >= Role.ADMIN,
        form_token=session.form_token(request),
    )


async def show(request: web.Request) -> web.Response:
    """One incident."""
    if not _may_look(request):
        raise web.HTTPSeeOther(session.login_address(request.path))
    return await _incident_page(request)


async def _incident_page(request: web.Request, said: str = "", status: int = 200) -> web.Response:
    parts, incident_id = request.app[PARTS], request.match_info["id"]
    detail = await parts.desk.incident(incident_id, alerts=50)
    if detail is None:
        return page("message.html", 404, title="Not found", text=f"There is no incident {incident_id}.")
    incident = detail.incident
    forms = [
        name
        for name, kind in _FORMS.items()
        if incident.state_name in TAKEN_IN[kind]
        and name not in {"note", "snooze"}
        and (kind in get_args(facts.Said) or not parts.blind())
    ]
    values: dict[str, Any] = {
        "detail": detail,
        "incident": incident,
        "view": detail_view(detail, parts.external_url),
        "now": parts.clock.now(),
        "forms": forms,
        "form_token": session.form_token(request),
        "step": next_step(incident),
        "may_silence": parts.silences.available and incident.state_name in TAKEN_IN[facts.SilencedBy],
        "may_snooze": incident.state_name in TAKEN_IN[facts.SnoozedBy],
        "said": said or (AWAY if parts.blind() else ""),
        "offers": parts.actions.offers(incident),
        "switch": None if parts.blind() else await parts.actions.kill_switch(),
        "runs": tuple(reversed(incident.actions)),
        "folded": await _folded(parts, incident),
        "away": parts.blind(),
        "may_act": role_of(request) >= Role.RESPONDER,
    }
    return page("incident.html", status, **values)


async def _folded(parts: WebParts, incident: Incident) -> Sequence[FoldedIncident]:
    """Some of what is told with the incident's page; the API has all of it."""
    if incident.digest is None:
        return ()
    return await parts.folded(incident.id, _FOLDED_SHOWN)


@requires(Role.RESPONDER)
async def act(request: web.Request) -> web.StreamResponse:
    """One of the forms."""
    fields = await form_fields(request)
    session.check_form(request, fields.get(session.FORM_FIELD, ""))
    parts, incident_id = request.app[PARTS], request.match_info["id"]
    kind: Any = _FORMS[request.match_info["form"]]
    try:
        note = note_text(fields.get("note", ""))
    except ValueError as error:
        return await _incident_page(request, f"Note: {error}.", 422)
    if kind is facts.NoteAdded and not note:
        return await _incident_page(request, "A note needs a text.", 400)
    by = who(request[CALLER], fields.get("by", "")) if request[CALLER] or fields.get("by") else "console"
    at = parts.clock.now()
    try:
        more = {"until": snoozed_until(fields.get("for", ""), at)} if kind is facts.SnoozedBy else {}
    except ValueError as error:
        return await _incident_page(request, f"Snooze: {error}", 400)
    fact = kind(at=at, by=by, note=note, via="console", **more)
    answer = await parts.desk.record(incident_id, fact)
    if answer.outcome is Outcome.REFUSED:
        return await _incident_page(
            request, "Not possible in the present state: it has changed meanwhile.", 409
        )
    if answer.note:  # there is nothing to show it with
        return page("message.html", 202, title="Kept", text=answer.note)
    raise web.HTTPSeeOther(f"/incidents/{incident_id}")


async def login_form(request: web.Request) -> web.Response:
    """Where tokens are configured, the console asks for one."""
    return _login_page(request, request.query.get("next", "/"))


def _login_page(request: web.Request, wanted: str, said: str = "", status: int = 200) -> web.Response:
    values = {"form_token": session.form_token(request), "next": session.safe_next(wanted), "said": said}
    return page("login.html", status, **values)


async def login(request: web.Request) -> web.StreamResponse:
    """Exchange a token for a session."""
    fields = await form_fields(request)
    session.check_form(request, fields.get(session.FORM_FIELD, ""))
    parts = request.app[PARTS]
    found = known_token(fields.get("token", "").strip(), parts.auth)
    if found is None:
        return _login_page(request, fields.get("next", "/"), "This token is not known.", 403)
    response = web.HTTPSeeOther(session.safe_next(fields.get("next", "/")))
    session.begin(response, parts, *found)
    raise response
