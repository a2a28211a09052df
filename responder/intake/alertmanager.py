"""Questions to Alertmanager's API, version 2: which of these alerts does any peer list?

Source: Alertmanager's ``api/v2/openapi.yaml``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import aiohttp
import msgspec
import structlog

from responder.config import AlertmanagerConfig

log = structlog.get_logger(__name__)

_ANSWER_LIMIT = 64 * 1024 * 1024


class _Listed(msgspec.Struct, frozen=True):
    fingerprint: str


class _Status(msgspec.Struct, frozen=True):
    uptime: datetime


_LISTED = msgspec.json.Decoder(list[_Listed])
_STATUS = msgspec.json.Decoder(_Status)


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What the peers say.

    ``firing``: fingerprints that at least one of them lists. ``certain``: every peer answered and has been up longer
    than the grace time, so what is not listed does not fire.
    """

    firing: frozenset[str]
    certain: bool


class Alertmanagers:
    """The peers of one cluster: one truth, and one that is away means "unknown", not "nothing fires"."""

    def __init__(self, config: AlertmanagerConfig, session: aiohttp.ClientSession) -> None:
        self._config = config
        self._session = session

    async def listing(self, now: datetime) -> Listing:
        """Ask every peer, side by side, within the configured time limit."""
        answers: Sequence[tuple[frozenset[str], bool]] = await asyncio.gather(
            *(self._peer(url.rstrip("/"), now) for url in self._config.urls)
        )
        return Listing(
            firing=frozenset().union(*(firing for firing, _ in answers)),
            certain=all(sure for _, sure in answers),
        )

    async def _peer(self, url: str, now: datetime) -> tuple[frozenset[str], bool]:
        try:
            async with asyncio.timeout(self._config.timeout / timedelta(seconds=1)):
                status = _STATUS.decode(await self._get(f"{url}/api/v2/status"))
                listed = _LISTED.decode(await self._get(f"{url}/api/v2/alerts"))
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, ValueError, OSError) as error:
            log.warning("Alertmanager does not answer", error=type(error).__name__)
            return frozenset(), False
        settled = status.uptime.tzinfo is not None and now - status.uptime > self._config.grace
        return frozenset(one.fingerprint for one in listed), settled

    async def _get(self, url: str) -> bytes:
        async with self._session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            return await _bounded(response.content)


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    parts, size = [], 0
    async for part in content.iter_chunked(65_536):
        size += len(part)
        if size > _ANSWER_LIMIT:
            raise ValueError("answer too large")
        parts.append(part)
    return b"".join(parts)
