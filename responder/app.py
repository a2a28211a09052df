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
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from pathlib import Path

import aiohttp
import msgspec
import structlog
from aiohttp import web

from responder.clock import Clock, SystemClock
from responder.config import Config
from responder.engine.engine import Engine, EngineHooks
from responder.engine.outbox import Performer
from responder.engine.store_desk import StoreDesk
from responder.incident.effects import Effect, RunTriage, SendMessage, SettleDoubts
from responder.incident.facts import Fact
from responder.incident.state import Incident
from responder.intake.alertmanager import Alertmanagers
from responder.intake.doubts import DoubtSettler
from responder.intake.intake import Intake
from responder.metrics import Metrics
from responder.paging.base import CHANNELS, Channel, ChannelTools
from responder.paging.delivery import Delivery, Links
from responder.rulebook import Rulebook
from responder.signing import AckTokens
from responder.store.connection import Client, ask, close, connect
from responder.store.embedded import EmbeddedServer
from responder.store.errors import StoreError, UnsafeStoreError
from responder.store.group_commit import GroupCommit
from responder.store.reading import Reader
from responder.store.safety import check_durability, has_room
from responder.store.store import Store, StoreOptions, Taken
from responder.triage.base import ProbeTools
from responder.triage.performer import TriagePerformer
from responder.triage.runner import TriageRunner
from responder.web import WebParts, application
from responder.web.webhook import Webhook

log = structlog.get_logger(__name__)

PAGE_LIMIT = timedelta(seconds=10)
TRIAGE_LIMIT = timedelta(seconds=24)
SETTLE_LIMIT = timedelta(seconds=15)
ACK_LINK_LIFETIME = timedelta(hours=48)
_TRIAGE_SEATS = 8
_STORE_PATIENCE = 30.0
_MEMORY_EVERY = 1.0


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon that takes alerts."""

    port: int
    desk: StoreDesk
    store: Store
    engine: Engine


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
        self.chance = random.Random()  # noqa: S311 - jitter, no secret
        self._ready = False

    async def run(self, stop: asyncio.Event, started: Callable[[Running], object] = lambda _: None) -> None:
        """Serve until ``stop`` is set; raises where a part of it died.

        Raises:
            UnsafeStoreError: where the store could lose what it is given.
            StoreError: where it cannot be reached within half a minute.
            OSError: where the address cannot be listened on.
        """
        async with contextlib.AsyncExitStack() as stack:
            embedded, client = await self._open_store(stack)
            session = await stack.enter_async_context(_session())
            running, serve = await self._build(client, session, stack)
            await self._serve(running, serve, embedded, stop, started)

    async def _open_store(self, stack: contextlib.AsyncExitStack) -> tuple[EmbeddedServer | None, Client]:
        embedded = None
        if self.config.redis is None:
            embedded = EmbeddedServer(Path(self.config.data_dir))
            stack.push_async_callback(embedded.stop)
            await embedded.start()
        client = connect(embedded.url if embedded else self.config.redis.url.reveal())  # type: ignore[union-attr]
        stack.push_async_callback(close, client)
        accept = bool(self.config.redis and self.config.redis.accept_data_loss)
        await _until_safe(client, accept_data_loss=accept)
        return embedded, client

    async def _build(
        self, client: Client, session: aiohttp.ClientSession, stack: contextlib.AsyncExitStack
    ) -> tuple[_Parts, _Door]:
        config = self.config
        options = StoreOptions(doubts=config.alertmanager is not None, retention=config.retention)
        worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        store = Store(client, config.name, options, worker=worker, shift=self._shift)
        reader = Reader(store)
        channels = await self._channels(session, stack)
        self.metrics.begin(self.rulebook.rules.services, channels)
        tokens = AckTokens(await _shared_key(client, store.base))
        parts = _Parts(store=store, reader=reader, session=session, channels=channels, tokens=tokens)
        return parts, _Door(self, parts)

    async def _channels(
        self, session: aiohttp.ClientSession, stack: contextlib.AsyncExitStack
    ) -> dict[str, Channel]:
        tools = ChannelTools(session=session, clock=self.clock, external_url=self.config.external_url)
        channels: dict[str, Channel] = {}
        for name, section in self.config.channels.items():
            channels[name] = CHANNELS[section.type](name, section.settings, tools)
            stack.push_async_callback(channels[name].close)
        return channels

    async def _serve(
        self,
        parts: _Parts,
        door: _Door,
        embedded: EmbeddedServer | None,
        stop: asyncio.Event,
        started: Callable[[Running], object],
    ) -> None:
        engine, commits = door.engine, door.commits
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(embedded.run(), name="embedded store")] if embedded else []
            background += [
                group.create_task(commits.run(), name="group commit"),
                group.create_task(engine.run(), name="engine"),
                group.create_task(self._watch_memory(parts.reader, commits), name="memory watch"),
                group.create_task(self.rulebook.watch(self.clock), name="rules watch"),
            ]
            runner, port = await door.open()
            self._ready = True
            log.info("ready", listen=self.config.listen, port=port, rules=len(self.rulebook.rules.rules))
            self._warn_of_blind_spots()
            started(Running(port=port, desk=door.desk, store=parts.store, engine=engine))
            try:
                await stop.wait()
            finally:
                self._ready = False
                await runner.cleanup()
                if not await engine.drain(self.config.shutdown_grace):
                    log.warning("gave up waiting; what was held comes due again when its lease ends")
                await door.close()
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

    @property
    def ready(self) -> bool:
        """Whether the door is open."""
        return self._ready


class _Parts(msgspec.Struct, frozen=True, kw_only=True):
    store: Store
    reader: Reader
    session: aiohttp.ClientSession
    channels: Mapping[str, Channel]
    tokens: AckTokens


class _Door:
    """The engine behind the webhook and the API, and the web server in front of it."""

    def __init__(self, daemon: Daemon, parts: _Parts) -> None:
        self._daemon = daemon
        self._parts = parts
        self._config = daemon.config
        self._metrics = daemon.metrics
        self._rulebook = daemon.rulebook
        self._runners: dict[str, TriageRunner] = {}
        self.engine = self._engine()
        self.desk = StoreDesk(parts.store, parts.reader, self.engine.decide_now)
        self.commits = GroupCommit(parts.store.ingest, self.engine.took)
        self._intake = Intake(self.commits, parts.reader, lambda: self._rulebook.rules, self._metrics)

    async def close(self) -> None:
        """End what probes are still under way."""
        for runner in self._runners.values():
            await runner.close()

    def _engine(self) -> Engine:
        metrics, parts = self._metrics, self._parts
        hooks = EngineHooks(
            decision=metrics.observe,
            lag=metrics.wake_lag.set,
            store_up=metrics.store_up.set,
            dropped=self._dropped,
        )
        queues = {name: channel.concurrency for name, channel in parts.channels.items()}
        queues |= {RunTriage.QUEUE: _TRIAGE_SEATS, SettleDoubts.QUEUE: 2}
        return Engine(
            parts.store,
            lambda: self._rulebook.rules,
            self._performers(),
            queues=queues,
            hooks=hooks,
            chance=self._daemon.chance,
        )

    def _took(self, taken: Taken) -> None:
        self.engine.took(taken)

    def _dropped(self, effect: Effect, why: str) -> None:
        if isinstance(effect, SendMessage):
            outcome = "expired" if why == "out of date" else "dropped"
            self._metrics.pages.labels(effect.channel, outcome).inc()

    def _performers(self) -> dict[type[Effect], Performer]:
        parts, config = self._parts, self._config
        links = Links(external_url=config.external_url, acknowledge=self._ack_link)
        delivery = Delivery(
            parts.channels,
            lambda: self._rulebook.rules.contacts,
            links,
            observe=lambda channel, outcome: self._metrics.pages.labels(channel, outcome).inc(),
            chance=self._daemon.chance,
        )
        peers = Alertmanagers(config.alertmanager, parts.session) if config.alertmanager else None
        settler = DoubtSettler(parts.store, peers, self._took)
        triage = TriagePerformer(self._runner(), self._record)
        return {
            SendMessage: Performer(perform=delivery.perform, limit=PAGE_LIMIT),
            RunTriage: Performer(perform=triage.perform, limit=TRIAGE_LIMIT),
            SettleDoubts: Performer(perform=settler.perform, limit=SETTLE_LIMIT),
        }

    def _runner(self) -> Callable[[], TriageRunner]:
        """The runner of the rules in force; a reload makes a new one."""
        tools = ProbeTools(
            targets=self._config.targets, session=self._parts.session, clock=self._daemon.clock
        )
        made = self._runners

        def runner() -> TriageRunner:
            rules = self._rulebook.rules
            if rules.digest not in made:
                made.clear()
                made[rules.digest] = TriageRunner(
                    rules.probes, tools, observe=self._observe_probe, redact=self._rulebook.redact
                )
            return made[rules.digest]

        return runner

    def _observe_probe(self, probe: str, outcome: str, seconds: float) -> None:
        self._metrics.probe_duration.labels(probe, outcome).observe(seconds)

    async def _record(self, incident: str, fact: Fact, urgent: bool) -> None:  # noqa: FBT001 - a callback's form
        try:
            await self._parts.store.record(incident, fact)
        except StoreError as error:
            log.warning("fact not recorded", incident=incident, error=str(error))
            return
        self.engine.look_at(incident, urgent=urgent)

    def _ack_link(self, incident: Incident, contact: str) -> str:
        token = self._parts.tokens.issue(incident.id, contact, self._daemon.clock.now(), ACK_LINK_LIFETIME)
        return f"{self._config.external_url.rstrip('/')}/ack/{token}"

    async def open(self) -> tuple[web.AppRunner, int]:
        """Listen; the runner and the port (which may have been 0 in the configuration)."""
        webhook = Webhook(self._intake, self._metrics, self._config.auth.webhook, self._config.max_body_bytes)
        app = application(self._web_parts(), webhook.handle)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=5.0)
        await runner.setup()
        host, _, port = self._config.listen.rpartition(":")
        site = web.TCPSite(runner, host.strip("[]") or None, int(port), backlog=1024)
        await site.start()
        return runner, runner.addresses[0][1]

    def _web_parts(self) -> WebParts:
        return WebParts(
            desk=self.desk,
            auth=self._config.auth,
            clock=self._daemon.clock,
            external_url=self._config.external_url,
            tokens=self._parts.tokens,
            rules=lambda: self._rulebook.rules,
            explain=self._rulebook.explain,
            reload=self._reload,
            ready=self._is_ready,
            metrics=self._expose,
            slack=self._rulebook.slack_secrets(),
        )

    async def _reload(self) -> tuple[bool, tuple[str, ...]]:
        outcome = await self._rulebook.reload()
        return outcome.taken, tuple(str(one) for one in outcome.problems)

    async def _is_ready(self) -> bool:
        try:
            await ask(self._parts.store.client, "PING")
        except StoreError:
            return False
        return self._daemon.ready

    async def _expose(self, accept: str) -> tuple[bytes, str]:
        """The metrics, with the store's counts as they are now (or as they last were, where it is away)."""
        # A reload may have brought services: they too are shown at zero before their first incident.
        self._metrics.begin(self._rulebook.rules.services, self._parts.channels)
        try:
            counts, depth = await self._parts.reader.gauges()
        except StoreError:
            self._metrics.store_up.set(False)
        else:
            self._metrics.store_up.set(True)
            self._metrics.set_open(counts)
            self._metrics.outbox_depth.set(depth)
        self._metrics.reload_successful.set(self._rulebook.last_reload_ok)
        self._metrics.reload_timestamp.set(self._rulebook.loaded_at.timestamp())
        return self._metrics.expose(accept)


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
