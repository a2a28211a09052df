"""PagerDuty, as far as our channel meets it: strict about what its descriptions say.

Facts from PagerDuty/api-schema, reference/events-v2 2.0 and reference/REST (August 2026), and PagerDuty/developer-docs,
events-API-v2 and webhooks (August 2026): required fields, enums, lengths, when somebody is called and when not.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

EVENT_FIELDS = {
    "routing_key", "event_action", "dedup_key", "client", "client_url", "links", "images", "payload",
}  # fmt: skip
PAYLOAD_FIELDS = {
    "summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details",
}  # fmt: skip
API_KEY = "u+AbCdEf"


def problems(event: dict[str, Any]) -> list[str]:
    """What PagerDuty would refuse in an event."""
    found = [f"unknown field {name}" for name in set(event) - EVENT_FIELDS]
    if not isinstance(event.get("routing_key"), str) or len(event["routing_key"]) != 32:
        found.append("routing_key is 32 characters")
    action = event.get("event_action")
    if action not in ("trigger", "acknowledge", "resolve"):
        found.append("event_action")
    key = event.get("dedup_key")
    if (key is None and action != "trigger") or (key is not None and not 0 < len(key) <= 255):
        found.append("dedup_key")
    if action == "trigger":
        found += payload_problems(event.get("payload") or {})
    elif set(event) - {"routing_key", "event_action", "dedup_key"}:
        found.append(f"fields of a trigger in a {action}")
    for link in event.get("links", ()):
        if not link.get("href", "").startswith("https://"):
            found.append("links.href")
    for image in event.get("images", ()):
        if not image.get("src", "").startswith("https://"):
            found.append("images.src")
    return found


def payload_problems(payload: dict[str, Any]) -> list[str]:
    found = [f"unknown field payload.{name}" for name in set(payload) - PAYLOAD_FIELDS]
    found += [
        f"payload.{name} is missing" for name in ("summary", "source", "severity") if not payload.get(name)
    ]
    if len(payload.get("summary", "")) > 1_024:
        found.append("payload.summary is over 1024 characters")
    if payload.get("severity") not in ("critical", "error", "warning", "info"):
        found.append("payload.severity")
    if "timestamp" in payload:
        datetime.fromisoformat(payload["timestamp"])
    if not isinstance(payload.get("custom_details", {}), dict):
        found.append("payload.custom_details")
    return found


class FakePagerDuty:
    """Alerts by routing key and dedup key; who was called; answers that a test sets come first."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.open: dict[tuple[str, str], str] = {}
        self.called: list[str] = []
        self.answers: list[web.Response] = []
        self.swallows = False  # accepts events of which no incident comes
        self.looking_hangs = False
        self.looks = 0
        self.alerts: dict[str, list[str]] = {}
        self.url = ""

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1024 * 1024)
        app.router.add_post("/v2/enqueue", self.enqueue)
        app.router.add_get("/incidents", self.incidents)
        app.router.add_get("/incidents/{id}/alerts", self.incident_alerts)
        return app

    async def enqueue(self, request: web.Request) -> web.Response:
        raw = await request.read()
        if self.answers:
            return self.answers.pop(0)
        assert request.headers["Content-Type"] == "application/json"
        assert "Authorization" not in request.headers
        if len(raw) > 512 * 1000:
            return web.json_response({"status": "invalid event", "message": "too large"}, status=400)
        event = json.loads(raw)
        if errors := problems(event):
            said = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
            return web.json_response(said, status=400)
        self.events.append(event)
        self._take(event)
        said = {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
        return web.json_response(said, status=202)

    def _take(self, event: dict[str, Any]) -> None:
        key = (event["routing_key"], event["dedup_key"])
        match event["event_action"]:
            case "trigger" if key not in self.open and not self.swallows:
                self.open[key] = "triggered"
                self.called.append(event["dedup_key"])
            case "acknowledge" if key in self.open:
                self.open[key] = "acknowledged"
            case "resolve":
                self.open.pop(key, None)

    def _signed_in(self, request: web.Request) -> bool:
        assert request.headers["Accept"] == "application/vnd.pagerduty+json;version=2"
        return request.headers["Authorization"] == f"Token token={API_KEY}"

    async def incidents(self, request: web.Request) -> web.Response:
        if not self._signed_in(request):
            return web.json_response({"error": {"message": "Invalid token"}}, status=401)
        self.looks += 1
        if self.looking_hangs:
            await asyncio.Event().wait()
        found = [{"id": "P1"} for _, key in self.open if key == request.query["incident_key"]]
        return web.json_response({"incidents": found, "more": False})

    async def incident_alerts(self, request: web.Request) -> web.Response:
        if not self._signed_in(request):
            return web.json_response({"error": {"message": "Invalid token"}}, status=401)
        keys = self.alerts.get(request.match_info["id"], [])
        return web.json_response({"alerts": [{"id": "A1", "alert_key": key} for key in keys]})


def webhook(kind: str, key: str | None, **more: Any) -> bytes:
    """A webhook v3 as PagerDuty posts it."""
    event = {
        "id": "01DFE1", "event_type": kind, "resource_type": "incident",
        "occurred_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),  # noqa: TID251
        "agent": {"id": "PLH1HKV", "summary": "Tenex Engineer", "type": "user_reference"},
        "client": {"name": "PagerDuty"},
        "data": {"id": "PGR0VU2", "type": "incident", "number": 2, "status": "acknowledged", "incident_key": key},
        **more,
    }  # fmt: skip
    return json.dumps({"event": event}).encode()


def signature(raw: bytes, *secrets: str) -> dict[str, str]:
    """The header that goes with it, one signature for each active secret."""
    made = [f"v1={hmac.new(one.encode(), raw, hashlib.sha256).hexdigest()}" for one in secrets]
    return {"X-PagerDuty-Signature": ",".join(made), "Content-Type": "application/json"}
