"""The parts of a daemon, put together: what performs effects, what the web may ask. ``app.py`` starts and stops it."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path

import aiohttp
import msgspec
import structlog
from aiohttp import web

from responder.actions.book import briefs
from responder.blindness import Blindness, BlindnessParts
from responder.calendars.fetch import fetch
from responder.calendars.kept import Copies
from responder.clock import Clock
from responder.config import Config
from responder.duty import Duty, DutyHooks, calendars_in
from responder.engine.engine import Engine, EngineHooks
from responder.engine.outbox import Performer
from responder.engine.outside import Elsewhere
from responder.engine.store_desk import StoreDesk
from responder.hands import Actions, Diagnosis, HandParts
from responder.incident.effects import CheckAction, Effect, RunAction, RunTriage, SendMessage, SettleDoubts
from responder.incident.facts import Fact
from responder.incident.state import Incident
from responder.intake.alertmanager import Alertmanagers
from responder.intake.doubts import DoubtSettler
from responder.intake.intake import Intake
from responder.metrics import Metrics
from responder.paging.base import Channel
from responder.paging.delivery import Delivery, DeliveryHooks, Links
from responder.paging.reach import reach_of
from responder.rulebook import Rulebook
from responder.signing import AckTokens
from responder.store.charts import Charts
from responder.store.codes import Codes
from responder.store.connection import ask
from responder.store.errors import StoreError
from responder.store.group_commit import GroupCommit
from responder.store.overrides import Overrides
from responder.store.reading import Reader
from responder.store.store import Store, Taken
from responder.store.verified import Verified
from responder.targets.base import Toolbox
from responder.targets.kubernetes import Clusters
from responder.triage.performer import TriagePerformer
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
        self._clusters = Clusters(parts.config.targets.kubernetes)
        tools = Toolbox(
            targets=parts.config.targets, session=parts.session, clusters=self._clusters, clock=parts.clock
        )
        hands = HandParts(
            tools=tools,
            rulebook=parts.rulebook,
            store=parts.store,
            reader=parts.reader,
            charts=parts.charts,
            metrics=parts.metrics,
        )
        self.duty = self._duty()
        self._diagnosis = Diagnosis(hands)
        self._actions = Actions(hands, self._diagnosis)
        self.blind = self._blindness(self._delivery())
        self.engine = self._engine()
        self.desk = self.blind.desk(StoreDesk(parts.store, parts.reader, self.engine.decide_now))
        self.commits = GroupCommit(self.blind.pager.ingest, self.engine.took)
        rules, refused = (lambda: self._rulebook.rules), self.blind.pager.refused
        self._intake = Intake(self.commits, parts.reader, rules, self._metrics, refused=refused)

    def _blindness(self, delivery: Delivery) -> Blindness:
        parts = self._parts
        return Blindness(
            BlindnessParts(
                store=parts.store,
                reader=parts.reader,
                clock=parts.clock,
                rulebook=parts.rulebook,
                metrics=parts.metrics,
                patience=parts.config.blind_after,
                perform=delivery.perform,
                engine=lambda: self.engine,
                commits=lambda: self.commits,
            )
        )

    def _duty(self) -> Duty:
        parts = self._parts
        hooks = DutyHooks(
            reach=lambda: reach_of(self._rulebook.rules, parts.channels),
            ready=self._metrics.set_ready,
            calendars=self._metrics.set_calendars,
        )
        return Duty(
            lambda: self._rulebook.rules,
            Overrides(parts.store),
            partial(fetch, parts.session),
            Copies(calendars_in(Path(self._config.data_dir))),
            hooks,
        )

    def _who_now(self, names: Collection[str]) -> dict[str, tuple[str, ...]]:
        return self.duty.who(names, self._parts.clock.now())

    async def close(self) -> None:
        """End what probes are still under way, and let go of the clusters."""
        await self._diagnosis.close()
        await self._clusters.close()
        await self.blind.close()

    def _engine(self) -> Engine:
        metrics, parts = self._metrics, self._parts
        hooks = EngineHooks(
            decision=self.blind.decided,
            lag=metrics.wake_lag.set,
            store_up=metrics.store_up.set,
            dropped=self._dropped,
            elsewhere=Elsewhere(on_call=self.duty.who),
            held=self.blind.held,
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

    def _page_outcome(self, channel: str, outcome: str) -> None:
        self._metrics.pages.labels(channel, outcome).inc()

    def _delivery(self) -> Delivery:
        parts, config, metrics = self._parts, self._config, self._metrics
        links = Links(
            external_url=config.external_url,
            acknowledge=self._ack_link,
            offers=lambda incident: briefs(
                self._actions.book.offers(incident), incident, config.external_url
            ),
        )
        return Delivery(
            parts.channels,
            lambda: self._rulebook.rules.contacts,
            links,
            hooks=DeliveryHooks(
                observe=self._page_outcome,
                up=lambda channel, up: metrics.channel_up.labels(channel).set(up),
                redact=self._rulebook.redact,
            ),
            chance=self._parts.chance,
        )

    def _performers(self) -> dict[type[Effect], Performer]:
        parts, config = self._parts, self._config
        peers = Alertmanagers(config.alertmanager, parts.session) if config.alertmanager else None
        settler = DoubtSettler(parts.store, peers, self._took)
        triage = TriagePerformer(self._diagnosis.runner, self._record)
        return {
            SendMessage: Performer(perform=self.blind.perform, limit=PAGE_LIMIT),
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
            duty=self.duty,
            auth=self._config.auth,
            clock=self._parts.clock,
            external_url=self._config.external_url,
            tokens=self._parts.tokens,
            rules=lambda: self._rulebook.rules,
            explain=lambda labels: self._rulebook.explain(labels, self._who_now),
            reload=self._reload,
            ready=self._is_ready,
            blind=self.blind.held,
            metrics=self._expose,
            slack=self._rulebook.slack_secrets(),
            chart=self._parts.charts.get,
            channels=self._parts.channels,
            codes=Codes(self._parts.store),
            verified=Verified(self._parts.store),
            redact=self._rulebook.redact,
            page_outcome=self._page_outcome,
        )

    async def _reload(self) -> tuple[bool, tuple[str, ...]]:
        outcome = await self._rulebook.reload()
        return outcome.taken, tuple(str(one) for one in outcome.problems)

    async def _is_ready(self) -> bool:
        if self.blind.closed:
            return False
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
            self._metrics.set_shared(*await self.blind.unless_held(self._parts.reader.gauges))
        except StoreError:
            self._metrics.store_up.set(False)
        self._metrics.reload_successful.set(self._rulebook.last_reload_ok)
        self._metrics.reload_timestamp.set(self._rulebook.loaded_at.timestamp())
        return self._metrics.expose(accept)
