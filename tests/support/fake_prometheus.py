"""Prometheus' HTTP API, spoken by a fake that refuses what the real one refuses; for answers that the real one gives rarely."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request, dict[str, str]], Any]


def matrix(*series: tuple[dict[str, str], list[tuple[float, str]]], **more: Any) -> dict[str, Any]:
    result = [{"metric": labels, "values": values} for labels, values in series]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}, **more}


def error(kind: str, text: str) -> dict[str, Any]:
    return {"status": "error", "errorType": kind, "error": text}


def times(form: dict[str, str]) -> list[float]:
    """The times of a range query's points."""
    start, end, step = (float(form[name]) for name in ("start", "end", "step"))
    return [start + n * step for n in range(int((end - start) / step + 1e-6) + 1)]


class FakePrometheus:
    """Answers as told, in turn; the last answer stays."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[Answer | web.Response | dict[str, Any]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/prefix")
        self.headers.append(dict(request.headers))
        assert request.content_type == "application/x-www-form-urlencoded"
        assert not request.query
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append((path, form))
        refusal = _refusal(path, form)
        if refusal is not None:
            return web.json_response(error("bad_data", refusal), status=400)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer) and not isinstance(answer, web.Response):
            answer = answer(request, form)
        if hasattr(answer, "__await__"):
            answer = await answer
        if isinstance(answer, dict):
            status = {"bad_data": 400, "execution": 422, "timeout": 503}.get(answer.get("errorType", ""), 200)
            return web.Response(text=json.dumps(answer), status=status, content_type="application/json")
        assert isinstance(answer, web.StreamResponse)
        return answer


def _refusal(path: str, form: dict[str, str]) -> str | None:
    """What the API's documentation calls bad data."""
    known = {
        "/api/v1/query_range": {"query", "start", "end", "step", "timeout", "limit"},
        "/api/v1/query": {"query", "time", "timeout", "limit"},
    }[path]
    assert set(form) <= known, set(form) - known
    if not form.get("query", "").strip():
        return 'invalid parameter "query": unknown position: parse error: no expression found in input'
    if float(form["timeout"]) <= 0:
        return 'invalid parameter "timeout"'
    if path == "/api/v1/query_range":
        step = float(form["step"])
        if step <= 0:
            return "zero or negative query resolution step widths are not accepted"
        if (float(form["end"]) - float(form["start"])) / step > 11_000:
            return "exceeded maximum resolution of 11,000 points per timeseries"
    return None


@contextlib.asynccontextmanager
async def fake_prometheus(*answers: Answer | web.Response | dict[str, Any]) -> AsyncIterator[FakePrometheus]:
    fake = FakePrometheus()
    fake.answers += answers
    app = web.Application()
    for path in ("/api/v1/query_range", "/api/v1/query", "/prefix/api/v1/query_range"):
        app.router.add_post(path, fake.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()
