"""A daemon's own parts, as its composition root puts them together, on a store that may be away.

A test goes their rounds by hand and turns the clock; what the daemon tells people arrives at a real receiver.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web
from clocks import Turned
from mirror import moment
from peers import serving
from unsteady import Unsteady

from responder.app import Daemon, _session
from responder.catalogue import catalogue
from responder.config import Config
from responder.config_load import load_config
from responder.engine.desk import Desk
from responder.incident.sight import Pace, Sight
from responder.incident.state import Incident
from responder.intake.silence_desk import SilenceDesk
from responder.intake.webhook import decode
from responder.rulebook import Rulebook, rulebook
from responder.store.errors import StoreError
from responder.store.store import Store
from responder.wiring import Wiring

_PAGES = frozenset({"page", "reminder"})


@dataclass(frozen=True)
class Arrived:
    """Something that somebody was told; ``tick`` is how far the clock was turned then, in milliseconds."""

    at: datetime
    body: dict[str, Any]
    tick: int = 0

    @property
    def is_page(self) -> bool:
        return self.body["kind"] in _PAGES

    @property
    def incident(self) -> str:
        return str(self.body["incident"]["id"])


@dataclass
class Phones:
    """What the webhook channels post to: some of it fails for now, and some for good."""

    turned: Any
    chance: random.Random
    trouble: float = 0.0
    #: Channels that nothing comes through.
    down: set[str] = field(default_factory=set)
    arrived: list[Arrived] = field(default_factory=list)
    #: When somebody was last tried to be reached for a level of an incident, whatever came of it.
    tried: dict[tuple[str, str], datetime] = field(default_factory=dict)
    pages_seen: set[str] = field(default_factory=set)
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        body, now = json.loads(await request.read()), moment(self.turned)
        one = Arrived(now, body, self.turned.ms)
        if one.is_page:
            self.tried[one.incident, body["level"]] = now
            self.pages_seen.add(body["page_id"])
        dice = self.chance.random()
        if request.path.strip("/") in self.down or dice < self.trouble:
            return web.Response(status=503)
        if dice < self.trouble * 1.2:
            return web.Response(status=410)
        self.arrived.append(one)
        return web.Response()

    def pages(self) -> list[Arrived]:
        return [one for one in self.arrived if one.is_page]


@contextlib.asynccontextmanager
async def phones(turned: Any, chance: random.Random) -> AsyncIterator[Phones]:
    found = Phones(turned, chance)
    async with serving(found.answer) as found.url:
        yield found


def configured(folder: Path, name: str, rules: str, settings: dict[str, Any]) -> tuple[Config, Rulebook]:
    """The configuration and the rules as a daemon reads them."""
    (folder / "rules").mkdir(exist_ok=True, parents=True)
    (folder / "rules" / "rules.yaml").write_text(rules)
    file = folder / "responder.yaml"
    file.write_text(yaml.safe_dump({"name": name, "rules": [str(folder / "rules")], **settings}))
    config = load_config(file, {}, catalogue()).config
    return config, rulebook(config)


class Whole:
    """A replica that can die without a word and come back."""

    def __init__(
        self, store: Store, turned: Any, config: Config, rules: Rulebook, chance: random.Random
    ) -> None:
        self.store, self.turned = store, turned
        self.config, self.rules = config, rules
        self.chance = chance
        self.wire = Unsteady(store.client, chance)
        self.alive = False
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[Any]] = []
        self.wiring: Wiring

    @property
    def desk(self) -> Desk:
        return self.wiring.desk

    @property
    def silences(self) -> SilenceDesk:
        return self.wiring._upstream.desk(self.wiring.desk)

    @property
    def blind(self) -> bool:
        """Whether it pages from memory, or has not told all of that yet."""
        pager = self.wiring.blind.pager
        return pager.closed or pager.held

    async def incidents(self) -> list[Incident]:
        """All that are open, whatever this replica can see."""
        reader = self.wiring._parts.reader.__class__(self.store)
        return await reader.snapshots([name for name, _ in await reader.ids("open", "+inf", 2_000)])

    async def start(self) -> None:
        """As ``app.Daemon`` does; its loops that only look again and again are gone by hand."""
        daemon = Daemon(self.config, self.rules, clock=Turned(self.turned), shift=self.turned)
        self._stack = AsyncExitStack()
        session: aiohttp.ClientSession = await self._stack.enter_async_context(_session())
        parts = await daemon._parts(self.wire, session, self._stack)
        self.wiring = daemon._wiring = Wiring(parts)
        self.wiring.blind.pager._sends._pace = Pace(100_000)  # its minute is one of a real clock
        lookout = self.wiring.blind.pager._lookout  # and so is its patience: minutes may pass in less
        lookout.takes, lookout.decides = Sight(0, 0), Sight(0, 0)
        await self.wiring.circumstances.prepare()
        self._tasks = [
            asyncio.create_task(self._engine()), asyncio.create_task(self.wiring.commits.run())
        ]  # fmt: skip
        self.alive = True
        await asyncio.sleep(0)

    async def _engine(self) -> None:
        async with asyncio.TaskGroup() as group:
            self.wiring.blind.pager.open(group)
            await self.wiring.engine.run()

    async def die(self) -> None:
        """Cancelled wherever it is: between a claim and its commit, between a send and its crossing off."""
        self.alive = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    async def post(self, body: bytes) -> bool:
        """A webhook; whether it was answered with 200."""
        if self.alive:
            with contextlib.suppress(StoreError):
                await self.wiring._intake.take(decode(body))
                return True
        return False

    async def compare(self) -> None:
        """With the Alertmanagers, where there are any."""
        if self.wiring._reconciler is not None:
            with contextlib.suppress(StoreError):
                await self.wiring._reconciler.once()

    async def look(self) -> None:
        """What the loops of the daemon do at each turn."""
        await self.wiring.circumstances.keeper.look()
        await self.wiring.blind.pager.look()
        await self.wiring.blind.pager.tick()

    @property
    def idle(self) -> bool:
        return self.wiring.engine.idle and self.wiring.blind.pager._sends._pool.idle


async def settled(replicas: Sequence[Whole], *, turns: int = 2) -> None:
    """Let every replica look and do all that is due now, until nothing is."""
    for _ in range(turns):
        alive = [one for one in replicas if one.alive]
        for one in alive:
            await one.look()
        await _quiet(alive)
        for one in alive:
            await one.wiring.blind.pager.tick()
    await _quiet([one for one in replicas if one.alive])


async def _quiet(alive: Sequence[Whole], rounds: int = 20_000) -> None:
    quiet: deque[bool] = deque(maxlen=3)
    for _ in range(rounds):
        for one in alive:
            await one.wiring.engine.poll()
        await asyncio.sleep(0)
        quiet.append(all(one.idle for one in alive))
        if len(quiet) == quiet.maxlen and all(quiet):
            return
        if not quiet[-1]:
            await asyncio.sleep(0.001)
    raise AssertionError("there is no end to what is due")
