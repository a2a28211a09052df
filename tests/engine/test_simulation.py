"""Many days on the real store with a turned clock: duplicated, reordered and lost facts, crashes, two replicas."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Collection, Mapping, Sequence, Sized
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from held_simulation import HeldSimulation
from stage import after
from world import OneRow, World, firing, resolving, settle

from responder.engine.engine import Engine
from responder.incident.effects import SendMessage
from responder.incident.facts import AcknowledgedBy, Fact, MessageFailed, SnoozedBy
from responder.incident.message import Wanted
from responder.incident.policy import AcknowledgementPolicy
from responder.incident.severity import LEVELS, Level, Severity
from responder.incident.state import Incident
from responder.store.reading import Reader
from responder.store.store import Store, to_ms

TICK = timedelta(seconds=2)
#: After this everybody's turns begin again.
TURNS = 44 * timedelta(minutes=7)


def is_page(effect: SendMessage) -> bool:
    """Whether it asks somebody to answer; what reminds who has answered is none."""
    return effect.wanted is Wanted.UNACKNOWLEDGED


class Replica:
    """An engine that can die without a word and come back."""

    def __init__(
        self, store: Store, world: World, channels: tuple[str, ...], rules: OneRow | None = None
    ) -> None:
        self._store, self._world, self._channels = store, world, channels
        self._rules = rules or OneRow(channels)
        self.engine: Engine = world.replica(store, self._rules, channels)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.engine = self._world.replica(self._store, self._rules, self._channels)
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

    def __init__(
        self, store: Store, turned: Any, seed: int, channels: tuple[str, ...], rules: OneRow | None = None
    ) -> None:
        self.chance = random.Random(seed)
        self.store, self.turned = store, turned
        self.world = World(self.chance, trouble=0.1)
        self.reader = Reader(store)
        self.replicas = [Replica(store, self.world, channels, rules) for _ in range(2)]
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
        recorded = await self.store.record(incident.id, self.answer(now))
        if recorded.outcome == "ok":  # what was begun before it was on disk may still arrive
            self.acknowledged.setdefault((incident.id, incident.episode.number), await self.store.now())

    def answer(self, now: datetime) -> Fact:
        """How a person takes an incident."""
        return AcknowledgedBy(at=now, by="ana")

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
        self.turned.to_next(TURNS, await self.store.now())
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


class SimulationOfPeople(Simulation):
    """People who change, who snooze, who fall asleep; providers that go and come, and take back what they said."""

    CHANNELS = ("chat", "mail", "phone")

    def __init__(self, store: Store, turned: Any, seed: int) -> None:
        standing = AcknowledgementPolicy(remind_after=timedelta(minutes=4), lapse_after=timedelta(minutes=7))
        rules = OneRow(("chat", "mail", after(1, "phone")), standing=standing)
        super().__init__(store, turned, seed, self.CHANNELS, rules)
        self.world.on_call = self.on_call

    def on_call(self, names: Collection[str], now: datetime) -> Mapping[str, Sequence[str]]:
        """Every seven minutes somebody else, now and then nobody; and sometimes it cannot be said."""
        shift = int(now.timestamp()) // 420
        if shift % 11 == 5:
            raise RuntimeError("the calendar does not answer")
        turns: list[tuple[str, ...]] = [("ana",), ("ben", "cas"), (), ("cas", "ana", "dan")]
        return {"dbteam": turns[shift % len(turns)], "platform": turns[(shift + 1) % 2]}

    def answer(self, now: datetime) -> Fact:
        if self.chance.random() < 0.3:
            return SnoozedBy(at=now, by="ben", until=now + timedelta(minutes=self.chance.choice([2, 6])))
        return AcknowledgedBy(at=now, by=self.chance.choice(["ana", "slack:cas", "somebody"]))

    async def step(self) -> None:
        dice = self.chance.random()
        if dice < 0.1:
            self.world.down = set(self.chance.sample(self.CHANNELS, self.chance.randrange(3)))
        elif dice < 0.15:
            self.world.known_down = set(self.chance.sample(self.CHANNELS, self.chance.randrange(2)))
        elif dice < 0.2 and self.world.sent:
            await self.take_back(self.chance.choice(self.world.sent).effect)
        await super().step()

    async def take_back(self, effect: SendMessage) -> None:
        """The provider reports that a message never arrived."""
        now = await self.store.now()
        fact = MessageFailed(
            at=now, effect=effect.id, page=effect.page, kind=effect.kind, reason="undelivered"
        )
        await self.store.record(effect.incident, fact)

    async def quiet_down(self) -> None:
        self.world.down = self.world.known_down = set()
        await super().quiet_down()


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
    check_counts_agree(incidents, simulation.firing_since)
    await close_all(store, simulation)


@pytest.mark.parametrize("seed", range(100, 108))
async def test_promises_hold_whoever_is_on_call_snoozes_falls_asleep_and_whatever_providers_say_later(
    store: Store, turned: Any, seed: int
) -> None:
    simulation = SimulationOfPeople(store, turned, seed)
    await simulation.run(120)
    incidents = await snapshots(store)
    assert incidents, "nothing happened"
    now = await store.now()
    for incident in incidents:
        check_awake(incident, now)
        check_people_reached(incident, simulation, now)
    check_nobody_paged_after_acknowledgement(simulation)
    check_each_page_was_asked_for_once(simulation)
    check_counts_agree(incidents, simulation.firing_since)
    await close_all(store, simulation)


def check_people_reached(incident: Incident, simulation: Simulation, now: datetime) -> None:
    """Who waits unacknowledged has been reached on every level whose time has come: each person, or said why not."""
    if incident.state_name != "triggered":
        return
    reached = {reach.level: reach for reach in incident.episode.reached}
    told = {
        (sent.effect.level, sent.effect.contact)
        for sent in simulation.world.sent
        if sent.effect.incident == incident.id and sent.effect.episode == incident.episode.number
        and is_page(sent.effect)
    }  # fmt: skip
    for level in LEVELS:
        due = incident.due_at(level)
        assert due is not None
        if due + timedelta(minutes=2) < now:
            for person in reached[level].people:
                assert person.exhausted or (level, person.name) in told, f"{person.name} on {level}"


def check_each_page_was_asked_for_once(simulation: Simulation) -> None:
    asked = [effect.id for decision in simulation.world.decisions for effect in decision.effects]
    assert len(asked) == len(set(asked))


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
        and is_page(sent.effect)
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
        if not is_page(sent.effect):
            continue
        acknowledged = simulation.acknowledged.get((sent.effect.incident, sent.effect.episode))
        assert acknowledged is None or sent.at <= acknowledged, "paged after the acknowledgement"


def check_counts_agree(incidents: list[Incident], firing: Sized) -> None:
    """What fires, fires in exactly one open incident."""
    firing_now = sum(incident.totals.firing_now for incident in incidents if incident.open)
    assert firing_now == len(firing)


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
    for index in ("w:u", "w:n", *(f"q:{name}:{kind}" for name in ("chat", "mail", "phone") for kind in "un")):
        assert await store.client.zcard(f"{store.base}:{index}") == 0, index
    assert await store.client.hlen(f"{store.base}:gauge") == 0


async def test_d6_in_a_fault_free_run_two_replicas_send_each_page_once(store: Store, turned: Any) -> None:
    """Elsewhere two replicas in one tick sent two mails."""
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


@pytest.mark.parametrize("seed", range(6))
async def test_through_windows_dependencies_nights_and_crashes_every_reason_to_wait_has_a_cause(
    store: Store, turned: Any, seed: int, tmp_path: Path
) -> None:
    simulation = HeldSimulation(store, turned, seed, tmp_path)
    await simulation.run(110)
    assert len(simulation.reasons.kinds) >= 2, "hardly anything was held back"
