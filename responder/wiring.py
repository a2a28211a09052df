"""The parts of a daemon, put together: what performs effects, what the web may ask. ``app.py`` starts and stops it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import timedelta

import aiohttp
import msgspec
import structlog
from aiohttp import web

from responder.actions.book import briefs
from responder.clock import Clock
from responder.config import Config
from responder.engine.engine import Engine, EngineHooks
from responder.engine.outbox import Performer
from responder.engine.outside import Elsewhere
from responder.engine.store_desk import StoreDesk
from responder.hands import Actions, Diagnosis, HandParts
from responder.incident.effects import CheckAction, Effect, RunAction, RunTriage, SendMessage, SettleDoubts
from responder.incident.facts import Fact
from responder.incident.state import Incident
from responder.intake.doubts import DoubtSettler
from responder.intake.intake import Intake
from responder.metrics import Metrics
from responder.paging.base import Channel
from responder.paging.delivery import Delivery, Links
from responder.rulebook import Rulebook
from responder.signing import AckTokens
from responder.store.charts import Charts
from responder.store.connection import ask
from responder.store.errors import StoreError
from responder.store.group_commit import GroupCommit
from responder.store.reading import Reader
from responder.store.store import Store, Taken
from responder.targets.base import Toolbox
from responder.triage.performer import TriagePerformer
from responder.upstream import Upstream, UpstreamParts
from responder.web import WebParts, application
from responder.web.webhook import Webhook

log = structlog.get_logger(__name__)

PAGE_LIMIT = timedelta(seconds=10)
TRIAGE_LIMIT = timedelta(seconds=24)
SETTLE_LIMIT = timedelta(seconds=15)
#: The gates, the change (at most 30 s) and the looks before and after it.
ACTION_LIMIT = timedelta(seconds=100)
ACK_LINK_LIFETIME = timedelta(hours=48)
_TRIAGE_SEATS = 64
_ACTION_SEATS = 16


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What is there before the engine: settings, rules, the store, the channels."""

    config: Config
    rulebook: Rulebook
    metrics: Metrics
    clock: Clock
    chance: random.Random
    store: Store
    reader: Reader
    charts: Charts
    session: aiohttp.ClientSession
    channels: Mapping[str, Channel]
    tokens: AckTokens
    open: Callable[[], bool]
    """Whether the door is open: false while starting and stopping."""


class Wiring:
    """The engine behind the webhook and the API, and the web server in front of it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._config = parts.config
        self._metrics = parts.metrics
        self._rulebook = parts.rulebook
        hands = HandParts(
            tools=Toolbox(targets=parts.config.targets, session=parts.session, clock=parts.clock),
            rulebook=parts.rulebook,
            store=parts.store,
            reader=parts.reader,
            charts=parts.charts,
            metrics=parts.metrics,
        )
        self._diagnosis = Diagnosis(hands)
        self._actions = Actions(hands, self._diagnosis)
        self._upstream = Upstream(
            UpstreamParts(
                config=parts.config,
                store=parts.store,
                reader=parts.reader,
                session=parts.session,
                clock=parts.clock,
                metrics=parts.metrics,
                rules=lambda: self._rulebook.rules,
            )
        )
        self.engine = self._engine()
        self.desk = StoreDesk(parts.store, parts.reader, self.engine.decide_now)
        self.commits = GroupCommit(parts.store.ingest, self.engine.took)
        self._intake = Intake(
            self.commits, parts.reader, lambda: self._rulebook.rules, self._metrics, met=self._upstream.met
        )
        self.reconciler = self._upstream.reconciler(self._intake, self.engine)

    async def close(self) -> None:
        """End what probes are still under way; let another replica compare."""
        await self._diagnosis.close()
        if self.reconciler is not None:
            await self.reconciler.stop()

    def _engine(self) -> Engine:
        metrics, parts = self._metrics, self._parts
        hooks = EngineHooks(
            decision=metrics.observe,
            lag=metrics.wake_lag.set,
            store_up=metrics.store_up.set,
            dropped=self._dropped,
            elsewhere=Elsewhere(holds=self._upstream.holds),
        )
        queues = {name: channel.concurrency for name, channel in parts.channels.items()}
        queues |= {RunTriage.QUEUE: _TRIAGE_SEATS, SettleDoubts.QUEUE: 2, RunAction.QUEUE: _ACTION_SEATS}
        return Engine(
            parts.store,
            lambda: self._rulebook.rules,
            self._performers(),
            queues=queues,
            hooks=hooks,
            chance=self._parts.chance,
        )

    def _took(self, taken: Taken) -> None:
        self.engine.took(taken)

    def _dropped(self, effect: Effect, why: str) -> None:
        if isinstance(effect, SendMessage):
            outcome = "expired" if why == "out of date" else "dropped"
            self._metrics.pages.labels(effect.channel, outcome).inc()

    def _performers(self) -> dict[type[Effect], Performer]:
        parts, config = self._parts, self._config
        links = Links(
            external_url=config.external_url,
            acknowledge=self._ack_link,
            offers=lambda incident: briefs(
                self._actions.book.offers(incident), incident, config.external_url
            ),
        )
        delivery = Delivery(
            parts.channels,
            lambda: self._rulebook.rules.contacts,
            links,
            observe=lambda channel, outcome: self._metrics.pages.labels(channel, outcome).inc(),
            chance=self._parts.chance,
        )
        settler = DoubtSettler(parts.store, self._upstream.peers, self._took)
        triage = TriagePerformer(self._diagnosis.runner, self._record)
        return {
            SendMessage: Performer(perform=delivery.perform, limit=PAGE_LIMIT),
            RunTriage: Performer(perform=triage.perform, limit=TRIAGE_LIMIT),
            SettleDoubts: Performer(perform=settler.perform, limit=SETTLE_LIMIT),
            RunAction: Performer(perform=self._actions.performer.perform, limit=ACTION_LIMIT),
            CheckAction: Performer(perform=self._actions.checker.perform, limit=ACTION_LIMIT),
        }

    async def _record(self, incident: str, fact: Fact, urgent: bool) -> None:  # noqa: FBT001 - a callback's form
        try:
            await self._parts.store.record(incident, fact)
        except StoreError as error:
            log.warning("fact not recorded", incident=incident, error=str(error))
            return
        self.engine.look_at(incident, urgent=urgent)

    def _ack_link(self, incident: Incident, contact: str) -> str:
        token = self._parts.tokens.issue(incident.id, contact, self._parts.clock.now(), ACK_LINK_LIFETIME)
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
            actions=self._actions.desk(self.desk),
            silences=self._upstream.desk(self.desk),
            auth=self._config.auth,
            clock=self._parts.clock,
            external_url=self._config.external_url,
            tokens=self._parts.tokens,
            rules=lambda: self._rulebook.rules,
            explain=self._rulebook.explain,
            reload=self._reload,
            ready=self._is_ready,
            metrics=self._expose,
            slack=self._rulebook.slack_secrets(),
            chart=self._parts.charts.get,
        )

    async def _reload(self) -> tuple[bool, tuple[str, ...]]:
        outcome = await self._rulebook.reload()
        return outcome.taken, tuple(str(one) for one in outcome.problems)

    async def _is_ready(self) -> bool:
        try:
            await ask(self._parts.store.client, "PING")
        except StoreError:
            return False
        return self._parts.open()

    async def _expose(self, accept: str) -> tuple[bytes, str]:
        """The metrics, with the store's counts as they are now (or as they last were, where it is away)."""
        # A reload may have brought services: they too are shown at zero before their first incident.
        rules = self._rulebook.rules
        self._metrics.begin(rules.services, self._parts.channels, rules.actions)
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
