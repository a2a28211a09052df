"""Performs :class:`SendNotice`: over the first channel of the person's that takes it, and never over one that only rings."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog

from responder.engine.outbox import Done, back_off
from responder.incident.effects import SendNotice
from responder.incident.message import Contact, Message, Receipt
from responder.paging.base import Channel, ChannelError, NotYetError, Ringing
from responder.paging.delivery import SEND_LIMIT
from responder.paging.notices import Occasion, notice
from responder.store.loaded import Attempt

log = structlog.get_logger(__name__)


class NoticeSender:
    """The channels of this process, for what belongs to no incident."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        contact_of: Callable[[str, str], Contact],
        external_url: str,
        *,
        observe: Callable[[str, str], object],
        chance: random.Random,
    ) -> None:
        """``observe`` is told the channel's name and the outcome of each attempt."""
        self._channels = channels
        self._contact_of = contact_of
        self._external_url = external_url
        self._observe = observe
        self._chance = chance

    async def perform(self, attempt: Attempt) -> Done:
        """One attempt, over the next channel in turn; it ends with the notice's expiry."""
        effect = attempt.expect(SendNotice)
        contact = self._contact_of(effect.contact, effect.stands_for)
        usable = self._usable(effect.channels, contact) or self._usable(tuple(self._channels), contact)
        if not usable:
            log.warning("a notice reaches nobody", to=effect.contact, title=effect.title)
            return Done()
        name = usable[(attempt.number - 1) % len(usable)]
        message = self._message(effect, attempt, name)
        try:
            async with asyncio.timeout(SEND_LIMIT):
                await self._channels[name].send(message, contact, Receipt())
        except (ChannelError, NotYetError, TimeoutError) as error:
            self._observe(name, "retried")
            log.warning(
                "notice not delivered; trying again", to=effect.contact, channel=name, reason=str(error)
            )
            return Done(retry_in=back_off(attempt.number, self._chance))
        self._observe(name, "delivered")
        log.info("notice delivered", to=effect.contact, channel=name, title=effect.title)
        return Done()

    def _message(self, effect: SendNotice, attempt: Attempt, channel: str) -> Message:
        url = f"{self._external_url.rstrip('/')}/"
        occasion = Occasion(channel=channel, contact=effect.contact, now=effect.requested_at, url=url)
        made = notice(occasion, effect.title, effect.text)
        return msgspec.structs.replace(
            made,
            id=effect.id,  # the same over every channel
            page_id=effect.id,
            attempt=attempt.number,
            sent_at=attempt.at,
        )

    def _usable(self, names: Sequence[str], contact: Contact) -> list[str]:
        """Those that are configured, tell more than that something rings, and reach the contact."""
        known = [(name, channel) for name in names if (channel := self._channels.get(name)) is not None]
        return [
            name for name, channel in known if not isinstance(channel, Ringing) and channel.reaches(contact)
        ]
