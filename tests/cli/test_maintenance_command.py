"""Windows, and what every command that calls a daemon has in common, as a user types them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from daemon import DaemonProcess, alert, running, webhook_body

WINDOW = {
    "id": "1b6c1f0a77a3d1f2", "name": "move", "match": ['service="database"'], "running": None, "next": None,
    "every": None, "lasts": None, "timezone": None, "by": "ana", "note": "", "made_at": None, "outcome": "made",
    "warnings": [],
}  # fmt: skip


async def typed(url: str, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "responder", *arguments, "--url", url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await process.communicate()
    return process.returncode or 0, out.decode(), error.decode()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    async with running(tmp_path, {}) as found:
        yield found


class Forgetful:
    """A daemon whose first answers are lost on their way, as far as a client sees."""

    def __init__(self, lost: int) -> None:
        self.lost = lost
        self.keys: list[str] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        if len(self.keys) <= self.lost and request.transport is not None:
            request.transport.close()
        return web.json_response(WINDOW)


@contextlib.asynccontextmanager
async def forgetful(lost: int) -> AsyncIterator[Forgetful]:
    found = Forgetful(lost)
    app = web.Application()
    app.router.add_post("/api/v1/maintenance", found.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


ADD = ("maintenance", "add", "--service", "database", "--for", "2h", "--by", "ana")


async def test_a_change_whose_answer_was_lost_is_sent_once_more_under_the_same_key() -> None:
    async with forgetful(1) as found:
        code, out, error = await typed(found.url, *ADD)
        assert (code, error) == (0, "")
        assert out.startswith("1b6c1f0a77a3d1f2  move")
        assert len(found.keys) == 2
        assert found.keys[0] == found.keys[1] != ""
        await typed(found.url, *ADD)
        assert found.keys[2] != found.keys[0], "typed anew, it is another wish"


async def test_a_daemon_that_never_answers_is_asked_no_third_time() -> None:
    async with forgetful(9) as found:
        code, _, error = await typed(found.url, *ADD)
        assert (code, len(found.keys)) == (1, 2)
        assert "no answer from http://127.0.0.1" in error
        assert "Traceback" not in error


async def test_something_else_at_the_address_is_said_plainly() -> None:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<html>hello</html>")

    app = web.Application()
    app.router.add_get("/{path:.*}", page)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        code, _, error = await typed(f"http://127.0.0.1:{runner.addresses[0][1]}", "maintenance", "list")
    finally:
        await runner.cleanup()
    assert code == 1
    assert "does not answer as a responder of this version does" in error
    assert "Traceback" not in error


async def test_what_was_asked_for_before_and_what_is_likely_a_slip_is_said(daemon: DaemonProcess) -> None:
    code, out, error = await typed(daemon.url, *ADD)
    assert (code, error, len(out.splitlines())) == (0, "", 1)
    window = out.split()[0]
    code, out, _ = await typed(daemon.url, *ADD[:-3], "3h", *ADD[-2:])
    assert (code, out.split()[0]) == (0, window)
    assert "there was this window already: it goes on until then now" in out
    _, out, _ = await typed(daemon.url, *ADD)
    assert "there was this window already, and it lasts as long" in out
    code, _, error = await typed(daemon.url, "maintenance", "add", "--service", "databse", "--for", "2h")
    assert code == 0
    assert (
        'matched by service="databse" (did you mean "database"?): does it hold back what it should?' in error
    )
    code, out, _ = await typed(daemon.url, "maintenance", "end", window)
    lines = out.splitlines()
    assert lines[0] == "ended: what still fires is paged now, except for what something else holds back"
    assert lines[1] == "other windows that run:"
    assert 'service="databse"' in lines[2]
    far = ("--from", "2099-01-01T00:00:00Z")
    _, out, _ = await typed(daemon.url, *ADD, *far)
    _, out, _ = await typed(daemon.url, "maintenance", "end", out.split()[0])
    assert out.splitlines()[0] == "taken back: it had not begun"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "--for", "2h"), "give --service SERVICE, or --match MATCHER"),
        (("add", "--service", "database"), "give --for DURATION, or --to TIME"),
        (("end", "zzz"), "argument ID: expected 16 hex digits"),
    ],
)
async def test_what_is_missing_is_named_before_anything_is_asked(
    arguments: tuple[str, ...], says: str
) -> None:
    code, _, error = await typed("http://127.0.0.1:9", "maintenance", *arguments)
    assert (code, says in error) == (2, True), error


async def test_a_long_list_is_shown_whole(daemon: DaemonProcess) -> None:
    long = [f'a{number}=~"{"x" * 900}"' for number in range(15)]
    for number in range(10):
        body = {"name": f"n{number}", "match": long, "for": "2h"}
        assert (await daemon.post("/api/v1/maintenance", body))[0] == 201
    _, out, _ = await typed(daemon.url, "maintenance", "list", "--json")
    assert len(json.loads(out)["maintenance"]) == 10
    assert len(out) > 100_000
    _, out, _ = await typed(daemon.url, "maintenance", "list")
    assert [line.split()[1] for line in out.splitlines()] == [f"n{number}:" for number in range(10)]
    assert "…" not in out


async def test_what_was_done_from_a_terminal_is_recorded_as_such(daemon: DaemonProcess) -> None:
    await daemon.alerts(webhook_body(alert(1)))
    (incident,) = await daemon.incidents()
    path = f"/api/v1/incidents/{incident['id']}"
    await typed(daemon.url, "incidents", "ack", incident["id"], "--by", "ana")
    await daemon.post(f"{path}/resolve", {"by": "ben"})
    _, detail = await daemon.get(path)
    texts = [line["text"] for line in detail["timeline"]]
    assert "acknowledged via cli." in texts
    assert any("resolved" in text and "via cli" not in text for text in texts)
