"""What goes into the thread of an incident's message: who is paged later, what people said, what was found.

Replies take turns behind pages. Where too many wait for one channel, they are left out, since the messages themselves
say how it stands, and told together in one message.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from responder.clock import Clock
from responder.incident.message import Message, MessageKind
from responder.overflow import Overflow, Spill, unheard
from responder.paging.base import ChannelError, NotYetError
from responder.paging.beside import Beside
from responder.paging.compose import headline
from responder.paging.slack_api import SlackApi, SlackRefusedError
from responder.paging.slack_blocks import TEXT_LIMIT, escaped, findings_blocks, findings_text, rich
from responder.paging.slack_pace import POST, UPDATE, Pacer
from responder.paging.slack_search import reply_of
from responder.paging.slack_talk import Talk, digest
from responder.text import one_line, truncate

log = structlog.get_logger(__name__)

#: With so much waiting for a channel, what follows is told in one message instead of a reply each.
PRESSURE = timedelta(seconds=15)
_TOGETHER = 20.0  # seconds in which what is left out is gathered
_LINES = 20
_GATHERED = 1_000
_EXTRA_LIMIT = 3.0  # seconds
_LONGEST_TURN = timedelta(minutes=1)


class SlackThread:
    """Writes into threads, at the pace that pages leave."""

    def __init__(self, api: SlackApi, pacer: Pacer, clock: Clock, spill: Spill = unheard) -> None:
        self._api = api
        self._pacer = pacer
        self._clock = clock
        self._full = partial(spill, Overflow.SLACK_NOTICES)
        self._beside = Beside("notices of Slack left out", self._full)
        self._gathered: dict[str, list[str]] = {}

    async def close(self) -> None:
        """Give up what is under way."""
        await self._beside.close()

    async def page(self, message: Message, talk: Talk, mention: str, *, broadcast: bool) -> None:
        """Page somebody in the thread of the message that is there. A mention rings; an edited message does not."""
        at = talk.message or {}
        more = {"reply_broadcast": True} if broadcast else {}
        await self._post(at, _paging(message, mention), name=message.id, **more)
        self._pacer.spent(POST, at["channel"], self._clock.now())

    async def say(self, message: Message, talk: Talk) -> None:
        """What has happened, once for a conversation however many were paged there."""
        at, text = talk.message, _said(message)
        if at is None or not text:
            return
        once = f"said:{digest([message.kind, message.asked_at, text])}"
        if talk.has(once):
            return
        now = self._clock.now()
        if self._pacer.backlog(POST, at["channel"], now) > PRESSURE:
            self._leave_out(at["channel"], f"{headline(message, 150)}: {text}")
        else:
            self.turn(message.id, POST, at["channel"])
            if message.attempt == 1 or not await reply_of(self._api, at, message):
                await self._post(at, escaped(text), name=message.id, blocks=[rich(text)])
        await talk.did(once)

    async def found(self, message: Message, talk: Talk, *, patient: bool) -> None:
        """All findings in one reply, which is kept true as more arrive.

        Raises:
            NotYetError: where somebody ``patient`` is to come again with them.
        """
        at = talk.message
        now = digest([(one.probe, one.status, one.headline, one.detail) for one in message.findings])
        if at is None or not message.findings or talk.known.get("found") == now:
            return
        there = (
            talk.known.get("found_ts", "")
            if talk.known.get("found_in") == str(message.incident.episode)
            else ""
        )
        try:
            self.turn(f"{message.id} found", UPDATE if there else POST, "" if there else at["channel"])
            there = await self._write(message, at, there)
        except (ChannelError, NotYetError) as error:
            if isinstance(error, NotYetError) and patient:
                raise
            log.info("findings not in the thread yet", incident=message.incident.id, reason=str(error))
            return
        await talk.note(found=now, found_ts=there, found_in=str(message.incident.episode))

    async def _write(self, message: Message, at: dict[str, str], there: str) -> str:
        content: dict[str, Any] = {
            "text": findings_text(message.findings),
            "blocks": findings_blocks(message.findings),
        }
        if there:
            try:
                await self._api.call(UPDATE, limit=_EXTRA_LIMIT, channel=at["channel"], ts=there, **content)
            except SlackRefusedError as error:
                if error.code != "message_not_found":
                    raise
            else:
                return there
        return await self._post(at, limit=_EXTRA_LIMIT, **content)

    def turn(self, who: str, method: str, channel: str) -> None:
        """Go on where it is this one's turn. Raises :class:`NotYetError` with when it will be."""
        wait = self._pacer.turn(who, method, channel, self._clock.now())
        if wait:
            raise NotYetError("pages first: it waits for its turn", min(wait, _LONGEST_TURN))

    async def _post(self, at: dict[str, str], text: str, *, name: str = "", **more: Any) -> str:
        """Reply in a thread; ``name`` is the id by which the reply is found again."""
        if name:
            more["metadata"] = {"event_type": "responder_reply", "event_payload": {"id": name}}
        answer = await self._api.call(
            POST,
            channel=at["channel"],
            thread_ts=at["ts"],
            text=text,
            unfurl_links=False,
            unfurl_media=False,
            **more,
        )
        return str(answer["ts"])

    def _leave_out(self, channel: str, line: str) -> None:
        gathered = self._gathered.setdefault(channel, [])
        if len(gathered) < _GATHERED:
            gathered.append(one_line(line, 200))
        else:
            self._full()
        if len(gathered) == 1 and not self._beside.begin(
            f"notices of {channel}", partial(self._tell_together, channel)
        ):
            self._gathered.pop(channel, None)

    async def _tell_together(self, channel: str) -> None:
        await self._clock.sleep(_TOGETHER)
        while wait := self._pacer.turn("together", POST, channel, self._clock.now()):
            await self._clock.sleep(min(wait, _LONGEST_TURN).total_seconds())
        lines = self._gathered.pop(channel, [])
        shown = "\n".join(f"• {line}" for line in lines[:_LINES])
        more = f"\n• and {len(lines) - _LINES} more" if len(lines) > _LINES else ""
        text = f"{len(lines)} notices at once, without a reply in each thread:\n{shown}{more}"
        await self._api.call(
            POST, channel=channel, text=escaped(truncate(text, 3_000)), blocks=[rich(truncate(text, TEXT_LIMIT))],
            unfurl_links=False, unfurl_media=False,
        )  # fmt: skip


def _paging(message: Message, mention: str) -> str:
    """Mrkdwn: all of it is ours but the names, which are escaped."""
    who = f"{mention} " if mention else ""
    still = "Still nobody has it" if message.kind is MessageKind.REMINDER else f"Paged as {message.level}"
    until = f"<!date^{int(message.respond_by.timestamp())}^{{time}}|{message.respond_by:%H:%M} UTC>"
    due = f"; it was due at {until}" if message.sent_at > message.respond_by else f" by {until}"
    return f"{who}{escaped(one_line(message.to, 100))}: {still}. Press Acknowledge above{due}."


def _said(message: Message) -> str:
    """What a reply says; nothing where the message itself says it all."""
    by = one_line(message.by or message.incident.acknowledged_by, 100)
    match message.kind:
        case MessageKind.ACKNOWLEDGED:
            return f"Acknowledged by {by}. {message.text}".strip()
        case MessageKind.RESOLVED:
            return (
                f"Resolved{f' by {one_line(message.by, 100)}' if message.by else ''}. {message.text}".strip()
            )
        case _:
            return message.text
