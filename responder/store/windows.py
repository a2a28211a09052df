"""Maintenance windows that people make while the daemon runs. Key: ``:maintenance`` (:mod:`responder.store.shelf`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
import structlog

from responder.incident.maintenance import MaintenanceWindow
from responder.rules.maintenance import WindowSpec, compiled
from responder.store.shelf import Put, Shelf
from responder.store.store import Store

log = structlog.get_logger(__name__)

KEPT = 200
#: A window that comes again stays until somebody ends it.
_FOR_EVER = datetime(2100, 1, 1, tzinfo=UTC)
_SPEC = msgspec.json.Decoder(WindowSpec)


def id_of(spec: WindowSpec) -> str:
    """The same window has the same id, so that a request sent twice makes one; 16 hex digits."""
    plain = msgspec.structs.replace(spec, id="", by="", note="", made_at=None)
    return hashlib.blake2b(msgspec.json.encode(plain), digest_size=8).hexdigest()


class Windows:
    """The windows in the store. Every call raises ``StoreError`` where the store is away."""

    def __init__(self, store: Store) -> None:
        self._shelf = Shelf(store, "maintenance", _SPEC)

    async def put(self, spec: WindowSpec) -> Put:
        """Keep a window under its id; ``full`` where there are too many, and nothing was kept."""
        return await self._shelf.put(spec.id, spec.end or _FOR_EVER, spec, KEPT)

    async def drop(self, window_id: str) -> bool:
        """Take a window out; whether it was there."""
        return await self._shelf.drop(window_id)

    def read(self, raw: Iterable[bytes]) -> tuple[tuple[WindowSpec, MaintenanceWindow], ...]:
        """The windows as they lie on the shelf, in the order in which they were made."""
        found = []
        for spec in sorted(self._shelf.read(raw), key=lambda one: (str(one.made_at), one.id)):
            try:
                found.append((spec, compiled(spec)))
            except (ValueError, OSError) as error:
                log.warning(
                    "a window that cannot be understood holds nothing back", window=spec.id, error=str(error)
                )
        return tuple(found)
