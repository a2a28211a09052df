"""What the probe says, and leaves behind, where a server is not well, not there, or not meant for it."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from postgres_fixtures import Connect, See
from postgres_servers import Cluster
from probe_bench import AROUND, Bench
from waiting import eventually

from responder.config import PostgresTarget, Targets
from responder.incident.finding import Finding, FindingStatus
from responder.secrets import Secret
from responder.triage.postgres import PostgresSettings
from responder.triage.postgres_queries.base import Query

VERSION = Query.VERSION


async def test_a_wrong_password_is_said_and_never_shown(cluster: Cluster, see: See, connect: Connect) -> None:
    admin = await connect(cluster.url())
    await admin.execute("DROP ROLE IF EXISTS locked; CREATE ROLE locked LOGIN PASSWORD 'p@ss/word#1'")
    right = await see(cluster.url("locked", password="p@ss/word#1"), query=VERSION)
    wrong = await see(cluster.url("locked", password="hidden-password"), query=VERSION)
    await admin.execute("DROP ROLE locked")
    assert right.status is FindingStatus.OK
    assert (wrong.status, wrong.headline) == (FindingStatus.DENIED, "main: wrong password")
    assert "hidden-password" not in wrong.headline + wrong.detail


async def test_a_database_and_a_server_that_are_not_there(
    newest: Cluster, see: See, unknown_names: None
) -> None:
    finding = await see(newest.url(database="nowhere"), query=VERSION)
    assert (finding.status, finding.headline) == (FindingStatus.ERROR, "main: the database does not exist")
    for url, reason in (
        ("postgresql://u:hidden-password@127.0.0.1:9/x", "Connection refused"),
        ("postgresql://u:hidden-password@nowhere.invalid/x", "its name is not known"),
        ("postgresql://u:hidden-password@/x?host=/nowhere", "No such file or directory"),
    ):
        finding = await see(url, query=VERSION)
        assert finding.status is FindingStatus.CRITICAL
        assert finding.headline == f"cannot reach main: {reason}"
        assert "hidden" not in finding.detail


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:hid/den@h:5432/x", "postgresql://u:hid#den@h:5432/x", "postgresql://u:hid@[den:5/x", "mysql://u:hid@den/x"],
)  # fmt: skip
async def test_a_url_that_cannot_be_read_shows_no_part_of_its_password(see: See, url: str) -> None:
    finding = await see(url, query=VERSION)
    assert finding.status is FindingStatus.ERROR
    assert "hid" not in finding.headline + finding.detail
    assert "den" not in finding.headline.replace("identifier", "")


async def test_a_url_file_that_is_gone_is_said(session: aiohttp.ClientSession) -> None:
    targets = Targets(postgres={"main": PostgresTarget(url=Secret(file=Path("/nowhere/url")))})
    finding = await Bench(session, targets).see("postgres", PostgresSettings(target="main", query=VERSION))
    assert finding.headline == "main: the file of its url cannot be read: No such file or directory"


async def test_a_target_that_is_not_configured_is_a_finding(session: aiohttp.ClientSession) -> None:
    finding = await Bench(session, Targets()).see("postgres", PostgresSettings(target="main", query=VERSION))
    assert finding.headline == "target main is not configured under targets.postgres"


async def test_a_server_that_accepts_and_says_nothing_ends_at_the_limit(see: See) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    begun = time.monotonic()
    finding = await see(f"postgresql://u@127.0.0.1:{port}/x", query=VERSION, timeout=timedelta(seconds=0.3))
    assert finding.status is FindingStatus.TIMEOUT
    assert time.monotonic() - begun < 15  # it hangs for ever
    server.close()


async def test_a_lock_that_is_not_given_ends_before_the_limit(
    cluster: Cluster, see: See, connect: Connect
) -> None:
    held = await connect(cluster.url())
    await held.execute("DROP TABLE IF EXISTS held; CREATE TABLE held (id int)")
    await held.execute("BEGIN; LOCK TABLE held")
    finding = await see(cluster.url(), sql="SELECT id FROM held", timeout=timedelta(seconds=5))
    assert finding.status is FindingStatus.TIMEOUT
    assert finding.headline == "main: the query waited for a lock until its time limit"


async def test_a_query_that_is_too_slow_is_ended_by_the_server_itself(
    cluster: Cluster, see: See, connect: Connect
) -> None:
    admin = await connect(cluster.url())
    finding = await see(cluster.url(), sql="SELECT pg_sleep(100)::text", timeout=timedelta(seconds=5))
    assert finding.status is FindingStatus.TIMEOUT
    assert finding.headline == "main: the query was cancelled at its time limit"
    await eventually(lambda: _none_of_ours(admin))


async def _none_of_ours(admin: asyncpg.Connection) -> bool:
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'responder'"
    return not await admin.fetchval(ours)


async def test_a_probe_that_is_cancelled_leaves_no_session_behind(
    cluster: Cluster, connect: Connect, session: aiohttp.ClientSession
) -> None:
    admin = await connect(cluster.url())
    targets = Targets(postgres={"main": PostgresTarget(url=Secret(cluster.url()))})
    settings = PostgresSettings(target="main", sql="SELECT pg_sleep(60)::text", timeout=timedelta(seconds=90))
    before = await admin.fetchval("SELECT count(*) FROM pg_stat_activity")

    async def forget(_finding: Finding) -> None: ...

    for _ in range(3):
        runner = Bench(session, targets).runner(slow=("postgres", settings))
        looking = asyncio.create_task(runner.run(["slow"], AROUND, forget))

        async def sleeping() -> bool:
            return bool(await admin.fetchval("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))

        await eventually(sleeping)
        begun = time.monotonic()
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await runner.close()
        assert time.monotonic() - begun < 30  # the query takes a minute
        await eventually(lambda: _none_of_ours(admin))
    assert (
        await admin.fetchval("SELECT count(*) FROM pg_stat_activity") <= before
    )  # others' may have ended too


async def test_a_probe_leaves_no_session_behind(cluster: Cluster, see: See, connect: Connect) -> None:
    for query in Query:
        await see(cluster.url(), query=query)
    await eventually(lambda: _none_of_ours_at(cluster, connect))


async def _none_of_ours_at(cluster: Cluster, connect: Connect) -> bool:
    return await _none_of_ours(await connect(cluster.url()))


async def test_a_server_that_is_going_down_says_so(see: See, connect: Connect) -> None:
    with Cluster("18") as doomed:
        url = doomed.url()
        assert (await see(url, query=VERSION)).status is FindingStatus.OK
    assert (await see(url, query=VERSION)).status is FindingStatus.CRITICAL


async def test_a_hang_on_one_database_holds_up_no_other(
    newest: Cluster, session: aiohttp.ClientSession
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    targets = Targets(
        postgres={
            "main": PostgresTarget(url=Secret(newest.url())),
            "dead": PostgresTarget(url=Secret(f"postgresql://u@127.0.0.1:{port}/x")),
        }
    )
    while_the_other_answers = timedelta(seconds=6)
    runner = Bench(session, targets).runner(
        dead=("postgres", PostgresSettings(target="dead", query=VERSION, timeout=while_the_other_answers)),
        well=("postgres", PostgresSettings(target="main", query=VERSION)),
    )
    arrived: list[str] = []

    async def on_finding(finding: Finding) -> None:
        arrived.append(finding.probe)

    await runner.run(["dead", "well"], AROUND, on_finding)
    await runner.close()
    server.close()
    assert arrived == ["well", "dead"]
