"""docs/postgres-role.sql as it is shipped: exactly these rights suffice, and each is needed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from postgres_fixtures import Clusters, Connect, See
from postgres_servers import Cluster, installations
from waiting import eventually

from responder.actions.base import ActionError, Wish
from responder.actions.postgres import TerminateIdle, TerminateIdleSettings
from responder.clock import SystemClock
from responder.config import PostgresTarget, Targets
from responder.incident.finding import FindingStatus
from responder.secrets import Secret
from responder.targets.base import Toolbox
from responder.triage.postgres_queries.base import Query

SCRIPT = (Path(__file__).parents[2] / "docs" / "postgres-role.sql").read_text(encoding="utf-8")
WISH = Wish(run="r", incident="1" * 16, labels={}, now=datetime(2026, 11, 25, tzinfo=UTC))


@pytest.fixture(params=sorted(installations()))
async def cluster(request: pytest.FixtureRequest, clusters: Clusters) -> AsyncIterator[Cluster]:
    found = clusters[request.param]
    admin = await asyncpg.connect(found.url())
    await admin.execute(SCRIPT)
    await admin.execute("CREATE ROLE shop LOGIN")
    yield found
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'")
    await admin.execute("DROP ROLE responder; DROP ROLE shop")
    await admin.close()


async def test_every_query_works_with_exactly_these_rights(
    cluster: Cluster, see: See, connect: Connect
) -> None:
    admin = await connect(cluster.url())
    if cluster.has_statements:
        await admin.execute("CREATE EXTENSION pg_stat_statements")
    try:
        for query in Query:
            finding = await see(cluster.url("responder"), query=query)
            missing = query is Query.STATEMENTS and not cluster.has_statements
            assert finding.status is (FindingStatus.NO_DATA if missing else FindingStatus.OK), (
                finding.headline
            )
    finally:
        await admin.execute("DROP EXTENSION IF EXISTS pg_stat_statements")


async def test_the_role_writes_nothing_and_is_limited_on_the_server(
    cluster: Cluster, connect: Connect
) -> None:
    ours = await connect(cluster.url("responder"))
    assert await ours.fetchval("SHOW statement_timeout") == "15s"
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await ours.execute("CREATE TABLE t (a int)")
    row = await ours.fetchrow(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolconnlimit FROM pg_roles WHERE rolname = current_user"
    )
    assert tuple(row) == (False, False, False, False, 5)


async def test_the_action_needs_pg_signal_backend_and_works_with_it(
    cluster: Cluster, connect: Connect, session: aiohttp.ClientSession
) -> None:
    admin, held = await connect(cluster.url(), "watcher"), await connect(cluster.url("shop"), "web")
    targets = Targets(postgres={"main": PostgresTarget(url=Secret(cluster.url("responder")))})
    settings = TerminateIdleSettings(target="main", older_than=timedelta(seconds=1))
    action = TerminateIdle(settings, Toolbox(targets=targets, session=session, clock=SystemClock()))

    async def rehearsed() -> str:
        text = await action.rehearse(WISH)
        return text if "1 of shop web" in text else ""

    await eventually(rehearsed)
    await admin.execute("REVOKE pg_signal_backend FROM responder")
    for method in (action.rehearse, action.perform):
        with pytest.raises(
            ActionError, match="may not end 1 of shop web: GRANT pg_signal_backend TO responder"
        ):
            await method(WISH)
    assert await held.fetchval("SELECT true")
    await admin.execute("GRANT pg_signal_backend TO responder")
    await eventually(rehearsed)
    assert (await action.perform(WISH)).text == "Ended 1 session idle for over 1s: 1 of shop web."
    # A superuser's session is out of reach for it, whatever it asks.
    ours = await connect(cluster.url("responder"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ours.fetchval(f"SELECT pg_terminate_backend({admin.get_server_pid()})")


@pytest.mark.parametrize("version", [one for one in sorted(installations()) if int(one) >= 16])
async def test_a_reserved_place_lets_the_probe_in_when_the_server_is_full(
    version: str, see: See, connect: Connect
) -> None:
    with Cluster(version, max_connections="10", reserved_connections="2") as small:
        admin = await connect(small.url())
        await admin.execute(SCRIPT)
        await admin.execute("CREATE ROLE shop LOGIN")
        for _ in range(4):
            await connect(small.url("shop"), "web")
        with pytest.raises(asyncpg.TooManyConnectionsError):
            await connect(small.url("shop"), "web")
        finding = await see(small.url("responder"), query=Query.CONNECTIONS)
    assert finding.status is FindingStatus.CRITICAL
    assert finding.headline.startswith("6 of 10 connections used (5 reserved)")
    assert "shop web: 4 (4 idle)" in finding.detail
