"""Silences that were withdrawn, and come back: an Alertmanager that was away may bring its old state with it.

Such a silence is not obeyed: whoever withdrew it wants to be paged. Everybody who was paged is told, and one that was
made from here is withdrawn once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from responder.incident.facts import SilenceReturned
from responder.intake.alertmanager import ListedSilence, View
from responder.intake.comparing import Change
from responder.intake.healing import Teller
from responder.intake.silences import SilenceError, Silences
from responder.store.comparison import Comparison, Record
from responder.store.store import Store
from responder.text import one_line

log = structlog.get_logger(__name__)

#: Peers tell each other within a minute; a withdrawal that is younger may only not have come round.
_COMES_ROUND = timedelta(minutes=5)


class Tombstones:
    """Remembers every silence that was seen to be over, for longer than any Alertmanager stays away."""

    def __init__(
        self,
        book: Comparison,
        silences: Silences,
        store: Store,
        *,
        mark: str,
        teller: Teller,
    ) -> None:
        """``mark``: what the comment of every silence holds that was made from here."""
        self._book = book
        self._silences = silences
        self._store = store
        self._mark = mark
        self._teller = teller
        self._logged: set[str] = set()

    async def known(self) -> Mapping[str, datetime]:
        """Every withdrawn silence and since when it is known to be; to be asked before the peers are."""
        return await self._book.gone()

    async def look(self, known: Mapping[str, datetime], view: View, at: datetime) -> frozenset[str]:
        """Remember what is over now; the silences that are back."""
        over = [one.id for one in view.silences.values() if one.expired and one.id not in known]
        if over:
            await self._book.bury(over, at)
        return frozenset(one.id for one in view.silences.values() if one.active and one.id in known)

    async def tell(
        self,
        returned: Mapping[str, datetime],
        view: View,
        records: Mapping[str, Record],
        at: datetime,
    ) -> None:
        """Say it in the incidents that they silence, once a day; withdraw those that are ours."""
        for silence, since in returned.items():
            if at - since < _COMES_ROUND:
                continue
            listed = view.silences[silence]
            if silence not in self._logged:
                self._logged.add(silence)
                log.error("a silence that was withdrawn is back", silence=silence, author=listed.created_by)
            await self._tell_incidents(listed, view, records, at)
            if self._mark in listed.comment:
                await self._withdraw(silence)

    async def _tell_incidents(
        self, silence: ListedSilence, view: View, records: Mapping[str, Record], at: datetime
    ) -> None:
        concerned = {
            record.incident: None
            for alert in view.alerts.values()
            if silence.id in alert.silenced_by
            and (record := records.get(alert.fingerprint)) is not None
            and record.status == "F"
            and record.incident_open
        }
        text = one_line(
            f"A silence that was withdrawn is active in Alertmanager again and is not obeyed: "
            f"{silence.id} by {silence.created_by}.",
            300,
        )
        fact = SilenceReturned(at=at, silence=silence.id, text=text)
        for incident in concerned:
            key = f"returned:{incident}:{silence.id}"
            recorded = await self._store.record(incident, fact, idempotency_key=key, digest=silence.id)
            if recorded.outcome == "ok":
                self._teller.look_at(incident, True)
                self._teller.changed(Change.SILENCE_RETURNED, 1)

    async def _withdraw(self, silence: str) -> None:
        try:
            await self._silences.withdraw([silence])
        except SilenceError as error:
            log.warning("a silence that is back cannot be withdrawn", silence=silence, error=str(error))
