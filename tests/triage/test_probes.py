"""Probes on the real thing: HTTP on loopback; and what they say where it is not well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from probe_bench import AROUND, Bench

from responder.config import HttpTarget, Targets
from responder.incident.finding import Finding, FindingStatus
from responder.secrets import Secret
from responder.triage.base import ProbeSettings
from responder.triage.http import HttpSettings

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def health(session: aiohttp.ClientSession, answer: Answer, **more: Any) -> Finding:
    async with server(answer) as base:
        targets = Targets(http={"api": HttpTarget(url=base, headers={"apikey": Secret("key-value-1")})})
        return await Bench(session, targets).see("http", HttpSettings(target="api", **more))


def saying(status: int = 200, text: str = "", **headers: str) -> Answer:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return answer


async def test_health_by_status_json_and_text(session: aiohttp.ClientSession) -> None:
    good = '{"status": "ok", "db": {"pool": 3}}'
    ok, critical = FindingStatus.OK, FindingStatus.CRITICAL
    assert (await health(session, saying(text=good), expect_json={"status": "ok", "db.pool": 3})).status is ok
    assert (await health(session, saying(text=good), expect_json={"status": "up"})).status is critical
    assert (await health(session, saying(text="OK"), expect_text="OK")).status is ok
    assert (await health(session, saying(503, "pool exhausted"))).headline == "api answers 503, expected 200"
    assert (await health(session, saying(204), expect_status=(200, 204))).status is ok
    assert (await health(session, saying(text="[" * 3_000), expect_json={"a": 1})).status is critical


async def test_a_redirect_is_reported_and_not_followed(session: aiohttp.ClientSession) -> None:
    finding = await health(session, saying(302, Location="http://169.254.169.254/latest"))
    assert "points to http://169.254.169.254/latest" in finding.headline
    assert finding.status is FindingStatus.CRITICAL


async def test_an_endless_body_is_read_only_so_far(session: aiohttp.ClientSession) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)

    assert (await health(session, endless)).status is FindingStatus.OK


async def test_a_hang_ends_at_the_limit_and_a_secret_in_the_answer_is_blanked(
    session: aiohttp.ClientSession,
) -> None:
    async def hang(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    finding = await health(session, hang, timeout=timedelta(seconds=0.2))
    assert (finding.status, finding.headline) == (FindingStatus.TIMEOUT, "no answer within 0.2 s")

    async def echo(request: web.Request) -> web.Response:
        return web.Response(status=500, text=f"you sent apikey {request.headers['apikey']}")

    finding = await health(session, echo)
    assert "key-value-1" not in finding.detail


async def test_a_target_that_is_not_configured_is_a_finding(session: aiohttp.ClientSession) -> None:
    finding = await Bench(session, Targets()).see("http", HttpSettings(target="api"))
    assert finding.headline == "target api is not configured under targets.http"


async def test_l18_a_probe_that_hangs_holds_up_no_other_and_findings_come_as_they_are_there(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async def hang(request: web.Request) -> web.Response:
        if request.path == "/slow":
            await asyncio.Event().wait()
        return web.Response()

    async with server(hang) as base:
        bench = Bench(session, Targets(http={"api": HttpTarget(url=base)}))
        runner = bench.runner(
            slow=("http", HttpSettings(target="api", path="/slow", timeout=timedelta(seconds=6))),
            fast=("http", HttpSettings(target="api", path="/fast")),
            unknown=("http", ProbeSettings()),
        )
        arrived: list[str] = []

        async def on_finding(finding: Finding) -> None:
            arrived.append(finding.probe)

        await runner.run(["slow", "fast", "gone"], AROUND, on_finding)
        assert sorted(arrived[:2]) == ["fast", "gone"]
        assert arrived[2] == "slow"
        assert ("slow", "timeout") in bench.observed
        await runner.close()


async def test_a_storm_of_incidents_asks_a_target_once_and_shares_the_finding(
    session: aiohttp.ClientSession,
) -> None:
    asked = 0

    async def count(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.05)
        return web.Response()

    async with server(count) as base:
        runner = Bench(session, Targets(http={"api": HttpTarget(url=base)})).runner(
            p=("http", HttpSettings(target="api"))
        )
        seen: list[Finding] = []

        async def on_finding(finding: Finding) -> None:
            seen.append(finding)

        await asyncio.gather(*(runner.run(["p"], AROUND, on_finding) for _ in range(50)))
        assert (asked, len(seen)) == (1, 50)
        await runner.close()
