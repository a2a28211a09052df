"""The composition root: builds the parts, owns the task group, starts and stops. Nobody else constructs.

Start: store, rules, channels, engine, and the door last. Stop: readiness first, then the door, then what is under way
within the grace time, then the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import msgspec
import structlog

from responder.clock import Clock, SystemClock
from responder.config import Config
from responder.engine.desk import Desk
from responder.engine.engine import Engine
from responder.metrics import Metrics
from responder.paging.base import CHANNELS, Channel, ChannelTools
from responder.parts import Parts
from responder.rulebook import Rulebook
from responder.signing import AckTokens
from responder.store.charts import Charts
from responder.store.codes import Codes
from responder.store.connection import Client, Gated, ask, close, connect
from responder.store.conversations import Conversations
from responder.store.embedded import EmbeddedServer
from responder.store.errors import StoreError, UnsafeStoreError
from responder.store.group_commit import GroupCommit
from responder.store.reading import Reader
from responder.store.safety import check_durability, has_room
from responder.store.store import Store, StoreOptions
from responder.vigil.rounds import go_round
from responder.wiring import ListenError, Wiring

log = structlog.get_logger(__name__)

_STORE_PATIENCE = 30.0
_MEMORY_EVERY = 1.0
_CHAT_GRACE = 3.0  # seconds for what people have just pressed


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon that takes alerts."""

    port: int
    desk: Desk
    store: Store
    engine: Engine
    held: Callable[[], bool]
    """Whether the engine rests because the store cannot be seen."""


class Daemon:
    """One replica."""

    def __init__(
        self,
        config: Config,
        rulebook: Rulebook,
        *,
        clock: Clock | None = None,
        shift: Callable[[], int] = lambda: 0,
    ) -> None:
        self.config = config
        self.rulebook = rulebook
        self.metrics = Metrics()
        self.clock = clock or SystemClock()
        self._shift = shift
        self._open = False
        self._wiring: Wiring | None = None

    async def run(self, stop: asyncio.Event, started: Callable[[Running], object] = lambda _: None) -> None:
        """Serve until ``stop`` is set; raises where a part of it died.

        Raises:
            UnsafeStoreError: where the store could lose what it is given.
            StoreError: where its address is none, or it cannot be reached within half a minute.
            ListenError: where the address cannot be listened on.
        """
        async with contextlib.AsyncExitStack() as stack:
            embedded, client = await self._open_store(stack)
            session = await stack.enter_async_context(_session())
            parts = await self._parts(client, session, stack)
            try:
                await self._serve(parts, embedded, stop, started)
            except ExceptionGroup as group:
                refused, others = group.split(ListenError)
                if refused is None or others is not None:
                    raise
                raise refused.exceptions[0] from None  # nothing has died: it has not started

    async def _open_store(self, stack: contextlib.AsyncExitStack) -> tuple[EmbeddedServer | None, Client]:
        embedded = None
        if self.config.redis is None:
            embedded = EmbeddedServer(Path(self.config.data_dir))
            stack.push_async_callback(embedded.stop)
            await embedded.start()
        try:
            client = connect(embedded.url if embedded else self.config.redis.url.reveal())  # type: ignore[union-attr]
        except ValueError as error:
            raise StoreError(f"redis.url: {error}") from None
        stack.push_async_callback(close, client)
        accept = bool(self.config.redis and self.config.redis.accept_data_loss)
        await _until_safe(client, accept_data_loss=accept)
        return embedded, client

    async def _parts(
        self, client: Client, session: aiohttp.ClientSession, stack: contextlib.AsyncExitStack
    ) -> Parts:
        config = self.config
        options = StoreOptions(doubts=config.alertmanager is not None, retention=config.retention)
        worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        store = Store(client, config.name, options, worker=worker, shift=self._shift)
        charts = Charts(store)
        seen = Gated(client, self._cannot_see)
        gated = Store(seen, config.name, options, worker=worker, shift=self._shift)
        channels = await self._channels(gated, session, stack)
        self.metrics.begin(self.rulebook.rules.services, channels, self.rulebook.rules.actions)
        return Parts(
            config=config,
            rulebook=self.rulebook,
            metrics=self.metrics,
            clock=self.clock,
            chance=random.Random(),  # noqa: S311 - jitter, no secret
            store=store,
            reader=Reader(store),
            gated=gated,
            charts=charts,
            session=session,
            channels=channels,
            tokens=AckTokens(await _shared_key(client, store.base)),
            open=lambda: self._open,
        )

    def _cannot_see(self) -> bool:
        return self._wiring is not None and self._wiring.blind.pager.cannot_ask

    async def _channels(
        self, store: Store, session: aiohttp.ClientSession, stack: contextlib.AsyncExitStack
    ) -> dict[str, Channel]:
        tools = ChannelTools(
            session=session,
            clock=self.clock,
            external_url=self.config.external_url,
            chart=Charts(store).get_soon,
            codes=Codes(store),
            memory=Conversations(store),
            user_ids={one.name: one.slack for one in self.config.auth.people},
            silences=self.config.alertmanager is not None,
            spill=self.metrics.overflowed,
        )
        channels: dict[str, Channel] = {}
        for name, section in self.config.channels.items():
            channels[name] = CHANNELS[section.type](name, section.settings, tools)
            stack.push_async_callback(channels[name].close)
        return channels

    async def _serve(
        self,
        parts: Parts,
        embedded: EmbeddedServer | None,
        stop: asyncio.Event,
        started: Callable[[Running], object],
    ) -> None:
        wiring = Wiring(parts)
        engine, commits = wiring.engine, wiring.commits
        self._wiring = wiring
        asked = wiring.circumstances
        await asked.prepare()
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(embedded.run(), name="embedded store")] if embedded else []
            background += [
                group.create_task(commits.run(), name="group commit"),
                group.create_task(engine.run(), name="engine"),
                group.create_task(wiring.blind.pager.run(), name="blind mode"),
                group.create_task(self._watch_memory(parts.reader, commits), name="memory watch"),
                group.create_task(self.rulebook.watch(self.clock), name="rules watch"),
                group.create_task(asked.duty.watch(self.clock), name="who is on call"),
                group.create_task(asked.keeper.watch(self.clock), name="what holds pages back"),
            ]
            background += [
                group.create_task(go_round(one, self.clock), name=one.name) for one in wiring.rounds()
            ]
            background += [group.create_task(one, name="people") for one in wiring.people.work()]
            sockets = [group.create_task(one, name="Socket Mode") for one in wiring.people.sockets()]
            runner, port = await wiring.open()
            self._open = True
            log.info("ready", listen=self.config.listen, port=port, rules=len(self.rulebook.rules.rules))
            self._warn_of_blind_spots()
            started(
                Running(port=port, desk=wiring.desk, store=parts.store, engine=engine, held=wiring.blind.held)
            )
            try:
                await stop.wait()
            finally:
                self._open = False
                await runner.cleanup()
                for task in sockets:
                    task.cancel()
                await wiring.people.chat.drain(_CHAT_GRACE)
                if not await engine.drain(self.config.shutdown_grace) or not await wiring.blind.pager.rest():
                    log.warning("gave up waiting; what was held comes due again when its lease ends")
                await wiring.close()
                for task in background:
                    task.cancel()
        log.info("stopped")

    def _warn_of_blind_spots(self) -> None:
        if self.config.alertmanager is None:
            log.warning(
                "no alertmanager.urls: a lost resolve is found only after stale_after, and nothing can be asked"
            )

    async def _watch_memory(self, reader: Reader, commits: GroupCommit) -> None:
        """Refuse new alerts before the store is full, so that pages and acknowledgements still work."""
        while True:
            with contextlib.suppress(StoreError):
                room = has_room(await reader.memory())
                if commits.full is room:
                    log.error("the store is nearly full; alerts are refused") if not room else log.info(
                        "room again"
                    )
                commits.full = not room
            await self.clock.sleep(_MEMORY_EVERY)


@contextlib.asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    """One client session for every outgoing request: bounded, without proxies or cookies."""
    timeout = aiohttp.ClientTimeout(total=30, sock_connect=5)
    connector = aiohttp.TCPConnector(limit=100, limit_per_host=32)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    ) as session:
        yield session


async def _until_safe(client: Client, *, accept_data_loss: bool) -> None:
    """Wait for a store that is not there yet; refuse one that is not safe."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _STORE_PATIENCE
    while True:
        try:
            return await check_durability(client, accept_data_loss=accept_data_loss)
        except StoreError as error:
            if loop.time() > end:
                raise
            log.warning("waiting for the store", error=str(error))
            await asyncio.sleep(1.0)


async def _shared_key(client: Client, base: str) -> bytes:
    """The key of acknowledge links: one for all replicas, kept in the store."""
    await ask(client, "SET", f"{base}:ack_key", secrets.token_bytes(32), "NX")
    key = await ask(client, "GET", f"{base}:ack_key")
    if not isinstance(key, bytes):
        raise StoreError("ack_key: not readable")
    return key


__all__ = ["Daemon", "Running", "UnsafeStoreError"]
