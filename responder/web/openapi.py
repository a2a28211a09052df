"""``/api/openapi.json``: made from the same structs that the handlers read and answer with."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from responder.intake.intake import Summary
from responder.rules.explain import Explanation
from responder.web.actions import ActionBody, AuditView, KillSwitchBody, KillSwitchView
from responder.web.alerts import AccountView
from responder.web.bodies import COMMANDS, ExplainBody
from responder.web.contacts import ContactsView, VerifyBody, VerifyView
from responder.web.digests import DigestView
from responder.web.heartbeats import BeatView
from responder.web.maintenance import MaintenanceBody, MaintenanceListView
from responder.web.oncall import OnCallView, ScheduleListView, ScheduleWeeksView
from responder.web.overrides import ChangeListView, OverrideBody, SwapBody
from responder.web.problems import answer
from responder.web.silences import SilenceBody, UnsilenceBody
from responder.web.views import DetailView, IncidentView, ListView

_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
}
_FINGERPRINT = {
    "name": "fingerprint",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
}
_DIGEST = {"name": "digest", "in": "path", "required": True, "schema": {"type": "string"}}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_AFTER = {"name": "after", "in": "query", "schema": {"type": "integer", "minimum": 0}}
_KEY = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 200}}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_CHANGE_ERRORS = "400 401 403 404 409 503"
_PROBLEM = {
    "description": "What is wrong (RFC 9457)",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def routes() -> list[web.RouteDef]:
    """The description itself."""
    return [web.get("/api/openapi.json", show)]


async def show(_request: web.Request) -> web.Response:
    """The description of the HTTP interface."""
    return answer(description())


def description() -> dict[str, Any]:
    """OpenAPI 3.1 of everything that programs call."""
    kinds = [
        Summary,
        ListView,
        DetailView,
        DigestView,
        IncidentView,
        Explanation,
        AccountView,
        ExplainBody,
        ActionBody,
        KillSwitchBody,
        KillSwitchView,
        AuditView,
        SilenceBody,
        UnsilenceBody,
        ContactsView,
        VerifyBody,
        VerifyView,
        OnCallView,
        ScheduleListView,
        ScheduleWeeksView,
        OverrideBody,
        SwapBody,
        ChangeListView,
        MaintenanceBody,
        MaintenanceListView,
        BeatView,
        *(k for k, _ in COMMANDS.values()),
    ]
    _, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    components["Problem"] = {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
    }
    bearer = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "responder", "version": "1"},
        "paths": _paths(),
        "components": {"schemas": components, "securitySchemes": {"token": bearer}},
    }


def _paths() -> dict[str, Any]:
    one = "/api/v1/incidents/{id}"
    filters = [
        {
            "name": name,
            "in": "query",
            "schema": {"type": "string"},
            "description": "one or several, by commas",
        }
        for name in ("state", "service", "severity", "cursor")
    ] + [{"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 500}}]
    paths: dict[str, Any] = {
        "/webhooks/alertmanager": {
            "post": _call("Take alerts; 200 once they are on disk", "Summary", errors="400 401 413 415 503")
        },
        "/api/v1/incidents": {"get": _call("List incidents, newest first", "ListView", parameters=filters)},
        one: {"get": _call("One incident", "DetailView", parameters=[_ID], errors="401 404 503")},
        f"{one}/digest": {
            "get": _call(
                "What is told with the incident's page", "DigestView", parameters=[_ID], errors="401 404 503"
            )
        },
        "/api/v1/rules": {"get": _call("The rules in force")},
        "/api/v1/contacts": {"get": _call("Who can be reached over which channel", "ContactsView")},
        "/api/v1/contacts/{name}/verify": {
            "post": _call(
                "Send a link to confirm an address with",
                "VerifyView",
                body="VerifyBody",
                parameters=[_NAME],
                errors="400 401 403 404 409 502 503",
            )
        },
        "/api/v1/explain": {"post": _call("What happens to an alert", "Explanation", body="ExplainBody")},
        "/api/v1/alerts/{fingerprint}/explain": {
            "get": _call(
                "What became of an alert", "AccountView", parameters=[_FINGERPRINT], errors="401 404 503"
            )
        },
        "/api/v1/actions": {"get": _call("The actions of the rules in force")},
        "/api/v1/actions/kill-switch": {
            "get": _call("Whether actions are switched off", "KillSwitchView"),
            "post": _call(
                "Switch every action off, or on again",
                "KillSwitchView",
                body="KillSwitchBody",
                errors="400 401 403 503",
            ),
        },
        "/api/v1/audit": {
            "get": _call("What was done to targets, oldest first", "AuditView", parameters=[_AFTER])
        },
        "/api/v1/quarantine": {"get": _call("Bodies that could not be read")},
        "/api/v1/quarantine/{digest}": {
            "get": _call("One of them, as it came", parameters=[_DIGEST], errors="401 404 503"),
            "delete": _call("Forget one", parameters=[_DIGEST], errors="401 404 503"),
        },
        "/charts/{digest}.png": {
            "get": _call("A picture of a finding (PNG)", parameters=[_DIGEST], errors="401 404 503")
        },
        "/heartbeats/{name}": {
            method: _call(
                "A sign of life; 200 once it is on disk",
                "BeatView",
                parameters=[_NAME],
                errors="401 403 404 503",
            )
            for method in ("get", "post")
        },
        "/-/healthy": {"get": _call("The process lives")},
        "/-/ready": {"get": _call("It takes alerts", errors="503")},
        "/-/reload": {"post": _call("Read the rule files anew", errors="400 401 403")},
        "/metrics": {"get": _call("Metrics")},
        "/api/openapi.json": {"get": _call("This description")},
    }
    paths |= _schedule_paths()
    paths |= _maintenance_paths()
    for name, (body, _) in COMMANDS.items():
        call = _call(
            f"Record: {name}",
            "IncidentView",
            body=body.__name__,
            parameters=[_ID, _KEY],
            errors="400 401 403 404 409 422 503",
        )
        call["responses"]["202"] = {"description": "Recorded; the decision is still to come"}
        paths[f"{one}/{name}"] = {"post": call}
    paths[f"{one}/silence"] = {
        "post": _silencing("Silence in Alertmanager what fires in the incident", "SilenceBody"),
        "delete": _silencing("Withdraw the silences that were made from the incident", "UnsilenceBody"),
    }
    action = _call(
        "Have an action performed, rehearsed or taken back; a refusal names its gate",
        body="ActionBody",
        parameters=[_ID, _NAME, _KEY],
        errors="400 401 403 404 409 422 503",
    )
    accepted = {"$ref": "#/components/schemas/IncidentView"}
    del action["responses"]["200"]
    action["responses"]["202"] = {
        "description": "Recorded; what comes of it stands in the incident",
        "content": {"application/json": {"schema": accepted}},
    }
    paths[f"{one}/actions/{{name}}"] = {"post": action}
    return paths


def _silencing(summary: str, body: str) -> dict[str, Any]:
    call = _call(
        summary,
        "IncidentView",
        body=body,
        parameters=[_ID, _KEY],
        errors="400 401 403 404 409 422 502 503",
    )
    call["responses"]["202"] = {"description": "Recorded; the decision is still to come"}
    return call


def _schedule_paths() -> dict[str, Any]:
    one = "/api/v1/schedules/{name}"
    paths: dict[str, Any] = {
        "/api/v1/oncall": {
            "get": _call("Who is on call, by service and level", "OnCallView", parameters=[_time("at")])
        },
        "/api/v1/schedules": {
            "get": _call(
                "Every schedule, its calendar and its changes", "ScheduleListView", parameters=[_time("at")]
            )
        },
        one: {
            "get": _call(
                "A schedule over the coming four weeks, or another stretch of at most a year",
                "ScheduleWeeksView",
                parameters=[_NAME, _time("from"), _time("to")],
                errors="400 401 404",
            )
        },
        f"{one}/overrides": {
            "get": _call("What people changed", "ChangeListView", parameters=[_NAME], errors="401 404"),
            "post": _change("Put somebody else on call for a while", "OverrideBody"),
        },
        f"{one}/swaps": {"post": _change("Let two people exchange their turns for a while", "SwapBody")},
        f"{one}/overrides/{{id}}": {
            "delete": _call(
                "Take back an override or a swap", parameters=[_NAME, _ID], errors="401 403 404 503"
            )
        },
    }
    gone = paths[f"{one}/overrides/{{id}}"]["delete"]["responses"]
    gone["204"] = {"description": gone.pop("200")["description"]}
    return paths


def _maintenance_paths() -> dict[str, Any]:
    call = _call("End a window now, or take it back", parameters=[_ID], errors="401 403 404 503")
    call["responses"]["204"] = {"description": call["responses"].pop("200")["description"]}
    return {
        "/api/v1/maintenance": {
            "get": _call("Every maintenance window, those of the rule files too", "MaintenanceListView"),
            "post": _making(
                _call(
                    "Suppress paging for what matches",
                    "MaintenanceView",
                    body="MaintenanceBody",
                    errors=_CHANGE_ERRORS.replace(" 404", ""),
                )
            ),
        },
        "/api/v1/maintenance/{id}": {"delete": call},
    }


def _change(summary: str, body: str) -> dict[str, Any]:
    return _making(_call(summary, "ChangeView", body=body, parameters=[_NAME], errors=_CHANGE_ERRORS))


def _making(call: dict[str, Any]) -> dict[str, Any]:
    """A call that makes something, or finds that it was made before."""
    call["responses"]["201"] = {**call["responses"]["200"], "description": "Made"}
    call["responses"]["200"] = {**call["responses"]["200"], "description": "It was made before"}
    return call


def _time(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "string", "format": "date-time"}}


def _call(
    summary: str,
    schema: str | None = None,
    *,
    body: str | None = None,
    parameters: list[dict[str, Any]] | None = None,
    errors: str = "400 401 503",
) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "As asked"}
    if schema is not None:
        good["content"] = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    call: dict[str, Any] = {
        "summary": summary,
        "responses": {"200": good, **dict.fromkeys(errors.split(), _PROBLEM)},
    }
    if body is not None:
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{body}"}}}
        call["requestBody"] = {"content": content}
    if parameters:
        call["parameters"] = parameters
    return call
