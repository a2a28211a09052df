"""Who shares the keys: replicas that were just seen, and none that has died before the store went away."""

from __future__ import annotations

from datetime import timedelta

import pytest
from clocks import TurnedClock

from responder.clock import SystemClock
from responder.engine.blind.lookout import Lookout
from responder.engine.blind.memory import Memory
from responder.store.reading import Reader
from responder.store.roll import Roll
from responder.store.store import Store


async def others(store: Store) -> frozenset[str]:
    """Whom a replica sees beside itself."""
    memory = Memory("a")
    lookout = Lookout(Roll(store, "a"), Reader(store), memory, SystemClock(), timedelta(seconds=15))
    await lookout.look(store.ingest, full=False)
    return memory.others


@pytest.mark.parametrize(("seconds", "there"), [(2, True), (5, True), (7, False)])
async def test_a_replica_that_has_just_died_is_left_no_keys_and_one_that_is_slow_keeps_them(
    store: Store, turned: TurnedClock, seconds: int, there: bool
) -> None:
    await Roll(store, "b").call("sees", 10)
    turned.turn(seconds=seconds)
    assert (await others(store) == {"b"}) is there


async def test_a_replica_that_was_stopped_is_left_no_keys(store: Store) -> None:
    roll = Roll(store, "b")
    await roll.call("sees", 10)
    await roll.leave()
    assert await others(store) == frozenset()
