"""What HTTP answers mean for a delivery, the same for every channel that posts."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec

from responder.paging.base import ChannelError

ANSWER_LIMIT = 64 * 1024  # bytes of an answer that are read
SEND_LIMIT = 8.0  # seconds, below the engine's limit for an attempt
_PASSING = frozenset({408, 425, 429})


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's answer: its status, the beginning of its body, and how long it asks to wait."""

    status: int
    body: bytes = b""
    retry_after: timedelta | None = None

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty one where it is anything else (a broken answer, a proxy's page)."""
        try:
            found = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


async def exchange(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
) -> Answer:
    """One request without following redirects, whatever the status of the answer.

    Raises:
        ChannelError: where no answer came; the text names neither the URL nor its secrets.
    """
    try:
        async with asyncio.timeout(SEND_LIMIT):
            async with session.request(
                method, url, data=body, headers=dict(headers), allow_redirects=False
            ) as response:
                wait = asked_wait(response.headers)
                return Answer(status=response.status, body=await _beginning(response), retry_after=wait)
    except TimeoutError:
        raise ChannelError("no answer in time") from None
    except aiohttp.InvalidURL:
        raise ChannelError("the URL is not valid", permanent=True) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ChannelError(f"not reachable: {type(error).__name__}") from None


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """What came of the body, up to the limit; one that breaks off is as long as it got."""
    found = b""
    try:
        while len(found) < ANSWER_LIMIT and (part := await response.content.read(ANSWER_LIMIT - len(found))):
            found += part
    except aiohttp.ClientPayloadError:
        pass
    return found


async def post(session: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """POST once, without following redirects.

    Raises:
        ChannelError: for anything but 2xx; the text names neither the URL nor its secrets.
    """
    answer = await exchange(session, "POST", url, headers, body)
    check(answer)
    return answer


def check(answer: Answer, said: str = "") -> None:
    """Raise :class:`ChannelError` for anything but 2xx; ``said`` is what the provider gave as the reason."""
    if 200 <= answer.status < 300:
        return
    passing = is_passing(answer.status)
    raise ChannelError(
        f"answered {answer.status}{f': {said}' if said else ''}",
        permanent=not passing,
        retry_after=answer.retry_after if passing else None,
    )


def is_passing(status: int) -> bool:
    """Whether another try may fare better."""
    return status >= 500 or status in _PASSING


def asked_wait(headers: Mapping[str, str]) -> timedelta | None:
    """``Retry-After``: seconds, or a date by the server's own clock, which ``Date`` tells (RFC 9110, section 10.2.3)."""
    asked = headers.get("Retry-After", "")
    if asked.isascii() and asked.isdigit() and len(asked) < 6:
        return timedelta(seconds=int(asked))
    try:
        wait = parsedate_to_datetime(asked) - parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError):
        return None
    return wait if wait > timedelta(0) else None


def basic(user: str, password: str) -> str:
    """The value of an ``Authorization`` header (RFC 7617, in UTF-8)."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
