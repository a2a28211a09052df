"""``/api/v1``: incidents, the rules in force, and the quarantine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from aiohttp import web

from responder.engine.desk import Answer, IncidentFilter, Outcome
from responder.incident import facts
from responder.incident.facts import Fact
from responder.incident.severity import Severity
from responder.incident.state import StateName
from responder.web.auth import CALLER, Role, requires
from responder.web.bodies import COMMANDS, Body, ExplainBody
from responder.web.listings import quarantine_view, rules_view
from responder.web.parts import PARTS
from responder.web.problems import ProblemError, answer, decoded, named, noted, read
from responder.web.views import ListView, detail_view, incident_view

RECORDED = "recorded; the decision is still to come"
_KEY_LIMIT = 200
_CLI = "responder-cli/"
REUSED = "Idempotency-Key: it came before with another request"


class RecordedView(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said is on disk (or kept in memory while the store is away); the incident cannot be shown yet.

    ``text`` says which of the two, for people.
    """

    outcome: Outcome
    text: str


NOT_YET = ("updates", "checklist/{item}")


def routes() -> list[web.RouteDef]:
    """Every route of the API."""
    one = "/api/v1/incidents/{id:[0-9a-f]{16}}"
    found = [
        web.get("/api/v1/incidents", list_incidents),
        web.get(one, show_incident),
        web.get("/api/v1/rules", show_rules),
        web.post("/api/v1/explain", explain),
        web.get("/api/v1/quarantine", list_quarantine),
        web.get("/api/v1/quarantine/{digest:[0-9a-f]{32}}", show_quarantined),
        web.delete("/api/v1/quarantine/{digest:[0-9a-f]{32}}", drop_quarantined),
    ]
    found += [web.post(f"{one}/{name}", _command(*kinds)) for name, kinds in COMMANDS.items()]
    return found + [web.post(f"{one}/{name}", not_yet) for name in NOT_YET]


@requires(Role.RESPONDER)
async def not_yet(_request: web.Request) -> web.Response:
    """Named by the interface, not part of this version."""
    raise ProblemError(501, "not in this version of responder")


@requires(Role.VIEWER)
async def list_incidents(request: web.Request) -> web.Response:
    """The list, newest first."""
    parts = request.app[PARTS]
    wanted = IncidentFilter(
        states=frozenset(_closed(request, "state", StateName)),
        severities=frozenset(_closed(request, "severity", Severity)),
        services=frozenset(_several(request, "service")),
    )
    try:
        page = await parts.desk.incidents(wanted, limit=_limit(request), cursor=request.query.get("cursor"))
    except ValueError as error:
        raise ProblemError(400, str(error)) from None
    views = tuple(incident_view(one, parts.external_url) for one in page.incidents)
    return answer(ListView(incidents=views, next_cursor=page.next_cursor))


@requires(Role.VIEWER)
async def show_incident(request: web.Request) -> web.Response:
    """One incident."""
    parts = request.app[PARTS]
    detail = await parts.desk.incident(request.match_info["id"])
    if detail is None:
        raise ProblemError(404, f"no incident {request.match_info['id']}")
    return answer(detail_view(detail, parts.external_url))


def _command(
    body_kind: type[Body], fact_kind: type[Fact]
) -> Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]:
    """The handler of one of :data:`COMMANDS`."""

    async def command(request: web.Request) -> web.Response:
        raw = await read(request)
        body = decoded(raw, body_kind)
        by, at = who(request[CALLER], body.by), request.app[PARTS].clock.now()
        if fact_kind is facts.NoteAdded and not body.note.strip():
            raise ProblemError(400, "body.note: expected a text")
        made: Any = fact_kind
        fact = made(at=at, by=by, note=noted("body.note", body.note), via=via(request), **body.more(at))
        return await record(request, fact, raw)

    return requires(Role.RESPONDER)(command)  # type: ignore[return-value]


def via(request: web.Request) -> str:
    """The way that a call came: the command line says so of itself."""
    return "cli" if request.headers.get("User-Agent", "").startswith(_CLI) else "api"


def who(caller: str, by: str) -> str:
    """The name that is written down: the one given, with the token's where that is another. 422 for one that is too long."""
    given = named("body.by", by)
    if not given:
        return caller or "api"
    return f"{given} (token {caller})" if caller and caller != given else given


async def record(request: web.Request, fact: Fact, raw: bytes) -> web.Response:
    """Record a person's fact, and answer what became of it."""
    parts, incident_id = request.app[PARTS], request.match_info["id"]
    found = await parts.desk.record(
        incident_id, fact, idempotency_key=idempotency_key(request), request_digest=digest_of(request, raw)
    )
    return answer(
        incident_answer(request, found, incident_id), 202 if found.outcome is Outcome.RECORDED else 200
    )


def idempotency_key(request: web.Request) -> str | None:
    """The digest of the header, where it is given. Raises ``ProblemError`` where it is no key."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not 0 < len(key) <= _KEY_LIMIT:
        raise ProblemError(400, f"Idempotency-Key: expected 1 to {_KEY_LIMIT} characters")
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest() if key else None


def digest_of(request: web.Request, raw: bytes) -> str:
    """What makes a request the same as another one under an idempotency key."""
    return hashlib.sha256(f"{request.method} {request.path}\0".encode() + raw).hexdigest()


def incident_answer(request: web.Request, found: Answer, incident_id: str) -> Any:
    """The incident as it is after a person's request, or the problem that kept it from being taken."""
    incident = found.incident
    match found.outcome:
        case Outcome.UNKNOWN:
            raise ProblemError(404, f"no incident {incident_id}")
        case Outcome.KEY_REUSED:
            raise ProblemError(422, REUSED)
        case Outcome.REFUSED:
            state = str(incident.state_name) if incident else "unknown"
            raise ProblemError(409, f"not possible while the incident is {state}", state=state)
        case _ if incident is None:
            return RecordedView(outcome=found.outcome, text=found.note or RECORDED)
        case _:
            return incident_view(incident, request.app[PARTS].external_url)


@requires(Role.VIEWER)
async def show_rules(request: web.Request) -> web.Response:
    """The rules in force, in the order in which they are tried."""
    return answer(rules_view(request.app[PARTS].rules()))


@requires(Role.VIEWER)
async def explain(request: web.Request) -> web.Response:
    """What would happen to an alert with these labels, and what would hold its pages back."""
    body = decoded(await read(request), ExplainBody)
    return answer(await request.app[PARTS].foretell(body.labels, body.as_of()))


@requires(Role.VIEWER)
async def list_quarantine(request: web.Request) -> web.Response:
    """Bodies that could not be read."""
    found = await request.app[PARTS].desk.quarantined(limit=_limit(request))
    return answer(quarantine_view(found))


@requires(Role.RESPONDER)
async def show_quarantined(request: web.Request) -> web.Response:
    """One of them, as it came."""
    found = await request.app[PARTS].desk.quarantined_body(request.match_info["digest"])
    if found is None:
        raise ProblemError(404, "not in quarantine")
    return web.Response(
        body=found.body,
        content_type="application/octet-stream",
        headers={"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"},
    )


@requires(Role.RESPONDER)
async def drop_quarantined(request: web.Request) -> web.Response:
    """Forget one."""
    if not await request.app[PARTS].desk.forget_quarantined(request.match_info["digest"]):
        raise ProblemError(404, "not in quarantine")
    return web.Response(status=204)


def _several(request: web.Request, name: str) -> list[str]:
    values = [part for value in request.query.getall(name, []) for part in value.split(",")]
    return [value.strip() for value in values if value.strip()]


def _closed(request: web.Request, name: str, kind: Any) -> list[Any]:
    found = []
    for value in _several(request, name):
        try:
            found.append(kind(value))
        except ValueError:
            known = ", ".join(str(one) for one in kind)
            raise ProblemError(400, f"{name}: expected one of {known}, got {value[:50]!r}") from None
    return found


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "50")
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 500:
        raise ProblemError(400, f"limit: expected 1 to 500, got {text[:20]!r}")
    return int(text)
