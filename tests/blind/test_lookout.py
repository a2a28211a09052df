"""Who shares the keys: replicas that were just seen, and none that has died before the store went away."""

from __future__ import annotations

from datetime import timedelta

import pytest
from clocks import TurnedClock
from world import firing

from responder.clock import SystemClock
from responder.engine.blind.lookout import HEAVY, LIGHT, Lookout
from responder.engine.blind.memory import Memory
from responder.incident.severity import Severity
from responder.store.errors import StoreError
from responder.store.reading import Reader
from responder.store.roll import Roll
from responder.store.store import Store, Taken, to_ms


async def others(store: Store) -> frozenset[str]:
    """Whom a replica sees beside itself."""
    memory = Memory("a")
    lookout = Lookout(Roll(store, "a"), Reader(store), memory, SystemClock(), timedelta(seconds=15))
    await lookout.look(full=False)
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


async def test_a_repeat_of_which_little_is_written_does_not_make_a_store_trusted_that_has_just_failed(
    store: Store,
) -> None:
    lookout = Lookout(Roll(store, "a"), Reader(store), Memory("a"), SystemClock(), timedelta(seconds=15))
    start = to_ms(await store.now())
    await lookout.write(store.ingest, [firing(1, start, Severity.P4)])

    async def away(_: object) -> Taken:
        raise StoreError("away")

    with pytest.raises(StoreError):
        await lookout.write(away, [firing(2, start, Severity.P4)])
    assert lookout.takes.failing
    assert (await lookout.write(store.ingest, [firing(1, start, Severity.P4)])).outcomes == "d"
    assert lookout.takes.failing
    assert (await lookout.write(store.ingest, [firing(2, start, Severity.P4)])).outcomes == "n"
    assert not lookout.takes.failing


async def test_a_look_writes_next_to_nothing_and_after_a_failure_more_than_an_alert_takes(
    store: Store,
) -> None:
    lookout = Lookout(Roll(store, "a"), Reader(store), Memory("a"), SystemClock(), timedelta(seconds=15))

    async def written() -> list[int]:
        return [await store.client.strlen(f"{store.base}:look{more}") for more in ("", ":d")]

    await lookout.look(full=False)
    assert await written() == [LIGHT, 0]
    await lookout.look(full=True)
    await lookout.look(full=False)
    assert await written() == [HEAVY, HEAVY]
    await lookout.look(full=False)
    assert (await written())[0] == LIGHT
