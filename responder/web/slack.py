"""Slack's requests over HTTP: verified over the raw bytes and answered at once; what comes of them is told to the person."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from responder.paging.slack import SlackChannel
from responder.paging.slack_requests import (
    SlackRequest,
    SlackRequestError,
    command_of,
    interaction_of,
    verify,
)
from responder.web.parts import PARTS
from responder.web.problems import ProblemError, answer, read


def routes() -> list[web.RouteDef]:
    """Slack's two end points."""
    return [web.post("/slack/interactions", interactions), web.post("/slack/commands", commands)]


async def interactions(request: web.Request) -> web.Response:
    """A button was pressed, or a form sent off."""
    return await _taken(request, interaction_of)


async def commands(request: web.Request) -> web.Response:
    """A slash command was typed."""
    return await _taken(request, command_of)


async def _taken(request: web.Request, decode: Callable[[bytes], SlackRequest | None]) -> web.Response:
    raw = await read(request)
    channel = _signed_by(request, raw)
    try:
        asked = decode(raw)
    except SlackRequestError as error:
        raise ProblemError(400, str(error)) from None
    said = request.app[PARTS].chat.take(channel, asked) if asked is not None else {}
    return answer(said) if said else web.Response()


def _signed_by(request: web.Request, raw: bytes) -> SlackChannel:
    """The channel whose app sent this; every secret is tried, so that the time tells nothing."""
    parts = request.app[PARTS]
    timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
    signature = request.headers.get("X-Slack-Signature", "")
    now, found = parts.clock.now(), None
    for channel in parts.channels.values():
        secret = channel.settings.signing_secret if isinstance(channel, SlackChannel) else None
        if (
            isinstance(channel, SlackChannel)
            and secret is not None
            and verify(secret.reveal(), timestamp, signature, raw, now)
        ):
            found = channel
    if found is None:
        raise ProblemError(401, "signature: missing, wrong or too old")
    return found
