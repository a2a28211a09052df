"""Answers to one person, over the address that came with their request. Source: docs.slack.dev, ``response_url``.

It takes five answers in thirty minutes. Only Slack's own is used: a request that were forged could name another.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import structlog

from responder.chat.words import Said
from responder.paging.slack_blocks import TEXT_LIMIT, escaped
from responder.text import block

log = structlog.get_logger(__name__)

_LIMIT = 4.0  # seconds
_TRIES = 2
_PAUSE = 0.5


async def reply(session: aiohttp.ClientSession, hooks: str, url: str, said: Said) -> bool:
    """Tell the person; whether Slack took it. What fails is logged."""
    if not url.startswith(hooks):
        log.warning(
            "nobody can be told what became of a request: its answer address is not Slack's", said=said.text
        )
        return False
    for number in range(_TRIES):
        if number:
            await asyncio.sleep(_PAUSE)
        try:
            async with (
                asyncio.timeout(_LIMIT),
                session.post(url, json=body(said), allow_redirects=False) as response,
            ):
                if response.status == 200:
                    return True
                why = f"status {response.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            why = type(error).__name__
    log.warning("a person was not told what became of their request", reason=why, said=said.text)
    return False


def body(said: Said) -> dict[str, Any]:
    """The answer: only its reader sees it, and nothing in it is parsed."""
    text = block(said.text, TEXT_LIMIT)
    elements: list[dict[str, Any]] = [{"type": "text", "text": text}]
    if said.url:
        elements += [
            {"type": "text", "text": "\n"},
            {"type": "link", "url": said.url, "text": "Open incident"},
        ]
    section = {"type": "rich_text_section", "elements": elements}
    return {
        "response_type": "ephemeral",
        "replace_original": False,
        "text": escaped(text),
        "blocks": [{"type": "rich_text", "elements": [section]}],
    }
