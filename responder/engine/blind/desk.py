"""People's way to incidents while the store is away: what is remembered is shown, what they say is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from responder.engine.blind.memory import STRAY_KEPT
from responder.engine.blind.pager import BlindPager
from responder.engine.desk import Answer, Desk, IncidentDetail, IncidentFilter, IncidentPage, Outcome, matches
from responder.incident.account import Account
from responder.incident.decision import Entry, Reason
from responder.incident.facts import Fact, MessageFailed, Said
from responder.incident.state import Incident
from responder.store.errors import StoreBusyError, StoreError
from responder.store.reading import Quarantined
from responder.store.roll import Roll

AWAY = (
    "The store is away: this is what one replica remembers. What you say now is kept, and written down later."
)
#: Of an incident that this replica does not know. Only the store can say whether it is there.
KEPT = (
    "Kept, not checked: this replica does not know the incident, and the store is away. Another replica that has paged "
    "it goes on until the store is back; then this is written down, if there is such an incident."
)
_SAID = get_args(Said)


class BlindDesk:
    """Implements :class:`responder.engine.desk.Desk`: the store's desk, and in its absence the memory."""

    def __init__(self, desk: Desk, pager: BlindPager, roll: Roll) -> None:
        self._desk = desk
        self._pager = pager
        self._roll = roll
        self._keys: dict[str, str] = {}

    async def incidents(self, wanted: IncidentFilter, *, limit: int, cursor: str | None) -> IncidentPage:
        """List, newest first; without the store, those that are remembered, on one page."""
        if not self._pager.held:
            return await self._desk.incidents(wanted, limit=limit, cursor=cursor)
        found = [one for one in self._pager.memory.incidents() if matches(one, wanted)]
        return IncidentPage(incidents=tuple(found[:limit]))

    async def incident(self, incident_id: str, *, alerts: int = 100) -> IncidentDetail | None:
        """One incident. Raises ``StoreError`` where only the store could know it."""
        if (remembered := self._remembered(incident_id)) is not None:
            return self._detail(remembered, alerts)
        if self._pager.held:
            raise StoreError(AWAY)
        found = await self._desk.incident(incident_id, alerts=alerts)
        if found is not None and found.incident.open:
            return found
        actual = await self._roll.actual(incident_id)
        return await self._desk.incident(actual, alerts=alerts) if actual is not None else found

    async def account(self, fingerprint: str) -> Account | None:
        """What became of an alert: only the store knows. Raises ``StoreError`` where it is away."""
        if self._pager.held:
            raise StoreError(AWAY)
        return await self._desk.account(fingerprint)

    def _remembered(self, incident_id: str) -> Incident | None:
        """The incident where the store does not have it, or cannot be asked."""
        item = self._pager.memory.items.get(incident_id)
        if item is None or not (self._pager.held or (self._pager.closed and item.touched)):
            return None
        return item.incident

    def _detail(self, incident: Incident, alerts: int) -> IncidentDetail:
        found = self._pager.memory.alerts(incident.id)
        return IncidentDetail(
            incident=incident,
            alerts=tuple(found[:alerts]),
            alerts_total=len(found),
            timeline=(Entry(at=incident.now, reason=Reason.NOTE, text=AWAY),),
        )

    async def record(
        self, incident_id: str, fact: Fact, *, idempotency_key: str | None = None, request_digest: str = ""
    ) -> Answer:
        """Take a person's fact; without the store it is kept in memory, and the answer is ``recorded``."""
        remembered = self._remembered(incident_id)
        if remembered is None and not self._pager.held:
            answer = await self._written(incident_id, fact, idempotency_key, request_digest)
            if answer.outcome is not Outcome.UNKNOWN or not self._pager.closed:
                return answer
        if isinstance(fact, MessageFailed) and remembered is not None:
            self._pager.told(incident_id, (fact,))
            return Answer(outcome=Outcome.RECORDED, incident=remembered)
        if not isinstance(fact, _SAID):
            raise StoreError(AWAY)
        if idempotency_key is not None:
            before = self._keys.get(idempotency_key)
            if before is not None:
                outcome = Outcome.RECORDED if before == request_digest else Outcome.KEY_REUSED
                return Answer(outcome=outcome, incident=remembered, note="" if remembered else KEPT)
        answer = self._kept(incident_id, fact)
        if idempotency_key is not None and len(self._keys) < STRAY_KEPT:
            self._keys[idempotency_key] = request_digest
        return answer

    async def _written(
        self, incident_id: str, fact: Fact, idempotency_key: str | None, digest: str
    ) -> Answer:
        if not self._pager.closed:
            self._keys.clear()
        answer = await self._desk.record(
            incident_id, fact, idempotency_key=idempotency_key, request_digest=digest
        )
        if answer.outcome not in (Outcome.UNKNOWN, Outcome.REFUSED):
            return answer
        if (actual := await self._roll.actual(incident_id)) is not None:
            answer = await self._desk.record(
                actual, fact, idempotency_key=idempotency_key, request_digest=digest
            )
        return answer

    def _kept(self, incident_id: str, fact: Said) -> Answer:
        taken = self._pager.say(incident_id, fact)
        if taken is None:  # another replica may have paged it, and whoever asks was let in by the door
            if not self._pager.memory.stray(incident_id, fact):
                raise StoreBusyError("too many answers are kept already; try again when the store is back")
            return Answer(outcome=Outcome.RECORDED, note=KEPT)
        outcome = Outcome.REFUSED if taken is False else Outcome.RECORDED
        return Answer(outcome=outcome, incident=self._remembered(incident_id))

    async def quarantined(self, *, limit: int = 100) -> Sequence[Quarantined]:
        """Bodies that could not be read, newest first."""
        return await self._desk.quarantined(limit=limit)

    async def quarantined_body(self, digest: str) -> Quarantined | None:
        """One of them with its raw body."""
        return await self._desk.quarantined_body(digest)

    async def forget_quarantined(self, digest: str) -> bool:
        """Drop one; whether it was there."""
        return await self._desk.forget_quarantined(digest)
