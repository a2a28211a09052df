"""The parts of a daemon, put together: what performs effects, what the web may ask. ``app.py`` starts and stops it."""

from __future__ import annotations

import errno

from aiohttp import web

from responder.blindness import Blindness
from responder.chat.silences import ChatSilences
from responder.circumstances import Circumstances
from responder.engine.engine import Engine, EngineHooks
from responder.engine.store_desk import StoreDesk
from responder.exposition import Exposition
from responder.hands import Actions, Diagnosis, HandParts
from responder.incident.decision import Decision
from responder.intake.heartbeats import Heartbeats
from responder.intake.intake import Intake, IntakeHooks
from responder.parts import Parts
from responder.people import People, PeopleParts
from responder.performers import EngineLinks, MessageReports, Performers
from responder.store.codes import Codes
from responder.store.connection import ask
from responder.store.digests import FoldedLists
from responder.store.errors import StoreError
from responder.store.group_commit import GroupCommit
from responder.store.store import Taken
from responder.store.verified import Verified
from responder.targets.base import Toolbox
from responder.targets.errors import os_reason
from responder.targets.kubernetes import Clusters
from responder.upstream import Upstream, UpstreamParts
from responder.vigil.rounds import Round
from responder.vigils import VigilParts, Vigils
from responder.web import WebParts, application
from responder.web.credentials import WebhookCredentials
from responder.web.webhook import Webhook

_REMEDIES = {
    errno.EADDRINUSE: "is in use already: end what listens there, or choose another port",
    errno.EADDRNOTAVAIL: "is no address of this machine: choose one that is, or 0.0.0.0 for all of them",
    errno.EACCES: "is not for this user to listen on: choose a port from 1024 on",
}


class ListenError(OSError):
    """The address of ``listen`` cannot be listened on; the text says what to do."""

    def __init__(self, listen: str, error: OSError) -> None:
        remedy = _REMEDIES.get(error.errno or 0, f"cannot be listened on: {os_reason(error)}")
        super().__init__(f"listen: {listen} {remedy}")


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
        heartbeats = Heartbeats(parts.config.heartbeats)
        self.circumstances = Circumstances(parts, self._look_at, heartbeats)
        self._diagnosis = Diagnosis(hands)
        self._actions = Actions(hands, self._diagnosis)
        self._reports = MessageReports(parts.metrics)
        shared = ("config", "store", "reader", "session", "clock", "metrics")
        self._upstream = Upstream(
            UpstreamParts(
                rules=lambda: self._rulebook.rules, **{name: getattr(parts, name) for name in shared}
            )
        )
        self._performers = Performers(
            parts, self._reports, self._diagnosis, self._actions, self._upstream.peers
        )
        self.blind = Blindness(
            parts,
            self._performers,
            self.circumstances.keeper,
            engine=lambda: self.engine,
            commits=lambda: self.commits,
        )
        self.engine = self._engine()
        self.desk = self.blind.desk(StoreDesk(parts.store, parts.reader, self.engine.decide_now))
        self.commits = GroupCommit(self.blind.pager.ingest, self.engine.took, parts.metrics.overflowed)
        self.people = self._people()
        self._intake = Intake(
            self.commits,
            parts.reader,
            lambda: self._rulebook.rules,
            self._metrics,
            heartbeats,
            IntakeHooks(met=self._upstream.met, refused=self.blind.pager.refused),
        )
        self._reconciler = self._upstream.reconciler(self._intake, self.engine)
        self._credentials = WebhookCredentials(parts.config.auth.webhook)
        self._vigils = self._watched(heartbeats)
        self._exposition = Exposition(
            parts.metrics,
            parts.rulebook,
            parts.reader,
            self._vigils,
            channels=parts.channels,
            held=self.blind.held,
        )

    def _watched(self, heartbeats: Heartbeats) -> Vigils:
        parts = self._parts
        return Vigils(
            VigilParts(
                config=parts.config,
                rulebook=parts.rulebook,
                metrics=parts.metrics,
                clock=parts.clock,
                store=parts.store,
                reader=parts.reader,
                session=parts.session,
                engine=self.engine,
                commits=self.commits,
                heartbeats=heartbeats,
                notices=self._intake.notices,
            )
        )

    def rounds(self) -> tuple[Round, ...]:
        """What is to be done at intervals, for ever, beside the engine."""
        comparing = self._reconciler
        if comparing is None:
            return self._vigils.rounds()
        own = Round(name="comparing with Alertmanager", every=comparing.pause, once=comparing.turn)
        return (*self._vigils.rounds(), own)

    def _people(self) -> People:
        parts, silences = self._parts, self._upstream.desk(self.desk)
        return People(
            PeopleParts(
                config=parts.config,
                rules=lambda: self._rulebook.rules,
                duty=self.circumstances.duty,
                desk=self.desk,
                actions=self._actions.desk(self.desk),
                silences=ChatSilences(silences) if silences.available else None,
                channels=parts.channels,
                store=parts.store,
                session=parts.session,
                clock=parts.clock,
                chance=parts.chance,
                metrics=parts.metrics,
            )
        )

    async def close(self) -> None:
        """End what probes are still under way, let go of the clusters, and let another replica compare."""
        if self._reconciler is not None:
            await self._reconciler.stop()
        await self._diagnosis.close()
        await self._clusters.close()
        await self.blind.close()

    def _engine(self) -> Engine:
        metrics, parts = self._metrics, self._parts
        hooks = EngineHooks(
            decision=self._decided,
            lag=metrics.wake_lag.set,
            store_up=metrics.store_up.set,
            dropped=self._reports.dropped,
            unreadable=self._unreadable,
            spill=metrics.overflowed,
            elsewhere=self.circumstances.elsewhere(self._upstream.holds),
            held=self.blind.held,
        )
        links = EngineLinks(took=self._took, look_at=self._look_at)
        return Engine(
            parts.store,
            lambda: self._rulebook.rules,
            self._performers.table(links, self.blind.perform),
            queues=self._performers.queues(),
            hooks=hooks,
            chance=parts.chance,
        )

    def _look_at(self, incident: str, urgent: bool) -> None:  # noqa: FBT001 - a callback's form
        self.engine.look_at(incident, urgent=urgent)
        self.blind.pager.look_at(incident)

    def _decided(self, decision: Decision) -> None:
        self.blind.decided(decision)
        self.circumstances.keeper.heard(decision.incident)

    async def _unreadable(self) -> None:
        self._metrics.effects_unreadable.inc()
        text = "an effect was written by another version, and no replica could read it for 10 minutes; it was dropped"
        await self._intake.notices.tell("ResponderEffectUnreadable", text)

    def _took(self, taken: Taken) -> None:
        self.engine.took(taken)

    async def open(self) -> tuple[web.AppRunner, int]:
        """Listen; the runner and the port (which may have been 0 in the configuration).

        Raises:
            ListenError: where that cannot be.
        """
        webhook = Webhook(self._intake, self._metrics, self._credentials, self._config.max_body_bytes)
        app = application(self._web_parts(), webhook.handle)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=5.0)
        await runner.setup()
        host, _, port = self._config.listen.rpartition(":")
        site = web.TCPSite(runner, host.strip("[]") or None, int(port), backlog=1024)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise ListenError(self._config.listen, error) from None
        return runner, runner.addresses[0][1]

    def _web_parts(self) -> WebParts:
        return WebParts(
            desk=self.desk,
            actions=self._actions.desk(self.desk),
            silences=self._upstream.desk(self.desk),
            duty=self.circumstances.duty,
            keeper=self.circumstances.keeper,
            auth=self._config.auth,
            clock=self._parts.clock,
            external_url=self._config.external_url,
            tokens=self._parts.tokens,
            rules=lambda: self._rulebook.rules,
            explain=self.circumstances.explain,
            foretell=lambda labels, at: self.circumstances.foretell(labels, at, self._upstream.silencing),
            reload=self._rulebook.reload,
            ready=self._is_ready,
            blind=self.blind.held,
            metrics=self._exposition.text,
            chat=self.people.chat,
            webhook=self._credentials,
            beat=self._vigils.beat,
            chart=self._parts.charts.get,
            folded=self.blind.folded(FoldedLists(self._parts.store)),
            channels=self._parts.channels,
            codes=Codes(self._parts.store),
            verified=Verified(self._parts.store),
            redact=self._rulebook.redact,
            page_outcome=self._reports.message,
        )

    async def _is_ready(self) -> bool:
        if not self.blind.pager.takes_alerts:
            return False
        try:
            await ask(self._parts.store.client, "PING")
        except StoreError:
            return False
        return self._parts.open()
