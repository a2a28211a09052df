"""Actions over the API: ask for one, switch all of them off, read the audit."""

from __future__ import annotations

import msgspec
from aiohttp import web

from responder.actions.desk import Asked, Person, Wanted
from responder.actions.gates import Refusal
from responder.incident.action import ActionRole, Gate, RunKind
from responder.store.errors import AuditChangedError
from responder.store.ledger import KillSwitch
from responder.web.api import digest_of, idempotency_key, incident_answer, via, who
from responder.web.auth import CALLER, Role, caller_of, requires
from responder.web.parts import PARTS
from responder.web.problems import ProblemError, answer, decoded, noted, read
from responder.web.times import rfc3339


class ActionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``dry_run`` goes through every gate and changes nothing; ``undo`` takes back the last run."""

    by: str = ""
    note: str = ""
    dry_run: bool = False
    undo: bool = False


class KillSwitchBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``engaged: true`` switches every action off; ``false`` switches them on again."""

    engaged: bool
    by: str = ""
    note: str = ""


class KillSwitchView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether actions are switched off, by whom, since when and why; ``warning``: that the audit does not tell of it."""

    engaged: bool
    by: str | None = None
    at: str | None = None
    note: str | None = None
    warning: str | None = None


class ActionView(msgspec.Struct, frozen=True, kw_only=True):
    """An action of the rules in force; ``approval`` says who starts it, ``role`` the least role of a person who may."""

    name: str
    type: str
    target: str | None
    approval: str
    role: str


class ActionsView(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, and whether they are switched off."""

    actions: tuple[ActionView, ...]
    kill_switch: KillSwitchView


def routes() -> list[web.RouteDef]:
    """Every route of actions."""
    return [
        web.post("/api/v1/incidents/{id:[0-9a-f]{16}}/actions/{name}", ask),
        web.get("/api/v1/actions", list_actions),
        web.get("/api/v1/actions/kill-switch", show_switch),
        web.post("/api/v1/actions/kill-switch", throw_switch),
        web.get("/api/v1/audit", show_audit),
    ]


def role_for_actions(role: Role) -> ActionRole | None:
    """What a caller's role means for actions."""
    return {Role.RESPONDER: ActionRole.RESPONDER, Role.ADMIN: ActionRole.ADMIN}.get(role)


def only_looks(name: str) -> str:
    """Why a caller without a role for actions is refused; such a wish is not even written down."""
    return f"token {name} has the role viewer; actions need responder"


async def ask(request: web.Request) -> web.Response:
    """Have an action performed, rehearsed or taken back; it goes on after the answer."""
    name, role = caller_of(request)
    own = role_for_actions(role)
    if own is None:
        raise ProblemError(403, only_looks(name))
    raw = await read(request)
    body = decoded(raw, ActionBody)
    if body.dry_run and body.undo:
        raise ProblemError(400, "body: dry_run and undo exclude each other")
    kind = RunKind.REHEARSE if body.dry_run else RunKind.UNDO if body.undo else RunKind.PERFORM
    wanted = Wanted(name=request.match_info["name"][:100], kind=kind, note=noted("body.note", body.note))
    person = Person(name=who(name, body.by), role=own, via=via(request))
    asked = await request.app[PARTS].actions.ask(
        request.match_info["id"], wanted, person,
        idempotency_key=idempotency_key(request), digest=digest_of(request, raw),
    )  # fmt: skip
    return _answered(request, asked)


def _answered(request: web.Request, asked: Asked) -> web.Response:
    if asked.refusal is not None:
        raise refused(asked.refusal)
    if asked.answer is None:
        raise ProblemError(500, "an error of our own; see the log")
    return answer(incident_answer(request, asked.answer, request.match_info["id"]), 202)


def refused(refusal: Refusal) -> ProblemError:
    """A refusal at the door as a problem."""
    gate, reason = refusal
    status = {Gate.ROLE: 403, Gate.OFFERED: 404}.get(gate, 409)
    return ProblemError(status, reason, gate=str(gate))


@requires(Role.VIEWER)
async def list_actions(request: web.Request) -> web.Response:
    """The actions of the rules in force, and whether they are switched off."""
    parts = request.app[PARTS]
    listed = tuple(
        ActionView(
            name=name,
            type=action.type,
            target=getattr(action.settings, "target", None),
            approval=str(getattr(action.settings, "approval", "")),
            role=str(getattr(action.settings, "role", "")),
        )
        for name, action in sorted(parts.rules().actions.items())
    )
    return answer(ActionsView(actions=listed, kill_switch=await _switch(request)))


@requires(Role.VIEWER)
async def show_switch(request: web.Request) -> web.Response:
    """Whether actions are switched off."""
    return answer(await _switch(request))


async def _switch(request: web.Request) -> KillSwitchView:
    return _view(await request.app[PARTS].actions.kill_switch())


def _view(switch: KillSwitch | None, warning: str = "") -> KillSwitchView:
    if switch is None:
        return KillSwitchView(engaged=False)
    return KillSwitchView(
        engaged=True, by=switch.by, at=rfc3339(switch.at), note=switch.note or None, warning=warning or None
    )


@requires(Role.RESPONDER)
async def throw_switch(request: web.Request) -> web.Response:
    """Switch every action off or on; on needs the role admin."""
    body = decoded(await read(request), KillSwitchBody)
    _, role = caller_of(request)
    if not body.engaged and role < Role.ADMIN:
        raise ProblemError(403, "switching actions on again needs the role admin")
    desk, by, note = request.app[PARTS].actions, who(request[CALLER], body.by), noted("body.note", body.note)
    if body.engaged:
        off = await desk.switch_off(by, note)
        return answer(_view(off.switch, off.warning))
    try:
        await desk.switch_on(by, note)
    except AuditChangedError as error:
        raise ProblemError(409, f"actions stay off: {error}") from None
    return answer(await _switch(request))


@requires(Role.VIEWER)
async def show_audit(request: web.Request) -> web.Response:
    """The audit, from an entry's number on."""
    text = request.query.get("after", "0")
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise ProblemError(400, f"after: expected the number of an entry, got {text[:20]!r}")
    return answer(await request.app[PARTS].actions.audit(after=int(text)))
