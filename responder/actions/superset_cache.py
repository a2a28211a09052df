"""Type ``superset.invalidate_cache``: drop what Superset has cached of datasets, and warm a dashboard up again.

``POST /api/v1/cachekey/invalidate`` takes the datasets that are meant. Without any it answers 201 and drops nothing, so
that it is a rehearsal; unknown ones it ignores in silence, so they are looked up first. Superset finds the entries in
its ``cache_keys`` table, which it fills only with ``STORE_CACHE_KEYS_IN_METADATA_DB``, and drops them from the cache of
``CACHE_CONFIG``; the answer never says how many that were. A warm-up computes anew whatever was cached.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, ClassVar

import msgspec

from responder.actions.base import (
    ACTIONS,
    ActionError,
    ActionSettings,
    Performed,
    Plan,
    Progress,
    Settling,
    Wish,
)
from responder.parameters import Parameter, check_known, path_segment, resolve
from responder.targets.base import TargetError, Toolbox, configured
from responder.targets.http import UnclearError
from responder.targets.superset import Chart, Dataset, Superset, signed_in
from responder.text import one_line

_INVALIDATE = "/api/v1/cachekey/invalidate"
_UID = re.compile(r"[0-9]{1,18}__[a-z_]{1,30}")
_CHARTS = 50  # charts of a dashboard that are warmed up
_SIDE_BY_SIDE = 4  # charts at once: each is a query on somebody's database
_SHOWN = 5  # datasets and failures that are named
_PREPARING, _WARMING = 0.5, 0.4  # shares of the time limit; the change itself has what is left


class SupersetCacheSettings(ActionSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose cache is meant.

    That of ``datasets`` by number, of a ``dashboard`` by number or slug, or of ``datasource_uids`` as Superset writes
    them (``12__table``); of every dataset where none of these is given. ``warm_up`` then computes the dashboard's charts anew, as far as the time allows.
    """

    TARGET_KIND: ClassVar[str] = "superset"

    datasets: tuple[int, ...] = ()
    dashboard: int | Parameter | None = None
    datasource_uids: tuple[str, ...] = ()
    warm_up: bool = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself, and what names nothing."""
        if sum((bool(self.datasets), self.dashboard is not None, bool(self.datasource_uids))) > 1:
            raise ValueError("give datasets, a dashboard or datasource_uids, not several of them")
        if self.warm_up and self.dashboard is None:
            raise ValueError("warm_up needs a dashboard: its charts are computed anew")
        if odd := [uid for uid in self.datasource_uids if not _UID.fullmatch(uid)]:
            raise ValueError(f"datasource_uids: {one_line(odd[0], 40)!r} is not like 12__table")
        if not isinstance(self.dashboard, int):
            check_known(self.dashboard, "dashboard", path_segment)


class _Warmed(msgspec.Struct, frozen=True, kw_only=True):
    """``viz_error`` is a text, or what the chart's own code made of its error."""

    viz_error: Any = None


class _WarmUp(msgspec.Struct, frozen=True, kw_only=True):
    result: list[_Warmed]


@ACTIONS.register("superset.invalidate_cache")
class SupersetCache:
    """Superset's cache of query results."""

    Settings: ClassVar[type[ActionSettings]] = SupersetCacheSettings

    def __init__(self, settings: SupersetCacheSettings, tools: Toolbox) -> None:
        self._settings = settings
        self._tools = tools

    def plan(self, labels: Mapping[str, str]) -> Plan:
        """Whose cache would be dropped. Raises ``ParameterError`` for a label that does not fit."""
        s = self._settings
        text = f"Invalidate the cache of {self._whose(labels)} (Superset {s.target})"
        return Plan(object="cache", text=f"{text} and compute its charts anew" if s.warm_up else text)

    def _whose(self, labels: Mapping[str, str]) -> str:
        s = self._settings
        if s.dashboard is not None:
            return f"dashboard {self._dashboard(labels)}"
        if s.datasets:
            return f"datasets {', '.join(str(one) for one in s.datasets)}"
        return ", ".join(s.datasource_uids) or "every dataset"

    def _dashboard(self, labels: Mapping[str, str]) -> str:
        given = self._settings.dashboard
        if given is None or isinstance(given, int):
            return str(given)
        return resolve(given, labels, "dashboard", path_segment)

    async def rehearse(self, wish: Wish) -> str:
        """Log in, look up what is meant, and send Superset the request without naming any of it."""
        plan = self.plan(wish.labels)
        async with AsyncExitStack() as stack:
            superset, meant = await self._prepared(stack, wish)
            try:
                await superset.change("POST", _INVALIDATE, {"datasource_uids": []})
            except UnclearError as error:
                # Nothing was named, so there is nothing to be in the dark about.
                raise ActionError(str(error)) from None
        return f"{plan.text}: {_named(meant)}"

    async def busy(self, wish: Wish) -> str | None:
        """Nothing is ever under way."""
        return None

    async def perform(self, wish: Wish) -> Performed:
        """Drop it, and warm up where that is wanted."""
        self.plan(wish.labels)
        async with AsyncExitStack() as stack:
            superset, meant = await self._prepared(stack, wish)
            await superset.change("POST", _INVALIDATE, {"datasource_uids": list(meant)})
            text = f"Superset took it for {_named(meant)}; it does not say how many entries it dropped"
            if self._settings.warm_up:
                text += f"; {await self._warmed_up(superset, self._dashboard(wish.labels))}"
        return Performed(text=text)

    async def settled(self, wish: Wish, mark: Mapping[str, str]) -> Settling:
        """At once: what was dropped is gone when Superset answers."""
        return Settling(progress=Progress.DONE, text="the cache was dropped when Superset answered")

    async def undo(self, wish: Wish, undo: Mapping[str, str]) -> Performed:
        """There is no way: a cache fills by itself."""
        raise ActionError("a dropped cache cannot be put back; it fills by itself")

    async def _prepared(self, stack: AsyncExitStack, wish: Wish) -> tuple[Superset, Mapping[str, str]]:
        """Logged in and armed, and the datasets that are meant; so far it is certain that nothing was changed.

        Raises:
            TargetError: where Superset cannot be reached, refuses, or hangs.
        """
        s = self._settings
        target = configured(self._tools.targets.superset, "superset", s.target)
        patience = s.timeout.total_seconds() * _PREPARING
        try:
            async with asyncio.timeout(patience):
                superset = await stack.enter_async_context(signed_in(s.target, target))
                await superset.arm()
                return superset, await self._meant(superset, wish.labels)
        except TimeoutError:
            raise ActionError(
                f"{s.target} did not answer within {patience:g} s; nothing was changed"
            ) from None

    async def _meant(self, superset: Superset, labels: Mapping[str, str]) -> Mapping[str, str]:
        """What is to be dropped: Superset's name of each dataset, and what people call it."""
        s = self._settings
        if s.datasource_uids:
            return {uid: uid for uid in s.datasource_uids}
        if s.dashboard is not None:
            where = f"/api/v1/dashboard/{self._dashboard(labels)}/datasets"
            found = await superset.result(where, list[Dataset])
        else:
            found = await superset.datasets()
        if missing := set(s.datasets) - {dataset.id for dataset in found}:
            raise ActionError(f"{s.target} shows this user no dataset {min(missing)}")
        if s.datasets:
            found = [dataset for dataset in found if dataset.id in s.datasets]
        if not found:
            raise ActionError(f"{self._whose(labels)}: {s.target} has no dataset for it")
        return {dataset.uid: dataset.table_name or dataset.uid for dataset in found}

    async def _warmed_up(self, superset: Superset, dashboard: str) -> str:
        """Compute the dashboard's charts anew, and say how that went; it never fails, since the cache is dropped."""
        failed: list[str] = []
        done: list[int] = []
        charts: list[Chart] = []
        seats = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def warm(chart: Chart) -> None:
            async with seats:
                trouble = await self._trouble(superset, chart, dashboard)
            if trouble:
                failed.append(f"{chart.slice_name or chart.id} ({one_line(trouble, 100)})")
            else:
                done.append(chart.id)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.timeout.total_seconds() * _WARMING):
                try:
                    charts = await superset.result(f"/api/v1/dashboard/{dashboard}/charts", list[Chart])
                except TargetError as error:
                    return f"no chart was computed anew: {error}"
                async with asyncio.TaskGroup() as group:
                    for chart in charts[:_CHARTS]:
                        group.create_task(warm(chart), name=f"warm up chart {chart.id}")
        return _warmth(len(charts), len(done), failed)

    async def _trouble(self, superset: Superset, chart: Chart, dashboard: str) -> str:
        """Why a chart could not be computed; nothing where it was. Superset answers 200 for a chart that failed."""
        body: dict[str, int] = {"chart_id": chart.id}
        if dashboard.isdecimal():
            body["dashboard_id"] = int(dashboard)
        try:
            answer = await superset.change("PUT", "/api/v1/chart/warm_up_cache", body)
            results = msgspec.json.decode(answer, type=_WarmUp).result
        except (TargetError, UnclearError) as error:
            return str(error)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return "an odd answer"
        errors = [one.viz_error for one in results if one.viz_error]
        return superset.clean(str(errors[0])) if errors else ""


def _named(meant: Mapping[str, str]) -> str:
    names = [one_line(name, 40) for name in list(meant.values())[:_SHOWN]]
    more = len(meant) - len(names)
    shown = ", ".join(names) + (f" and {more} more" if more else "")
    return f"{len(meant)} dataset{'' if len(meant) == 1 else 's'} ({shown})"


def _warmth(charts: int, done: int, failed: Sequence[str]) -> str:
    text = f"{done} of {charts} chart{'' if charts == 1 else 's'} computed anew"
    if failed:
        text += f"; failed: {'; '.join(failed[:_SHOWN])}"
    if waiting := charts - done - len(failed):
        text += f"; {waiting} not reached"
    return text
