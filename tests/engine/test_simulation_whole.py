"""Everything together on a turned clock: storms, windows, silences, dependencies, nights, outages, crashes, two replicas."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from causes import NIGHTS_EVERY
from fake_alertmanager import FakeAlertmanager
from mirror import moment
from whole import Whole, configured, phones
from whole_promises import Promises
from whole_settings import RULES, settings
from whole_simulation import WholeSimulation

from responder.engine.blind import pager
from responder.store.store import Store


def seeds() -> list[int]:
    """Three; or those that ``RESPONDER_TEST_SEEDS`` names, such as ``100-160``."""
    first, _, last = os.environ.get(NAMED, "0-2").partition("-")
    return list(range(int(first), int(last or first) + 1))


NAMED = "RESPONDER_TEST_SEEDS"
#: Who names seeds has time.
STEPS = 110 if NAMED in os.environ else 60


@asynccontextmanager
async def world(
    store: Store, turned: Any, folder: Path, seed: int, *, faults: bool = True
) -> AsyncIterator[WholeSimulation]:
    chance = random.Random(seed)
    turned.to_next(NIGHTS_EVERY, await store.now())
    async with AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(FakeAlertmanager(lambda: moment(turned)).running())
            for _ in range(2)
        ]
        told = await stack.enter_async_context(phones(turned, chance))
        config, rules = configured(folder, store.base[11:-1], RULES, settings(peers, told))
        replicas = [Whole(store, turned, config, rules, chance) for _ in range(2)]
        try:
            yield WholeSimulation(store, replicas, peers, told, faults=faults)
        finally:
            for one in replicas:
                if one.alive:
                    await one.die()


@pytest.mark.parametrize("seed", seeds())
async def test_whatever_happens_together_nothing_is_unpaged_without_a_reason_and_no_reason_outlives_its_cause(
    store: Store, turned: Any, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pager, "OTHERS_LIMIT", 0.05)  # seconds of a real clock, for a replica that died
    async with world(store, turned, tmp_path, seed) as simulation:
        promises = Promises(simulation)
        await simulation.run(STEPS, promises.check)
        await simulation.clear_up(promises.check)
        await promises.check_in_the_end()
        await simulation.close_all()


@pytest.mark.parametrize("seed", seeds()[:1])
async def test_where_nothing_fails_nobody_is_told_the_same_twice(
    store: Store, turned: Any, tmp_path: Path, seed: int
) -> None:
    async with world(store, turned, tmp_path, seed, faults=False) as simulation:
        promises = Promises(simulation)
        await simulation.run(40, promises.check)
        ids = [one.body["id"] for one in simulation.phones.arrived]
        assert len(ids) == len(set(ids))
        await simulation.clear_up(promises.check)
        await promises.check_in_the_end()
        await simulation.close_all()
