"""Performs :class:`SendMessage`: words the message, hands it to the channel, and says what became of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import timedelta

import msgspec
import structlog

from responder.engine.outbox import Done, back_off, failed
from responder.incident.canary import NULL_CHANNEL
from responder.incident.effects import SendMessage
from responder.incident.facts import MessageDelayed, MessageDelivered
from responder.incident.message import Contact, Message, MessageKind, OfferBrief, Receipt
from responder.incident.state import Incident
from responder.paging.base import Channel, ChannelError
from responder.paging.compose import Words, bare, compose
from responder.store.loaded import Attempt
from responder.text import one_line

log = structlog.get_logger(__name__)

LONGEST_WAIT = timedelta(minutes=1)
_ASKS = frozenset({MessageKind.PAGE, MessageKind.REMINDER, MessageKind.UPDATE})


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """How a message points back at us.

    ``acknowledge`` makes the signed link of a contact; ``offers`` are the actions that can be started.
    """

    external_url: str
    acknowledge: Callable[[Incident, str], str]
    offers: Callable[[Incident], tuple[OfferBrief, ...]] = lambda _: ()


class Delivery:
    """The channels of this process and who can be reached over them."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        contacts: Callable[[], Mapping[str, Contact]],
        links: Links,
        *,
        observe: Callable[[str, str], None],
        chance: random.Random,
    ) -> None:
        """``observe`` is told the channel's name and the outcome of each attempt."""
        self._channels = channels
        self._contacts = contacts
        self._links = links
        self._observe = observe
        self._chance = chance

    async def perform(self, attempt: Attempt) -> Done:
        """One attempt at one message."""
        effect = attempt.effect
        if not isinstance(effect, SendMessage):
            raise TypeError(f"expected SendMessage, got {type(effect).__name__}")
        channel = self._channels.get(effect.channel)
        contact = self._contacts().get(effect.contact, Contact(name=effect.contact))
        if channel is None:
            return self._refused(effect, attempt, f"channel {effect.channel} is not configured")
        if not channel.reaches(contact):
            return self._refused(
                effect, attempt, f"{effect.contact} has no address for channel {effect.channel}"
            )
        if attempt.snapshot is None:
            return self._refused(effect, attempt, "the incident is gone")
        message = self._worded(attempt.snapshot, effect, attempt)
        begun = time.monotonic()
        try:
            receipt = await channel.send(message, contact, _receipt(attempt.snapshot, effect))
        except ChannelError as error:
            return self._not_delivered(effect, attempt, error)
        self._observe(effect.channel, "delivered")
        (log.debug if effect.channel == NULL_CHANNEL else log.info)(
            "delivered",
            incident=effect.incident,
            kind=str(effect.kind),
            to=effect.contact,
            channel=effect.channel,
        )
        delivered = MessageDelivered(
            at=(attempt.now or effect.requested_at) + timedelta(seconds=time.monotonic() - begun),
            effect=effect.id,
            page=effect.page,
            kind=effect.kind,
            attempt=attempt.number,
            receipt=receipt,
        )
        return Done(facts=(delivered,))

    def _worded(self, incident: Incident, effect: SendMessage, attempt: Attempt) -> Message:
        words = Words(
            attempt=attempt.number,
            sent_at=attempt.now or effect.requested_at,
            external_url=self._links.external_url,
            ack_url=self._links.acknowledge(incident, effect.contact) if effect.kind in _ASKS else "",
        )
        try:
            offers = self._links.offers(incident) if effect.kind in _ASKS else ()
            return compose(incident, effect, msgspec.structs.replace(words, offers=offers))
        except Exception:  # whatever is wrong with it, somebody must hear of the incident
            log.exception("could not word the message; sending the bare facts", incident=incident.id)
            return bare(incident, effect, words)

    def _refused(self, effect: SendMessage, attempt: Attempt, reason: str, outcome: str = "failed") -> Done:
        self._observe(effect.channel, outcome)
        log.error(
            "not delivered",
            incident=effect.incident,
            to=effect.contact,
            channel=effect.channel,
            reason=reason,
        )
        return failed(effect, attempt, reason)

    def _not_delivered(self, effect: SendMessage, attempt: Attempt, error: ChannelError) -> Done:
        reason = one_line(str(error), 300)
        if error.permanent:
            return self._refused(effect, attempt, reason)
        self._observe(effect.channel, "retried")
        log.warning(
            "delivery failed for now", incident=effect.incident, channel=effect.channel, reason=reason
        )
        pause = back_off(attempt.number, self._chance)
        if error.retry_after is not None:
            pause = min(max(error.retry_after, pause), LONGEST_WAIT)
        at = attempt.now or effect.requested_at
        delayed = MessageDelayed(at=at, effect=effect.id, page=effect.page, kind=effect.kind, reason=reason)
        return Done(facts=(delayed,) if attempt.number == 1 else (), retry_in=pause)


def _receipt(incident: Incident, effect: SendMessage) -> Receipt:
    """What is known of the page that this message follows."""
    if effect.kind in (MessageKind.PAGE, MessageKind.REMINDER):
        return Receipt()
    return next((page.receipt for page in incident.pages if page.id == effect.page), Receipt())
