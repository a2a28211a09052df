"""The audit in the store. Keys: ``:audit``, a list, oldest first, bounded; ``:audit:head``, the newest entry's hash."""

from __future__ import annotations

import msgspec
import structlog

from responder.incident.audit import AuditEntry, sealed
from responder.store.connection import ask
from responder.store.errors import StoreBusyError
from responder.store.store import Store

log = structlog.get_logger(__name__)

ENTRIES_KEPT = 20_000
_TRIES = 20
_ENTRY = msgspec.json.Decoder(AuditEntry)


class Audit:
    """Appends to the chain, and reads it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = f"{store.base}:audit"

    async def append(self, entry: AuditEntry) -> AuditEntry:
        """Add an entry behind the newest; durable when it returns, and told to the log with its hash.

        Raises:
            StoreError: where it could not be written: then nothing may be done that it would have told of.
        """
        for _ in range(_TRIES):
            newest = await self._newest()
            number, before = (newest.number + 1, newest.hash) if newest is not None else (1, "")
            link = sealed(msgspec.structs.replace(entry, number=number), before)
            answer = await self._store.run(
                "audit", before, link.hash, msgspec.json.encode(link), ENTRIES_KEPT
            )
            if answer[0] == b"ok":
                log.info(
                    "audit", number=link.number, hash=link.hash, what=link.event, by=link.by,
                    incident=link.incident, action=link.action, target=link.target, object=link.object,
                )  # fmt: skip
                return link
        raise StoreBusyError("the audit is being written by others; try again")

    async def _newest(self) -> AuditEntry | None:
        raw = await ask(self._store.client, "LINDEX", self._key, -1)
        return _ENTRY.decode(raw) if raw else None

    async def entries(self, *, after: int = 0, limit: int = 500) -> list[AuditEntry]:
        """Entries with a number above ``after``, oldest first. Raises ``StoreError``."""
        first = await ask(self._store.client, "LINDEX", self._key, 0)
        if not first:
            return []
        start = max(after + 1 - _ENTRY.decode(first).number, 0)
        raw = await ask(self._store.client, "LRANGE", self._key, start, start + limit - 1)
        return [_ENTRY.decode(one) for one in raw]
