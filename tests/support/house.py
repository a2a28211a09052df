"""Replicas with real rules, intake and engine on the real store and its turned clock; who is told is written down."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from world import World, settle

from responder.catalogue import catalogue
from responder.config import HeartbeatConfig
from responder.engine.engine import Engine, EngineHooks
from responder.engine.outside import Elsewhere
from responder.engine.store_desk import StoreDesk
from responder.holding.windows import KnownWindows
from responder.incident.canary import NULL_CHANNEL
from responder.incident.effects import RunTriage, SettleDoubts
from responder.incident.facts import ResolvedBy
from responder.incident.state import Incident
from responder.intake.heartbeats import Heartbeats
from responder.intake.intake import Intake, Summary
from responder.intake.missed import HeartbeatWatcher
from responder.intake.webhook import decode
from responder.metrics import Metrics
from responder.rules.compile import Compiled, Timing
from responder.rules.load import Surroundings, load
from responder.store.group_commit import GroupCommit
from responder.store.reading import Reader
from responder.store.signs import Signs
from responder.store.store import Store
from responder.vigil.road import Road

RULES = """
severities:
  P1: {respond_within: 15m, escalate: {secondary: 5m, executive: 15m}}
escalation:
  database: {primary: dbteam, secondary: platform, executive: cto}
  monitoring: {primary: watchers}
  platform: {primary: platform}
rules:
  - {name: database, match: ['service="database"'], severity: P1, service: database}
  - {name: watchdog, match: ['alertname="Watchdog"'], severity: P4, service: monitoring}
"""


def rules_of(folder: Path, text: str = RULES) -> Compiled:
    """Rules of one file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yaml").write_text(text)
    found = load([str(folder)], Surroundings(catalogue=catalogue()))
    assert found.raw is not None, [str(one) for one in found.problems]
    return Compiled(found.raw, Timing(channels=("chat",)))


class Replica:
    """One daemon without its web and its rounds: a test goes them by hand."""

    def __init__(
        self, store: Store, world: World, rules: Compiled, heartbeats: Sequence[HeartbeatConfig] = ()
    ) -> None:
        self.store, self.world, self.rules = store, world, rules
        self.reader = Reader(store)
        self.signs = Signs(store)
        self.metrics = Metrics()
        self.windows = KnownWindows(
            lambda: self.rules, lambda window, one: window.concerns(one.labels, one.service)
        )
        self.heartbeats = Heartbeats(heartbeats)
        self.engine = Engine(
            store,
            lambda: self.rules,
            world.performers(store),
            queues={"chat": 4, NULL_CHANNEL: 2, RunTriage.QUEUE: 4, SettleDoubts.QUEUE: 2},
            hooks=EngineHooks(decision=self._decided, elsewhere=Elsewhere(holds=self.windows.holds)),
            chance=random.Random(1),
        )
        self.desk = StoreDesk(store, self.reader, self.engine.decide_now)
        self.commits = GroupCommit(store.ingest, self.engine.took)
        self.intake = Intake(self.commits, self.reader, lambda: self.rules, self.metrics, self.heartbeats)
        self.watcher = HeartbeatWatcher(
            self.heartbeats, self.signs, self.commits, lambda: self.rules, stale_after=Timing().stale_after
        )
        self.road = Road(
            commits=self.commits,
            store=store,
            reader=self.reader,
            signs=self.signs,
            rules=lambda: self.rules,
            look_at=lambda incident: self.engine.look_at(incident, urgent=True),
        )
        self._tasks: list[asyncio.Task[None]] = []

    def _decided(self, decision: Any) -> None:
        self.world.decisions.append(decision)
        self.metrics.observe(decision)

    async def start(self) -> Replica:
        self._tasks = [asyncio.create_task(self.engine.run()), asyncio.create_task(self.commits.run())]
        await asyncio.sleep(0)
        return self

    async def die(self) -> None:
        """Cancelled wherever it is."""
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks)

    async def fall_asleep(self) -> None:
        """Nothing is decided or performed any more; alerts are still taken."""
        engine = self._tasks[0]
        engine.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await engine

    async def take(self, raw: bytes) -> Summary:
        """A webhook's body."""
        return await self.intake.take(decode(raw))

    async def listed(self) -> list[Incident]:
        """Every incident that is in the list, the oldest first."""
        ids = await self.reader.ids("all", "+inf", 100)
        return await self.reader.snapshots([i for i, _ in reversed(ids)])

    def value(self, name: str, **labels: str) -> float | None:
        """A sample of the metrics."""
        return self.metrics.registry.get_sample_value(name, labels)


class House:
    """All replicas on one store, and the clock."""

    def __init__(self, store: Store, turned: Any, folder: Path) -> None:
        self.store, self.turned, self.folder = store, turned, folder
        self.world = World(random.Random(1))
        self.replicas: list[Replica] = []

    async def replica(self, heartbeats: Sequence[HeartbeatConfig] = (), rules: str = RULES) -> Replica:
        made = Replica(self.store, self.world, rules_of(self.folder, rules), heartbeats)
        self.replicas.append(await made.start())
        return made

    async def settle(self) -> None:
        await settle(*(one.engine for one in self.replicas))

    async def after(self, **time: float) -> None:
        """Let time pass, and everything be done that has come due by then."""
        self.turned.turn(**time)
        await self.settle()

    def pages(self) -> list[str]:
        """Whom pages reached, over channels that reach somebody."""
        return [
            f"{one.effect.level} {one.effect.contact}"
            for one in self.world.sent
            if one.effect.kind == "page" and one.effect.channel != NULL_CHANNEL
        ]

    async def close(self) -> None:
        """Close what is open, so that the store can be looked over for leaks."""
        last = self.replicas[-1]
        for incident in await last.listed():
            await last.desk.record(incident.id, ResolvedBy(at=await self.store.now(), by="the test"))
        await self.settle()
        for one in self.replicas:
            await one.die()


@contextlib.asynccontextmanager
async def house(store: Store, turned: Any, folder: Path) -> AsyncIterator[House]:
    found = House(store, turned, folder)
    yield found
    await found.close()
