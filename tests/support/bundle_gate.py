"""Asks the store's gate for incidents that are nothing but a number, and keeps these in the store as the engine would."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from stage import Play

from responder.incident.severity import Severity
from responder.incident.state import Incident
from responder.store.digests import Answer, Bounds, Carry, Digests, Fold, FoldedLists, Ring, Wait
from responder.store.store import Store

BOUNDS = Bounds(
    after=3, within=timedelta(minutes=5), new_kinds=2, digest_every=timedelta(minutes=1)
)  # fmt: skip
TEMPLATE = Play(Severity.P3).incident


def incident(number: int, kind: str = "Same", severity: Severity = Severity.P3) -> Incident:
    return msgspec.structs.replace(
        TEMPLATE,
        id=f"{number:016x}",
        labels={"alertname": kind},
        severity=severity,
        title=f"number {number}",
    )


class Gate:
    """Asks, and keeps the incidents in the store as the engine would."""

    def __init__(self, store: Store, bounds: Bounds = BOUNDS) -> None:
        self.store, self.digests = store, Digests(store, bounds)

    async def is_in(
        self, number: int, state: str = "triggered", *, held: bool = False, episode: int = 1
    ) -> None:
        snapshot = '{"holds":[{"kind":"maintenance"}]}' if held else '{"holds":[]}'
        key = f"{self.store.base}:i:{number:016x}"
        await self.store.client.hset(key, mapping={"st": state, "snap": snapshot, "ep": episode})
        await self.store.client.pexpire(key, 600_000)

    async def ask(
        self,
        number: int,
        to: str = "ana",
        kind: str = "Same",
        severity: Severity = Severity.P3,
        **more: Any,
    ) -> Answer:
        if not await self.store.client.exists(f"{self.store.base}:i:{number:016x}"):
            await self.is_in(number)
        return await self.digests.ask(incident(number, kind, severity), to, **more)

    async def listed(self, number: int) -> dict[str, str]:
        return {one.id: one.line for one in await FoldedLists(self.store).listed(f"{number:016x}")}

    async def many(self, *numbers: int, **more: Any) -> list[str]:
        return [said(await self.ask(number, **more)) for number in numbers]


def said(answer: Answer) -> str:
    match answer:
        case Ring(new):
            return "new" if new else "ring"
        case Carry():
            return "carry"
        case Wait():
            return "wait"
        case Fold(into=into):
            return f"in {int(into, 16)}"
