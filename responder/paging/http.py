"""What HTTP answers mean for a delivery, the same for every channel that posts."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import aiohttp

from responder.paging.base import ChannelError

ANSWER_LIMIT = 64 * 1024  # bytes of an answer that are read
SEND_LIMIT = 8.0  # seconds, below the engine's limit for an attempt
_PASSING = frozenset({408, 425, 429})


async def post(
    session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]
) -> tuple[int, bytes]:
    """POST once, without following redirects; the status and the beginning of the answer.

    Raises:
        ChannelError: for anything but 2xx; the text names neither the URL nor its secrets.
    """
    try:
        async with asyncio.timeout(SEND_LIMIT):
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                answer = await response.content.read(ANSWER_LIMIT)
                check(response.status, response.headers.get("Retry-After"))
                return response.status, answer
    except TimeoutError:
        raise ChannelError("no answer in time") from None
    except aiohttp.InvalidURL:
        raise ChannelError("the URL is not valid", permanent=True) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ChannelError(f"not reachable: {type(error).__name__}") from None


def check(status: int, retry_after: str | None) -> None:
    """Raise :class:`ChannelError` for anything but 2xx."""
    if 200 <= status < 300:
        return
    wait = (
        timedelta(seconds=int(retry_after))
        if retry_after and retry_after.isdigit() and len(retry_after) < 6
        else None
    )
    passing = status >= 500 or status in _PASSING
    raise ChannelError(f"answered {status}", permanent=not passing, retry_after=wait if passing else None)
