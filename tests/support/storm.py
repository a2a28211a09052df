"""Storms on the real store: engines whose pages are bundled, alerts of a kind, and what has to hold whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import timedelta

import msgspec
from clocks import TurnedClock
from world import OneRow, World, resolving, settle

from responder.engine.engine import Engine
from responder.engine.outbox import Performer
from responder.engine.spreading import Spreader
from responder.incident.effects import Effect, LeaveDigest, SendMessage, Spread
from responder.incident.facts import (
    AcknowledgedBy,
    ResolvedBy,
)
from responder.incident.message import MessageKind
from responder.incident.opening import Opening
from responder.incident.severity import Severity
from responder.incident.state import Incident
from responder.paging.bundles import Bundles
from responder.paging.shared_reminders import SharedReminders
from responder.performers import OtherIncidents
from responder.store.digests import Bounds, Digests, Reminders
from responder.store.reading import Reader
from responder.store.store import AlertWrite, Store, to_ms

BOUNDS = Bounds(after=3, within=timedelta(minutes=5), new_kinds=2, digest_every=timedelta(minutes=1))
#: What a worker that died had begun is taken over within this.
TAKEN_OVER = timedelta(seconds=40)
PAGES = (MessageKind.PAGE, MessageKind.REMINDER)


class BundledWorld(World):
    """A world in which nobody gets more pages than they can read."""

    def __init__(self, chance: random.Random, *, trouble: float = 0.0, bounds: Bounds = BOUNDS) -> None:
        super().__init__(chance, trouble=trouble)
        self.bounds = bounds
        self.outcomes: list[tuple[str, str]] = []

    def performers(self, store: Store) -> dict[type[Effect], Performer]:
        digests = Digests(store, self.bounds)
        others = OtherIncidents(store)

        def observe(*what: str) -> None:
            self.outcomes.append((what[0], what[1]))

        reminders = SharedReminders(self.send, Reminders(store), others.snapshot, observe)
        bundles = Bundles(reminders.perform, digests, others, observe)
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
                if sent.effect.contact == contact and sent.effect.kind in PAGES
            )
        )
