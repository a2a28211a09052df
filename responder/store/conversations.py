"""The one message about an incident in each conversation, as every replica knows it.

Keys: ``:talk:DIGEST`` of channel, address and incident, a hash that expires; ``…:l``, the lock of who writes there now.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

import msgspec

from responder.store.connection import ask
from responder.store.store import Store, ms

#: A little longer than all that a channel may do for one message.
LOCKED_FOR = timedelta(seconds=12)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """An incident in a conversation: ``address`` is a channel or a person as the provider knows them."""

    channel: str
    address: str
    incident: str


class Conversations:
    """Implements :class:`responder.paging.base.Memory`. Every call raises ``StoreError`` where the store is away."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def recall(self, place: Place) -> dict[str, str]:
        """Everything that was noted; empty where nothing was."""
        found = await ask(self._store.client, "HGETALL", self._key(place))
        return {name.decode(): value.decode() for name, value in found.items()}

    async def note(self, place: Place, **fields: str) -> None:
        """Note fields; they stay as long as incidents do."""
        parts = [part for pair in fields.items() for part in pair]
        await self._store.run("talk", self._digest(place), ms(self._store.options.retention), *parts)

    async def first(self, place: Place, what: str) -> bool:
        """Note that something is done once; whether this is the first time."""
        kept = ms(self._store.options.retention)
        return bool(await self._store.run("talk", self._digest(place), kept, f"done:{what}"))

    async def forget(self, place: Place, *fields: str) -> None:
        """Take fields out again, also what was done once (as ``done:WHAT``)."""
        await ask(self._store.client, "HDEL", self._key(place), *fields)

    async def take(self, place: Place) -> bool:
        """Have the place for oneself for :data:`LOCKED_FOR`; whether it was free."""
        key = f"{self._key(place)}:l"
        return bool(await ask(self._store.client, "SET", key, "1", "NX", "PX", ms(LOCKED_FOR)))

    async def let_go(self, place: Place) -> None:
        """Give the place back."""
        await ask(self._store.client, "DEL", f"{self._key(place)}:l")

    def _key(self, place: Place) -> str:
        return f"{self._store.base}:talk:{self._digest(place)}"

    def _digest(self, place: Place) -> str:
        parts = f"{place.channel}\0{place.address}\0{place.incident}"
        return hashlib.blake2b(parts.encode(), digest_size=12).hexdigest()
