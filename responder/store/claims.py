"""What is to be done once, however many replicas there are: claimed for a while, and then done for good.

Keys: ``:once:DIGEST`` of what it is, a string that expires.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from responder.store.connection import ask
from responder.store.store import Store, ms

_DONE = "done"


class Claims:
    """Every call raises ``StoreError`` where the store is away."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def take(self, what: str, lease: timedelta) -> bool:
        """Have it to oneself for so long; ``False`` where somebody else has, or it is done."""
        return bool(await ask(self._store.client, "SET", self._key(what), "taken", "NX", "PX", ms(lease)))

    async def done(self, what: str, kept: timedelta) -> None:
        """It is done, and not to be done again for so long."""
        await ask(self._store.client, "SET", self._key(what), _DONE, "PX", ms(kept))

    async def give_back(self, what: str) -> None:
        """It was not done: the next one may try."""
        await ask(self._store.client, "DEL", self._key(what))

    def _key(self, what: str) -> str:
        return f"{self._store.base}:once:{hashlib.blake2b(what.encode(), digest_size=12).hexdigest()}"
