"""Pictures of findings: kept for a while under the digest of their bytes, so that the same one is kept once.

Keys: ``:chart:DIGEST``, a string that expires.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from datetime import timedelta

import structlog

from responder.store.connection import ask
from responder.store.errors import StoreError
from responder.store.store import Store, ms

log = structlog.get_logger(__name__)

KEPT_FOR = timedelta(days=7)
_SOON = 1.0  # seconds
_DIGEST = re.compile(r"[0-9a-f]{32}")


class Charts:
    """Keeps PNGs; what cannot be kept is a finding without a picture, never an error."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def keep(self, png: bytes) -> str:
        """Keep a picture; its digest, or nothing where the store does not take it now."""
        digest = hashlib.blake2b(png, digest_size=16).hexdigest()
        try:
            await ask(self._store.client, "SET", self._key(digest), png, "PX", ms(KEPT_FOR))
        except StoreError as error:
            log.warning("chart not kept", error=str(error))
            return ""
        return digest

    async def get(self, digest: str) -> bytes | None:
        """A picture by its digest; ``None`` where it is not (any more) there. Raises ``StoreError``."""
        if _DIGEST.fullmatch(digest) is None:
            return None
        found: bytes | None = await ask(self._store.client, "GET", self._key(digest))
        return found

    async def get_soon(self, digest: str) -> bytes | None:
        """The same for a message that must not wait: ``None`` too where the store does not answer within a second."""
        try:
            async with asyncio.timeout(_SOON):
                return await self.get(digest)
        except (StoreError, TimeoutError) as error:
            log.warning("chart not read", error=str(error) or "time-out")
            return None

    def _key(self, digest: str) -> str:
        return f"{self._store.base}:chart:{digest}"
