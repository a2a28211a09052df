"""Many days on the real store with a turned clock: duplicated, reordered and lost facts, crashes, two replicas."""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from world import World, firing, resolving, settle

from responder.engine.engine import Engine
from responder.incident.facts import AcknowledgedBy
from responder.incident.message import MessageKind
from responder.incident.severity import LEVELS, Level, Severity
from responder.incident.state import Incident
from responder.store.reading import Reader
from responder.store.store import Store, to_ms

TICK = timedelta(seconds=2)
PAGES = {MessageKind.PAGE, MessageKind.REMINDER}


class Replica:
    """An engine that can die without a word and come back."""

    def __init__(self, store: Store, world: World, channels: tuple[str, ...]) -> None:
        self._store, self._world, self._channels = store, world, channels
        self.engine: Engine = world.replica(store, channels=channels)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.engine = self._world.replica(self._store, channels=self._channels)
        self._task = asyncio.create_task(self.engine.run())
        await asyncio.sleep(0)

    async def die(self) -> None:
        """Cancelled wherever it is: between a claim and its commit, between a send and its crossing off."""
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


class Simulation:
    """Drives alerts, people, crashes and the clock by one random source."""

    def __init__(self, store: Store, turned: Any, seed: int, channels: tuple[str, ...]) -> None:
        self.chance = random.Random(seed)
        self.store, self.turned = store, turned
        self.world = World(self.chance, trouble=0.1)
        self.reader = Reader(store)
        self.replicas = [Replica(store, self.world, channels) for _ in range(2)]
        self.firing_since: dict[int, int] = {}
        self.acknowledged: dict[tuple[str, int], datetime] = {}
        self.crashes = 0

    async def alert(self) -> None:
        now, number = to_ms(await self.store.now()), self.chance.randrange(12)
        severity = self.chance.choice([Severity.P1, Severity.P1, Severity.P2, Severity.P3])
        key = f"{number % 5:032x}"
        if number in self.firing_since and self.chance.random() < 0.5:
            batch = [resolving(number, self.firing_since.pop(number), now)]
        else:
            starts = self.firing_since.setdefault(number, now)
            batch = [firing(number, starts, severity, key)]
        for _ in range(self.chance.choice([1, 1, 2, 3])):  # retries and HA pairs
            taken = await self.store.ingest(batch)
            if self.chance.random() < 0.5:  # else nobody is told: the poll has to find it
                self.replicas[0].engine.took(taken)

    async def person(self) -> None:
        ids = await self.reader.ids("open", "+inf", 20)
        incidents = await self.reader.snapshots([i for i, _ in ids])
        waiting = [one for one in incidents if one.state_name == "triggered"]
        if not waiting:
            return
        incident = self.chance.choice(waiting)
        now = await self.store.now()
        recorded = await self.store.record(incident.id, AcknowledgedBy(at=now, by="ana"))
        if recorded.outcome == "ok":
            self.acknowledged.setdefault((incident.id, incident.episode.number), now)

    async def step(self) -> None:
        dice = self.chance.random()
        if dice < 0.35:
            await self.alert()
        elif dice < 0.5:
            await self.person()
        elif dice < 0.6:
            await self.crash()
        else:
            self.turned.turn(seconds=self.chance.choice([1, 20, 70, 200, 400]))
        await settle(*(replica.engine for replica in self.replicas))

    async def crash(self) -> None:
        self.crashes += 1
        victim = self.chance.choice(self.replicas)
        polling = asyncio.create_task(victim.engine.poll())
        for _ in range(self.chance.randrange(6)):
            await asyncio.sleep(0)
        await victim.die()
        with contextlib.suppress(asyncio.CancelledError):
            await polling
        await victim.start()

    async def run(self, steps: int) -> None:
        for replica in self.replicas:
            await replica.start()
        for _ in range(steps):
            await self.step()
        await self.quiet_down()
        for replica in self.replicas:
            await replica.die()

    async def quiet_down(self) -> None:
        """Let every lease, back-off and level pass in steps that no deadline is shorter than."""
        self.world._trouble = 0.0
        for _ in range(60):
            self.turned.turn(seconds=30)
            await settle(*(replica.engine for replica in self.replicas))


async def snapshots(store: Store) -> list[Incident]:
    raw = [
        await store.client.hget(key, "snap")
        async for key in store.client.scan_iter(f"{store.base}:i:????????????????")
    ]
    return [msgspec.json.decode(one, type=Incident) for one in raw if one]


@pytest.mark.parametrize("seed", range(8))
async def test_promises_hold_through_hours_of_crashes_repeats_and_failing_channels(
    store: Store, turned: Any, seed: int
) -> None:
    simulation = Simulation(store, turned, seed, ("chat", "mail"))
    await simulation.run(120)
    incidents = await snapshots(store)
    assert incidents, "nothing happened"
    now = await store.now()
    for incident in incidents:
        check_awake(incident, now)
        check_levels_reached(incident, simulation, now)
    check_nobody_paged_after_acknowledgement(simulation)
    check_counts_agree(incidents, simulation)
    await close_all(store, simulation)


def check_awake(incident: Incident, now: datetime) -> None:
    """Every open incident has a next time, and it lies ahead."""
    if incident.open:
        assert incident.wake_at is not None
        assert incident.wake_at > now - TICK


def check_levels_reached(incident: Incident, simulation: Simulation, now: datetime) -> None:
    """Who waits unacknowledged has been paged on every level whose time has come."""
    if incident.state_name != "triggered":
        return
    told = {
        sent.effect.level
        for sent in simulation.world.sent
        if sent.effect.incident == incident.id and sent.effect.episode == incident.episode.number
        and sent.effect.kind in PAGES
    }  # fmt: skip
    for level in LEVELS:
        due = incident.due_at(level)
        assert due is not None
        if (
            due + timedelta(minutes=2) < now
        ):  # channels failed until the quiet began; then they are back-offs behind
            assert level in told, f"{level} of {incident.id} was due at {due}, now {now}"


def check_nobody_paged_after_acknowledgement(simulation: Simulation) -> None:
    for sent in simulation.world.sent:
        if sent.effect.kind not in PAGES:
            continue
        acknowledged = simulation.acknowledged.get((sent.effect.incident, sent.effect.episode))
        assert acknowledged is None or sent.at <= acknowledged, "paged after the acknowledgement"


def check_counts_agree(incidents: list[Incident], simulation: Simulation) -> None:
    """What fires, fires in exactly one open incident."""
    firing_now = sum(incident.totals.firing_now for incident in incidents if incident.open)
    assert firing_now == len(simulation.firing_since)


async def close_all(store: Store, simulation: Simulation) -> None:
    """Resolve what fires, and let the watch pass: nothing may be left behind in the store."""
    for replica in simulation.replicas:
        await replica.start()
    now = to_ms(await store.now())
    for number, since in simulation.firing_since.items():
        await store.ingest([resolving(number, since, now)])
    for _ in range(45):
        turned_to = simulation.turned
        turned_to.turn(minutes=1)
        await settle(*(replica.engine for replica in simulation.replicas))
    for replica in simulation.replicas:
        await replica.die()
    assert await store.client.zcard(f"{store.base}:x:open") == 0
    for index in ("w:u", "w:n", "q:chat:u", "q:chat:n", "q:mail:u", "q:mail:n"):
        assert await store.client.zcard(f"{store.base}:{index}") == 0, index
    assert await store.client.hlen(f"{store.base}:gauge") == 0


async def test_in_a_fault_free_run_two_replicas_send_each_page_once(store: Store, turned: Any) -> None:
    world = World(random.Random(1))
    replicas = [Replica(store, world, ("chat",)) for _ in range(2)]
    for replica in replicas:
        await replica.start()
    start = to_ms(await store.now())
    batch = [firing(number, start) for number in range(40)]
    for replica in replicas:  # an HA pair of Alertmanagers, each to its replica
        replica.engine.took(await store.ingest(batch))
    await settle(*(replica.engine for replica in replicas))
    for _ in range(16):
        turned.turn(minutes=1)
        await settle(*(replica.engine for replica in replicas))
    for replica in replicas:
        await replica.die()
    ids = [sent.effect.id for sent in world.sent]
    assert len(ids) == len(set(ids))
    assert {level: sum(s.effect.level is level for s in world.sent) for level in Level} == dict.fromkeys(
        Level, 40
    )
