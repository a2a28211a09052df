"""The action that ends idle sessions: whom it ends, whom it never touches, and what it says; on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from postgres_fixtures import Clusters, Connect
from postgres_servers import Cluster, PgBouncer, installations
from waiting import eventually

from responder.actions.base import ActionError, Performed, Progress, Wish
from responder.actions.postgres import POOL, TerminateIdle, TerminateIdleSettings
from responder.actions.postgres_sessions import Chosen, Tally, end, find
from responder.catalogue import catalogue
from responder.clock import SystemClock
from responder.config import PostgresTarget, Targets
from responder.parameters import FromLabel, ParameterError
from responder.rules.load import Surroundings, load
from responder.secrets import Secret
from responder.targets.base import TargetError, Toolbox
from responder.targets.postgres import PROBLEMS, connection

SECOND = timedelta(seconds=1)
LIMIT = timedelta(seconds=10)


@pytest.fixture(params=sorted(installations()))
async def cluster(request: pytest.FixtureRequest, clusters: Clusters) -> AsyncIterator[Cluster]:
    """With a role for the action, one for an application, and others that are none of its business."""
    found = clusters[request.param]
    admin = await asyncpg.connect(found.url())
    roles = {
        "keeper": "LOGIN", "app": "LOGIN", "batch": "LOGIN", "copier": "LOGIN REPLICATION", "boss": "LOGIN SUPERUSER",
        "blind": "LOGIN", "deaf": "LOGIN",
    }  # fmt: skip
    for role, rights in roles.items():
        await admin.execute(f"CREATE ROLE {role} {rights}")
    await admin.execute("GRANT pg_monitor TO keeper, deaf; GRANT pg_signal_backend TO keeper, blind")
    await admin.execute("CREATE DATABASE elsewhere")
    yield found
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> 'postgres' OR datname = 'elsewhere'"
    )
    await admin.execute(
        "DROP DATABASE elsewhere WITH (FORCE)" if found.version >= 13 else "DROP DATABASE elsewhere"
    )
    for role in roles:
        await admin.execute(f"DROP ROLE {role}")
    await admin.close()


def wish(**labels: str) -> Wish:
    return Wish(run="r1", incident="1" * 16, labels=labels, now=datetime(2026, 11, 25, tzinfo=UTC))


class Hand:
    """The action on a target, as the daemon makes it."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        targets = Targets(postgres={"main": PostgresTarget(url=Secret(url))})
        self._tools = Toolbox(targets=targets, session=session, clock=SystemClock())

    def __call__(self, **settings: Any) -> TerminateIdle:
        settings = {"older_than": SECOND} | settings
        return TerminateIdle(TerminateIdleSettings(target="main", **settings), self._tools)


@pytest.fixture
def hand(cluster: Cluster, session: aiohttp.ClientSession) -> Hand:
    return Hand(session, cluster.url("keeper"))


async def alive(connected: Any) -> bool:
    try:
        return bool(await connected.fetchval("SELECT true"))
    except PROBLEMS:
        return False


async def idle_for_long(cluster: Cluster, connect: Connect, number: int) -> None:
    """Until so many client sessions have been idle for over a second."""
    admin = await connect(cluster.url(), "watcher")

    async def old() -> bool:
        found = await admin.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            " AND state LIKE 'idle%' AND state_change < now() - interval '1.1s' AND application_name <> 'watcher'"
            " AND (usename <> 'postgres' OR application_name <> '')"
        )
        return bool(found >= number)

    await eventually(old)


async def test_only_idle_sessions_of_ordinary_users_in_this_database_are_ended(
    cluster: Cluster, hand: Hand, connect: Connect
) -> None:
    ended = [await connect(cluster.url("app"), "web"), await connect(cluster.url("batch"), "")]
    spared = {
        "a superuser's": await connect(cluster.url("boss"), "web"),
        "one that may replicate": await connect(cluster.url("copier"), "web"),
        "another database's": await connect(cluster.url("app", "elsewhere"), "web"),
        "our own kind": await connect(cluster.url("keeper"), "responder"),
        "in a transaction": await connect(cluster.url("app"), "web"),
        "at work": await connect(cluster.url("app"), "web"),
    }
    await spared["in a transaction"].execute("BEGIN")
    await spared["in a transaction"].execute("SELECT 1")
    work = asyncio.create_task(spared["at work"].fetchval("SELECT pg_sleep(100)"))
    await idle_for_long(cluster, connect, 7)
    action = hand()
    assert await action.busy(wish()) is None
    rehearsed = await action.rehearse(wish())
    assert rehearsed == (
        "Would end 2 sessions idle for over 1s: 1 of app web, 1 of batch (no application name). " + POOL
    ) or rehearsed == (
        "Would end 2 sessions idle for over 1s: 1 of batch (no application name), 1 of app web. " + POOL
    )
    assert [await alive(one) for one in ended] == [
        True,
        True,
    ]  # a rehearsal ends nothing, and makes them young again
    await idle_for_long(cluster, connect, 7)
    done = await action.perform(wish())
    assert done.text.startswith("Ended 2 sessions idle for over 1s: 1 of ")
    assert (done.undo, done.mark) == (None, {})
    assert [await alive(one) for one in ended] == [False, False]
    assert not work.done(), "at work"
    for what, one in spared.items():
        assert what == "at work" or await alive(one), what
    settled = await action.settled(wish(), done.mark)
    assert (settled.progress, settled.text) == (Progress.DONE, "0 sessions idle for over 1s are left")
    with pytest.raises(ActionError, match="no session that may be ended is idle for over 1s"):
        await action.perform(wish())  # what changed nothing did not help, and costs no place
    assert (
        await action.rehearse(wish())
    ) == "Would end 0 sessions: none that may be ended is idle for over 1s."
    with pytest.raises(ActionError, match="cannot be brought back"):
        await action.undo(wish(), {})
    assert not work.done(), "at work"
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def test_allow_lists_and_exclusions_are_kept_and_bound_as_values(
    cluster: Cluster, hand: Hand, connect: Connect
) -> None:
    hostile = "x') OR ('1'='1"
    web, odd = await connect(cluster.url("app"), "web"), await connect(cluster.url("app"), hostile)
    batch = await connect(cluster.url("batch"), "web")
    await idle_for_long(cluster, connect, 3)
    by_label = (FromLabel(label="application"),)
    everyone = await hand(applications=by_label).rehearse(wish(application="') OR true --"))
    assert everyone.startswith("Would end 0 sessions")
    with pytest.raises(ParameterError, match=r"applications\[0\]: the incident has no label application"):
        await hand(applications=by_label).perform(wish())
    with pytest.raises(ParameterError, match="without NUL"):
        hand(users=(FromLabel(label="user"),)).plan({"user": "a\x00b"})
    excluded = await hand(applications=("web",), exclude_users=("app",)).rehearse(wish())
    assert "1 of batch web" in excluded
    assert "of app" not in excluded
    done = await hand(applications=by_label).perform(wish(application=hostile))
    assert done.text.startswith("Ended 1 session idle")
    assert [await alive(one) for one in (web, odd, batch)] == [True, False, True]
    await idle_for_long(cluster, connect, 2)
    assert "1 of app web" in (await hand(users=("app",)).perform(wish())).text
    assert [await alive(one) for one in (web, batch)] == [False, True]


async def test_no_more_than_the_limit_are_ended_and_the_longest_idle_first(
    cluster: Cluster, hand: Hand, connect: Connect
) -> None:
    held = [await connect(cluster.url("app"), f"web{n}") for n in range(4)]
    await idle_for_long(cluster, connect, 4)
    assert (await hand(most=2).rehearse(wish())).startswith("Would end 2 of 4 sessions idle")
    done = await hand(most=2).perform(wish())
    assert done.text == "Ended 2 sessions idle for over 1s: 1 of app web0, 1 of app web1."
    assert (await hand(most=2).settled(wish(), {})).text == "2 sessions idle for over 1s are left"
    assert [await alive(one) for one in held] == [False, False, True, True]


async def test_what_is_to_be_done_is_told_without_asking_anybody(session: aiohttp.ClientSession) -> None:
    hand = Hand(session, "postgresql://nobody@127.0.0.1:9/x")
    plan = hand(
        older_than=timedelta(minutes=10), users=("app", FromLabel(label="u")), exclude_users=("etl",)
    ).plan({"u": "b\nc"})
    assert plan.object == "sessions"
    assert plan.text == (
        "End up to 20 sessions that have been idle for over 10m (target main, users app, b c, but never of etl)"
    )
    with pytest.raises(TargetError, match="cannot reach main: Connection refused"):
        await hand().rehearse(wish())


async def test_missing_rights_are_refused_with_the_statement_that_gives_them(
    cluster: Cluster, connect: Connect, session: aiohttp.ClientSession
) -> None:
    held = await connect(cluster.url("app"), "web")
    await idle_for_long(cluster, connect, 1)
    for role, grant in (("blind", "GRANT pg_monitor TO blind"), ("deaf", "GRANT pg_signal_backend TO deaf")):
        action = Hand(session, cluster.url(role))()
        for method in (action.rehearse, action.perform):
            with pytest.raises(ActionError) as refused:
                await method(wish())
            assert grant in str(refused.value)
    assert await alive(held)
    # One's own role's sessions may be ended without that right.
    own = await connect(cluster.url("deaf"), "web")
    await idle_for_long(cluster, connect, 1)

    async def old() -> bool:
        return "1 of deaf web" in await Hand(session, cluster.url("deaf"))(users=("deaf",)).rehearse(wish())

    await eventually(old)
    done = await Hand(session, cluster.url("deaf"))(users=("deaf",)).perform(wish())
    assert "Ended 1 session" in done.text
    assert not await alive(own)


async def test_a_session_that_is_gone_or_works_again_is_not_ended_in_its_place(
    cluster: Cluster, connect: Connect
) -> None:
    targets = {"main": PostgresTarget(url=Secret(cluster.url("keeper")))}
    held = [await connect(cluster.url("app"), f"web{n}") for n in range(3)]
    await idle_for_long(cluster, connect, 3)
    chosen, tally = Chosen(target="main", older_than=SECOND), Tally()
    async with connection(targets, "main", LIMIT) as connected:
        found = await find(connected, chosen, 20, LIMIT)
        assert len(found) == 3
        await held[0].close()  # gone
        await held[1].execute("SELECT 1")  # worked since: no longer idle for long
        await eventually(lambda: _gone(connected, found[0].pid))
        for one in found:
            assert await end(connected, one, chosen, LIMIT, tally)
        # A pid that another session has by now: the start does not fit.
        other = type(found[2])(**{f: getattr(found[1], f) for f in found[1].__struct_fields__} | {
            "backend_start": found[1].backend_start - timedelta(microseconds=1)})  # fmt: skip
        await asyncio.sleep(0)
        assert await end(connected, other, Chosen(target="main", older_than=timedelta(0)), LIMIT, tally)
    assert (len(tally.ended), tally.gone) == (1, 3)
    assert await alive(held[1])


async def _gone(connected: Any, pid: int) -> bool:
    return not await connected.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid)


async def test_a_server_that_refuses_in_the_middle_does_not_hide_what_was_done(
    cluster: Cluster, connect: Connect
) -> None:
    """The right is taken away between two sessions; and before the first, where nothing was done."""
    admin = await connect(cluster.url(), "watcher")
    targets = {"main": PostgresTarget(url=Secret(cluster.url("keeper")))}
    for n in range(3):
        await connect(cluster.url("app"), f"web{n}")
    await idle_for_long(cluster, connect, 3)
    chosen, tally = Chosen(target="main", older_than=SECOND), Tally()
    async with connection(targets, "main", LIMIT) as connected:
        found = await find(connected, chosen, 20, LIMIT)
        assert await end(connected, found[0], chosen, LIMIT, tally)
        await admin.execute("REVOKE pg_signal_backend FROM keeper")
        assert not await end(connected, found[1], chosen, LIMIT, tally)
        assert "main: not allowed: " in tally.stopped
        assert len(tally.ended) == 1
        with pytest.raises(ActionError, match="main: not allowed"):
            await end(connected, found[1], chosen, LIMIT, Tally())


async def test_a_connection_that_is_cut_leaves_the_first_outcome_open_and_tells_the_later(
    cluster: Cluster, connect: Connect
) -> None:
    admin = await connect(cluster.url(), "watcher")
    targets = {"main": PostgresTarget(url=Secret(cluster.url("keeper")))}
    for n in range(3):
        await connect(cluster.url("app"), f"web{n}")
    await idle_for_long(cluster, connect, 3)
    chosen, tally = Chosen(target="main", older_than=SECOND), Tally()
    async with connection(targets, "main", LIMIT) as connected:
        found = await find(connected, chosen, 20, LIMIT)
        assert await end(connected, found[0], chosen, LIMIT, tally)
        await admin.execute("SELECT pg_terminate_backend($1)".replace("$1", str(connected.get_server_pid())))
        await eventually(lambda: _gone(admin, connected.get_server_pid()))
        assert not await end(connected, found[1], chosen, LIMIT, tally)
        assert tally.stopped.endswith("; whether one more was ended is not known")
        with pytest.raises(PROBLEMS) as lost:
            await end(connected, found[2], chosen, LIMIT, Tally())
        assert not isinstance(lost.value, TargetError)


@pytest.mark.debian("pgbouncer")
async def test_through_a_pooler_its_idle_server_connections_are_told_as_the_pool(
    cluster: Cluster, connect: Connect, session: aiohttp.ClientSession
) -> None:
    with PgBouncer(cluster, {"app": "w", "keeper": "k"}) as pooler:
        there = await connect(pooler.url("app", "w"), "web")
        await there.fetchval("SELECT 1")
        await idle_for_long(cluster, connect, 1)
        action = Hand(session, pooler.url("keeper", "k"))()
        rehearsed = await action.rehearse(wish())
        assert rehearsed.endswith("This target is itself reached through a pooler. " + POOL)
        assert "1 of app web" in rehearsed
        done: Performed = await action.perform(wish())
        assert done.text.startswith("Ended 1 session")
        assert await alive(there)  # the client never noticed: the pooler opens another


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("max: 20, users: [app, {label: user}], exclude_users: [etl]", None),
        ("max: 0", "actions.a: max: expected 1 to 100 sessions, got 0"),
        ("max: 101", "actions.a: max: expected 1 to 100 sessions, got 101"),
        ("older_than: 0s", "actions.a: older_than: expected at least 1s, got 0s"),
        ("most: 3", "actions.a: unknown key 'most'"),
    ],
)
def test_check_tells_what_is_wrong_with_the_action(tmp_path: Path, more: str, problem: str | None) -> None:
    (tmp_path / "r.yaml").write_text(
        "escalation: {platform: {primary: a}}\n"
        f"actions: {{a: {{type: postgres.terminate_idle, target: main, {more}}}}}"
    )
    found: Mapping[int, Any] = dict(
        enumerate(load([str(tmp_path)], Surroundings(catalogue=catalogue())).problems)
    )
    assert len(found) == (problem is not None), found
    assert problem is None or found[0].text.startswith(problem)
