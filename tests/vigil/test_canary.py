"""The canary takes the real road, is seen by nobody, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from daemon import alert, webhook_body
from house import House, Replica, house
from waiting import eventually

from responder.config import CanaryConfig
from responder.engine.desk import IncidentFilter
from responder.incident.canary import NULL_CHANNEL
from responder.incident.hold import Hold, HoldKind
from responder.store.store import Store
from responder.vigil.canary import Canary

CONFIG = CanaryConfig()


@pytest.fixture
async def home(store: Store, turned: Any, tmp_path: Path) -> AsyncIterator[House]:
    async with house(store, turned, tmp_path) as found:
        yield found


def canary_of(replica: Replica, config: CanaryConfig = CONFIG) -> Canary:
    return Canary(config, replica.road, replica.metrics)


async def keys(home: House) -> set[str]:
    found = {
        key.decode() async for key in home.store.client.scan_iter(match=f"{home.store.base}:*", count=1000)
    }
    return {key.removeprefix(f"{home.store.base}:") for key in found}


async def test_it_comes_through_and_leaves_nothing_behind(home: House) -> None:
    replica = await home.replica()
    await canary_of(replica).once()
    assert replica.value("responder_canary_seconds_count") == 1
    passed = (await replica.signs.vitals()).canary_at
    assert passed is not None
    assert await keys(home) == {"turns", "canary", "queues"}
    sent = [(one.effect.kind, one.effect.channel) for one in home.world.sent]
    assert sent == [("page", NULL_CHANNEL), ("resolved", NULL_CHANNEL)]


async def test_nobody_sees_it_in_lists_counts_or_figures(home: House) -> None:
    replica = await home.replica()
    home.world.down = {NULL_CHANNEL}  # so that it stays where it is
    flight = asyncio.create_task(canary_of(replica).once())

    async def on_its_way() -> str:
        return await replica.signs.incident_of(canary_of(replica)._fingerprint)

    incident = await eventually(on_its_way)
    await home.settle()
    assert await replica.reader.snapshot(incident) is not None
    assert (await replica.desk.incidents(IncidentFilter(), limit=10, cursor=None)).incidents == ()
    assert await replica.desk.incident(incident) is None
    assert (await replica.reader.shared())[:2] == ({}, 0)
    assert await replica.reader.ids("open", "+inf", 10) == []
    home.world.down = set()
    home.turned.turn(seconds=6)
    await flight
    assert replica.value("responder_canary_seconds_count") == 1
    for name in ("responder_incidents_opened_total", "responder_time_to_page_seconds_count"):
        assert all(
            sample.value == 0
            for metric in replica.metrics.registry.collect()
            for sample in metric.samples
            if sample.name == name
        )


async def test_a_road_that_is_closed_is_a_failure_and_the_next_one_clears_it_away(home: House) -> None:
    replica = await home.replica()
    home.world.down = {NULL_CHANNEL}
    await canary_of(replica, CanaryConfig(timeout=timedelta(seconds=1))).once()
    assert replica.value("responder_canary_failures_total") == 1
    assert (await replica.signs.vitals()).canary_at is None
    home.world.down = set()
    home.turned.turn(minutes=1)
    await canary_of(replica).once()
    assert replica.value("responder_canary_seconds_count") == 1
    assert await keys(home) == {"turns", "canary", "queues"}


async def test_an_engine_that_does_not_work_is_noticed(home: House) -> None:
    replica = await home.replica()
    await replica.fall_asleep()
    await canary_of(replica, CanaryConfig(timeout=timedelta(seconds=1))).once()
    assert replica.value("responder_canary_failures_total") == 1


async def test_one_at_a_time_whatever_the_number_of_replicas(home: House) -> None:
    replicas = [await home.replica() for _ in range(3)]
    for _ in range(2):
        await asyncio.gather(*(canary_of(one).once() for one in replicas))
        home.turned.turn(minutes=1)
    flown = [one.value("responder_canary_seconds_count") or 0 for one in replicas]
    assert sum(flown) == 2


async def test_a_window_that_holds_everything_back_does_not_hold_the_canary(home: House) -> None:
    replica = await home.replica()
    hold = Hold(kind=HoldKind.MAINTENANCE, by="all", text="everything is under repair")
    elsewhere = replica.engine.decider._elsewhere
    replica.engine.decider._elsewhere = type(elsewhere)(holds=lambda _incident, _now: (hold,))
    await canary_of(replica).once()
    assert replica.value("responder_canary_seconds_count") == 1


async def test_a_sender_cannot_name_the_null_channel_or_the_canarys_row(home: House) -> None:
    replica = await home.replica()
    one = alert(1, service="@canary", rule="@canary", drill="no")
    await replica.take(webhook_body(one))
    await home.settle()
    assert home.pages() == ["primary platform"]
