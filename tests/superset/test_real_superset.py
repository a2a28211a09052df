"""The Superset probe and action on a real Superset. Not in the default run: `make test-superset SUPERSET=…` asks for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from action_bench import action, wish
from probe_bench import Bench
from real_superset import ADMIN, PLAIN, Person, RealSuperset

from responder.actions.base import Action
from responder.actions.superset_cache import SupersetCacheSettings
from responder.config import SupersetTarget, Targets
from responder.incident.finding import Finding, FindingStatus
from responder.secrets import Secret
from responder.targets.base import TargetError
from responder.triage.superset_health import SupersetHealthSettings

pytestmark = [pytest.mark.superset, pytest.mark.timeout(600), pytest.mark.xdist_group("superset")]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> RealSuperset:
    return RealSuperset(os.environ["SUPERSET"], tmp_path_factory.mktemp("superset"))


@pytest.fixture(scope="module")
def url(installed: RealSuperset) -> Iterator[str]:
    with installed.serving() as address:
        yield address


@pytest.fixture(autouse=True)
def nothing_cached(installed: RealSuperset) -> None:
    installed.forget()


@pytest.fixture
async def board(url: str, installed: RealSuperset) -> str:
    """The slug of the dashboard, which is made once."""
    async with Person(url) as admin:
        if not (await admin.ask("GET", "dashboard/"))["count"]:
            await admin.board(installed.home / "sales.db")
    return "board"


def targets(url: str, who: tuple[str, str] = ADMIN) -> Targets:
    target = SupersetTarget(url=url, username=who[0], password=Secret(who[1]))
    return Targets(superset={"main": target})


def cache(url: str, who: tuple[str, str] = ADMIN, **more: Any) -> AbstractAsyncContextManager[Action]:
    return action(
        "superset.invalidate_cache", SupersetCacheSettings(target="main", **more), targets(url, who)
    )


async def see(url: str, who: tuple[str, str] = ADMIN) -> Finding:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        settings = SupersetHealthSettings(target="main", deep=True)
        return await Bench(session, targets(url, who)).see("superset.health", settings)


async def test_health_deep_and_wrong_credentials(url: str) -> None:
    assert (await see(url)).status is FindingStatus.OK
    assert (await see(url, PLAIN)).status is not FindingStatus.OK
    wrong = await see(url, ("admin", "wrong-password"))
    assert (wrong.status, "wrong user name" in wrong.headline) == (FindingStatus.DENIED, True)


@pytest.mark.parametrize(
    "settings", [{"dashboard": "board"}, {"datasets": (1,)}, {"datasource_uids": ("1__table",)}, {}]
)
async def test_what_was_cached_is_computed_again(url: str, board: str, settings: dict[str, Any]) -> None:
    async with Person(url) as admin, cache(url, **settings) as clear:
        await admin.sees_cached()
        assert await admin.sees_cached()
        await clear.rehearse(wish())
        assert await admin.sees_cached()
        assert "1 dataset (" in (await clear.perform(wish())).text
        assert not await admin.sees_cached()


async def test_another_datasets_invalidation_and_the_runbooks_own_leave_the_cache(
    url: str, board: str
) -> None:
    async with Person(url) as admin:
        await admin.sees_cached()
        async with cache(url, datasource_uids=("99__table",)) as clear:
            await clear.perform(wish())
        await admin.ask("POST", "cachekey/invalidate", {})
        assert await admin.sees_cached()


async def test_a_missing_permission_is_seen_in_rehearsal(url: str, board: str) -> None:
    async with cache(url, PLAIN, datasource_uids=("1__table",)) as clear:
        with pytest.raises(TargetError, match="403"):
            await clear.rehearse(wish())


@pytest.mark.parametrize("dashboard", ["board", 1])
async def test_warming_up_reads_each_charts_error(url: str, board: str, dashboard: str | int) -> None:
    async with Person(url) as admin, cache(url, dashboard=dashboard, warm_up=True) as clear:
        text = (await clear.perform(wish())).text
        assert "1 of 2 charts computed anew; failed: by gone (" in text
        assert await admin.sees_cached()


async def test_unknown_things_are_refused(url: str, board: str) -> None:
    for settings in ({"datasets": (99,)}, {"dashboard": "nowhere"}):
        async with cache(url, **settings) as clear:
            with pytest.raises(TargetError):
                await clear.perform(wish())


async def test_without_stored_keys_superset_says_yes_and_drops_nothing_but_a_warm_up_helps(
    installed: RealSuperset, board: str
) -> None:
    with installed.serving(store_keys=False) as address:
        async with Person(address) as admin:
            await admin.sees_cached()
            async with cache(address, dashboard=board) as clear:
                await clear.perform(wish())
            assert await admin.sees_cached()
            before = await admin.cached_at()
            async with cache(address, dashboard=board, warm_up=True) as clear, asyncio.timeout(20):
                while await admin.cached_at() <= before:
                    await clear.perform(wish())


async def test_a_data_cache_apart_from_the_other_cache_is_not_dropped(
    installed: RealSuperset, board: str
) -> None:
    with installed.serving(data_cache="apart") as address:
        async with Person(address) as admin, cache(address, dashboard=board) as clear:
            await admin.sees_cached()
            await clear.perform(wish())
            assert await admin.sees_cached()


async def test_a_metadata_database_that_is_gone_is_critical_though_health_is_ok(
    installed: RealSuperset, tmp_path: Path
) -> None:
    with installed.serving() as address:
        database = installed.home / "superset.db"
        database.rename(tmp_path / "aside.db")
        try:
            finding = await see(address)
        finally:
            database.unlink(missing_ok=True)
            (tmp_path / "aside.db").rename(database)
    assert finding.status is FindingStatus.CRITICAL
    assert "web process is up, but main answers 500" in finding.headline
