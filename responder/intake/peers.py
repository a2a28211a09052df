"""One Alertmanager, spoken to over its API: bounded in time and size, and never redirected.

Source: Alertmanager's ``api/v2/openapi.yaml``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from responder.config import AlertmanagerConfig
from responder.text import one_line

_ANSWER_LIMIT = 64 * 1024 * 1024
_ERROR_SHOWN = 200
_JSON = msgspec.json.Encoder()


class PeerError(Exception):
    """A peer that does not answer, or not as it should. ``status`` is its answer's, 0 where there was none."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status

    @property
    def refused(self) -> bool:
        """Whether it understood, and will not do it: another peer would not either."""
        return self.status in {400, 422}


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer; ``at`` is the peer's own clock (``None`` where it does not say), whole seconds."""

    body: bytes
    at: datetime | None


class Peer:
    """One of the configured addresses. ``name`` is its host and port: an address may hold a password."""

    def __init__(self, url: str, session: aiohttp.ClientSession, limit: timedelta) -> None:
        parts = urlsplit(url)
        self.name = parts.hostname or "" if parts.port is None else f"{parts.hostname}:{parts.port}"
        self._url = url.rstrip("/") + "/api/v2"
        self._session = session
        self._limit = limit / timedelta(seconds=1)

    async def get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> Reply:
        """Ask.

        Raises:
            PeerError: where it does not answer in time, or not with 200, or with too much.
        """
        return await self._call("GET", path, params=list(query))

    async def post(self, path: str, body: Any) -> Reply:
        """Have something made. Raises as :meth:`get` does."""
        headers = {"Content-Type": "application/json"}
        return await self._call("POST", path, data=_JSON.encode(body), headers=headers)

    async def delete(self, path: str) -> Reply:
        """Have something ended. Raises as :meth:`get` does."""
        return await self._call("DELETE", path)

    async def _call(self, method: str, path: str, **more: Any) -> Reply:
        try:
            async with (
                asyncio.timeout(self._limit),
                self._session.request(method, self._url + path, allow_redirects=False, **more) as response,
            ):
                body = await _bounded(response.content)
                if response.status != 200:
                    raise PeerError(_said(response.status, body), response.status)
                return Reply(body=body, at=_clock(response.headers.get("Date", "")))
        except TimeoutError:
            raise PeerError(f"no answer within {self._limit:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise PeerError(f"no answer: {type(error).__name__}") from None


def peers_of(config: AlertmanagerConfig, session: aiohttp.ClientSession) -> tuple[Peer, ...]:
    """Every configured address once."""
    return tuple(Peer(url, session, config.timeout) for url in dict.fromkeys(config.urls))


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    parts, size = [], 0
    async for part in content.iter_chunked(65_536):
        size += len(part)
        if size > _ANSWER_LIMIT:
            raise PeerError(f"its answer is over {_ANSWER_LIMIT >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


def _said(status: int, body: bytes) -> str:
    """Errors carry a JSON text, or an object with a ``message``."""
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        said = ""
    text = said.get("message", "") if isinstance(said, dict) else said
    words = one_line(str(text), _ERROR_SHOWN) if text else ""
    return f"it answers {status}: {words}" if words else f"it answers {status}"


def _clock(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return at.astimezone(UTC)
