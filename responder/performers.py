"""Who performs each kind of effect, with what limit, and how many at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from responder.actions.book import briefs
from responder.engine.blind.gate import MemoryBook, MemoryGate
from responder.engine.blind.memory import Memory
from responder.engine.blind.sends import Perform
from responder.engine.outbox import Performer
from responder.engine.passing import Passer
from responder.engine.spreading import Spreader
from responder.hands import Actions, Diagnosis
from responder.incident.canary import NULL_CHANNEL
from responder.incident.effects import (
    CheckAction,
    Effect,
    LeaveDigest,
    PassOn,
    RunAction,
    RunTriage,
    SendMessage,
    SendNotice,
    SettleDoubts,
    Spread,
)
from responder.incident.facts import Fact
from responder.incident.message import Contact, OfferBrief
from responder.incident.state import Incident
from responder.intake.alertmanager import Alertmanagers
from responder.intake.doubts import DoubtSettler
from responder.metrics import Metrics
from responder.paging.base import Channel
from responder.paging.bundles import Book, Bundles, Gate
from responder.paging.delivery import Delivery, DeliveryHooks, Links
from responder.paging.listed import ListedPages
from responder.paging.notice_sender import NoticeSender
from responder.paging.null import NullChannel
from responder.paging.shared_reminders import SharedReminders
from responder.parts import Parts
from responder.rules.limits import LONGEST_ATTEMPT
from responder.store.digests import Bounds, Digests, Reminders
from responder.store.errors import StoreError
from responder.store.reading import Reader
from responder.store.store import Recorded, Store, Taken
from responder.triage.performer import TriagePerformer

log = structlog.get_logger(__name__)

PAGE_LIMIT = timedelta(seconds=10)
TRIAGE_LIMIT = timedelta(seconds=24)
SETTLE_LIMIT = timedelta(seconds=15)
ACK_LINK_LIFETIME = timedelta(hours=48)
_TRIAGE_SEATS = 64
_ACTION_SEATS = 16
_SETTLE_SEATS = 2
_PASS_ON_SEATS = 4
_DIGEST_SEATS = 4


class MessageReports:
    """Counts what became of messages; the canary's are nobody's."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def message(self, channel: str, outcome: str) -> None:
        """One message over the channel: one of ``PAGE_OUTCOMES``."""
        if channel != NULL_CHANNEL:
            self._metrics.pages.labels(channel, outcome).inc()

    def dropped(self, effect: Effect, why: str) -> None:
        """An effect that will not be performed any more."""
        if isinstance(effect, SendMessage):
            self.message(effect.channel, "expired" if why == "out of date" else "dropped")

    def provider(self, channel: str, up: bool) -> None:  # noqa: FBT001 - a callback's form
        """Whether this replica's sends over the channel get through."""
        if channel != NULL_CHANNEL:
            self._metrics.channel_up.labels(channel).set(up)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLinks:
    """What performers tell the engine: what a settled doubt changed, and that an incident is to be looked at."""

    took: Callable[[Taken], None]
    look_at: Callable[[str, bool], None]


class OtherIncidents(Book):
    """The store's, for a page that does without it where it is away."""

    def __init__(self, store: Store) -> None:
        self._store, self._reader = store, Reader(store)

    async def snapshot(self, incident_id: str) -> Incident | None:
        """An incident as it is now; ``None`` where that cannot be read."""
        return next(iter(await self._reader.readable([incident_id])), None)

    async def record(self, incident_id: str, fact: Fact) -> Recorded:
        """Record a fact in one."""
        return await self._store.record(incident_id, fact)


class Performers:
    """Sends messages, runs diagnoses and actions, settles doubts; each against the rules in force at that moment."""

    def __init__(
        self,
        parts: Parts,
        reports: MessageReports,
        diagnosis: Diagnosis,
        actions: Actions,
        peers: Alertmanagers | None,
    ) -> None:
        self._parts = parts
        self._diagnosis = diagnosis
        self._actions = actions
        self._peers = peers
        self._channels: dict[str, Channel] = {**parts.channels, NULL_CHANNEL: NullChannel()}
        self._reports = reports
        self._bounds = Bounds(
            **{name: getattr(parts.config.bundling, name) for name in Bounds.__struct_fields__}
        )
        self._deliver = self._delivery().perform
        others = OtherIncidents(parts.gated)
        reminders = SharedReminders(self._deliver, Reminders(parts.gated), others.snapshot, reports.message)
        bundles = self._bundles(reminders.perform, Digests(parts.gated, self._bounds), others)
        self.send: Perform = ListedPages(bundles.perform, parts.reader.snapshot, reports.message).perform

    def _bundles(self, deliver: Perform, gate: Gate, book: Book) -> Bundles:
        return Bundles(deliver, gate, book, self._reports.message)

    def from_memory(self, memory: Memory, now: Callable[[], datetime]) -> Perform:
        """What sends a message while the store is away: it asks what is remembered."""
        return self._bundles(self._deliver, MemoryGate(memory, self._bounds, now), MemoryBook(memory)).perform

    def table(self, engine: EngineLinks, send: Perform) -> dict[type[Effect], Performer]:
        """The performer of each kind of effect that leaves the process; ``send`` is ours, and who watches it."""
        actions = self._actions
        settler = DoubtSettler(self._parts.store, self._peers, engine.took)
        triage = TriagePerformer(self._diagnosis.runner, partial(self._record, engine))
        passer = Passer(self._parts.store, engine.look_at)
        spreader = Spreader(self._parts.store, Digests(self._parts.store, self._bounds), engine.look_at)
        return {
            SendMessage: Performer(perform=send, limit=PAGE_LIMIT),
            SendNotice: Performer(perform=self._notices().perform, limit=PAGE_LIMIT),
            PassOn: Performer(perform=passer.perform, limit=PAGE_LIMIT),
            Spread: Performer(perform=spreader.spread, limit=PAGE_LIMIT),
            LeaveDigest: Performer(perform=spreader.leave, limit=PAGE_LIMIT),
            RunTriage: Performer(perform=triage.perform, limit=TRIAGE_LIMIT),
            SettleDoubts: Performer(perform=settler.perform, limit=SETTLE_LIMIT),
            RunAction: Performer(perform=actions.performer.perform, limit=LONGEST_ATTEMPT),
            CheckAction: Performer(perform=actions.checker.perform, limit=LONGEST_ATTEMPT),
        }

    def queues(self) -> dict[str, int]:
        """How many effects of each queue are performed at once."""
        queues = {name: channel.concurrency for name, channel in self._channels.items()}
        return queues | {
            RunTriage.QUEUE: _TRIAGE_SEATS,
            SettleDoubts.QUEUE: _SETTLE_SEATS,
            PassOn.QUEUE: _PASS_ON_SEATS,
            Spread.QUEUE: _DIGEST_SEATS,
            RunAction.QUEUE: _ACTION_SEATS,
        }

    def _delivery(self) -> Delivery:
        parts = self._parts
        links = Links(external_url=parts.config.external_url, acknowledge=self._ack_link, offers=self._offers)
        hooks = DeliveryHooks(
            observe=self._reports.message, up=self._reports.provider, redact=parts.rulebook.redact
        )
        return Delivery(self._channels, self._contact, links, hooks=hooks, chance=parts.chance)

    def _notices(self) -> NoticeSender:
        parts = self._parts
        return NoticeSender(
            parts.channels,
            self._contact,
            parts.config.external_url,
            observe=self._reports.message,
            chance=parts.chance,
        )

    def _offers(self, incident: Incident) -> tuple[OfferBrief, ...]:
        return briefs(self._actions.book.offers(incident), incident, self._parts.config.external_url)

    def _contact(self, name: str, stands_for: str) -> Contact:
        """By the rules in force when a message is sent."""
        return self._parts.rulebook.rules.contact(name, stands_for)

    def _ack_link(self, incident: Incident, contact: str) -> str:
        token = self._parts.tokens.issue(incident.id, contact, self._parts.clock.now(), ACK_LINK_LIFETIME)
        return f"{self._parts.config.external_url.rstrip('/')}/ack/{token}"

    async def _record(self, engine: EngineLinks, incident: str, fact: Fact, urgent: bool) -> None:  # noqa: FBT001 - a callback's form
        try:
            await self._parts.store.record(incident, fact)
        except StoreError as error:
            log.warning("fact not recorded", incident=incident, error=str(error))
            return
        engine.look_at(incident, urgent)
