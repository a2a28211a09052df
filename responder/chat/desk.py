"""Requests from Slack: taken at once, done a moment later by a bounded number of workers, and confirmed to the person.

Slack waits three seconds and repeats nothing, so whoever pressed something hears what really happened, or presses again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from responder.chat.acts import Act, Acts, silence_span
from responder.chat.commands import CommandError, Commands
from responder.chat.members import Member, Members, Rank, RefusedError
from responder.chat.parts import ChatParts
from responder.chat.replies import reply
from responder.chat.words import AWAY, BUSY, Said, title
from responder.overflow import Overflow
from responder.paging.base import ChannelError
from responder.paging.compose import brief
from responder.paging.slack import SlackChannel
from responder.paging.slack_buttons import ACKNOWLEDGE, COMMAND, ESCALATE, RUN_ACTION, SILENCE
from responder.paging.slack_requests import Commanded, Pressed, SlackRequest, Submitted
from responder.paging.slack_views import DURATION, silence_view
from responder.store.errors import StoreError

log = structlog.get_logger(__name__)

WORKERS = 8
WAITING = 200
_LIMIT = 20.0  # seconds for one request


class _Job(msgspec.Struct, frozen=True):
    channel: SlackChannel
    request: SlackRequest


class ChatDesk:
    """Takes what was pressed and typed, over HTTP or a socket. ``run`` does the work, in its owner's task group."""

    def __init__(self, parts: ChatParts, channels: Mapping[str, SlackChannel]) -> None:
        self._parts = parts
        self._acts = Acts(parts)
        self._commands = Commands(parts, self._acts)
        self._members = {name: Members(one.api, parts.clock) for name, one in channels.items()}
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue(WAITING)

    def take(self, channel: SlackChannel, request: SlackRequest) -> dict[str, Any]:
        """Take a request; what Slack is answered at once, empty where it was taken."""
        if isinstance(request, Submitted):
            try:
                silence_span(request.span)
            except ValueError as error:
                return {"response_action": "errors", "errors": {DURATION: str(error)[:150]}}
        try:
            self._jobs.put_nowait(_Job(channel, request))
        except asyncio.QueueFull:
            self._parts.spill(Overflow.CHAT)
            log.warning("too many requests from Slack at once; one was not taken")
            return _busy(request)
        return {}

    async def run(self) -> None:
        """Work, for ever."""
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(self._work(), name=f"chat {number}")

    async def drain(self, limit: float) -> None:
        """Wait until what was taken is done, at most so long."""
        try:
            async with asyncio.timeout(limit):
                await self._jobs.join()
        except TimeoutError:
            log.warning("requests from Slack were left undone")

    async def _work(self) -> None:
        while True:
            job = await self._jobs.get()
            try:
                await self._do(job)
            finally:
                self._jobs.task_done()

    async def _do(self, job: _Job) -> None:
        said = await self._said(job)
        url = job.request.response_url
        if said is not None and said.text:
            await reply(self._parts.session, job.channel.settings.hooks_url, url, said)

    async def _said(self, job: _Job) -> Said | None:
        """What the person is told; ``None`` where a form has opened instead."""
        try:
            async with asyncio.timeout(_LIMIT):
                member = await self._members[job.channel.name].member(
                    job.request.by, self._parts.people, self._parts.rules().contacts
                )
                return await self._served(job, member)
        except (RefusedError, CommandError) as error:
            return Said(str(error))
        except (StoreError, TimeoutError) as error:
            log.warning("a request from Slack was not taken", error=str(error) or "time-out")
            return Said(AWAY)
        except ChannelError as error:
            return Said(f"not taken: {error}")
        except (
            Exception
        ):  # whatever was wrong with one request, the person hears of it and the others are served
            log.exception("a request from Slack failed")
            return Said("not taken: an error of our own; see the log")

    async def _served(self, job: _Job, member: Member) -> Said | None:
        match job.request:
            case Commanded() as typed:
                return await self._commands.answer(typed.text, member, typed.event)
            case Submitted() as form:
                act = Act(member=member, incident=form.incident, event=form.event)
                return await self._about(act, await self._acts.silence(act, form.span, form.comment))
            case Pressed(action=action) as pressed if action == SILENCE:
                return await self._open_form(job.channel, pressed, member)
            case Pressed() as pressed:
                act = Act(member=member, incident=pressed.incident, event=pressed.event)
                return await self._about(act, await self._pressed(act, pressed))

    async def _pressed(self, act: Act, pressed: Pressed) -> str:
        match pressed.action:
            case action if action == ACKNOWLEDGE:
                return await self._acts.acknowledge(act)
            case action if action == ESCALATE:
                return await self._acts.escalate(act)
            case action if action == COMMAND:
                return await self._acts.assign(act, act.member.name)
            case action if action.startswith(RUN_ACTION):
                return await self._acts.run(act, pressed.name)
            case _:
                return "refused: this button is of another version; open the incident"

    async def _open_form(self, channel: SlackChannel, pressed: Pressed, member: Member) -> Said | None:
        if member.rank < Rank.RESPONDER:
            raise RefusedError("refused (role): it needs the role responder")
        if self._parts.silences is None:
            return Said("refused: no Alertmanager is configured to make silences in")
        detail = await self._parts.desk.incident(pressed.incident, alerts=1)
        if detail is None:
            return Said("refused: there is no such incident any more")
        view = silence_view(brief(detail.incident, self._parts.external_url), pressed.response_url)
        await channel.api.call("views.open", trigger_id=pressed.trigger, view=view)
        return None

    async def _about(self, act: Act, text: str) -> Said:
        """The answer with the incident that it is about."""
        try:
            detail = await self._parts.desk.incident(act.incident, alerts=1)
        except StoreError:  # what was done is done, though it cannot be shown
            return Said(text)
        return Said(f"{title(detail.incident)}\n{text}" if detail is not None else text)


def _busy(request: SlackRequest) -> dict[str, Any]:
    match request:
        case Commanded():
            return {"response_type": "ephemeral", "text": BUSY}
        case Submitted():
            return {"response_action": "errors", "errors": {DURATION: BUSY}}
        case _:
            return {}
