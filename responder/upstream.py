"""Alertmanager's side of the daemon, put together: who is asked, who compares, and people's way to silences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import aiohttp
import msgspec

from responder.clock import Clock
from responder.config import Config
from responder.engine.desk import Desk
from responder.engine.engine import Engine
from responder.incident.hold import Hold, comment_with_link
from responder.incident.state import Incident
from responder.intake.alertmanager import Alertmanagers
from responder.intake.comparing import Change
from responder.intake.foreseen import Foreseen, silencing
from responder.intake.healing import Healer, Teller
from responder.intake.hold_down import HoldDown
from responder.intake.intake import Intake
from responder.intake.matching import Matching
from responder.intake.reconcile import ReconcileParts, Reconciler
from responder.intake.returned import Tombstones
from responder.intake.senders import Senders
from responder.intake.silence_desk import SilenceDesk, SilenceParts
from responder.intake.silences import Silences
from responder.intake.webhook import Decoded
from responder.metrics import Metrics
from responder.rules.model import RuleSet
from responder.store.comparison import Comparison
from responder.store.reading import Reader
from responder.store.store import Store


class UpstreamParts(msgspec.Struct, frozen=True, kw_only=True):
    """What it is made of."""

    config: Config
    store: Store
    reader: Reader
    session: aiohttp.ClientSession
    clock: Clock
    metrics: Metrics
    rules: Callable[[], RuleSet]


class Upstream:
    """All of it does nothing where no Alertmanager is configured."""

    def __init__(self, parts: UpstreamParts) -> None:
        self._parts = parts
        self._book = Comparison(parts.store)
        section = parts.config.alertmanager
        for change in Change:
            parts.metrics.reconcile_changes.labels(str(change))
        self.peers = Alertmanagers(section, parts.session) if section else None
        self._silences = Silences(self.peers.peers) if self.peers else None
        self._senders = Senders(section, self._book) if section else None
        self._hold_down = HoldDown(section.grace) if section else None

    def met(self, body: Decoded) -> None:
        """A webhook came."""
        if self._senders is not None:
            self._senders.meet(body)

    def holds(self, incident: Incident, now: datetime) -> tuple[Hold, ...]:
        """What waits for the next comparison."""
        return self._hold_down.holds(incident, now) if self._hold_down is not None else ()

    async def silencing(self, labels: Mapping[str, str], at: datetime) -> Foreseen:
        """Which silences would silence an alert at a time."""
        return await silencing(self.peers.peers if self.peers else (), self._book, labels, at)

    def reconciler(self, intake: Intake, engine: Engine) -> Reconciler | None:
        """Who compares; ``None`` where there is nothing to compare with."""
        parts, section = self._parts, self._parts.config.alertmanager
        if not (section and self.peers and self._silences and self._senders and self._hold_down):
            return None
        teller = Teller(
            took=engine.took,
            look_at=lambda incident, urgent: engine.look_at(incident, urgent=urgent),
            changed=self._changed,
        )
        tombstones = Tombstones(
            self._book,
            self._silences,
            parts.store,
            mark=comment_with_link("", self._incident_url("")).removesuffix(")"),
            teller=teller,
        )
        return Reconciler(
            ReconcileParts(
                config=section,
                peers=self.peers,
                book=self._book,
                senders=self._senders,
                healer=Healer(parts.store, parts.reader, intake, teller),
                tombstones=tombstones,
                hold_down=self._hold_down,
                clock=parts.clock,
                succeeded=lambda at: parts.metrics.reconcile_success.set(at.timestamp()),
            )
        )

    def desk(self, desk: Desk) -> SilenceDesk:
        """People's way to silences."""
        parts = self._parts
        return SilenceDesk(
            SilenceParts(
                desk=desk,
                reader=parts.reader,
                book=self._book,
                matching=Matching(self._book, parts.rules),
                silences=self._silences,
                clock=parts.clock,
                incident_url=self._incident_url,
            )
        )

    def _changed(self, change: Change, count: int) -> None:
        self._parts.metrics.reconcile_changes.labels(str(change)).inc(count)

    def _incident_url(self, incident: str) -> str:
        return f"{self._parts.config.external_url.rstrip('/')}/incidents/{incident}"
