"""Superset's cache is dropped for what is meant, and for nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest
from action_bench import action, wish
from aiohttp import web
from fake_superset import FakeSuperset
from peers import dropping, hanging, saying

from responder.actions.base import Action, ActionError, Progress
from responder.actions.superset_cache import SupersetCacheSettings
from responder.config import SupersetTarget, Targets
from responder.parameters import FromLabel, ParameterError
from responder.secrets import Secret
from responder.targets.base import TargetError
from responder.targets.http import UnclearError, UnreachableError

INVALIDATE = "/api/v1/cachekey/invalidate"


@pytest.fixture
async def superset() -> AsyncIterator[FakeSuperset]:
    async with FakeSuperset().running() as running:
        yield running


def cache(
    superset: FakeSuperset, url: str = "", password: str = "", **more: Any
) -> AbstractAsyncContextManager[Action]:
    target = SupersetTarget(
        url=url or superset.url, username="robot", password=Secret(password or superset.password)
    )
    settings = SupersetCacheSettings(target="main", **more)
    return action("superset.invalidate_cache", settings, Targets(superset={"main": target}))


async def test_datasets_by_number(superset: FakeSuperset) -> None:
    async with cache(superset, datasets=(1, 3)) as clear:
        plan = clear.plan({})
        performed = await clear.perform(wish())
        settling = await clear.settled(wish(), performed.mark)
    assert (plan.object, plan.text) == ("cache", "Invalidate the cache of datasets 1, 3 (Superset main)")
    assert superset.cache == {"c": "2__table"}
    assert performed.undo is None
    assert performed.text == (
        "Superset took it for 2 datasets (sales, people); it does not say how many entries it dropped"
    )
    assert settling.progress is Progress.DONE


async def test_a_dashboards_datasets_by_number_slug_and_label(superset: FakeSuperset) -> None:
    for dashboard, labels, left in (
        (7, {}, {"d": "3__table"}),
        ("board", {}, {"d": "3__table"}),
        (FromLabel(label="dashboard"), {"dashboard": "board"}, {"d": "3__table"}),
    ):
        async with cache(superset, dashboard=dashboard) as clear:
            await clear.perform(wish(**labels))
        assert superset.cache == left


async def test_uids_as_superset_writes_them_and_everything_where_none_is_given(
    superset: FakeSuperset,
) -> None:
    async with cache(superset, datasource_uids=("2__table",)) as clear:
        await clear.perform(wish())
    assert set(superset.cache.values()) == {"1__table", "3__table"}
    async with cache(superset) as clear:
        assert clear.plan({}).text == "Invalidate the cache of every dataset (Superset main)"
        await clear.perform(wish())
    assert superset.cache == {}


async def test_more_datasets_than_one_page_holds(superset: FakeSuperset) -> None:
    superset.datasets = {n: f"t{n}" for n in range(1, 251)}
    superset.cache = {str(n): f"{n}__table" for n in range(1, 251)}
    async with cache(superset) as clear:
        text = (await clear.perform(wish())).text
    assert superset.cache == {}
    assert "250 datasets (t1, t2, t3, t4, t5 and 245 more)" in text


async def test_a_rehearsal_logs_in_and_looks_everything_up_and_drops_nothing(superset: FakeSuperset) -> None:
    before = dict(superset.cache)
    async with cache(superset, dashboard=7) as clear:
        said = await clear.rehearse(wish())
    assert superset.cache == before
    assert said == "Invalidate the cache of dashboard 7 (Superset main): 2 datasets (sales, orders)"
    superset.instead = {INVALIDATE: saying(500, "{}")}
    async with cache(superset, dashboard=7) as clear:
        with pytest.raises(ActionError, match="answers 500"):
            await clear.rehearse(wish())
    superset.instead = {}
    superset.may.discard("invalidate")
    async with cache(superset, dashboard=7) as clear:
        with pytest.raises(TargetError, match=r"403 \(the user lacks a permission\)"):
            await clear.rehearse(wish())


async def test_each_use_has_cookies_of_its_own(superset: FakeSuperset) -> None:
    async with cache(superset, datasets=(1,)) as clear:
        await clear.perform(wish())
        await clear.perform(wish())
    assert len(superset.tokens) == len(superset.sessions) == 2


async def test_over_tls_superset_wants_a_referer_of_its_own_origin(superset: FakeSuperset) -> None:
    superset.secure = True
    async with cache(superset, datasets=(1,)) as clear:
        await clear.perform(wish())
    assert "a" not in superset.cache


async def test_a_secure_cookie_over_plain_http_is_explained(superset: FakeSuperset) -> None:
    superset.secure_cookie = True
    async with cache(superset, datasets=(1,)) as clear:
        with pytest.raises(TargetError, match=r"CSRF session token is missing. \(it sets a Secure cookie"):
            await clear.perform(wish())
    assert "a" in superset.cache


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"datasets": (1,), "dashboard": 7}, "not several of them"),
        ({"datasource_uids": ("1__table", "x'--")}, "is not like 12__table"),
        ({"warm_up": True, "datasets": (1,)}, "warm_up needs a dashboard"),
        ({"dashboard": "a/b"}, "dashboard: 'a/b' is not one segment of a path"),
    ],
)
def test_what_contradicts_itself_is_no_setting_at_all(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SupersetCacheSettings(target="main", **settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"datasets": (1, 99)}, "shows this user no dataset 99"),
        ({"dashboard": "nowhere"}, "404 (not there, or not for this user): Dashboard not found."),
        ({"dashboard": 8}, "dashboard 8: main has no dataset for it"),
    ],
)
async def test_what_superset_would_ignore_in_silence_is_refused(
    superset: FakeSuperset, settings: dict[str, Any], words: str
) -> None:
    superset.dashboards["8"] = ([], [])
    before = dict(superset.cache)
    async with cache(superset, **settings) as clear:
        for method in (clear.rehearse, clear.perform):
            with pytest.raises(TargetError) as error:
                await method(wish())
            assert words in str(error.value)
    assert superset.cache == before


@pytest.mark.parametrize("value", ["../1", "7/datasets", "7?x=1", "", "a b", "%2e%2e", "x" * 300, "7\n"])
async def test_a_label_is_one_segment_of_a_path_or_nothing(superset: FakeSuperset, value: str) -> None:
    async with cache(superset, dashboard=FromLabel(label="dashboard")) as clear:
        for method in (clear.rehearse, clear.perform):
            with pytest.raises(ParameterError):
                await method(wish(dashboard=value))
        with pytest.raises(ParameterError):
            clear.plan({"dashboard": value})
    assert superset.asked == []


async def test_wrong_credentials_change_nothing_and_stay_unsaid(superset: FakeSuperset) -> None:
    async with cache(superset, password="a-wrong-password") as clear:
        with pytest.raises(TargetError) as error:
            await clear.perform(wish())
    assert "wrong user name or password" in str(error.value)
    assert "a-wrong-password" not in str(error.value)


async def test_before_the_change_every_failure_is_certain(superset: FakeSuperset) -> None:
    for path in ("/api/v1/security/login", "/api/v1/security/csrf_token/", "/api/v1/dataset/"):
        for answer in (dropping, saying(500, "{}"), hanging):
            superset.instead = {path: answer}
            async with cache(superset, datasets=(1,), timeout=timedelta(seconds=0.6)) as clear:
                with pytest.raises(TargetError):
                    await clear.perform(wish())
    async with cache(superset, url="http://127.0.0.1:9") as clear:
        with pytest.raises(UnreachableError):
            await clear.perform(wish())
    assert ("POST", INVALIDATE) not in superset.asked


async def test_at_the_change_a_broken_answer_leaves_the_outcome_open(superset: FakeSuperset) -> None:
    async with cache(superset, datasets=(1,)) as clear:
        for answer in (dropping, saying(500, '{"message": "Fatal error"}')):
            superset.instead = {INVALIDATE: answer}
            with pytest.raises(UnclearError):
                await clear.perform(wish())
        superset.instead = {INVALIDATE: saying(400, '{"errors": [{"message": "CSRF"}]}')}
        with pytest.raises(TargetError, match="400: CSRF"):
            await clear.perform(wish())
        superset.instead = {INVALIDATE: saying(302, "", Location="/login/")}
        with pytest.raises(TargetError, match="login page"):
            await clear.perform(wish())


async def test_tokens_never_stand_in_errors(superset: FakeSuperset) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"message": str(dict(request.headers))}, status=400)

    superset.instead = {INVALIDATE: echo}
    async with cache(superset, datasets=(1,)) as clear:
        with pytest.raises(TargetError) as error:
            await clear.perform(wish())
    for secret in (*superset.tokens, superset.password):
        assert secret not in str(error.value)


async def test_warming_up_computes_the_dashboards_charts_and_reads_each_ones_error(
    superset: FakeSuperset,
) -> None:
    superset.charts[12] = ("Orders", "no such table: orders, password=hunter22")
    async with cache(superset, dashboard=7, warm_up=True) as clear:
        assert "and compute its charts anew" in clear.plan({}).text
        text = (await clear.perform(wish())).text
    assert sorted(one["chart_id"] for one in superset.computed) == [11, 12]
    assert all(one["dashboard_id"] == 7 for one in superset.computed)
    assert "1 of 2 charts computed anew; failed: Orders (no such table: orders" in text
    assert "hunter22" not in text


async def test_a_warm_up_that_hangs_or_fails_does_not_undo_what_was_done(superset: FakeSuperset) -> None:
    superset.instead = {"/api/v1/chart/warm_up_cache": hanging}
    async with cache(superset, dashboard="board", warm_up=True, timeout=timedelta(seconds=6)) as clear:
        text = (await clear.perform(wish())).text
    assert text.endswith("0 of 1 chart computed anew; 1 not reached")
    assert "a" not in superset.cache
    superset.instead = {"/api/v1/chart/warm_up_cache": saying(500, "{}")}
    async with cache(superset, dashboard="board", warm_up=True) as clear:
        text = (await clear.perform(wish())).text
    assert "failed: Sales by region (main answers 500)" in text
    superset.instead = {"/api/v1/dashboard/board/charts": saying(403, "{}")}
    async with cache(superset, dashboard="board", warm_up=True) as clear:
        text = (await clear.perform(wish())).text
    assert "no chart was computed anew: main answers 403" in text


async def test_nothing_can_be_taken_back_and_nothing_is_ever_under_way(superset: FakeSuperset) -> None:
    async with cache(superset, datasets=(1,)) as clear:
        assert await clear.busy(wish()) is None
        with pytest.raises(ActionError, match="fills by itself"):
            await clear.undo(wish(), {})
