"""Performs :class:`SendMessage`: words the message, hands it to the channel, and says what became of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import timedelta

import msgspec
import structlog

from responder.clock import Stopwatch
from responder.engine.outbox import Done, back_off, failed
from responder.incident.canary import NULL_CHANNEL
from responder.incident.effects import SendMessage
from responder.incident.facts import MessageDelayed, MessageDelivered
from responder.incident.message import Contact, Message, MessageKind, OfferBrief, Receipt
from responder.incident.state import Incident
from responder.paging.base import Channel, ChannelError, Conversational, NotYetError
from responder.paging.compose import Words, bare, compose
from responder.paging.health import Health
from responder.secrets import SecretError
from responder.store.loaded import Attempt
from responder.text import one_line

log = structlog.get_logger(__name__)

LONGEST_WAIT = timedelta(minutes=1)
SEND_LIMIT = 9.0  # seconds for all that a channel does for one message; the engine's limit is above it
#: A channel that is known to be down is left aside for so long, and then tried.
ASIDE = timedelta(seconds=1)
_PAGES = frozenset({MessageKind.PAGE, MessageKind.REMINDER})
_ASKS = _PAGES | {MessageKind.UPDATE}


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """How a message points back at us.

    ``acknowledge`` makes the signed link of a contact; ``offers`` are the actions that can be started.
    """

    external_url: str
    acknowledge: Callable[[Incident, str], str]
    offers: Callable[[Incident], tuple[OfferBrief, ...]] = lambda _: ()


class DeliveryHooks(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told of attempts: the channel and the outcome of each; whether it is up; and what blanks secrets."""

    observe: Callable[[str, str], object]
    up: Callable[[str, bool], object]
    redact: Callable[[str], str]


class Delivery:
    """The channels of this process and who can be reached over them."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        contact_of: Callable[[str, str], Contact],
        links: Links,
        *,
        hooks: DeliveryHooks,
        chance: random.Random,
    ) -> None:
        self._channels = channels
        self._contact_of = contact_of
        self._links = links
        self._hooks = hooks
        self._chance = chance
        self._health = Health()
        for name in channels:
            hooks.up(name, True)

    async def perform(self, attempt: Attempt) -> Done:
        """One attempt at one message."""
        effect = attempt.expect(SendMessage)
        channel = self._channels.get(effect.channel)
        contact = self._contact_of(effect.contact, _stands_for(effect, attempt.snapshot))
        if reason := _why_not(effect, channel, contact, attempt.snapshot):
            return self._refused(effect, attempt, reason)
        if channel is None or attempt.snapshot is None or _interrupts(effect, channel):
            return Done()
        if self._is_aside(effect, attempt):
            return self._left_aside(effect, attempt)
        watch = Stopwatch(attempt.at)
        try:
            return await self._sent(channel, contact, attempt, attempt.snapshot, watch)
        except NotYetError as error:
            log.debug("not yet", incident=effect.incident, channel=effect.channel, why=str(error))
            return Done(retry_in=error.wait, begun=False)
        except ChannelError as error:
            failure = error
        except SecretError as error:
            failure = ChannelError(f"its secret cannot be read: {error}")
        except Exception as error:  # a mistake of the channel's: the page goes over another one
            log.exception("the channel failed in a way of its own", channel=effect.channel)
            failure = ChannelError(f"a mistake of our own ({type(error).__name__})")
        return self._not_delivered(effect, msgspec.structs.replace(attempt, now=watch.now()), failure)

    async def _sent(
        self, channel: Channel, contact: Contact, attempt: Attempt, incident: Incident, watch: Stopwatch
    ) -> Done:
        effect = attempt.expect(SendMessage)
        message = self._worded(incident, effect, attempt)
        try:
            async with asyncio.timeout(SEND_LIMIT):
                receipt = await channel.send(message, contact, _receipt(incident, effect))
        except TimeoutError:
            raise ChannelError("no answer in time") from None
        self._is_up(effect.channel)
        (log.debug if effect.channel == NULL_CHANNEL else log.info)(
            "delivered",
            incident=effect.incident,
            kind=str(effect.kind),
            to=effect.contact,
            channel=effect.channel,
        )
        delivered = MessageDelivered(
            at=watch.now(),
            effect=effect.id,
            page=effect.page,
            kind=effect.kind,
            attempt=attempt.number,
            receipt=_plain(receipt),
        )
        return Done(facts=(delivered,))

    def _is_up(self, channel: str) -> None:
        self._hooks.observe(channel, "delivered")
        if self._health.delivered(channel):
            log.warning("channel is up again", channel=channel)
        self._hooks.up(channel, True)

    def _is_aside(self, effect: SendMessage, attempt: Attempt) -> bool:
        """Whether the page is better tried elsewhere first: its channel is known to be down."""
        known = self._health.down_since(effect.channel) is not None
        return known and effect.kind in _PAGES and attempt.number == 1

    def _left_aside(self, effect: SendMessage, attempt: Attempt) -> Done:
        """A passing failure at once, without waiting for a provider that does not answer; the next attempt is real."""
        self._hooks.observe(effect.channel, "retried")
        return Done(
            facts=(_delayed(effect, attempt, self._down(effect.channel), failover=True),), retry_in=ASIDE
        )

    def _down(self, channel: str) -> str:
        since = self._health.down_since(channel)
        return f"channel {channel} is down since {since:%H:%M:%S} UTC" if since else ""

    def _worded(self, incident: Incident, effect: SendMessage, attempt: Attempt) -> Message:
        words = Words(
            attempt=attempt.number,
            sent_at=attempt.at,
            external_url=self._links.external_url,
            ack_url=self._links.acknowledge(incident, effect.contact) if effect.kind in _ASKS else "",
        )
        try:
            offers = self._links.offers(incident) if incident.open else ()
            return compose(incident, effect, msgspec.structs.replace(words, offers=offers))
        except Exception:  # whatever is wrong with it, somebody must hear of the incident
            log.exception("could not word the message; sending the bare facts", incident=incident.id)
            return bare(incident, effect, words)

    def _refused(self, effect: SendMessage, attempt: Attempt, reason: str) -> Done:
        self._hooks.observe(effect.channel, "failed")
        log.error(
            "not delivered",
            incident=effect.incident,
            to=effect.contact,
            channel=effect.channel,
            reason=reason,
        )
        return failed(effect, attempt, reason)

    def _not_delivered(self, effect: SendMessage, attempt: Attempt, error: ChannelError) -> Done:
        reason = one_line(self._hooks.redact(str(error)), 300)
        if error.permanent:
            return self._refused(effect, attempt, reason)
        self._hooks.observe(effect.channel, "retried")
        went_down = self._health.failed(effect.channel, attempt.at)
        log.warning(
            "delivery failed for now", incident=effect.incident, channel=effect.channel, reason=reason
        )
        if went_down:
            self._hooks.up(effect.channel, False)
            reason = f"{self._down(effect.channel)}: {reason}"
            log.error("channel is down", channel=effect.channel, reason=reason)
        pause = back_off(attempt.number, self._chance)
        if error.retry_after is not None:
            pause = min(max(error.retry_after, pause), LONGEST_WAIT)
        told = attempt.number == 1 or went_down
        return Done(
            facts=(_delayed(effect, attempt, reason, failover=went_down),) if told else (), retry_in=pause
        )


def _why_not(
    effect: SendMessage, channel: Channel | None, contact: Contact, incident: Incident | None
) -> str:
    """What keeps a message from being sent for good; nothing where nothing does."""
    if channel is None:
        return f"channel {effect.channel} is not configured"
    if not channel.reaches(contact):
        return f"{effect.contact} has no address for channel {effect.channel}"
    return "the incident is gone" if incident is None else ""


def _interrupts(effect: SendMessage, channel: Channel) -> bool:
    """Whether what is only said aside would interrupt people over this channel."""
    return effect.aside and not isinstance(channel, Conversational)


def _stands_for(effect: SendMessage, incident: Incident | None) -> str:
    """The name of the matrix that the person is paged for, where one is known."""
    reached = incident.episode.reached if incident is not None else ()
    return next(
        (reach.contact for reach in reached if any(one.name == effect.contact for one in reach.people)), ""
    )


def _delayed(effect: SendMessage, attempt: Attempt, reason: str, *, failover: bool) -> MessageDelayed:
    """``failover``: the next channel is better tried at once than after the usual patience."""
    return MessageDelayed(
        at=attempt.at,
        effect=effect.id,
        page=effect.page,
        kind=effect.kind,
        reason=reason,
        failover=failover,
    )


def _plain(receipt: Receipt) -> Receipt:
    """A library's own kind of text (a header of a mail) could not be written down, and the page would go out again."""
    return Receipt({str(key): str(value) for key, value in receipt.reference.items()})


def _receipt(incident: Incident, effect: SendMessage) -> Receipt:
    """What is known of the page that this message follows: its own, or for a page the last one before it."""
    if effect.kind not in _PAGES:
        return next((page.receipt for page in incident.pages if page.id == effect.page), Receipt())
    before = [
        page.receipt
        for page in incident.pages
        if (page.contact, page.channel) == (effect.contact, effect.channel)
        and page.id != effect.page
        and page.receipt.reference
    ]
    return before[-1] if before else Receipt()
