"""Who works on the store, what is open, and what a replica that could not see the store tells of it afterwards.

Keys: ``:replicas`` (a hash: when each replica was last seen, and what it said of itself; expires), ``:also:ID`` (the
incident that an id stands for which was made up in memory; expires), ``:look…`` (what a look has written; expires).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from responder.incident.facts import PagedBlind, Said, SeveritySet
from responder.incident.ids import derive
from responder.incident.severity import Severity
from responder.store.connection import ask, pairs
from responder.store.store import AlertWrite, Store, from_ms, ms

log = structlog.get_logger(__name__)

REMEMBERED = timedelta(hours=1)


class Word(msgspec.Struct, frozen=True):
    """When a replica was last seen, and what it said of itself."""

    seen: datetime
    says: str


class RollCall(msgspec.Struct, frozen=True, kw_only=True):
    """The store's time, every replica that was seen lately, and the open urgent incidents with their revisions."""

    now: datetime
    replicas: Mapping[str, Word]
    open: Mapping[str, int]


class Roll:
    """Every call raises ``StoreError`` where the store is away. ``me`` names this replica."""

    def __init__(self, store: Store, me: str) -> None:
        self._store = store
        self.me = me

    async def call(self, says: str, limit: int, ballast: bytes = b"") -> RollCall:
        """Say that we see the store, and write the ballast beside it; what there is, at most so many incidents."""
        answer = await self._store.run(
            "roll", self._store.shift(), self.me, says, ms(REMEMBERED), limit, ballast
        )
        return RollCall(
            now=from_ms(answer[0]),
            replicas={name.decode(): _word(word) for name, word in pairs(answer[1])},
            open={incident.decode(): int(revision) for incident, revision in pairs(answer[2])},
        )

    async def try_to_write(self, ballast: bytes) -> None:
        """Write what means nothing, refused wherever alerts would be, and durable when it returns as they are."""
        await self._store.run("look", ballast)

    async def leave(self) -> None:
        """We are stopping: nobody need wait for us."""
        await ask(self._store.client, "HDEL", f"{self._store.base}:replicas", self.me)

    async def tell(self, incident_id: str, report: PagedBlind) -> bool:
        """Record what was done about an incident of the store; whether it is there still."""
        found = await self._store.record(incident_id, report, idempotency_key=report.id, digest=report.id)
        if found.outcome == "full":
            log.error("inbox full: not told what was done while the store was away", incident=incident_id)
        return found.outcome != "unknown"

    async def say(self, incident_id: str, fact: Said) -> bool:
        """Record what a person said; whether the incident is there."""
        return (await self._store.record(incident_id, fact)).outcome != "unknown"

    async def rise(self, incident_id: str, severity: Severity, now: datetime) -> None:
        """Have an incident rise for an alert that the store had no room for; as often as it is said, it does so once."""
        note = "an alert of that severity fires, and the store takes no alerts"
        fact = SeveritySet(at=now, by="responder", via="responder", note=note, severity=severity)
        once = derive("rise", incident_id, severity)
        await self._store.record(incident_id, fact, idempotency_key=once, digest=once)

    async def bring(
        self, incident_id: str, key: str, alerts: Sequence[AlertWrite], report: PagedBlind
    ) -> str:
        """Write alerts of an incident that opened in memory, together with what was done about it.

        Answers the id that it has in the store: its own, unless another replica was first.
        """
        taken = await self._store.ingest(alerts, report, {key: incident_id})
        actual = next(iter(taken.opened), "") or await self._holder(key, alerts)
        if actual and actual not in {one for one, _ in taken.changed}:
            await self.tell(actual, report)
        if actual and actual != incident_id:
            kept = ms(self._store.options.retention)
            await ask(self._store.client, "SET", self._also(incident_id), actual, "PX", kept)
        return actual

    async def _holder(self, key: str, alerts: Sequence[AlertWrite]) -> str:
        """The incident that has them already."""
        held = await ask(self._store.client, "GET", f"{self._store.base}:k:{key}")
        if held is None:
            record = await ask(self._store.client, "GET", f"{self._store.base}:a:{alerts[0][0]}") or b""
            fields = record.split(b"|", 6)
            held = fields[5] if len(fields) > 6 else b""
        return str(held.decode())

    async def actual(self, incident_id: str) -> str | None:
        """The incident that an id stands for which was made up in memory."""
        found = await ask(self._store.client, "GET", self._also(incident_id))
        return found.decode() if found else None

    def _also(self, incident_id: str) -> str:
        return f"{self._store.base}:also:{incident_id}"


def _word(raw: bytes) -> Word:
    seen, _, says = raw.partition(b"|")
    return Word(from_ms(seen), says.decode())
