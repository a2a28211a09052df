"""Slack's requests: verified over the raw bytes, answered within its three seconds."""

from __future__ import annotations

import asyncio

import structlog
from aiohttp import web

from responder.actions.desk import Person, Wanted
from responder.incident.facts import AcknowledgedBy
from responder.paging.slack_blocks import ACKNOWLEDGE, RUN_ACTION
from responder.paging.slack_requests import Interaction, SlackRequestError, decode_interaction, verify
from responder.store.errors import StoreError
from responder.text import one_line
from responder.web.actions import role_for_actions
from responder.web.auth import Role
from responder.web.parts import PARTS
from responder.web.problems import ProblemError, answer, read

log = structlog.get_logger(__name__)

_ANSWER_LIMIT = 2.5  # seconds; after three Slack shows a time-out


def routes() -> list[web.RouteDef]:
    """Slack's two end points."""
    return [web.post("/slack/interactions", interactions), web.post("/slack/commands", commands)]


async def interactions(request: web.Request) -> web.Response:
    """A button was pressed."""
    raw = await _verified(request)
    try:
        pressed = decode_interaction(raw)
    except SlackRequestError as error:
        raise ProblemError(400, str(error)) from None
    if pressed is None:
        return web.Response()
    try:
        async with asyncio.timeout(_ANSWER_LIMIT):
            if pressed.action == ACKNOWLEDGE:
                await _acknowledge(request, pressed)
            elif pressed.action.startswith(RUN_ACTION):
                await _run_action(request, pressed)
    except (TimeoutError, StoreError) as error:
        log.warning("a button in Slack was not taken", error=str(error) or "time-out")
        raise ProblemError(503, "not taken: the store is away; press again") from None
    return web.Response()


async def _acknowledge(request: web.Request, pressed: Interaction) -> None:
    """The message itself is brought up to date by the decision that follows."""
    parts = request.app[PARTS]
    name = one_line(pressed.user_name or pressed.user_id, 100)
    fact = AcknowledgedBy(at=parts.clock.now(), by=f"slack:{name}", via="slack")
    await parts.desk.record(pressed.incident, fact)


async def _run_action(request: web.Request, pressed: Interaction) -> None:
    """What comes of it is told in the message; who may not is told in the time line."""
    parts = request.app[PARTS]
    person = next((one for one in parts.auth.people if one.slack == pressed.user_id), None)
    name = (
        person.name if person is not None else f"slack:{one_line(pressed.user_name or pressed.user_id, 100)}"
    )
    role = role_for_actions(Role[person.role.upper()]) if person is not None else None
    wanted = Wanted(name=pressed.name)
    await parts.actions.ask(pressed.incident, wanted, Person(name=name, role=role, via="slack"))


async def commands(request: web.Request) -> web.Response:
    """Slash commands are not part of this version, and say so to the person."""
    await _verified(request)
    return answer(
        {"response_type": "ephemeral", "text": "Slash commands are not in this version of responder."}
    )


async def _verified(request: web.Request) -> bytes:
    parts = request.app[PARTS]
    raw = await read(request)
    timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
    signature = request.headers.get("X-Slack-Signature", "")
    now = parts.clock.now()
    good = [verify(secret.reveal(), timestamp, signature, raw, now) for secret in parts.slack.values()]
    if not any(good):
        raise ProblemError(401, "signature: missing, wrong or too old")
    return raw
