"""When the owner of an address last confirmed that a channel reaches them.

Keys: ``:verified:DIGEST`` of contact, channel and address; strings that expire after a year. Another address is
another key: what was confirmed of the old one does not hold for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from responder.store.connection import ask
from responder.store.store import Store, from_ms, ms, to_ms

KEPT_FOR = timedelta(days=365)


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """A contact's address on a channel, the address only as a digest."""

    contact: str
    channel: str
    address: str


def address_digest(address: str) -> str:
    """What stands for an address in a link and in the store."""
    return hashlib.blake2b(address.encode(), digest_size=8).hexdigest()


class Verified:
    """Records and reads confirmations."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def record(self, reach: Reach, at: datetime) -> None:
        """It was confirmed now. Raises ``StoreError``."""
        await ask(self._store.client, "SET", self._key(reach), to_ms(at), "PX", ms(KEPT_FOR))

    async def when(self, reaches: Sequence[Reach]) -> tuple[datetime | None, ...]:
        """When each was last confirmed. Raises ``StoreError``."""
        if not reaches:
            return ()
        found = await ask(self._store.client, "MGET", *(self._key(one) for one in reaches))
        return tuple(from_ms(value) if value else None for value in found)

    def _key(self, reach: Reach) -> str:
        parts = f"{reach.contact}\0{reach.channel}\0{reach.address}"
        return f"{self._store.base}:verified:{hashlib.blake2b(parts.encode(), digest_size=12).hexdigest()}"
