"""Performs :class:`SendNotice`: over the first channel of the person's that takes it, and never over one that only rings."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence

import structlog

from responder.engine.outbox import Done, back_off
from responder.incident.effects import SendNotice
from responder.incident.message import Contact, Receipt
from responder.paging.base import Channel, ChannelError, tells
from responder.paging.delivery import SEND_LIMIT
from responder.paging.notices import announcement
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
        notice = attempt.effect
        if not isinstance(notice, SendNotice):
            raise TypeError(f"expected SendNotice, got {type(notice).__name__}")
        contact = self._contact_of(notice.contact, notice.stands_for)
        usable = self._usable(notice.channels, contact) or self._usable(tuple(self._channels), contact)
        if not usable:
            log.warning("a notice reaches nobody", to=notice.contact, title=notice.title)
            return Done()
        name = usable[(attempt.number - 1) % len(usable)]
        now = attempt.now or notice.requested_at
        message = announcement(notice, attempt.number, now, self._external_url)
        try:
            async with asyncio.timeout(SEND_LIMIT):
                await self._channels[name].send(message, contact, Receipt())
        except (ChannelError, TimeoutError) as error:
            self._observe(name, "retried")
            log.warning(
                "notice not delivered; trying again", to=notice.contact, channel=name, reason=str(error)
            )
            return Done(retry_in=back_off(attempt.number, self._chance))
        self._observe(name, "delivered")
        log.info("notice delivered", to=notice.contact, channel=name, title=notice.title)
        return Done()

    def _usable(self, names: Sequence[str], contact: Contact) -> list[str]:
        """Those that are configured, tell more than that something rings, and reach the contact."""
        known = [(name, channel) for name in names if (channel := self._channels.get(name)) is not None]
        return [name for name, channel in known if tells(channel) and channel.reaches(contact)]
