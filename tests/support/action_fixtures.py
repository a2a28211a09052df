"""The lever's world, on the real store with a turned clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest
from action_world import ActionWorld
from lever import LeverSettings
from world import settle

from responder.incident.facts import ResolvedBy
from responder.store.store import Store

Make = Callable[..., Awaitable[ActionWorld]]


class StoreClock:
    """The store's time, as the last look saw it; tests turn the store's."""

    def __init__(self) -> None:
        self.at: datetime | None = None

    def now(self) -> datetime:
        assert self.at is not None
        return self.at

    async def sleep(self, pause: timedelta | float) -> None:
        raise NotImplementedError


@pytest.fixture
async def make_world(store: Store, turned: Any) -> AsyncIterator[Make]:
    """Makes a world around a lever with these settings."""
    made: list[ActionWorld] = []
    async with aiohttp.ClientSession() as session:

        async def build(*, automatic: bool = False, **settings: Any) -> ActionWorld:
            clock = StoreClock()
            clock.at = await store.now()
            world = ActionWorld(
                store, clock, session, LeverSettings(target="main", **settings), automatic=automatic
            )
            await world.rise()
            made.append(world)
            return world

        yield build
        for world in made:
            for incident_id, _ in await world.reader.ids("all", "+inf", 100):
                await world.desk.record(incident_id, ResolvedBy(at=await store.now(), by="the test"))
            await settle(world.engine)
            await world.die()
