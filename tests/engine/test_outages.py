"""Days with a store that comes and goes, whose answers get lost: the promises hold, and nothing is told twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
import pytest
from clocks import Turned, TurnedClock
from test_simulation import check_awake, check_counts_agree, snapshots
from unsteady import Unsteady
from world import OneRow, World, firing, resolving, settle

from responder.alerts import Alert
from responder.engine.blind.pager import BlindPager
from responder.engine.blind.parts import BlindHooks, BlindParts
from responder.engine.engine import Engine, EngineHooks
from responder.engine.outbox import Performer
from responder.incident.decision import Decision
from responder.incident.effects import RunTriage, SendMessage, SettleDoubts
from responder.incident.facts import AcknowledgedBy
from responder.incident.message import MessageKind
from responder.incident.severity import LEVELS, Severity
from responder.incident.state import Incident, PageStatus
from responder.rules.model import Verdict
from responder.store.errors import StoreError
from responder.store.loaded import Loaded
from responder.store.reading import Reader
from responder.store.roll import Roll
from responder.store.store import AlertWrite, Store, to_ms

PAGES = (MessageKind.PAGE, MessageKind.REMINDER)
_ALERT = msgspec.json.Decoder(Alert)


def key_of(number: int) -> str:
    return f"{number % 6:032x}"


class Rules(OneRow):
    """An alert's key is a matter of its number."""

    def match(self, labels: Mapping[str, str]) -> Verdict:
        number = int(labels["alertname"].removeprefix("Alert"))
        return Verdict(
            rule="r",
            severity=Severity.P1,
            service="database",
            service_label="database",
            key=key_of(number),
            group=(),
        )


class Replica:
    """An engine and its blind pager before a store that may be away."""

    def __init__(
        self, store: Store, world: World, name: str, turned: TurnedClock, chance: random.Random
    ) -> None:
        self.wire = Unsteady(store.client, chance)
        self.store = Store(self.wire, store.base[11:-1], store.options, worker=name, shift=turned)
        rules = Rules()
        self.closed = False
        parts = BlindParts(
            roll=Roll(self.store, name), reader=Reader(self.store), clock=Turned(turned), ingest=self.store.ingest,
            rules=lambda: rules, full=lambda: False, decide=self._decide,
            perform=world.send, patience=timedelta(0),
        )  # fmt: skip
        self.blind_pages = 0
        hooks = BlindHooks(closed=lambda closed: setattr(self, "closed", closed), paged=self._paged)
        self.pager = BlindPager(parts, hooks)
        performers = {
            **world.performers(self.store),
            SendMessage: Performer(perform=self.pager.watching(world.send), limit=timedelta(seconds=10)),
        }
        self.engine = Engine(
            self.store,
            lambda: rules,
            performers,
            queues={"chat": 4, RunTriage.QUEUE: 4, SettleDoubts.QUEUE: 2},
            hooks=EngineHooks(decision=self.pager.decided, held=lambda: self.pager.held),
            chance=chance,
        )

    def _decide(self, loaded: Loaded) -> tuple[Decision, bool]:
        return self.engine.decider.decision(loaded)

    def _paged(self) -> None:
        self.blind_pages += 1

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            self.pager.open(group)
            await self.engine.run()

    async def post(self, batch: list[AlertWrite], alerts: list[Alert]) -> bool:
        """A webhook; whether it was answered with 200."""
        if not self.closed:
            with contextlib.suppress(StoreError):
                self.engine.took(await self.pager.ingest(batch))
                return True
        self.pager.refused(list(zip(alerts, batch, strict=True)))
        return False

    async def acknowledge(self, incident: str, now: datetime) -> bool:
        fact = AcknowledgedBy(at=now, by="ana", via="link")
        with contextlib.suppress(StoreError):
            if self.pager.held:
                return self.pager.say(incident, fact) is True
            return (await self.store.record(incident, fact)).outcome == "ok"
        return False

    async def settle(self) -> None:
        for _ in range(3):
            await self.pager.look()
            await self.pager.tick()
            await settle(self.engine)
            for _ in range(30):
                await asyncio.sleep(0)
            await self.pager.tick()


class Outages:
    """Drives alerts, people and outages by one random source."""

    def __init__(self, store: Store, turned: TurnedClock, seed: int, replicas: int) -> None:
        self.chance = random.Random(seed)
        self.store, self.turned = store, turned
        self.world = World(self.chance)
        self.replicas = [
            Replica(store, self.world, f"replica-{n}", turned, self.chance) for n in range(replicas)
        ]
        #: By alert, what Alertmanager has to say of it, in order.
        self.owed: dict[int, list[tuple[list[AlertWrite], list[Alert]]]] = {}
        self.firing_since: dict[int, int] = {}
        self.acknowledged: dict[str, tuple[datetime, int]] = {}
        self.outages = 0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def away(self) -> bool:
        return self.replicas[0].wire.away

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(one.run()) for one in self.replicas]
        await asyncio.sleep(0)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def alert(self) -> None:
        number, now = self.chance.randrange(8), to_ms(await self.store.now())
        if number in self.firing_since and self.chance.random() < 0.3:
            write = resolving(number, self.firing_since.pop(number), now)
        else:
            starts = self.firing_since.setdefault(number, now)
            write = firing(number, starts, Severity.P1, key_of(number))
        alert = _ALERT.decode(firing(number, now, Severity.P1)[7])
        self.owed.setdefault(number, []).append(([write], [alert]))

    async def deliver(self) -> None:
        """As Alertmanager does: in order, again and again, to any replica, until it is taken."""
        for waiting in self.owed.values():
            while waiting and await self.chance.choice(self.replicas).post(*waiting[0]):
                waiting.pop(0)

    async def person(self) -> None:
        asked = [sent.effect for sent in self.world.sent if sent.effect.kind in PAGES]
        if not asked:
            return
        effect = self.chance.choice(asked[-10:])
        now = self.replicas[0].pager.now()
        replica = self.chance.choice(self.replicas)
        if effect.incident not in self.acknowledged and await replica.acknowledge(effect.incident, now):
            self.acknowledged[effect.incident] = (replica.pager.now(), effect.episode)

    def outage(self) -> None:
        away = not self.away
        self.outages += away
        for one in self.replicas:
            one.wire.away = away

    async def step(self) -> None:
        dice = self.chance.random()
        if dice < 0.35:
            await self.alert()
        elif dice < 0.5:
            await self.person()
        elif dice < 0.65:
            self.outage()
        else:
            self.turned.turn(seconds=self.chance.choice([1, 20, 40, 100, 320]))
        await self.deliver()
        for one in self.replicas:
            await one.settle()

    async def run(self, steps: int) -> None:
        await self.start()
        for number in range(steps * 5):
            await self.step()
            if number >= steps and sum(one.blind_pages for one in self.replicas) > 3:
                break
        for one in self.replicas:
            one.wire.away, one.wire.loses = False, 0.0
        for _ in range(40):
            self.turned.turn(seconds=30)
            await self.deliver()
            for one in self.replicas:
                await one.settle()
        assert not any(self.owed.values())
        await self.stop()


def check_levels_reached(incident: Incident, now: datetime) -> None:
    """Who waits unacknowledged has been told on every level whose time has come, under whatever name it had then."""
    if incident.state_name != "triggered":
        return
    told = {
        page.level
        for page in incident.pages
        if page.episode == incident.episode.number and page.status is PageStatus.DELIVERED
    }
    for level in LEVELS:
        due = incident.due_at(level)
        assert due is not None
        assert level in told or due + timedelta(minutes=2) > now, f"{level} of {incident.id}"


async def awake_and_reached(store: Store) -> list[Incident]:
    """Every incident, each of them awake and told of as it should be."""
    incidents, now = await snapshots(store), await store.now()
    for incident in incidents:
        check_awake(incident, now)
        check_levels_reached(incident, now)
    return incidents


async def finish(simulation: Outages) -> None:
    keys = [
        key async for key in simulation.store.client.scan_iter(match=f"{simulation.store.base}:*", count=1000)
    ]
    await simulation.store.client.delete(*keys)


def check_not_paged_after_acknowledgement(simulation: Outages) -> None:
    for sent in simulation.world.sent:
        at, episode = simulation.acknowledged.get(sent.effect.incident, (None, 0))
        if at is not None and sent.effect.kind in PAGES and sent.effect.episode == episode:
            assert sent.at <= at + timedelta(seconds=1), "paged after the acknowledgement"


def check_each_page_once(simulation: Outages) -> None:
    ids = [sent.effect.id for sent in simulation.world.sent if sent.effect.kind in PAGES]
    again = [
        f"{sent.effect.incident} {sent.effect.level} at {sent.at}: {sent.effect.text[:17] or 'by the store'}"
        for sent in simulation.world.sent
        if ids.count(sent.effect.id) > 1
    ]
    assert not again, "the same page twice"
    first = [
        (sent.effect.incident, sent.effect.episode, sent.effect.level, sent.effect.contact)
        for sent in simulation.world.sent
        if sent.effect.kind is MessageKind.PAGE
    ]
    assert len(first) == len(set(first)), "somebody was paged twice for the same"


@pytest.mark.parametrize("seed", range(12))
async def test_one_replica_pages_everything_once_through_any_number_of_outages(
    store: Store, turned: TurnedClock, seed: int
) -> None:
    simulation = Outages(store, turned, seed, 1)
    await simulation.run(150)
    assert simulation.outages > 3
    assert simulation.replicas[0].blind_pages > 3
    incidents = await awake_and_reached(store)
    check_not_paged_after_acknowledgement(simulation)
    check_each_page_once(simulation)
    check_counts_agree(incidents, simulation.firing_since)
    await finish(simulation)


@pytest.mark.parametrize("seed", range(100, 106))
async def test_where_answers_of_the_store_get_lost_as_well_every_level_is_reached(
    store: Store, turned: TurnedClock, seed: int
) -> None:
    simulation = Outages(store, turned, seed, 1)
    simulation.replicas[0].wire.loses = 0.05
    await simulation.run(150)
    incidents = await awake_and_reached(store)
    check_counts_agree(incidents, simulation.firing_since)
    await finish(simulation)


@pytest.mark.parametrize("seed", range(200, 206))
async def test_two_replicas_that_lose_the_store_together_reach_every_level(
    store: Store, turned: TurnedClock, seed: int
) -> None:
    simulation = Outages(store, turned, seed, 2)
    await simulation.run(120)
    await awake_and_reached(store)
    await finish(simulation)
