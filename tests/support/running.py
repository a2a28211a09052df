"""An engine at work on the real store, in a small world whose clock is turned by hand."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from world import OneRow, World, firing, settle

from responder.engine.engine import Engine
from responder.engine.store_desk import StoreDesk
from responder.incident.facts import ResolvedBy
from responder.incident.severity import Severity
from responder.store.reading import Reader
from responder.store.store import Store, to_ms


class Running:
    """An engine at work in a small world."""

    def __init__(self, store: Store, world: World, engine: Engine, turned: Any) -> None:
        self.store, self.world, self.engine, self.turned = store, world, engine, turned
        self.reader = Reader(store)
        self.desk = StoreDesk(store, self.reader, engine.decide_now)

    async def fire(self, *numbers: int, severity: Severity = Severity.P1, key: str = "") -> None:
        start = to_ms(await self.store.now())
        self.engine.took(await self.store.ingest([firing(n, start, severity, key) for n in numbers]))
        await settle(self.engine)

    async def after(self, **time: float) -> None:
        self.turned.turn(**time)
        await settle(self.engine)

    async def ids(self) -> list[str]:
        return [i for i, _ in await self.reader.ids("all", "+inf", 100)]

    async def finish(self) -> None:
        """Close what is open, so that the store can be looked over for leaks."""
        for incident_id in await self.ids():
            now = await self.store.now()
            await self.desk.record(incident_id, ResolvedBy(at=now, by="the test"))
        await settle(self.engine)

    def said(self) -> list[str]:
        return [f"{sent.effect.kind} {sent.effect.level}" for sent in self.world.sent]


@pytest.fixture
async def run(store: Store, turned: Any) -> AsyncIterator[Running]:
    async with running(store, turned, OneRow(("chat", "mail"))) as found:
        yield found


@contextlib.asynccontextmanager
async def running(
    store: Store, turned: Any, rules: OneRow, world: World | None = None
) -> AsyncIterator[Running]:
    """An engine with these rules; at the end every incident is closed."""
    world = world or World(random.Random(1))
    engine = world.replica(store, rules, ("chat", "mail", "phone"))
    task = asyncio.create_task(engine.run())
    await asyncio.sleep(0)
    found = Running(store, world, engine, turned)
    yield found
    await found.finish()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
