"""Storms on the real store: engines whose pages are bundled, alerts of a kind, and what has to hold whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections import defaultdict
from datetime import datetime, timedelta

import msgspec
from conftest import TurnedClock
from stage import after
from world import OneRow, World, resolving, settle

from responder.engine.engine import Engine
from responder.engine.outbox import Performer
from responder.engine.spreading import Spreader
from responder.incident.effects import Effect, LeaveDigest, SendMessage, Spread
from responder.incident.facts import (
    AcknowledgedBy,
    AlertsMuted,
    AlertsUnmuted,
    ReopenedBy,
    ResolvedBy,
    SeveritySet,
    SnoozedBy,
)
from responder.incident.hold import Hold, HoldKind
from responder.incident.message import MessageKind, Wanted
from responder.incident.opening import Opening
from responder.incident.severity import Severity
from responder.incident.state import Acknowledged, Incident, PageStatus, StateName, Triggered
from responder.paging.bundles import Bundles
from responder.performers import OtherIncidents
from responder.store.digests import Bounds, Digests
from responder.store.reading import Reader
from responder.store.store import AlertWrite, Store, to_ms

BOUNDS = Bounds(after=3, within=timedelta(minutes=5), new_kinds=2, digest_every=timedelta(minutes=1))
#: What a worker that died had begun is taken over within this.
TAKEN_OVER = timedelta(seconds=40)
_PAGES = (MessageKind.PAGE, MessageKind.REMINDER)


class BundledWorld(World):
    """A world in which nobody gets more pages than they can read."""

    def __init__(self, chance: random.Random, *, trouble: float = 0.0, bounds: Bounds = BOUNDS) -> None:
        super().__init__(chance, trouble=trouble)
        self.bounds = bounds
        self.outcomes: list[tuple[str, str]] = []

    def performers(self, store: Store) -> dict[type[Effect], Performer]:
        digests = Digests(store, self.bounds)
        bundles = Bundles(self.send, digests, OtherIncidents(store), lambda *what: self.outcomes.append(what))
        spreader = Spreader(store, digests, lambda *_: None)
        limit = timedelta(seconds=10)
        return {
            **super().performers(store),
            SendMessage: Performer(perform=bundles.perform, limit=limit),
            Spread: Performer(perform=spreader.spread, limit=limit),
            LeaveDigest: Performer(perform=spreader.leave, limit=limit),
        }


def one_of(
    number: int,
    starts_ms: int,
    kind: str = "Same",
    severity: Severity = Severity.P3,
    *,
    key: int | None = None,
) -> AlertWrite:
    """An alert of an incident of its own (or of ``key``'s), and of a kind."""
    opening = Opening(rule="r", service="database", service_label="database", severity=severity)
    alert = {
        "fingerprint": f"{number:016x}", "status": "firing", "labels": {"alertname": kind},
        "annotations": {"summary": f"number {number}"}, "startsAt": "2026-11-24T03:00:00Z",
    }  # fmt: skip
    return (
        f"{number:016x}", "F", starts_ms, 0, severity.rank, f"{number if key is None else key:032x}",
        msgspec.json.encode(opening).decode(), msgspec.json.encode(alert).decode(),
    )  # fmt: skip


class Storm:
    """Some replicas on one store, whose clock is turned by hand."""

    def __init__(
        self, store: Store, turned: TurnedClock, world: BundledWorld, rows: OneRow, replicas: int = 1
    ) -> None:
        self.store, self.turned, self.world, self.rows = store, turned, world, rows
        self.reader = Reader(store)
        self.engines: list[Engine] = [self._engine() for _ in range(replicas)]
        self._tasks: list[asyncio.Task[None]] = []

    def _engine(self) -> Engine:
        return self.world.replica(self.store, self.rows, ("chat", "mail", "phone"))

    async def __aenter__(self) -> Storm:
        self._tasks = [asyncio.create_task(engine.run()) for engine in self.engines]
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_raised: object) -> None:
        for incident in await self.incidents():
            await self.store.record(incident.id, ResolvedBy(at=await self.store.now(), by="the test"))
        for _ in range(4):
            await self.after(seconds=61)
        for number in range(len(self.engines)):
            await self._stop(number)

    async def _stop(self, number: int) -> None:
        self._tasks[number].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._tasks[number]

    async def crash(self, number: int, steps: int) -> None:
        """One of them dies in the middle of what it does, and another one takes its place."""
        polling = asyncio.create_task(self.engines[number].poll())
        for _ in range(steps):
            await asyncio.sleep(0)
        await self._stop(number)
        with contextlib.suppress(asyncio.CancelledError):
            await polling
        self.engines[number] = self._engine()
        self._tasks[number] = asyncio.create_task(self.engines[number].run())
        await asyncio.sleep(0)

    async def fire(self, *numbers: int, kind: str = "Same", severity: Severity = Severity.P3) -> None:
        start = to_ms(await self.store.now())
        await self.store.ingest([one_of(n, start, kind, severity) for n in numbers])
        await self.settled()

    async def rise(self, number: int, severity: Severity) -> None:
        """A worse alert joins the incident of another one."""
        start = to_ms(await self.store.now())
        await self.store.ingest([one_of(number + 50_000, start, "Same", severity, key=number)])
        await self.settled()

    async def resolve(self, *numbers: int) -> None:
        now = to_ms(await self.store.now())
        await self.store.ingest([resolving(n, now - 1, now + 1) for n in numbers])
        await self.settled()

    async def settled(self) -> None:
        for _ in range(3):
            await settle(*self.engines)

    async def after(self, **time: float) -> None:
        self.turned.turn(**time)
        await self.settled()

    async def soon(self) -> None:
        """What waits for a page that is under way looks again within a second or two."""
        for _ in range(3):
            await self.after(seconds=1)

    async def incidents(self, index: str = "open") -> list[Incident]:
        return await self.reader.snapshots([name for name, _ in await self.reader.ids(index, "+inf", 1_000)])

    async def acknowledge(self, incident: str, by: str = "ana") -> None:
        await self.store.record(incident, AcknowledgedBy(at=await self.store.now(), by=by))
        await self.settled()

    async def numbered(self, number: int) -> Incident:
        (found,) = [one for one in await self.incidents("all") if one.title.endswith(f"number {number}")]
        return found

    def rung(self, contact: str = "dbteam", *, since: int = 0) -> list[str]:
        """The incidents whose page this person got, each once, in order."""
        return list(
            dict.fromkeys(
                sent.effect.incident
                for sent in self.world.sent[since:]
                if sent.effect.contact == contact and sent.effect.kind in _PAGES
            )
        )


class StormSimulation(Storm):
    """Random storms, people, ends, rises and crashes; after each step nothing may be left to a digest that is over."""

    def __init__(self, store: Store, turned: TurnedClock, seed: int) -> None:
        self.chance = random.Random(seed)
        world = BundledWorld(self.chance, trouble=0.03)
        world.on_call = lambda names, _: {
            name: ("dbteam", "ben") if name == "dbteam" else (name,) for name in names
        }
        super().__init__(store, turned, world, OneRow(("chat", "mail", after(2, "phone"))), replicas=2)
        self.number = 0
        self.firing: list[int] = []
        self.quiet: list[int] = []
        self.kinds: dict[int, tuple[str, Severity]] = {}
        self.left: dict[str, datetime] = {}
        self.rises: set[str] = set()

    async def run(self, steps: int) -> None:
        for _ in range(steps):
            await self.step()
            await self.settled()
            await self.check_nothing_is_left()
        self.world._trouble = 0.0
        for _ in range(10):
            await self.after(seconds=30)
            await self.check_nothing_is_left()
        await self.check_all_told()
        await self.check_bound()

    async def step(self) -> None:
        dice = self.chance.random()
        if dice < 0.3:
            await self.burst()
        elif dice < 0.4 and self.firing:
            await self.come_and_go()
        elif dice < 0.6:
            await self.person()
        elif dice < 0.68:
            await self.mute()
        elif dice < 0.73 and self.firing:
            await self.rise(self.chance.choice(self.firing), Severity.P1)
        elif dice < 0.82:
            await self.crash(self.chance.randrange(2), self.chance.randrange(8))
        else:
            self.turned.turn(seconds=self.chance.choice([1, 1, 5, 20, 70, 200]))

    async def come_and_go(self) -> None:
        """One of them ends; or one that had ended fires again, and perhaps flaps."""
        if self.quiet and self.chance.random() < 0.5:
            gone = self.quiet.pop()
            self.firing.append(gone)
            kind, severity = self.kinds[gone]
            await self.fire(gone, kind=kind, severity=severity)
            return
        gone = self.firing.pop(self.chance.randrange(len(self.firing)))
        self.quiet.append(gone)
        await self.resolve(gone)

    async def burst(self) -> None:
        many = self.chance.choice([1, 2, 6, 15])
        numbers = range(self.number, self.number + many)
        self.number += many
        self.firing += numbers
        kind, severity = (
            self.chance.choice("ABCD"),
            self.chance.choice([Severity.P2, Severity.P3, Severity.P3]),
        )
        self.kinds |= dict.fromkeys(numbers, (kind, severity))
        await self.fire(*numbers, kind=kind, severity=severity)

    async def person(self) -> None:
        found = await self.incidents()
        carriers = [one for one in found if one.digest is not None]
        one = self.chance.choice(carriers or found) if found else None
        if one is None:
            return
        now, dice = await self.store.now(), self.chance.random()
        if dice < 0.5 and one.state_name in (StateName.TRIGGERED, StateName.ACKNOWLEDGED):
            await self.store.record(one.id, AcknowledgedBy(at=now, by="ana"))
        elif dice < 0.6:
            await self.store.record(
                one.id, SnoozedBy(at=now, by="ana", until=now + timedelta(minutes=self.chance.choice([1, 4])))
            )
        elif dice < 0.66:
            severity = self.chance.choice([Severity.P2, Severity.P3, Severity.P4])
            await self.store.record(one.id, SeveritySet(at=now, by="ana", severity=severity))
        elif dice < 0.8:
            await self.store.record(one.id, ResolvedBy(at=now, by="ana"))
        else:
            await self.store.record(one.id, ReopenedBy(at=now, by="ana"))

    async def mute(self) -> None:
        """A silence begins or ends, by preference over what carries a digest."""
        found = await self.incidents()
        carriers = [one for one in found if one.digest is not None and self.chance.random() < 0.7]
        if not found:
            return
        one, now = self.chance.choice(carriers or found), await self.store.now()
        silence = Hold(kind=HoldKind.SILENCE, by="s", text="a silence")
        fact = AlertsUnmuted(at=now) if one.muted else AlertsMuted(at=now, by=(silence,))
        await self.store.record(one.id, fact)

    async def check_nothing_is_left(self) -> None:
        """No incident that people ought to be paged for is told of only by a digest for which nobody is paged."""
        now, found = await self.store.now(), {one.id: one for one in await self.incidents("all")}
        left = {one.id for one in found.values() if isinstance(one.state, Triggered) and _is_left(one, found)}
        self.left = {one: self.left.get(one, now) for one in left}
        for one in found.values():
            if isinstance(one.state, Acknowledged) and one.state.digest:
                assert any(page.told_in == one.state.digest for page in one.pages), f"{one.id} was never told"
        for one, since in self.left.items():
            assert now - since < TAKEN_OVER, f"{one} is told by nothing since {since}, now {now}"

    async def check_all_told(self) -> None:
        """What was paged or told was so truly: every delivered page was sent, or stands in the list of its digest."""
        sent = {said.effect.page for said in self.world.sent}
        for incident in await self.incidents():
            for page in incident.pages:
                if page.status is PageStatus.DELIVERED:
                    assert page.id in sent or page.told_in, page

    async def check_bound(self) -> None:
        """In any stretch of time a person is rung for no more incidents than the configuration says."""
        bounds = self.world.bounds
        most = bounds.after + bounds.new_kinds + math.ceil(bounds.within / bounds.digest_every) + 1
        urgent = {one.id for one in await self.incidents("all") if one.severity is Severity.P1}
        first: dict[str, dict[tuple[str, int], datetime]] = defaultdict(dict)
        for said in self.world.sent:
            effect = said.effect
            if (
                effect.kind in _PAGES
                and effect.wanted is Wanted.UNACKNOWLEDGED
                and effect.incident not in urgent
            ):
                first[effect.contact].setdefault((effect.incident, 0), said.at)
        for contact, incidents in first.items():
            times = sorted(incidents.values())
            for at in times:
                inside = sum(at <= other < at + bounds.within for other in times)
                assert inside <= most, f"{contact}: {inside} incidents within {bounds.within} of {at}"


def _is_left(incident: Incident, others: dict[str, Incident]) -> bool:
    if not incident.is_paged:
        return False
    pages = [
        page
        for page in incident.pages
        if page.episode == incident.episode.number and page.wanted is Wanted.UNACKNOWLEDGED and page.live
    ]
    if not pages or any(not page.told_in for page in pages):
        return False
    return not any(others[page.told_in].is_paged for page in pages if page.told_in in others)
