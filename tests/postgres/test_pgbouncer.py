"""Debian's PgBouncer: its console, and the Postgres probe and action through its transaction mode."""

from __future__ import annotations

import asyncio
import struct
import time
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from postgres_fixtures import Connect, See
from postgres_servers import Cluster, PgBouncer
from probe_bench import AROUND, Bench
from waiting import eventually

from responder.config import PostgresTarget, Targets
from responder.incident.finding import Finding, FindingStatus
from responder.secrets import Secret
from responder.triage.pgbouncer import PgBouncerSettings, Show, Waits, databases, pools, stats
from responder.triage.postgres_queries.base import Query

pooled = pytest.mark.debian("pgbouncer")
WORDS = {"app": "a-word", "admin": "admin-word", "stats": "stats-word", "stranger": "strange-word"}


@pytest.fixture
async def pooler(newest: Cluster, connect: Connect) -> Any:
    admin = await connect(newest.url())
    await admin.execute("DROP ROLE IF EXISTS app; CREATE ROLE app LOGIN; GRANT pg_monitor TO app")
    with PgBouncer(
        newest, WORDS, default_pool_size="1", max_client_conn="6", query_wait_timeout="60"
    ) as found:
        yield found
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
    await admin.execute("DROP OWNED BY app; DROP ROLE app")


def app(pooler: PgBouncer) -> str:
    return pooler.url("app", WORDS["app"])


def console(pooler: PgBouncer, user: str = "stats") -> str:
    return pooler.url(user, WORDS[user], "pgbouncer")


async def look(session: aiohttp.ClientSession, url: str, show: Show = Show.POOLS, **more: Any) -> Finding:
    targets = Targets(postgres={"pooler": PostgresTarget(url=Secret(url))})
    settings = PgBouncerSettings(target="pooler", show=show, **more)
    return await Bench(session, targets, tuple(WORDS.values())).see("pgbouncer", settings)


@pooled
async def test_a_pool_that_is_well_and_one_that_makes_clients_wait(
    pooler: PgBouncer, session: aiohttp.ClientSession, connect: Connect
) -> None:
    first, second = await connect(app(pooler), "web"), await connect(app(pooler), "web")
    await first.fetchval("SELECT 1")
    well = await look(session, console(pooler))
    assert well.status is FindingStatus.OK
    assert well.headline == "no client waits; 2 clients, 1 server connection, 1 pool"
    busy = asyncio.create_task(first.execute("SELECT pg_sleep(100)"))
    waiting = asyncio.create_task(second.execute("SELECT 1"))

    async def waits() -> bool:
        return (await look(session, console(pooler))).status is FindingStatus.WARNING

    await eventually(waits)
    finding = await look(session, console(pooler), suggests="restart-pgbouncer")
    assert finding.headline.startswith("1 client waits for a server connection, the longest for ")
    assert finding.headline.endswith("pool postgres/app is full (1 of 1): too small, or its queries too slow")
    assert finding.suggests == "restart-pgbouncer"
    assert "clients 1 active, 1 waiting; servers 1 active, 0 idle of 1" in finding.detail
    critical = await look(session, console(pooler), critical=timedelta(0))
    assert critical.status is FindingStatus.CRITICAL
    clients = await look(session, console(pooler), Show.CLIENTS)
    assert clients.status is FindingStatus.WARNING
    assert clients.headline.startswith("2 clients, 1 waiting, the longest for ")
    assert "1 app web in postgres: waiting" in clients.detail
    for one in (first, second):
        one.terminate()
    await asyncio.gather(busy, waiting, return_exceptions=True)


@pooled
@pytest.mark.parametrize("user", ["stats", "admin"])
@pytest.mark.parametrize("show", list(Show))
async def test_every_answer_can_be_read_with_the_least_right(
    pooler: PgBouncer, session: aiohttp.ClientSession, connect: Connect, user: str, show: Show
) -> None:
    held = await connect(app(pooler), "web")
    await held.fetchval("SELECT 1")
    finding = await look(session, console(pooler, user), show)
    assert finding.status is FindingStatus.OK, finding.headline
    assert finding.headline


@pooled
async def test_who_may_not_use_the_console_and_what_is_none(
    pooler: PgBouncer, newest: Cluster, session: aiohttp.ClientSession, unknown_names: None
) -> None:
    stranger = await look(session, console(pooler, "stranger"))
    assert stranger.status is FindingStatus.DENIED
    assert "admin_users, stats_users" in stranger.headline
    wrong = await look(session, pooler.url("stats", "wrong-word", "pgbouncer"))
    assert (wrong.status, wrong.headline) == (FindingStatus.DENIED, "pooler: wrong password, says the pooler")
    database = await look(session, app(pooler))
    assert database.headline == "pooler: the url of a console names the database pgbouncer"
    away = await look(session, "postgresql://stats:hidden@127.0.0.1:9/pgbouncer")
    assert away.status is FindingStatus.CRITICAL
    assert away.headline == "cannot reach pooler: Connection refused"
    unknown = await look(session, "postgresql://stats:hidden@nowhere.invalid/pgbouncer")
    assert unknown.status is FindingStatus.CRITICAL
    assert "hidden" not in unknown.headline
    unreadable = await look(session, "postgresql://stats:hid/den@h:5432/pgbouncer")
    assert "hid/" not in unreadable.headline
    other = await look(session, newest.url(database="postgres").replace("/postgres?", "/pgbouncer?"))
    assert other.status in {FindingStatus.ERROR, FindingStatus.CRITICAL}


@pooled
async def test_a_paused_database_is_a_warning(
    pooler: PgBouncer, session: aiohttp.ClientSession, connect: Connect
) -> None:
    held = await connect(app(pooler), "web")
    await held.fetchval("SELECT 1")
    admin = await connect(console(pooler, "admin"))
    await admin.execute("PAUSE postgres")
    finding = await look(session, console(pooler), Show.DATABASES)
    await admin.execute("RESUME postgres")
    assert finding.status is FindingStatus.WARNING
    assert finding.headline.endswith("; postgres is paused")


@pooled
async def test_the_postgres_probe_works_through_the_pool(
    pooler: PgBouncer, see: See, connect: Connect, newest: Cluster
) -> None:
    for query in Query:
        finding = await see(app(pooler), query=query)
        assert finding.status in {FindingStatus.OK, FindingStatus.NO_DATA, FindingStatus.WARNING}, (
            finding.headline
        )
    refused = await see(app(pooler), sql="SELECT * FROM pg_authid")
    assert refused.status is FindingStatus.DENIED
    assert (await see(app(pooler), sql="SELECT 1 AS one", headline="{one}")).headline == "1"
    admin = await connect(newest.url())
    # One server connection served all of it: what was set was set for one transaction, and nothing was broken off.
    assert await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'") == 1
    there = await connect(app(pooler), "web")
    assert await there.fetchval("SHOW statement_timeout") == "0"


@pooled
async def test_what_the_pooler_refuses_is_told_by_what_it_is(
    pooler: PgBouncer, see: See, connect: Connect
) -> None:
    wrong = await see(pooler.url("app", "wrong-word"), query=Query.VERSION)
    assert (wrong.status, wrong.headline) == (FindingStatus.DENIED, "main: wrong password, says the pooler")
    nowhere = await see(pooler.url("app", WORDS["app"], "nowhere"), query=Query.VERSION)
    assert (nowhere.status, nowhere.headline) == (
        FindingStatus.ERROR,
        "main: the database or the role does not exist",
    )
    admin = await see(console(pooler), query=Query.VERSION)
    assert admin.status is FindingStatus.ERROR
    assert "type pgbouncer" in admin.headline
    held = [await connect(app(pooler)) for _ in range(6)]
    full = await see(app(pooler), query=Query.VERSION)
    assert full.status is FindingStatus.CRITICAL
    assert full.headline == "main: the pooler takes no more clients (max_client_conn)"
    for one in held[1:]:
        await one.close()
    busy = asyncio.create_task(held[0].execute("SELECT pg_sleep(100)"))
    await asyncio.sleep(0)
    slow = await see(app(pooler), query=Query.VERSION, timeout=timedelta(seconds=1))
    assert slow.status is FindingStatus.TIMEOUT
    held[0].terminate()
    await asyncio.gather(busy, return_exceptions=True)


async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A console that lets everybody in and then says nothing more."""
    try:
        length = struct.unpack("!i", await reader.readexactly(4))[0]
        code = struct.unpack("!i", await reader.readexactly(4))[0]
        if code in (80877103, 80877104):  # TLS and GSSAPI are asked for first
            writer.write(b"N")
            await hanging(reader, writer)
            return
        await reader.readexactly(length - 8)
        writer.write(b"R" + struct.pack("!ii", 8, 0) + b"Z" + struct.pack("!i", 5) + b"I")
        await reader.read()
    except asyncio.IncompleteReadError:
        pass
    finally:
        writer.close()


async def test_a_console_that_hangs_ends_at_the_limit(session: aiohttp.ClientSession) -> None:
    server = await asyncio.start_server(hanging, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    begun = time.monotonic()
    finding = await look(
        session, f"postgresql://stats:x@127.0.0.1:{port}/pgbouncer", timeout=timedelta(seconds=0.5)
    )
    assert finding.status is FindingStatus.TIMEOUT
    assert time.monotonic() - begun < 15  # it hangs for ever
    server.close()


async def test_a_look_that_is_cancelled_ends_at_once(session: aiohttp.ClientSession) -> None:
    reached = asyncio.Event()

    async def noticed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await hanging(reader, writer)

    server = await asyncio.start_server(noticed, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"postgresql://stats:x@127.0.0.1:{port}/pgbouncer"
    targets = Targets(postgres={"pooler": PostgresTarget(url=Secret(url))})
    settings = PgBouncerSettings(target="pooler", timeout=timedelta(seconds=60))
    runner = Bench(session, targets).runner(pools=("pgbouncer", settings))

    async def forget(_finding: Finding) -> None: ...

    looking = asyncio.create_task(runner.run(["pools"], AROUND, forget))
    async with asyncio.timeout(30):
        await reached.wait()
    begun = time.monotonic()
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    await runner.close()
    assert time.monotonic() - begun < 30  # its limit is a minute
    server.close()


WAITS = Waits(warning=0.0, critical=10.0, rows=10)


def pool(**more: Any) -> dict[str, Any]:
    return {
        "database": "shop", "user": "web", "cl_active": 3, "cl_waiting": 0, "sv_active": 3, "sv_idle": 1, "sv_used": 0,
        "maxwait": 0, "maxwait_us": 0,
    } | more  # fmt: skip


SIZES = [{"name": "shop", "pool_size": 20, "current_connections": 4}]


def test_a_pool_is_judged_by_how_long_the_longest_waits_and_why() -> None:
    full = pools([[pool(cl_waiting=7, sv_active=20, maxwait=12, maxwait_us=500_000)], SIZES], WAITS)
    assert full.status is FindingStatus.CRITICAL
    assert full.headline == (
        "7 clients wait for a server connection, the longest for 12s: pool shop/web is full (20 of 20): too small, or "
        "its queries too slow"
    )
    down = pools([[pool(cl_waiting=1, sv_active=0, sv_idle=0, maxwait=3)], SIZES], WAITS)
    assert (down.status, down.headline[-45:]) == (
        FindingStatus.WARNING,
        "pool shop/web gets no connection to its server"[-45:],
    )
    # Columns that a version does not have are no error, nor are new ones.
    assert pools([[pool(load_balance_hosts="round-robin")], []], WAITS).status is FindingStatus.OK


def test_long_waits_on_average_and_limits_that_are_reached_are_told() -> None:
    row = {"database": "shop", "avg_query_count": 250, "avg_query_time": 4_000, "avg_wait_time": 300_000}
    slow = stats([[row]], Waits(warning=0.1, critical=1.0, rows=10))
    assert slow.status is FindingStatus.WARNING
    assert slow.headline == (
        "250 queries a second in 1 database; clients wait 300ms on average for a server connection (shop)"
    )
    assert stats([[]], WAITS).headline == "no database has been used yet"
    reached = databases([[SIZES[0] | {"max_connections": 4, "paused": 0, "disabled": 0}]], WAITS)
    assert reached.headline == "1 database, 4 server connections; shop is at its limit of 4 connections"
