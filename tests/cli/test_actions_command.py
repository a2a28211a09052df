"""``responder actions run`` at a real daemon: it waits, says what happened, and its exit code says the same."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from aiohttp import web
from daemon import DaemonProcess, alert, free_port, running, webhook_body

RULES = """
escalation: {database: {primary: dbteam}}
default: {severity: P3, service: database}
rules: [{name: database, match: ['service="database"'], severity: P3, service: database, runbook: db}]
runbooks: {db: {summary: Too many connections, offer: [restart, forbidden, needless, broken, slow]}}
probes: {health: {type: http, target: api, path: /health}}
actions:
  restart: {type: http, target: api, path: /restart, settled: {path: /health, expect_json: {status: ok}}}
  forbidden: {type: http, target: api, path: /elsewhere}
  needless: {type: http, target: api, path: /needless, precondition: {probe: health, status: [critical]}}
  broken: {type: http, target: api, path: /broken}
  slow: {type: http, target: api, path: /slow}
"""


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    over = asyncio.Event()

    async def answered(request: web.Request) -> web.Response:
        match request.match_info["what"]:
            case "broken":
                return web.json_response({"why": "no"}, status=409)
            case "slow":
                await over.wait()
        return web.json_response({"status": "ok"})

    app = web.Application()
    app.router.add_route("*", "/{what}", answered)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    allowed = ["POST /restart", "POST /needless", "POST /broken", "POST /slow"]
    target = {"url": f"http://127.0.0.1:{port}", "allow": allowed}
    config = {"channels": {"log": {"type": "log"}}, "targets": {"http": {"api": target}}}
    async with running(tmp_path, config, RULES) as found:
        await found.alerts(webhook_body(alert(1)))
        yield found
        over.set()
    await runner.cleanup()


async def run(daemon: DaemonProcess, *arguments: str) -> tuple[int, str]:
    """The exit code, and what was printed."""
    incident = (await daemon.incidents())[0]["id"]
    words: Sequence[str] = ("-m", "responder", "actions", "run", "--url", daemon.url, incident, *arguments)
    made = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(60):
        out, _ = await made.communicate()
    assert made.returncode is not None
    return made.returncode, out.decode()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("restart", "--wait", "30s"), 0, "restart: performed, and it helped"),
        (("restart", "--dry-run"), 0, "restart: rehearsed, nothing was changed"),
        (("restart", "--wait", "0s"), 0, "asked for; see: responder incidents show"),
        (("forbidden",), 1, "forbidden: refused (allow-list)"),
        (("needless",), 1, "needless: refused (precondition)"),
        (("broken",), 1, "broken: failed"),
        (("slow", "--wait", "2s"), 1, "slow: asked for; whether it has begun is not known yet"),
        (("unknown",), 1, "404: "),
        (("restart", "--undo"), 1, "refused (offered): there is nothing to undo"),
        (("restart", "--wait", "soon"), 2, "--wait: "),
    ],
)
async def test_the_exit_code_says_what_became_of_it(
    daemon: DaemonProcess, arguments: Sequence[str], code: int, says: str
) -> None:
    ended, out = await run(daemon, *arguments)
    assert says in out
    assert ended == code, out
