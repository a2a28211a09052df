"""The description of the API is true: every route and method is in it, and real answers are what it says they are."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from daemon import DaemonProcess, alert, running, webhook_body
from jsonschema import Draft202012Validator

from responder.web.application import application
from responder.web.openapi import description

ADMIN, VIEWER = {"Authorization": "Bearer adm1n"}, {"Authorization": "Bearer v1ewer"}
RULES = """
escalation: {database: {primary: dbteam}}
contacts: {ana: {email: ana@example.com}, ben: {}}
schedules: {dbteam: {timezone: UTC, rotation: [ana, ben], handoff: "Mon 09:00", start: 2026-01-05}}
default: {severity: P2, service: database}
rules: [{name: database, match: ['service="database"'], severity: P1, service: database, runbook: db}]
runbooks: {db: {summary: Too many connections, offer: [restart]}}
actions: {restart: {type: http, target: api, path: /restart}}
"""
CONFIG = {
    "channels": {"log": {"type": "log"}, "mail": {"type": "email", "host": "127.0.0.1", "port": 1, "from": "r@x.example"}},
    "targets": {"http": {"api": {"url": "http://127.0.0.1:1", "allow": ["POST /restart"]}}},
    "heartbeats": [{"name": "backup", "every": "1h", "severity": "P3", "service": "database"}],
    "auth": {
        "tokens": [
            {"name": "admin", "token": "adm1n", "role": "admin"},
            {"name": "viewer", "token": "v1ewer", "role": "viewer"},
        ]
    },
    "max_body_bytes": 20_000,
}  # fmt: skip


def served() -> set[tuple[str, str]]:
    """Every method and path that the application knows; HEAD follows from GET."""

    async def webhook(_request: web.Request) -> web.Response:
        return web.Response()

    parts: Any = None
    found = set()
    for route in application(parts, webhook).router.routes():
        if route.method != "HEAD":
            assert route.resource is not None
            found.add((route.method.lower(), route.resource.canonical))
    return found


def test_every_route_is_described_and_nothing_else_is() -> None:
    described = {(method, path) for path, methods in description()["paths"].items() for method in methods}
    assert served() == described


def test_it_is_a_document_that_refers_to_nothing_that_is_not_there() -> None:
    document = description()
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert names <= set(document["components"]["schemas"])
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            assert call["summary"], (method, path)
            given = {one["name"] for one in call.get("parameters", ()) if one["in"] == "path"}
            assert given == set(re.findall(r"\{(\w+)\}", path))
            assert all(answer["description"] for answer in call["responses"].values())


class Caller:
    """Calls a daemon, and holds every answer to the description."""

    def __init__(self, daemon: DaemonProcess, document: dict[str, Any]) -> None:
        self.daemon, self.document = daemon, document
        self.called: set[tuple[str, str]] = set()

    async def __call__(
        self,
        method: str,
        path: str,
        expect: int,
        body: Any = None,
        *,
        as_: dict[str, str] | None = ADMIN,
        **fill: str,
    ) -> Any:
        """``path`` is the described one; ``fill`` takes the place of its names, and what is left over is the query."""
        address, query = path, {}
        for name, value in fill.items():
            if f"{{{name}}}" in address:
                address = address.replace(f"{{{name}}}", value)
            else:
                query[name] = value
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        status, raw, kind = await self._answer(method, address, data, as_, query)
        assert status == expect, raw
        call = self.document["paths"][path][method.lower()]
        assert str(status) in call["responses"], f"{method} {path} answered {status}, which is not described"
        self._check(call["responses"][str(status)].get("content", {}), kind, raw, f"{method} {path} {status}")
        self.called.add((method.lower(), path))
        return json.loads(raw) if "json" in kind else raw

    async def _answer(
        self, method: str, address: str, data: bytes | None, as_: dict[str, str] | None, query: dict[str, str]
    ) -> tuple[int, bytes, str]:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
            session.request(
                method, self.daemon.url + address, data=data, headers=as_, params=query, allow_redirects=False
            ) as response,
        ):
            return response.status, await response.read(), response.content_type

    def _check(self, content: dict[str, Any], kind: str, raw: bytes, what: str) -> None:
        if not content:
            assert raw == b"" or what.endswith(" 303"), what
            return
        assert kind in content, f"{what}: {kind} is not described"
        schema = content[kind].get("schema")
        if schema is not None:
            whole = {**schema, "components": self.document["components"]}
            errors = list(Draft202012Validator(whole).iter_errors(json.loads(raw)))
            assert not errors, f"{what}: {errors[0].message}"


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[Caller]:
    async with running(tmp_path, CONFIG, RULES) as daemon:
        _, document = await daemon.get("/api/openapi.json")
        yield Caller(daemon, document)


ONE = "/api/v1/incidents/{id}"
HOOK = "/webhooks/alertmanager"
NOBODY = "0" * 16


async def opened(call: Caller) -> str:
    """An incident; its id."""
    await call("POST", HOOK, 200, webhook_body(alert(1)))
    listed = await call("GET", "/api/v1/incidents", 200, state="triggered")
    return str(listed["incidents"][0]["id"])


async def test_an_incident_answers_as_described(call: Caller) -> None:
    incident = await opened(call)
    await call("GET", ONE, 200, id=incident)
    await call("GET", ONE, 404, id=NOBODY)
    await call("GET", ONE, 401, id=incident, as_={})
    await call("GET", "/api/v1/incidents", 400, limit="0")
    await call("GET", "/api/v1/incidents", 400, cursor="bogus")
    for command, more in (
        ("notes", {"note": "looking"}), ("acknowledge", {}), ("assign", {"to": "ana"}), ("severity", {"severity": "P2"}),
        ("snooze", {"for": "5m"}), ("escalate", {}), ("resolve", {}), ("reopen", {}),
    ):  # fmt: skip
        path = f"{ONE}/{command}"
        await call("POST", path, 403, {"by": "ana", **more}, as_=VIEWER, id=incident)
        await call("POST", path, 400, {"by": 7}, id=incident)
        await call("POST", path, 422, {"by": "ana", **more, "note": "x" * 2_001}, id=incident)
        await call("POST", path, 404, {"by": "ana", **more}, id=NOBODY)
        await call("POST", path, 413, b"x" * 300_000, id=incident)
        await call("POST", path, 200, {"by": "ana", **more}, id=incident)
    await call("POST", f"{ONE}/resolve", 200, {}, id=incident)
    await call("POST", f"{ONE}/acknowledge", 409, {}, id=incident)
    key = {**ADMIN, "Idempotency-Key": "one"}
    await call("POST", f"{ONE}/notes", 200, {"note": "a"}, as_=key, id=incident)
    await call("POST", f"{ONE}/notes", 422, {"note": "b"}, as_=key, id=incident)
    for method, body in (("POST", {"for": "5m"}), ("DELETE", {})):
        await call(method, f"{ONE}/silence", 409, body, id=incident)
        await call(method, f"{ONE}/silence", 400, {"for": 7}, id=incident)
    await call("POST", f"{ONE}/updates", 501, id=incident)
    await call("POST", f"{ONE}/checklist/{{item}}", 501, id=incident, item="one")


async def test_actions_answer_as_described(call: Caller) -> None:
    incident = await opened(call)
    path = f"{ONE}/actions/{{name}}"
    await call("POST", path, 202, {"dry_run": True}, id=incident, name="restart")
    await call("POST", path, 404, {}, id=incident, name="elsewhere")
    await call("POST", path, 404, {}, id=NOBODY, name="restart")
    await call("POST", path, 403, {}, as_=VIEWER, id=incident, name="restart")
    await call("POST", path, 400, {"dry_run": True, "undo": True}, id=incident, name="restart")
    await call("POST", path, 422, {"note": "x" * 2_001}, id=incident, name="restart")
    await call("GET", "/api/v1/actions", 200)
    await call("GET", "/api/v1/actions/kill-switch", 200)
    await call("POST", "/api/v1/actions/kill-switch", 200, {"engaged": True, "note": "moving"})
    await call("POST", path, 409, {}, id=incident, name="restart")
    await call("POST", "/api/v1/actions/kill-switch", 200, {"engaged": False})
    await call("POST", "/api/v1/actions/kill-switch", 400, {})
    await call("GET", "/api/v1/audit", 200, after="0")
    await call("GET", "/api/v1/audit", 400, after="x")


async def test_what_goes_in_and_what_was_refused_answers_as_described(call: Caller) -> None:
    await call("POST", HOOK, 400, b"no JSON")
    await call("POST", HOOK, 413, b"x" * 30_000)
    await call("POST", HOOK, 415, webhook_body(alert(1)), as_={"Content-Encoding": "gzip"})
    broken = {**alert(2), "startsAt": "yesterday"}
    taken = await call("POST", HOOK, 200, webhook_body(alert(1), broken))
    assert taken["quarantined"] == 1
    kept = await call("GET", "/api/v1/quarantine", 200, limit="5")
    await call("GET", "/api/v1/quarantine", 400, limit="many")
    digest = kept["quarantine"][0]["digest"]
    one = "/api/v1/quarantine/{digest}"
    await call("GET", one, 200, digest=digest)
    await call("GET", one, 403, as_=VIEWER, digest=digest)
    await call("DELETE", one, 204, digest=digest)
    await call("DELETE", one, 404, digest=digest)
    await call("GET", one, 404, digest=digest)
    await call("GET", "/heartbeats/{name}", 200, name="backup")
    await call("POST", "/heartbeats/{name}", 200, name="backup")
    await call("POST", "/heartbeats/{name}", 404, name="other")
    fingerprint = (await call("GET", ONE, 200, id=await opened(call)))["alerts"][0]["fingerprint"]
    await call("GET", "/api/v1/alerts/{fingerprint}/explain", 200, fingerprint=fingerprint)
    await call("GET", "/api/v1/alerts/{fingerprint}/explain", 404, fingerprint=NOBODY)
    await call("POST", "/api/v1/explain", 200, {"labels": {"service": "database"}})
    await call("POST", "/api/v1/explain", 400, {"label": {}})
    await call("GET", "/api/v1/rules", 200)
    await call("GET", "/api/v1/rules", 401, as_={})
    await call("GET", "/charts/{digest}.png", 404, digest="0" * 32)


async def test_who_is_on_call_answers_as_described(call: Caller) -> None:
    week = {"from": "2026-12-24 09:00", "to": "2026-12-25 09:00"}
    await call("GET", "/api/v1/oncall", 200)
    await call("GET", "/api/v1/oncall", 400, at="2026-12-24 09:00 PST")
    await call("GET", "/api/v1/schedules", 200, at="2026-12-24T09:00:00Z")
    schedule = "/api/v1/schedules/{name}"
    await call("GET", schedule, 200, name="dbteam")
    await call("GET", schedule, 404, name="other")
    await call("GET", schedule, 400, name="dbteam", to="2000-01-01T00:00:00Z")
    made = await call("POST", f"{schedule}/overrides", 201, {**week, "who": "ben"}, name="dbteam")
    await call("POST", f"{schedule}/overrides", 200, {**week, "who": "ben"}, name="dbteam")
    await call("POST", f"{schedule}/overrides", 400, {**week, "who": "nobody"}, name="dbteam")
    await call(
        "POST", f"{schedule}/overrides", 422, {**week, "who": "ben", "note": "x" * 2_001}, name="dbteam"
    )
    await call("POST", f"{schedule}/overrides", 404, {**week, "who": "ben"}, name="other")
    later = {"from": "2026-12-28 09:00", "to": "2027-01-11 09:00"}
    await call("POST", f"{schedule}/swaps", 201, {**later, "between": ["ana", "ben"]}, name="dbteam")
    await call("GET", f"{schedule}/overrides", 200, name="dbteam")
    await call("GET", f"{schedule}/overrides", 404, name="other")
    await call("DELETE", f"{schedule}/overrides/{{id}}", 204, name="dbteam", id=made["id"])
    await call("DELETE", f"{schedule}/overrides/{{id}}", 404, name="dbteam", id=made["id"])
    await call("GET", "/api/v1/contacts", 200)
    await call("POST", "/api/v1/contacts/{name}/verify", 404, {"channel": "mail"}, name="nobody")
    await call("POST", "/api/v1/contacts/{name}/verify", 409, {"channel": "mail"}, name="ben")
    await call("POST", "/api/v1/contacts/{name}/verify", 502, {"channel": "mail"}, name="ana")
    windows = "/api/v1/maintenance"
    window = {"match": ['service="database"'], "for": "5m", "from": "2099-12-24T09:00:00Z"}
    made = await call("POST", windows, 201, window)
    await call("POST", windows, 200, window)
    await call("POST", windows, 400, {**window, "match": ["("]})
    await call("POST", windows, 422, {**window, "note": "x" * 2_001})
    await call("GET", windows, 200)
    await call("DELETE", f"{windows}/{{id}}", 204, id=made["id"])
    await call("DELETE", f"{windows}/{{id}}", 404, id=made["id"])


async def test_what_machines_and_providers_call_answers_as_described(call: Caller) -> None:
    for path in ("/-/healthy", "/-/ready", "/metrics", "/api/openapi.json"):
        await call("GET", path, 200, as_={})
    await call("POST", "/-/reload", 200)
    await call("POST", "/-/reload", 403, as_=VIEWER)
    (call.daemon.folder / "rules" / "rules.yaml").write_text("rules: 7")
    await call("POST", "/-/reload", 400)
    for path in (
        "/slack/interactions",
        "/slack/commands",
        "/pagerduty/webhook",
        "/twilio/sms",
        "/twilio/voice",
    ):
        await call("POST", path, 401, b"")
    await call("POST", "/twilio/status", 401, b"")


async def test_pages_for_people_answer_as_described(call: Caller) -> None:
    incident = await opened(call)
    await call("GET", "/", 303, as_={})
    await call("GET", "/", 200)
    await call("GET", "/incidents/{id}", 200, id=incident)
    await call("GET", "/incidents/{id}", 404, id=NOBODY)
    await call("GET", "/incidents/{id}", 303, id=incident, as_={})
    await call("GET", "/alerts/{fingerprint}", 404, fingerprint=NOBODY)
    await call("POST", "/incidents/{id}/{form}", 403, b"form_token=wrong", id=incident, form="acknowledge")
    await call("POST", "/incidents/{id}/{form}", 403, b"form_token=wrong", id=incident, form="silence")
    await call("GET", "/incidents/{id}/actions/{name}", 200, id=incident, name="restart")
    await call("GET", "/incidents/{id}/actions/{name}", 404, id=incident, name="other")
    await call("GET", "/incidents/{id}/actions/{name}", 303, id=incident, name="restart", as_={})
    await call(
        "POST", "/incidents/{id}/actions/{name}", 403, b"form_token=wrong", id=incident, name="restart"
    )
    await call("POST", "/kill-switch/{to}", 403, b"form_token=wrong", to="on")
    await call("GET", "/login", 200, as_={})
    await call("POST", "/login", 403, b"form_token=wrong", as_={})
    await call("GET", "/static/console.css", 200, as_={})
    for path in ("/ack/{token}", "/verify/{token}"):
        await call("GET", path, 404, token="bogus", as_={})
        await call("POST", path, 404, token="bogus", as_={})
    await call("GET", "/ack/{token}/charts/{digest}.png", 404, token="bogus", digest="0" * 32, as_={})
