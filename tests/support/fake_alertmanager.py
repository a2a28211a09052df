"""An Alertmanager that lists what it is told, refuses what the real one refuses, and can misbehave.

Its answers were compared with those of a real 0.25 (tests/fixtures/alertmanager, tests/e2e/test_alertmanager.py);
``version`` 0.28 adds ``mutedBy``, and 404 for an unknown silence.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from aiohttp import web
from peers import Answer, serving

from responder.alerts import fingerprint
from responder.matchers import parse_matcher

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def rfc(at: datetime) -> str:
    """As Alertmanager's API writes times: milliseconds, ``Z``."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class FakeAlertmanager:
    """One peer. ``clock`` is its own; ``instead`` maps a path's end to another way to answer it."""

    def __init__(self, clock: Callable[[], datetime], *, version: str = "0.25.0") -> None:
        self.clock = clock
        self.version = version
        self.url = ""
        self.up_since = clock() - timedelta(days=10)
        self.alerts: dict[str, dict[str, Any]] = {}
        self.silences: dict[str, dict[str, Any]] = {}
        self.inhibited: dict[str, str] = {}
        self.muted: dict[str, str] = {}
        self.config = "route:\n  receiver: responder\n"
        self.instead: dict[str, Answer] = {}
        self.asked: list[tuple[str, str]] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeAlertmanager]:
        async with serving(self._answer) as self.url:
            yield self

    def fire(
        self,
        labels: Mapping[str, str] | None = None,
        *,
        receivers: tuple[str, ...] = ("responder",),
        since: datetime | None = None,
        keep: timedelta = timedelta(minutes=4),
        **more: str,
    ) -> str:
        """An alert fires; its fingerprint. ``keep`` is when it expires unless it is sent again."""
        labels = {**(labels or {}), **more}
        name = fingerprint(labels)
        known = self.alerts.get(name)
        started = known["startsAt"] if known else rfc(since or self.clock())
        self.alerts[name] = {
            "annotations": {"summary": "in trouble"},
            "endsAt": rfc(self.clock() + keep),
            "fingerprint": name,
            "receivers": [{"name": one} for one in receivers],
            "startsAt": started,
            "updatedAt": rfc(self.clock()),
            "generatorURL": "http://prometheus.example/graph",
            "labels": labels,
        }
        return name

    def resend(self) -> None:
        """Prometheus sends all that fires again, as it does each minute."""
        for alert in self.alerts.values():
            alert["endsAt"] = rfc(self.clock() + timedelta(minutes=4))
            alert["updatedAt"] = rfc(self.clock())

    def resolve(self, name: str) -> None:
        self.alerts.pop(name, None)

    def restart(self) -> None:
        """Alerts are kept in memory alone; silences are on disk."""
        self.alerts.clear()
        self.up_since = self.clock()

    def silence(self, span: timedelta, by: str = "ana", comment: str = "known", **labels: str) -> str:
        """Made by somebody with Alertmanager's own page; its id."""
        matchers = [{"name": k, "value": v, "isRegex": False, "isEqual": True} for k, v in labels.items()]
        return self._keep(matchers, self.clock() + span, by, comment)

    def _keep(self, matchers: list[dict[str, Any]], until: datetime, by: str, comment: str) -> str:
        name = str(uuid.uuid4())
        self.silences[name] = {
            "id": name, "updatedAt": rfc(self.clock()), "startsAt": rfc(self.clock()), "endsAt": rfc(until),
            "createdBy": by, "comment": comment, "matchers": matchers,
        }  # fmt: skip
        return name

    def expire(self, name: str) -> None:
        """Later than what was said of it before, in whichever millisecond."""
        before = datetime.fromisoformat(self.silences[name]["updatedAt"])
        updated = max(self.clock(), before + timedelta(milliseconds=1))
        self.silences[name] |= {"endsAt": rfc(self.clock()), "updatedAt": rfc(updated)}

    def hears(self, other: FakeAlertmanager) -> None:
        """Gossip: the latest word on each silence stands."""
        for name, theirs in other.silences.items():
            mine = self.silences.get(name)
            if mine is None or mine["updatedAt"] < theirs["updatedAt"]:
                self.silences[name] = dict(theirs)

    def _state(self, silence: dict[str, Any]) -> str:
        return "active" if datetime.fromisoformat(silence["endsAt"]) > self.clock() else "expired"

    def _silenced_by(self, labels: dict[str, str]) -> list[str]:
        return [
            name
            for name, one in self.silences.items()
            if self._state(one) == "active" and all(_matches(m, labels) for m in one["matchers"])
        ]

    def _listed(self) -> list[dict[str, Any]]:
        found = []
        for name, alert in self.alerts.items():
            if datetime.fromisoformat(alert["endsAt"]) <= self.clock():
                continue
            by, inhibited = self._silenced_by(alert["labels"]), self.inhibited.get(name)
            status: dict[str, Any] = {"silencedBy": by, "inhibitedBy": [inhibited] if inhibited else []}
            if self.version >= "0.28":
                status["mutedBy"] = [self.muted[name]] if name in self.muted else []
            status["state"] = "suppressed" if any(status.values()) else "active"
            found.append({**alert, "status": status})
        return found

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/api/v2")
        self.asked.append((request.method, path))
        for end, instead in self.instead.items():
            if path.endswith(end) or (request.method, path) == tuple(end.split(" ", 1)):
                return await instead(request)
        response = await self._served(request, path)
        response.headers["Date"] = format_datetime(self.clock(), usegmt=True)
        return response

    async def _served(self, request: web.Request, path: str) -> web.Response:
        match request.method, path:
            case "GET", "/status":
                return self._json({"uptime": rfc(self.up_since), "cluster": {"status": "ready"},
                                   "versionInfo": {"version": self.version}, "config": {"original": self.config}})  # fmt: skip
            case "GET", "/alerts":
                return self._alerts(request)
            case "GET", "/silences":
                listed = [{**one, "status": {"state": self._state(one)}} for one in self.silences.values()]
                return self._json(listed)
            case "POST", "/silences":
                return self._make(await request.json())
            case "DELETE", _ if path.startswith("/silence/"):
                return self._end(path.removeprefix("/silence/"))
            case _:
                return self._json({"code": 404, "message": f"path {path} was not found"}, 404)

    def _alerts(self, request: web.Request) -> web.Response:
        matchers = [parse_matcher(text) for text in request.query.getall("filter", [])]
        return self._json(
            [one for one in self._listed() if all(matcher.matches(one["labels"]) for matcher in matchers)]
        )

    def _make(self, body: dict[str, Any]) -> web.Response:
        missing = [
            one for one in ("comment", "createdBy", "endsAt", "matchers", "startsAt") if one not in body
        ]
        if missing:
            return self._json({"code": 602, "message": f"{missing[0]} in body is required"}, 422)
        for matcher in body["matchers"]:
            assert set(matcher) == {"name", "value", "isRegex", "isEqual"}, matcher
        if body.get("id") and body["id"] not in self.silences:
            return self._json("silence not found", 404)
        starts, ends = datetime.fromisoformat(body["startsAt"]), datetime.fromisoformat(body["endsAt"])
        assert None not in {starts.tzinfo, ends.tzinfo}
        if ends <= starts:
            return self._json("failed to create silence: start time must be before end time", 400)
        if ends <= self.clock():
            return self._json("failed to create silence: end time can't be in the past", 400)
        if all(_matches(one, {}) for one in body["matchers"]):
            return self._json("silence invalid: at least one matcher must not match the empty string", 400)
        return self._json(
            {"silenceID": self._keep(body["matchers"], ends, body["createdBy"], body["comment"])}
        )

    def _end(self, name: str) -> web.Response:
        if not _UUID.fullmatch(name):
            return self._json({"code": 601, "message": "silenceID in path must be of type uuid"}, 422)
        if name not in self.silences:
            return self._json("silence not found", 404 if self.version >= "0.28" else 500)
        if self._state(self.silences[name]) == "active":
            self.expire(name)
        return web.Response()

    def _json(self, value: Any, status: int = 200) -> web.Response:
        return web.Response(status=status, text=json.dumps(value), content_type="application/json")


def _matches(matcher: dict[str, Any], labels: dict[str, str]) -> bool:
    value = labels.get(matcher["name"], "")
    same = (
        re.fullmatch(matcher["value"], value) is not None if matcher["isRegex"] else value == matcher["value"]
    )
    return same is matcher["isEqual"]
