"""What holds pages back while the store is away: no reason to wait outlives what is known to be its end."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from clocks import Turned, TurnedClock
from held import Held, alert, incidents, paged, rules_of
from unsteady import Unsteady
from world import World, settle

from responder.alerts import Alert, AlertStatus
from responder.engine.blind.pager import BlindPager
from responder.engine.blind.parts import BlindHooks, BlindParts
from responder.incident.decision import Decision
from responder.incident.facts import AlertsMuted
from responder.incident.hold import Hold, HoldKind
from responder.rules.compile import Compiled
from responder.rules.maintenance import WindowSpec
from responder.store.reading import Reader
from responder.store.roll import Roll
from responder.store.store import Store, to_ms
from responder.store.windows import id_of

GRAPH = """
services:
  api: {depends_on: [database]}
"""
#: The rule groups by none of these: one incident may hold alerts of several instances.
WINDOW = ('instance="a"',)


class Blind(Held):
    """A replica whose store can go away; put together as the daemon does it."""

    def __init__(self, store: Store, world: World, rules: Compiled, turned: TurnedClock) -> None:
        self.wire = Unsteady(store.client, random.Random(1))
        self._turned = turned
        name = store.base[11:-1]
        super().__init__(
            Store(self.wire, name, store.options, worker="one", shift=turned),
            world,
            rules,
        )

    def _make(self) -> None:
        super()._make()
        parts = BlindParts(
            roll=Roll(self.store, "one"), reader=Reader(self.store), clock=Turned(self._turned),
            ingest=self.store.ingest, rules=lambda: self.rules, full=lambda: False,
            decide=self.engine.decider.decision, perform=self.world.send,
            patience=timedelta(0),
        )  # fmt: skip
        self.pager = BlindPager(parts, BlindHooks(seen=self.keeper.heard, joined=self.keeper.joined))

    def rests(self) -> bool:
        return self.pager.held

    def _look_at(self, incident: str, urgent: bool) -> None:
        super()._look_at(incident, urgent)
        self.pager.look_at(incident)

    def _decided(self, decision: Decision) -> None:
        self.pager.decided(decision)
        super()._decided(decision)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            self.pager.open(group)
            await self.engine.run()

    async def start(self) -> None:
        self._make()
        await self.keeper.look()
        self._task = asyncio.create_task(self.run())
        await asyncio.sleep(0)

    def refuse(self, *alerts: Alert) -> None:
        """What Alertmanager sends, and is answered with 503."""
        now = to_ms(self.pager.now())
        told = []
        for one in alerts:
            write = self._firing(one, to_ms(one.starts_at))
            if one.status is AlertStatus.RESOLVED:
                write = (write[0], "R", now, now, 4, "", "", "")
            told.append((one, write))
        self.pager.refused(told)

    async def settle(self) -> None:
        for _ in range(4):
            await self.keeper.look()
            await self.pager.look()
            await self.pager.tick()
            await settle(self.engine)
            for _ in range(30):
                await asyncio.sleep(0)


Make = Callable[..., Awaitable[Blind]]


@pytest.fixture
def world() -> World:
    return World(random.Random(1))


@pytest.fixture
async def one(store: Store, world: World, turned: TurnedClock, tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Blind] = []

    async def make(text: str = "", **timing: timedelta) -> Blind:
        made.append(Blind(store, world, rules_of(tmp_path, text, **timing), turned))
        await made[0].start()
        return made[0]

    yield make
    for replica in made:
        with contextlib.suppress(BaseExceptionGroup):
            await replica.die()


def over(one: Alert) -> Alert:
    return msgspec.structs.replace(one, status=AlertStatus.RESOLVED)


async def go_away(replica: Blind) -> None:
    replica.wire.away = True
    await replica.settle()
    assert replica.pager.held


async def come_back(replica: Blind, turned: TurnedClock) -> None:
    replica.wire.away = False
    turned.turn(seconds=5)
    await replica.settle()
    assert not replica.pager.closed


async def window(replica: Blind) -> None:
    now = await replica.store.now()
    spec = WindowSpec(
        name="move", match=WINDOW, start=now, end=now + timedelta(hours=5), by="ana", made_at=now
    )
    await replica.keeper.make(msgspec.structs.replace(spec, id=id_of(spec)))


async def test_what_was_attached_is_paged_when_what_it_stands_on_has_resolved_while_the_store_is_away(
    store: Store, world: World, turned: TurnedClock, one: Make
) -> None:
    replica = await one(GRAPH)
    beneath, above = alert("Down", "database", "P1"), alert("Slow", "api", "P2")
    await replica.fire(beneath)
    await replica.settle()
    await replica.fire(above)
    await replica.settle()
    assert paged(world) == ["dbteam primary"]
    await go_away(replica)
    turned.turn(seconds=31)
    replica.refuse(above)
    await replica.settle()
    assert paged(world) == ["dbteam primary"]
    replica.refuse(over(beneath), above)
    await replica.settle()  # at once
    assert paged(world) == ["dbteam primary", "backend primary"]
    await come_back(replica, turned)
    await replica.resolve(beneath)
    await replica.settle()
    assert paged(world) == ["dbteam primary", "backend primary"]
    found = await incidents(store)
    assert found["database"].attached == ()
    assert found["api"].holds == ()


@pytest.mark.parametrize("known", [False, True])
async def test_a_window_that_covers_one_alert_holds_no_other_that_comes_while_the_store_is_away(
    world: World, turned: TurnedClock, one: Make, known: bool
) -> None:
    replica = await one()
    await window(replica)
    covered, other = (alert("Down", "database", "P1", instance=name) for name in "ab")
    if known:
        await replica.fire(covered)
        await replica.settle()
    await go_away(replica)
    replica.refuse(covered)
    await replica.settle()
    turned.turn(seconds=31)
    await replica.settle()
    assert paged(world) == []
    replica.refuse(covered, other)
    await replica.settle()
    assert paged(world) == ["dbteam primary"]
    await come_back(replica, turned)
    await replica.fire(covered, other)
    await replica.settle()
    assert paged(world) == ["dbteam primary"]


async def test_what_was_silenced_and_is_sent_all_the_same_while_the_store_is_away_is_paged(
    world: World, turned: TurnedClock, one: Make
) -> None:
    replica = await one()
    muted = alert("Down", "database", "P1")
    world.away.add("dbteam")
    await replica.fire(muted)
    await replica.settle()
    now = await replica.store.now()
    silence = Hold(kind=HoldKind.SILENCE, by="s", text="silenced", until=now + timedelta(hours=5))
    (known,) = (await incidents(replica.store)).values()
    await replica.store.record(known.id, AlertsMuted(at=now, by=(silence,)))
    replica.engine.look_at(known.id, urgent=True)
    await replica.settle()
    assert (await incidents(replica.store))["database"].holds != ()
    world.away.clear()
    await go_away(replica)
    turned.turn(seconds=31)
    await replica.settle()
    assert paged(world) == []
    replica.refuse(muted)
    await replica.settle()
    assert paged(world) == ["dbteam primary"]
