"""Many hours of alerts, windows, dependencies, nights, people and crashes on the real store, with two replicas."""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import timedelta
from pathlib import Path

import msgspec
from causes import NIGHTS_EVERY, QUIET, Truth, Watch
from clocks import TurnedClock
from held import Held, alert, rules_of, settled
from world import World

from responder.alerts import Alert
from responder.incident.facts import AcknowledgedBy
from responder.incident.severity import LEVELS
from responder.incident.state import Incident, PageStatus, Triggered
from responder.rules.maintenance import WindowSpec
from responder.store.reading import Reader
from responder.store.store import Store
from responder.store.windows import id_of

RULES = f"""
services:
  api: {{depends_on: [database]}}
  dashboards: {{depends_on: [api]}}
quiet_hours: {{P3: {QUIET}}}
"""
SERVICES = ("database", "api", "dashboards", "platform")


class HeldSimulation:
    """Drives everything by one random source, and looks after each step that every reason to wait has a cause."""

    def __init__(self, store: Store, turned: TurnedClock, seed: int, folder: Path) -> None:
        self.chance = random.Random(seed)
        self.store, self.turned = store, turned
        self.world = World(self.chance, trouble=0.05)
        self.reader = Reader(store)
        self.rules = rules_of(folder, RULES)
        self.replicas = [Held(store, self.world, self.rules) for _ in range(2)]
        self.firing: dict[str, Alert] = {}
        self.windows: dict[str, WindowSpec] = {}
        self.reasons = Watch()

    async def run(self, steps: int) -> None:
        self.turned.to_next(NIGHTS_EVERY, await self.store.now())
        for one in self.replicas:
            await one.start()
        for _ in range(steps):
            await self.step()
            await settled(*self.replicas)
            await self.check_reasons()
        self.world._trouble = 0.0
        for _ in range(12):
            self.turned.turn(seconds=30)
            await settled(*self.replicas)
        await self.check_reasons()
        await self.check_paged()
        for one in self.replicas:
            await one.die()

    async def step(self) -> None:
        dice = self.chance.random()
        if dice < 0.35:
            await self.alert()
        elif dice < 0.45:
            await self.person()
        elif dice < 0.6:
            await self.window()
        elif dice < 0.7:
            await self.crash()
        else:
            self.turned.turn(seconds=self.chance.choice([1, 20, 70, 200, 400, 900]))

    async def alert(self) -> None:
        one, replica = self._alert(), self.chance.choice(self.replicas)
        if one.fingerprint in self.firing and self.chance.random() < 0.6:
            await replica.resolve(self.firing.pop(one.fingerprint))
        else:
            self.firing[one.fingerprint] = one
            await replica.fire(one)

    def _alert(self) -> Alert:
        service, severity = self.chance.choice(SERVICES), self.chance.choice(["P1", "P2", "P3", "P3"])
        return alert(f"A{self.chance.randrange(2)}", service, severity, instance=self.chance.choice("ab"))

    async def person(self) -> None:
        waiting = [one for one in await self.incidents() if isinstance(one.state, Triggered)]
        if waiting:
            incident = self.chance.choice(waiting)
            await self.store.record(incident.id, AcknowledgedBy(at=await self.store.now(), by="ana"))

    async def window(self) -> None:
        replica = self.chance.choice(self.replicas)
        if self.windows and self.chance.random() < 0.4:
            name = self.chance.choice(sorted(self.windows))
            del self.windows[name]
            await replica.keeper.end(name)
            return
        now = await self.store.now()
        begins = now + timedelta(seconds=self.chance.choice([-60, 0, 90]))
        match = self.chance.choice(['service="database"', 'service=~"api|dashboards"', 'instance="a"'])
        made = WindowSpec(
            name="w", match=(match,), start=begins, end=begins + timedelta(minutes=self.chance.choice([3, 20, 90])),
            made_at=now,
        )  # fmt: skip
        made = msgspec.structs.replace(made, id=id_of(made))
        found = await replica.keeper.make(made)  # one that overlaps may go on longer instead
        self.windows[found.id] = next(one for one, _ in replica.keeper.known.kept if one.id == found.id)

    async def crash(self) -> None:
        victim = self.chance.choice(self.replicas)
        polling = asyncio.create_task(victim.engine.poll())
        for _ in range(self.chance.randrange(6)):
            await asyncio.sleep(0)
        await victim.die()
        with contextlib.suppress(asyncio.CancelledError):
            await polling
        await victim.start()

    async def incidents(self) -> list[Incident]:
        return await self.reader.snapshots([name for name, _ in await self.reader.ids("open", "+inf", 200)])

    async def check_reasons(self) -> None:
        found = {one.id: one for one in await self.incidents()}
        self.reasons.look(Truth(now=await self.store.now(), windows=self.windows, incidents=found))

    async def check_paged(self) -> None:
        """What fires for longer than its escalation time is paged, or something holds it back."""
        now = await self.store.now()
        for incident in await self.incidents():
            if not isinstance(incident.state, Triggered) or incident.holds:
                continue
            told = {
                page.level for page in incident.pages
                if page.episode == incident.episode.number and page.status is PageStatus.DELIVERED
            }  # fmt: skip
            # Where a provider refused a level's page for good, the next level was paged at once instead.
            told |= {reach.level for reach in incident.episode.reached if reach.exhausted}
            for level in LEVELS:
                due = incident.due_at(level)
                if due is not None and due + timedelta(minutes=3) < now:
                    assert level in told, f"{level} of {incident.id} was due at {due}, now {now}"
