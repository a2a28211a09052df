"""Supabase's Management API as its description has it, for one project; it refuses what the real one refuses.

Its logs are ClickHouse's table ``logs`` (the endpoint ``logs.all`` is gone since September 2026). The queries of the
probe were run on a real ClickHouse 26.9; here the few forms that they have are read from their text.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web
from peers import Answer, serving

REF = "abcdefghijklmnopqrst"
TOKEN = "sbp_" + "0123456789" * 4
OTHER = "00000000-0000-4000-8000-000000000002"
INGEST = "3c078cce-ad70-4148-9f37-4da362789053"
_SERVICES = {"auth", "db", "db_postgres_user", "pooler", "realtime", "rest", "storage", "pg_bouncer"}
_BANNED = ("count(*)", "select *", "unnest", ";", "--", "/*", "union", "insert", "drop")


class FakeSupabase:
    """``calls`` are (function, status, milliseconds); ``lines`` (function, level, event type, text)."""

    def __init__(self) -> None:
        self.url = ""
        self.health: dict[str, Any] = {}
        self.functions: list[dict[str, Any]] = [
            {
                "id": INGEST,
                "slug": "ingest-transaction",
                "name": "ingest-transaction",
                "status": "ACTIVE",
                "version": 3,
            },
            {
                "id": OTHER,
                "slug": "health",
                "name": "health",
                "status": "ACTIVE",
            },
        ]
        self.calls: list[tuple[str, int, float]] = []
        self.lines: list[tuple[str, str, str, str]] = []
        self.asked: list[web.Request] = []
        self.searches: list[str] = []
        self.spans: list[timedelta] = []
        self.instead: dict[str, Answer] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeSupabase]:
        async with serving(self._answer) as self.url:
            yield self

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        found = re.fullmatch(r"/v1/projects/([^/]*)/(.+)", request.path)
        if found is None:
            return _no(404, "Cannot GET")
        refusal = _refusal(request.headers.get("Authorization", ""), found[1])
        if refusal is not None:
            return refusal
        if found[2] in self.instead:
            return await self.instead[found[2]](request)
        return self._found(request, found[2])

    def _found(self, request: web.Request, path: str) -> web.Response:
        match path:
            case "health":
                return self._health(request)
            case "functions":
                return web.json_response(self.functions)
            case "analytics/endpoints/logs":
                return self._logs(request)
            case "analytics/endpoints/logs.all":
                return _no(410, "This endpoint has been removed. Use /analytics/endpoints/logs")
        return _no(404, "Cannot GET")

    def _health(self, request: web.Request) -> web.Response:
        services = request.query.getall("services", [])
        limit = request.query.get("timeout_ms", "2000")
        if not services or not set(services) <= _SERVICES or not (limit.isdecimal() and int(limit) <= 10_000):
            return _no(400, "services: Invalid input")
        listed = []
        for name in services:
            state = self.health.get(name, "ACTIVE_HEALTHY")
            if state is not None:
                one = {"status": state} if isinstance(state, str) else dict(state)
                listed.append({"name": name, "healthy": one["status"] == "ACTIVE_HEALTHY", **one})
        return web.json_response(listed)

    def _logs(self, request: web.Request) -> web.Response:
        given = [request.query.get(f"iso_timestamp_{end}") for end in ("start", "end")]
        if None in given:
            return _no(400, "Both iso_timestamp_start and iso_timestamp_end are required")
        start, end = (datetime.fromisoformat(one) for one in given if one)
        if not timedelta(0) < end - start <= timedelta(hours=24):
            return _no(400, "The timestamp range must be no more than 24 hours")
        self.spans.append(end - start)
        sql = " ".join(request.query["sql"].split())
        self.searches.append(sql)
        return web.json_response(self._searched(sql))

    def _searched(self, sql: str) -> dict[str, Any]:
        source = re.search(r"from logs where source = '(\w+)'", sql)
        function = re.findall(r"log_attributes\['function_id'\] = '([^']*)'", sql)
        limit = re.search(r" limit (\d+)$", sql)
        if (
            source is None
            or limit is None
            or any(one in sql.lower() for one in _BANNED)
            or len(function) != 1
        ):
            return {
                "result": None,
                "error": {"code": 400, "errors": [], "message": "Syntax error", "status": "INVALID"},
            }
        rows = (
            self._calls(function[0]) if source[1] == "function_edge_logs" else self._lines(function[0], sql)
        )
        return {"result": rows[: int(limit[1])], "error": None}

    def _calls(self, function: str) -> list[dict[str, Any]]:
        mine = [(status, took) for where, status, took in self.calls if where == function]
        return [
            # ClickHouse writes wide numbers as texts.
            {
                "status": status,
                "calls": str(sum(one == status for one, _ in mine)),
                "slowest": max(took for one, took in mine if one == status),
            }
            for status in sorted({status for status, _ in mine})
        ]

    def _lines(self, function: str, sql: str) -> list[dict[str, Any]]:
        levels = re.search(r"log_attributes\['level'\] in \(([^)]*)\)", sql)
        events = re.search(r"log_attributes\['event_type'\] not in \(([^)]*)\)", sql)
        wanted = set(re.findall(r"'(\w+)'", levels[1])) if levels else None
        barred = set(re.findall(r"'(\w+)'", events[1])) if events else set()
        return [
            {"event_message": text}
            for where, level, event, text in reversed(self.lines)
            if where == function and (wanted is None or level in wanted) and event not in barred
        ]


def _refusal(authorization: str, ref: str) -> web.Response | None:
    if authorization != f"Bearer {TOKEN}":
        return _no(401, "Unauthorized")
    if not re.fullmatch("[a-z]{20}", ref):
        return _no(400, "ref must be longer than or equal to 20 characters")
    if ref != REF:
        return _no(403, "Your account does not have the necessary privileges to access this endpoint.")
    return None


def _no(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)
