"""A Superset that refuses what the real one refuses. Every answer here was seen from a real 6.1 (tests/superset).

Its CSRF protection is Flask-WTF's: the token counts with the session cookie that came with it, and over TLS with a
Referer of the same origin; what is refused without JSON is a redirect to the login.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from peers import Answer, serving
from yarl import URL

_KEY = b"superset's own key"


class EndedError(Exception):
    """An answer that ends the request."""

    def __init__(self, answer: web.Response) -> None:
        super().__init__()
        self.answer = answer


class FakeSuperset:
    """``cache`` maps cache keys to the dataset that Superset remembers them for."""

    def __init__(self) -> None:
        self.url = ""
        self.password = "p-of-the-robot"
        self.provider = "db"
        self.may = {"dashboards", "datasets", "invalidate", "warm up"}
        self.datasets = {1: "sales", 2: "orders", 3: "people"}
        self.dashboards: dict[str, tuple[list[int], list[int]]] = {
            "7": ([1, 2], [11, 12]),
            "board": ([1], [11]),
        }
        self.charts: dict[int, tuple[str, Any]] = {11: ("Sales by region", None), 12: ("Orders", None)}
        self.cache = {"a": "1__table", "b": "1__table", "c": "2__table", "d": "3__table"}
        self.computed: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        self.sessions: set[str] = set()
        self.tokens: list[str] = []
        self.lives_for = 900.0
        self.secure = False
        self.secure_cookie = False
        self.database_gone = False
        self.limited = False
        self.instead: dict[str, Answer] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeSuperset]:
        async with serving(self._answer) as self.url:
            yield self

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path))
        instead = self.instead.get(request.path)
        if instead is not None:
            return await instead(request)
        try:
            if request.path in {"/health", "/healthcheck", "/ping"}:
                return web.Response(text="OK", content_type="text/html")
            if self.database_gone:
                return _json(500, {"message": "Fatal error"})
            body = await request.read()
            if request.path == "/api/v1/security/login" and request.method == "POST":
                return self._login(request, body)
            session = self._session(request)
            if request.method in {"POST", "PUT", "DELETE", "PATCH"}:
                self._csrf(request, session)
            answer = self._api(request, body, session)
        except EndedError as ended:
            return ended.answer
        return answer

    def _login(self, request: web.Request, body: bytes) -> web.Response:
        if self.limited:
            return _json(429, {"message": "5 per 1 second"})
        if request.content_type != "application/json":
            return _json(400, {"message": "Request payload is not JSON"})
        given = json.loads(body)
        if "provider" not in given:
            return _json(500, {"message": "Fatal error"})
        if given["provider"] != self.provider:
            return _json(
                400, {"message": {"provider": ["Alternative authentication provider is not allowed"]}}
            )
        if (given["username"], given["password"]) != ("robot", self.password):
            return _json(401, {"message": "Not authorized"})
        token = _signed({"sub": "1", "exp": time.monotonic() + self.lives_for, "n": len(self.tokens)})
        self.tokens.append(token)
        return _json(200, {"access_token": token})

    def _session(self, request: web.Request) -> dict[str, Any]:
        return _read(request.cookies.get("session", "")) or {}

    def _csrf(self, request: web.Request, session: dict[str, Any]) -> None:
        given = request.headers.get("X-CSRFToken")
        if not given:
            self._no(request, "The CSRF token is missing.")
        if "csrf_token" not in session:
            self._no(request, "The CSRF session token is missing.")
        found = _read(given or "")
        if found is None:
            self._no(request, "The CSRF token is invalid.")
        elif found["csrf"] != session["csrf_token"]:
            self._no(request, "The CSRF tokens do not match.")
        if self.secure:
            referrer = request.headers.get("Referer")
            if not referrer:
                self._no(request, "The referrer header is missing.")
            elif URL(referrer).origin() != URL(self.url).origin():
                self._no(request, "The referrer does not match the host.")

    def _no(self, request: web.Request, why: str) -> None:
        if request.content_type != "application/json":
            raise EndedError(web.Response(status=302, headers={"Location": f"/login/?next={request.path}"}))
        error = {
            "message": f"400 Bad Request: {why}",
            "error_type": "GENERIC_BACKEND_ERROR",
            "level": "error",
        }
        raise EndedError(_json(400, {"errors": [error]}))

    def _protected(self, request: web.Request, permission: str) -> None:
        header = request.headers.get("Authorization", "")
        if not header.startswith("Bearer "):
            raise EndedError(_json(401, {"msg": "Missing Authorization Header"}))
        token = header.removeprefix("Bearer ")
        if token.count(".") != 2:
            raise EndedError(_json(422, {"msg": "Not enough segments"}))
        found = _read(token)
        if found is None:
            raise EndedError(_json(422, {"msg": "Signature verification failed"}))
        if found["exp"] <= time.monotonic():
            raise EndedError(_json(401, {"msg": "Token has expired"}))
        if permission not in self.may:
            raise EndedError(_json(403, {"message": "Forbidden"}))

    def _api(self, request: web.Request, body: bytes, session: dict[str, Any]) -> web.Response:
        listed = [{"id": n, "table_name": name} for n, name in sorted(self.datasets.items())]
        routes: dict[tuple[str, str], tuple[str, Callable[[], web.Response]]] = {
            ("GET", "/security/csrf_token/"): ("dashboards", lambda: self._token(session)),
            ("POST", "/cachekey/invalidate"): ("invalidate", lambda: self._invalidated(request, body)),
            ("PUT", "/chart/warm_up_cache"): ("warm up", lambda: self._warmed(json.loads(body))),
            ("GET", "/dataset/"): ("datasets", lambda: _page(request, listed)),
            ("GET", "/dashboard/"): ("dashboards", lambda: _page(request, [{"id": 7}])),
        }
        path = request.path.removeprefix("/api/v1")
        if found := re.fullmatch(r"/dashboard/([^/]+)/(datasets|charts)", path):
            self._protected(request, "dashboards")
            return self._dashboard(found[1], found[2])
        if path == "/security/csrf_token":
            return web.Response(status=308, headers={"Location": f"{self.url}{request.path}/"})
        if (request.method, path) not in routes:
            return web.Response(status=404, text="<!doctype html><html>", content_type="text/html")
        permission, act = routes[request.method, path]
        self._protected(request, permission)
        return act()

    def _token(self, session: dict[str, Any]) -> web.Response:
        csrf = session.get("csrf_token") or hashlib.sha256(str(len(self.sessions)).encode()).hexdigest()
        answer = _json(200, {"result": _signed({"csrf": csrf})})
        cookie = _signed({"csrf_token": csrf, "locale": "en"})
        self.sessions.add(cookie)
        answer.set_cookie(
            "session", cookie, httponly=True, path="/", samesite="Lax", secure=self.secure_cookie or None
        )
        return answer

    def _invalidated(self, request: web.Request, body: bytes) -> web.Response:
        if request.content_type != "application/json":
            return _json(500, {"message": "Fatal error"})
        given = json.loads(body)
        for name in given:
            if name not in {"datasource_uids", "datasources"}:
                return _json(400, {"message": f"{{'{name}': ['Unknown field.']}}"})
        wanted = set(given.get("datasource_uids", []))
        self.cache = {key: uid for key, uid in self.cache.items() if uid not in wanted}
        return _json(201, {})

    def _warmed(self, given: dict[str, Any]) -> web.Response:
        if not isinstance(given.get("dashboard_id", 0), int):
            return _json(400, {"message": {"dashboard_id": ["Not a valid integer."]}})
        if given["chart_id"] not in self.charts:
            return _json(404, {"message": "Chart not found"})
        self.computed.append(given)
        error = self.charts[given["chart_id"]][1]
        status = "failed" if error else "success"
        result = {"chart_id": given["chart_id"], "viz_error": error, "viz_status": status}
        return _json(200, {"result": [result]})

    def _dashboard(self, wanted: str, what: str) -> web.Response:
        if wanted not in self.dashboards:
            missing = {"error": "Dashboard not found."} if what == "datasets" else {"message": "Not found"}
            return _json(404, missing)
        datasets, charts = self.dashboards[wanted]
        if what == "charts":
            return _json(200, {"result": [{"id": n, "slice_name": self.charts[n][0]} for n in charts]})
        columns = [{"column_name": f"c{n}", "type": "TEXT"} for n in range(500)]
        listed = [
            {"id": n, "uid": f"{n}__table", "table_name": self.datasets[n], "columns": columns}
            for n in datasets
        ]
        return _json(200, {"result": listed})


def _json(status: int, body: Any) -> web.Response:
    return web.json_response(body, status=status)


def _page(request: web.Request, listed: list[dict[str, Any]]) -> web.Response:
    """A page as Flask-AppBuilder cuts it, never longer than 100."""
    query = request.query.get("q", "")
    order = re.search(r"[(,]order_column:(\w+)", query)
    if order and order[1] not in {"table_name", "schema", "dashboard_title"}:
        return _json(400, {"message": f"Invalid order by column: {order[1]}"})
    number = re.search(r"[(,]page:(\d+)", query)
    size = re.search(r"[(,]page_size:(\d+)", query)
    page, of = int(number[1]) if number else 0, min(int(size[1]) if size else 20, 100)
    some = listed[page * of : (page + 1) * of]
    return _json(200, {"count": len(listed), "ids": [one["id"] for one in some], "result": some})


def _signed(value: dict[str, Any]) -> str:
    head = _text(b'{"alg":"HS256"}')
    body = _text(json.dumps(value).encode())
    return f"{head}.{body}.{_text(hmac.digest(_KEY, f'{head}.{body}'.encode(), 'sha256'))}"


def _read(text: str) -> Any:
    head, _, rest = text.partition(".")
    body, _, mark = rest.partition(".")
    if not mark or mark != _text(hmac.digest(_KEY, f"{head}.{body}".encode(), "sha256")):
        return None
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
