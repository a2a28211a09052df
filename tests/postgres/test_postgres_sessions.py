"""Who is connected, who waits for whom, and what has been open for long: on real servers of several versions."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
from postgres_fixtures import Connect, See
from postgres_servers import Cluster
from waiting import eventually

from responder.incident.finding import Finding, FindingStatus
from responder.triage.postgres_queries.base import Limits, Query
from responder.triage.postgres_queries.locks import blocking, tree, waits

NONE = timedelta(0)


async def test_connections_are_counted_against_the_limit_with_who_holds_them(
    cluster: Cluster, see: See, connect: Connect
) -> None:
    for _ in range(5):
        await connect(cluster.url(), "web")
    finding = await see(cluster.url(), query=Query.CONNECTIONS, idle_older_than=NONE)
    assert finding.status is FindingStatus.OK
    assert "of 40 connections used (3 reserved)" in finding.headline
    assert "idle for over 0s" in finding.headline
    assert "postgres web: 5 (5 idle) from the machine itself" in finding.detail
    assert "free for ordinary roles" in finding.detail
    critical = await see(cluster.url(), query=Query.CONNECTIONS, warning=0.01, critical=0.02, suggests="end")
    assert (critical.status, critical.suggests) == (FindingStatus.CRITICAL, "end")


async def test_a_full_server_is_itself_the_finding_and_so_is_one_that_is_nearly_full(
    see: See, connect: Connect
) -> None:
    with Cluster("18", max_connections="8") as small:
        admin = await connect(small.url())
        await admin.execute("CREATE ROLE app LOGIN; CREATE ROLE probe LOGIN; GRANT pg_monitor TO probe")
        for _ in range(3):
            await connect(small.url("app"), "web")
        near = await see(small.url("probe"), query=Query.CONNECTIONS)
        assert near.status is FindingStatus.CRITICAL
        assert near.headline == "5 of 8 connections used (3 reserved)"
        await connect(small.url("app"), "web")
        full = await see(small.url("probe"), query=Query.CONNECTIONS)
        assert full.status is FindingStatus.CRITICAL
        assert full.headline == "main: no free connection: the server refuses new ones"


async def test_a_roles_own_limit_is_not_taken_for_a_full_server(
    newest: Cluster, see: See, connect: Connect
) -> None:
    admin = await connect(newest.url())
    await admin.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 0")
    finding = await see(newest.url("few"), query=Query.CONNECTIONS)
    await admin.execute("DROP ROLE few")
    assert finding.status is FindingStatus.ERROR
    assert "the role's own CONNECTION LIMIT is reached" in finding.headline


async def test_active_queries_are_shown_without_the_data_in_them(
    cluster: Cluster, see: See, connect: Connect
) -> None:
    busy = await connect(cluster.url())
    sleeping = asyncio.create_task(busy.execute("SELECT pg_sleep(100), 'ada@example.com', 4111111111111111"))

    async def seen() -> Finding | None:
        finding = await see(cluster.url(), query=Query.ACTIVE, slow_after=NONE)
        return finding if "Timeout:PgSleep" in finding.detail else None

    finding = await eventually(seen)
    sleeping.cancel()
    await asyncio.gather(sleeping, return_exceptions=True)
    assert finding is not None
    assert finding.status is FindingStatus.WARNING
    assert "pg_sleep" in finding.detail
    assert "ada@example.com" not in finding.detail
    assert "4111111111111111" not in finding.detail


async def test_idle_connections_are_shown_by_user_and_age(
    cluster: Cluster, see: See, connect: Connect
) -> None:
    await connect(cluster.url(), "forgotten\x1b[31m")
    finding = await see(cluster.url(), query=Query.IDLE, idle_older_than=NONE)
    assert finding.status is FindingStatus.WARNING
    assert "forgotten" in finding.detail
    assert "\x1b" not in finding.detail
    assert (await see(cluster.url(), query=Query.IDLE)).status is FindingStatus.OK


async def test_sessions_that_are_idle_in_a_transaction_are_named_with_their_last_statement(
    cluster: Cluster, see: See, connect: Connect
) -> None:
    assert (await see(cluster.url(), query=Query.IDLE_IN_TRANSACTION)).status is FindingStatus.OK
    held = await connect(cluster.url(), "web")
    await held.execute("BEGIN")
    await held.execute("SELECT 'secret-of-ada'")
    finding = await see(cluster.url(), query=Query.IDLE_IN_TRANSACTION, warning=NONE)
    assert finding.status is FindingStatus.WARNING
    assert finding.headline.startswith("1 session is idle in a transaction, the longest for ")
    assert f"(postgres web, pid {held.get_server_pid()})" in finding.headline
    assert "last: SELECT ?" in finding.detail
    assert "secret-of-ada" not in finding.detail
    assert (await see(cluster.url(), query=Query.IDLE_IN_TRANSACTION)).status is FindingStatus.OK


async def test_the_blocking_tree_shows_the_root_first_and_each_waiter_below_whom_it_waits_for(
    cluster: Cluster, see: See, connect: Connect
) -> None:
    admin = await connect(cluster.url())
    await admin.execute("DROP TABLE IF EXISTS held; CREATE TABLE held AS SELECT 1 AS id")
    root, second, third = [await connect(cluster.url(), name) for name in ("root", "second", "third")]
    await root.execute("BEGIN; UPDATE held SET id = 1")
    waiting = [asyncio.create_task(second.execute("ALTER TABLE held ADD COLUMN x text DEFAULT 'private'"))]
    await eventually(lambda: _waiting(admin, 1))
    waiting.append(asyncio.create_task(third.execute("SELECT * FROM held")))
    await eventually(lambda: _waiting(admin, 2))
    finding = await see(cluster.url(), query=Query.BLOCKING, critical=NONE)
    active = await see(cluster.url(), query=Query.ACTIVE)
    pid = root.get_server_pid()
    for one in (root, second, third):
        one.terminate()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert finding.status is FindingStatus.CRITICAL
    assert finding.headline.startswith("2 sessions wait for locks, the longest for ")
    assert f"blocked by {pid} postgres root, idle in transaction" in finding.headline
    lines = finding.detail.splitlines()
    assert [len(line) - len(line.lstrip()) for line in lines] == [0, 2, 4]
    assert [line.split()[2] for line in lines] == ["root", "second", "third"]
    assert "ALTER TABLE held ADD COLUMN x text DEFAULT ?" in lines[1]
    assert active.status is FindingStatus.WARNING
    assert "2 waiting for locks" in active.headline


async def _waiting(admin: Any, number: int) -> bool:
    found = await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    return bool(found >= number)


async def test_a_prepared_transaction_that_blocks_is_told_as_what_it_is(
    cluster: Cluster, see: See, connect: Connect
) -> None:
    admin, waiter = await connect(cluster.url()), await connect(cluster.url(), "web")
    await admin.execute("DROP TABLE IF EXISTS held; CREATE TABLE held AS SELECT 1 AS id")
    await admin.execute("BEGIN; UPDATE held SET id = 1; PREPARE TRANSACTION 'forgotten one'")
    waiting = asyncio.create_task(waiter.execute("UPDATE held SET id = 2"))
    await eventually(lambda: _waiting(admin, 1))
    blocked = await see(cluster.url(), query=Query.BLOCKING)
    long = await see(cluster.url(), query=Query.LONG_TRANSACTIONS, warning=NONE)
    await admin.execute("ROLLBACK PREPARED 'forgotten one'")
    await waiting
    assert "blocked by a prepared transaction (pg_prepared_xacts)" in blocked.headline
    assert long.status is FindingStatus.WARNING
    assert "; 1 prepared transaction, the oldest for " in long.headline
    assert "prepared forgotten one of postgres in postgres" in long.detail


def row(pid: int, *blockers: int, seconds: float = 1.0) -> dict[str, Any]:
    return {
        "pid": pid, "blockers": list(blockers), "usename": "u", "application_name": "a", "state": "active",
        "wait_event_type": "Lock", "wait_event": "relation", "seconds": seconds, "query": "SELECT 1", "all_waiting": 1,
    }  # fmt: skip


def test_a_circle_of_waits_and_blockers_that_are_gone_still_make_a_tree() -> None:
    circle = waits([row(1, 2), row(2, 1), row(3, 2)])
    assert circle.roots == (1,)
    assert [line.strip().split()[0] for line in tree(circle)] == ["1", "2", "3"]
    gone = waits([row(5, 99), row(6, 99, 5)])
    assert gone.roots == (99,)
    assert tree(gone)[0] == "99 (gone by now)"
    assert len(tree(gone)) == 3


def test_a_long_chain_of_waits_is_walked_and_cut() -> None:
    chain = [row(1, seconds=9_000.0) | {"blockers": []}, *(row(n, n - 1) for n in range(2, 3_000))]
    seen = blocking(chain, Limits(warning=5, critical=60, rows=10))
    assert len(seen.detail.splitlines()) == 11
    assert seen.detail.endswith("… and 2989 more")


async def test_long_transactions_are_told_with_what_they_hold_back(
    cluster: Cluster, see: See, connect: Connect
) -> None:
    held = await connect(cluster.url(), "etl")
    await held.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
    finding = await see(cluster.url(), query=Query.LONG_TRANSACTIONS, critical=NONE)
    assert finding.status is FindingStatus.CRITICAL
    assert finding.headline.startswith("the oldest transaction is open for ")
    assert "postgres etl" in finding.headline
    assert (await see(cluster.url(), query=Query.LONG_TRANSACTIONS)).status is FindingStatus.OK


async def test_a_role_that_may_not_see_others_says_so_and_never_a_low_number(
    cluster: Cluster, see: See, connect: Connect
) -> None:
    admin = await connect(cluster.url())
    await admin.execute('DROP ROLE IF EXISTS "Plain"; CREATE ROLE "Plain" LOGIN NOINHERIT')
    url = cluster.url("Plain")
    for query in Query:
        finding = await see(url, query=query)
        if query not in {Query.CACHE, Query.DEADLOCKS, Query.SIZE, Query.VERSION}:
            assert finding.status is FindingStatus.DENIED, query
            assert finding.headline == 'may not see other sessions: GRANT pg_monitor TO "Plain"'
    # Membership without inheritance shows nothing since 15; the server tells us how to mend it.
    await admin.execute('GRANT pg_monitor TO "Plain"')
    finding = await see(url, query=Query.CONNECTIONS)
    if cluster.version >= 15:
        assert finding.status is FindingStatus.DENIED
        await admin.execute(finding.headline.partition(": ")[2])
        finding = await see(url, query=Query.CONNECTIONS)
    assert finding.status is FindingStatus.OK
    await admin.execute('DROP ROLE "Plain"')


async def test_an_application_name_is_data_however_hostile(newest: Cluster, see: See) -> None:
    hostile = "x'; DROP TABLE t; -- {0.__class__}"
    held = await asyncpg.connect(newest.url(), server_settings={"application_name": hostile})
    finding = await see(newest.url(), query=Query.CONNECTIONS)
    await held.close()
    assert "DROP TABLE" in finding.detail
    assert finding.status is FindingStatus.OK
