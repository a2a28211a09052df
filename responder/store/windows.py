"""Maintenance windows that people make while the daemon runs. Key: ``:maintenance`` (:mod:`responder.store.shelf`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from responder.incident.maintenance import MaintenanceWindow
from responder.rules.maintenance import WindowSpec, compiled
from responder.store.shelf import Asking, Kept, Shelf, Shelved
from responder.store.store import Store

log = structlog.get_logger(__name__)

#: So many that are not over, and as many of those that are.
KEPT = 200
#: What is over is listed for so long: it is asked for after last week's incident, and by nobody later.
KEPT_FOR = timedelta(days=7)
#: A window that comes again stays until somebody ends it.
_FOR_EVER = datetime(2100, 1, 1, tzinfo=UTC)
_SPEC = msgspec.json.Decoder(WindowSpec)


def id_of(spec: WindowSpec) -> str:
    """The same window of the same person has the same id; 16 hex digits."""
    plain = msgspec.structs.replace(spec, id="", note="", made_at=None)
    return hashlib.blake2b(msgspec.json.encode(plain), digest_size=8).hexdigest()


class Windows:
    """The windows in the store. Every call raises ``StoreError`` where the store is away."""

    def __init__(self, store: Store) -> None:
        self._shelf = Shelf(store, "maintenance", _SPEC, kept_for=KEPT_FOR)

    async def put(
        self, spec: WindowSpec, *, instead_of: datetime | None = None, asking: Asking | None = None
    ) -> Kept:
        """Keep a window under its id; see :meth:`responder.store.shelf.Shelf.put`."""
        ends_at = compiled(spec).when.last_end or _FOR_EVER
        one = Shelved(id=spec.id, ends_at=min(ends_at, _FOR_EVER), value=spec)
        return await self._shelf.put(one, KEPT, instead_of=instead_of, asking=asking)

    async def drop(self, window_id: str) -> bool:
        """Take a window out; whether it was there."""
        return await self._shelf.drop(window_id)

    def read(self, raw: Iterable[bytes], now: datetime) -> tuple[tuple[WindowSpec, MaintenanceWindow], ...]:
        """The windows as they lie on the shelf, in the order in which they were made; not what is over too long ``now``."""
        found = []
        for spec in sorted(self._shelf.read(raw, now), key=lambda one: (str(one.made_at), one.id)):
            try:
                found.append((spec, compiled(spec)))
            except (ValueError, OSError) as error:
                log.warning(
                    "a window that cannot be understood holds nothing back", window=spec.id, error=str(error)
                )
        return tuple(found)
