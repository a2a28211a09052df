"""Replicas that cannot see the store, by their memories alone: the real rules of paging, and no clock but the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from stage import START
from world import OneRow, firing

from responder.engine.blind.gate import MemoryBook, MemoryGate
from responder.engine.blind.item import Heard
from responder.engine.blind.memory import Memory
from responder.engine.blind.sends import _why_not
from responder.engine.incidents import Decider
from responder.engine.outbox import Done
from responder.incident.effects import SendMessage
from responder.incident.facts import MessageDelivered
from responder.incident.message import MessageKind, Receipt
from responder.incident.severity import Severity
from responder.paging.bundles import Bundles
from responder.store.connection import connect
from responder.store.digests import Bounds
from responder.store.loaded import Attempt
from responder.store.store import Store, to_ms

PAGES = (MessageKind.PAGE, MessageKind.REMINDER)
BOUNDS = Bounds(after=3, within=timedelta(minutes=5), new_kinds=2, digest_every=timedelta(minutes=1))


def heard(
    number: int, *, key: int | None = None, severity: Severity = Severity.P1, fires: bool = True
) -> Heard:
    """An alert as a refused webhook brings it."""
    name = f"{number if key is None else key:032x}"
    write = firing(number, to_ms(START), severity, name)
    if not fires:
        write = (write[0], "R", write[2], write[2] + 60_000, 4, "", "", "")
    return Heard(fingerprint=write[0], firing=fires, severity=severity, key=name, write=write)


class Replica:
    """One replica; every message that it sends arrives at once, unless its channel is down."""

    def __init__(self, name: str, others: Sequence[str] = (), rules: OneRow | None = None) -> None:
        self.memory = Memory(name)
        self.memory.others = frozenset(others) - {name}
        row = rules or OneRow()
        unseen = Store(connect("unix:///nowhere/socket"), "main")
        self._decider = Decider(unseen, lambda: row, on_decision=lambda _: None, on_effect=lambda _: None)
        self.sent: list[tuple[datetime, SendMessage]] = []
        self.down = False

    def step(self, now: datetime, *, alone: bool = True) -> None:
        """Do all that is due."""
        for _ in range(20):
            due = self.memory.due(now, alone=alone)
            for incident_id in due:
                decision, _ = self._decider.decision(self.memory.load(incident_id, now))
                for effect in self.memory.decided(incident_id, decision):
                    self.send(effect, now)
                self.memory.pass_on(decision.effects)
            if not due:
                return
        raise AssertionError(f"it decides without end: {due}")

    def send(self, effect: SendMessage, now: datetime) -> None:
        incident = self.memory.items[effect.incident].incident
        assert incident is not None
        if self.down or _why_not(effect, incident, now):
            return
        self.sent.append((now, effect))
        told = MessageDelivered(
            at=now,
            effect=effect.id,
            page=effect.page,
            kind=effect.kind,
            attempt=1,
            receipt=Receipt({"n": "1"}),
        )
        self.memory.told(effect.incident, [told])

    def pages(self) -> list[str]:
        """Who was paged for what, without the notices."""
        return [f"{one.incident[:4]} {one.level}" for _, one in self.sent if one.kind in PAGES]

    def levels(self) -> list[str]:
        return [str(one.level) for _, one in self.sent if one.kind in PAGES]

    def severities(self) -> list[Severity]:
        found = [(one.kind, self.memory.items[one.incident].severity) for _, one in self.sent]
        return [severity for kind, severity in found if kind in PAGES]


class Bundled(Replica):
    """One whose pages ask what is remembered, as they do in the daemon; those of ``deaf`` incidents never arrive."""

    def __init__(self, name: str, others: Sequence[str] = ()) -> None:
        super().__init__(name, others)
        self.now = START
        self.deaf: Collection[str] = ()
        self._waiting: list[tuple[SendMessage, datetime]] = []
        gate = MemoryGate(self.memory, BOUNDS, lambda: self.now)
        self._bundles = Bundles(self._deliver, gate, MemoryBook(self.memory), lambda *_: None)

    def step(self, now: datetime, *, alone: bool = True) -> None:
        self.now = now
        for _ in range(20):
            super().step(now, alone=alone)
            before, self._waiting = self._waiting, []
            for effect, since in before:
                self._attempt(effect, since)
            if not before or self._waiting == before:
                return
        raise AssertionError("it sends without end")

    def send(self, effect: SendMessage, now: datetime) -> None:
        self._waiting.append((effect, now))

    def _attempt(self, effect: SendMessage, since: datetime) -> None:
        incident = self.memory.items[effect.incident].incident
        assert incident is not None
        if _why_not(effect, incident, self.now):
            return
        attempt = Attempt(
            lane=effect.lane,
            token="",
            effect=effect,
            number=1,
            first_at=since,
            now=self.now,
            snapshot=incident,
        )
        done = asyncio.run(self._bundles.perform(attempt))
        self.memory.told(effect.incident, tuple(done.facts))
        if done.retry_in is not None:
            self._waiting.append((effect, since))

    async def _deliver(self, attempt: Attempt) -> Done:
        effect = attempt.effect
        assert isinstance(effect, SendMessage)
        if effect.incident in self.deaf:
            return Done(retry_in=timedelta(seconds=2))
        self.sent.append((self.now, effect))
        told = MessageDelivered(at=self.now, effect=effect.id, page=effect.page, kind=effect.kind, attempt=1)
        return Done(facts=(told,))
