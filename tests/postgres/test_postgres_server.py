"""The server as a whole: standbys, cache, deadlocks, size, vacuum, statements; and every query on every version."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from postgres_fixtures import Connect, See
from postgres_servers import Cluster, installations
from waiting import eventually

from responder.incident.finding import FindingStatus
from responder.triage.postgres_queries.base import Limits, Query, age, count, size
from responder.triage.postgres_queries.replication import primary, standby

LIMITS = Limits(warning=30, critical=300)


@pytest.mark.parametrize("query", list(Query))
async def test_every_query_answers_on_every_version(cluster: Cluster, see: See, query: Query) -> None:
    finding = await see(cluster.url(), query=query)
    expected = {FindingStatus.OK}
    if query is Query.STATEMENTS:
        expected = {FindingStatus.NO_DATA, FindingStatus.OK}
    assert finding.status in expected, finding.headline
    assert finding.headline


async def test_a_primary_and_its_standby_each_tell_the_lag(
    cluster: Cluster, see: See, connect: Connect
) -> None:
    admin = await connect(cluster.url())
    alone = await see(cluster.url(), query=Query.REPLICATION)
    assert (alone.status, alone.headline) == (FindingStatus.OK, "no standby is connected to this primary")
    with cluster.standby() as second:
        there = await connect(second.url())

        async def together() -> bool:
            return (await see(second.url(), query=Query.REPLICATION)).status is FindingStatus.OK

        await eventually(together)
        on_standby = await see(second.url(), query=Query.REPLICATION)
        assert on_standby.headline == "this standby has replayed all that it received"

        async def caught_up() -> bool:
            return "none of them behind" in (await see(cluster.url(), query=Query.REPLICATION)).headline

        await eventually(caught_up)
        for query in Query:  # nothing that only a primary can answer
            finding = await see(second.url(), query=query)
            assert finding.status in {FindingStatus.OK, FindingStatus.NO_DATA}, finding.headline
        assert "a standby" in (await see(second.url(), query=Query.VERSION)).detail
        await admin.execute("DROP TABLE IF EXISTS written; CREATE TABLE written AS SELECT 1")
        await eventually(caught_up)
        await there.execute("SELECT pg_wal_replay_pause()")
        await admin.execute("DROP TABLE IF EXISTS written; CREATE TABLE written AS SELECT 1")

        async def behind() -> bool:
            return "paused" in (await see(second.url(), query=Query.REPLICATION)).headline

        await eventually(behind)
        paused = await see(second.url(), query=Query.REPLICATION, critical=timedelta(0))
        assert paused.status is FindingStatus.CRITICAL
        assert paused.headline.startswith("replay is paused on this standby, ")
        assert " behind" in paused.headline
        await there.execute("SELECT pg_wal_replay_resume()")


async def test_a_slot_that_nobody_uses_is_a_warning(cluster: Cluster, see: See, connect: Connect) -> None:
    admin = await connect(cluster.url())
    await admin.execute("SELECT pg_create_physical_replication_slot('forgotten', true)")
    finding = await see(cluster.url(), query=Query.REPLICATION)
    await admin.execute("SELECT pg_drop_replication_slot('forgotten')")
    assert finding.status is FindingStatus.WARNING
    assert "slot forgotten (physical) is not in use and keeps " in finding.headline


def says(**more: Any) -> dict[str, Any]:
    return {
        "streamed": True,
        "receiving": True,
        "paused": False,
        "caught_up": False,
        "bytes": 5e6,
        "seconds": 40.0,
    } | more


def test_a_standby_that_lost_its_primary_is_critical_though_it_replayed_all_it_has() -> None:
    status, text = standby(says(receiving=False, caught_up=True, seconds=7_200.0), LIMITS)
    assert status is FindingStatus.CRITICAL
    assert text == "this standby is not connected to its primary, last transaction 2h ago"
    assert standby(says(caught_up=True, seconds=7_200.0), LIMITS)[0] is FindingStatus.OK
    assert standby(says(), LIMITS) == (FindingStatus.WARNING, "this standby is 40s and 5 MB behind")
    archive = says(streamed=False, receiving=False, bytes=None, seconds=400.0)
    assert standby(archive, LIMITS) == (FindingStatus.CRITICAL, "this standby is 6m40s behind")


def test_a_standby_whose_lag_is_not_known_is_judged_by_its_bytes() -> None:
    row = {"application_name": "b", "state": "streaming", "bytes": 3e9, "seconds": None, "total": 2}
    fine = {"application_name": "a", "state": "streaming", "bytes": 0.0, "seconds": 0.0, "total": 2}
    assert primary([row, fine], LIMITS) == (FindingStatus.WARNING, "2 standbys; b is 3 GB behind")
    assert primary([fine | {"total": 1}], LIMITS) == (FindingStatus.OK, "1 standby, none of them behind")
    catching = fine | {"state": "catchup", "bytes": 9e8, "seconds": 400.0}
    assert primary([catching], LIMITS)[1].endswith("a is 6m40s and 900 MB behind, catchup")


async def test_deadlocks_are_counted_since_the_statistics_began(
    cluster: Cluster, see: See, connect: Connect
) -> None:
    admin = await connect(cluster.url())
    await admin.execute("DROP DATABASE IF EXISTS locking")
    await admin.execute("CREATE DATABASE locking")
    url = cluster.url(database="locking")
    first, second = await connect(url), await connect(url)
    await first.execute(
        "CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 2) g; SELECT pg_stat_reset()"
    )
    for one in (first, second):
        await one.execute("SET deadlock_timeout = '50ms'; BEGIN")
    await first.execute("UPDATE t SET id = id WHERE id = 1")
    await second.execute("UPDATE t SET id = id WHERE id = 2")
    await asyncio.gather(
        first.execute("UPDATE t SET id = id WHERE id = 2"), second.execute("UPDATE t SET id = id WHERE id = 1"),
        return_exceptions=True,
    )  # fmt: skip
    for one in (first, second):
        await one.close()

    async def counted() -> bool:
        return (await see(url, query=Query.DEADLOCKS)).headline.startswith("1 deadlock in ")

    await eventually(counted)
    finding = await see(url, query=Query.DEADLOCKS)
    assert finding.status is FindingStatus.WARNING
    assert "(1 an hour)" in finding.headline
    assert "of transactions rolled back" in finding.headline


async def test_the_cache_is_judged_only_where_enough_was_read(
    cluster: Cluster, see: See, connect: Connect
) -> None:
    admin = await connect(cluster.url())
    await admin.execute("DROP DATABASE IF EXISTS reading")
    await admin.execute("CREATE DATABASE reading")
    url = cluster.url(database="reading")
    assert "too little was read from reading" in (await see(url, query=Query.CACHE)).headline
    there = await connect(url)
    await there.execute("CREATE TABLE big AS SELECT g AS id FROM generate_series(1, 200000) g")
    for _ in range(15):
        await there.fetch("SELECT count(*) FROM big")
    await there.close()

    async def counted() -> bool:
        return "cache hit ratio" in (await see(url, query=Query.CACHE)).headline

    await eventually(counted)
    assert (await see(url, query=Query.CACHE)).status is FindingStatus.OK
    assert (await see(url, query=Query.CACHE, warning=1.0)).status in {
        FindingStatus.WARNING,
        FindingStatus.OK,
    }


async def test_size_and_vacuum_tell_what_they_are_measured_against(cluster: Cluster, see: See) -> None:
    small = await see(cluster.url(), query=Query.SIZE, warning=0.000_001)
    assert small.status is FindingStatus.WARNING
    assert small.headline.startswith("database postgres is ")
    assert "pg_proc with its indexes" in small.detail
    old = await see(cluster.url(), query=Query.VACUUM, critical=0.0)
    assert old.status is FindingStatus.CRITICAL
    assert (
        old.headline == "0% of the way to wraparound (database postgres); 0 vacuums run"
        or "database " in old.headline
    )


async def test_a_vacuum_that_runs_is_shown_with_how_far_it_is(
    cluster: Cluster, see: See, connect: Connect
) -> None:
    there = await connect(cluster.url())
    await there.execute(
        "DROP TABLE IF EXISTS swept; CREATE TABLE swept AS SELECT g FROM generate_series(1, 200000) g"
    )
    await there.execute("SET vacuum_cost_delay = '100ms'")
    await there.execute("SET vacuum_cost_limit = 1")
    sweeping = asyncio.create_task(there.execute("VACUUM swept"))

    async def shown() -> bool:
        finding = await see(cluster.url(), query=Query.VACUUM)
        return "1 vacuum runs" in finding.headline and "vacuums swept: scanning heap, " in finding.detail

    await eventually(shown)
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)


async def test_what_the_size_of_other_databases_may_not_be_known_is_said(
    newest: Cluster, see: See, connect: Connect
) -> None:
    admin = await connect(newest.url())
    await admin.execute("CREATE DATABASE closed; ".strip("; "))
    await admin.execute("REVOKE CONNECT ON DATABASE closed FROM PUBLIC; CREATE ROLE small LOGIN")
    finding = await see(newest.url("small"), query=Query.SIZE)
    await admin.execute("DROP DATABASE closed")
    await admin.execute("DROP ROLE small")
    assert "; 1 may not be seen: GRANT pg_monitor TO small" in finding.headline


async def test_top_statements_are_found_in_any_schema_and_said_where_they_are_not(
    cluster: Cluster, see: See, connect: Connect
) -> None:
    admin = await connect(cluster.url())
    missing = await see(cluster.url(), query=Query.STATEMENTS)
    assert missing.status is FindingStatus.NO_DATA
    assert (
        missing.headline
        == "pg_stat_statements is not in database postgres: CREATE EXTENSION pg_stat_statements"
    )
    if not cluster.has_statements:
        return
    await admin.execute('CREATE SCHEMA "Ext"; CREATE EXTENSION pg_stat_statements SCHEMA "Ext"')
    try:
        await admin.execute("SELECT pg_sleep(0.05), 'of-ada'")
        found = await see(cluster.url(), query=Query.STATEMENTS)
        assert found.status is FindingStatus.OK
        assert "of the time: " in found.headline
        assert "pg_sleep" in found.detail
        assert "of-ada" not in found.headline + found.detail
        await admin.execute("CREATE ROLE reader LOGIN; GRANT pg_monitor TO reader")
        barred = await see(cluster.url("reader"), query=Query.STATEMENTS)
        assert barred.status is FindingStatus.DENIED
        assert barred.headline == 'may not use the view: GRANT USAGE ON SCHEMA "Ext" TO reader'
        await admin.execute(barred.headline.partition(": ")[2])
        assert (await see(cluster.url("reader"), query=Query.STATEMENTS)).status is FindingStatus.OK
        await admin.execute('REVOKE USAGE ON SCHEMA "Ext" FROM reader; DROP ROLE reader')
    finally:
        await admin.execute('DROP EXTENSION pg_stat_statements; DROP SCHEMA "Ext"')


@pytest.mark.parametrize("version", [one for one in sorted(installations()) if one in {"15", "18"}])
async def test_an_old_extension_that_an_upgrade_left_behind_is_read_by_its_own_columns(
    clusters: Any, version: str, see: See, connect: Connect
) -> None:
    admin = await connect(clusters[version].url())
    await admin.execute("CREATE EXTENSION pg_stat_statements VERSION '1.7'")
    try:
        await admin.execute("SELECT pg_sleep(0.01)")
        assert (await see(clusters[version].url(), query=Query.STATEMENTS)).status is FindingStatus.OK
    finally:
        await admin.execute("DROP EXTENSION pg_stat_statements")


async def test_an_extension_that_is_created_but_not_loaded_is_said(see: See, connect: Connect) -> None:
    with Cluster("18", shared_preload_libraries="") as bare:
        admin = await connect(bare.url())
        await admin.execute("CREATE EXTENSION pg_stat_statements")
        finding = await see(bare.url(), query=Query.STATEMENTS)
    assert finding.status is FindingStatus.NO_DATA
    assert finding.headline.startswith("pg_stat_statements is created but not loaded")


def test_numbers_are_no_finer_than_a_person_needs() -> None:
    assert [age(s) for s in (0.0001, 0.0123, 7, 250, 7_300, 200_000, None)] == [
        "0.1ms", "12ms", "7s", "4m10s", "2h2m", "2d8h", "?",
    ]  # fmt: skip
    assert [size(n) for n in (12, 1_500, 16.7e6, 999.6e9, 3.2e12)] == [
        "12 bytes",
        "1.5 kB",
        "16.7 MB",
        "1000 GB",
        "3.2 TB",
    ]
    assert [count(n) for n in (9_999, 12_345, 1.2e6, 2e9)] == ["9999", "12.3k", "1.2M", "2G"]
