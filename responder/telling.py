"""What tells people, put together: pages and what follows them, lists of the morning, notices."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import timedelta

import msgspec

from responder.clock import Clock
from responder.engine.outbox import Performer
from responder.incident.canary import NULL_CHANNEL
from responder.incident.effects import Effect, SendMessage, SendNotice
from responder.incident.message import Contact, OfferBrief
from responder.incident.state import Incident
from responder.metrics import Metrics
from responder.paging.base import Channel
from responder.paging.delivery import Delivery, DeliveryHooks, Links
from responder.paging.listed import ListedPages
from responder.paging.notice_sender import NoticeSender
from responder.rulebook import Rulebook
from responder.signing import AckTokens
from responder.store.reading import Reader

PAGE_LIMIT = timedelta(seconds=10)
ACK_LINK_LIFETIME = timedelta(hours=48)


class TellingParts(msgspec.Struct, frozen=True, kw_only=True):
    """What messages are made of and go over; ``offers`` are the actions that can be started for an incident.

    ``observe`` is told the channel and the outcome of each attempt.
    """

    external_url: str
    rulebook: Rulebook
    metrics: Metrics
    observe: Callable[[str, str], object]
    reader: Reader
    channels: Mapping[str, Channel]
    tokens: AckTokens
    clock: Clock
    chance: random.Random
    offers: Callable[[Incident], tuple[OfferBrief, ...]]


def message_performers(parts: TellingParts) -> dict[type[Effect], Performer]:
    """What performs messages of incidents, and notices."""
    metrics, rulebook = parts.metrics, parts.rulebook

    def acknowledge(incident: Incident, contact: str) -> str:
        token = parts.tokens.issue(incident.id, contact, parts.clock.now(), ACK_LINK_LIFETIME)
        return f"{parts.external_url.rstrip('/')}/ack/{token}"

    def contact(name: str, stands_for: str) -> Contact:
        return rulebook.rules.contact(name, stands_for)  # by the rules in force when a message is sent

    def up(channel: str, up: bool) -> None:  # noqa: FBT001 - a callback's form
        if channel != NULL_CHANNEL:
            metrics.channel_up.labels(channel).set(up)

    delivery = Delivery(
        parts.channels,
        contact,
        Links(external_url=parts.external_url, acknowledge=acknowledge, offers=parts.offers),
        hooks=DeliveryHooks(
            observe=parts.observe,
            up=up,
            redact=rulebook.redact,
        ),
        chance=parts.chance,
    )
    pages = ListedPages(delivery.perform, parts.reader.snapshot, parts.observe)
    notices = NoticeSender(
        {name: one for name, one in parts.channels.items() if name != NULL_CHANNEL},
        contact,
        parts.external_url,
        observe=parts.observe,
        chance=parts.chance,
    )
    return {
        SendMessage: Performer(perform=pages.perform, limit=PAGE_LIMIT),
        SendNotice: Performer(perform=notices.perform, limit=PAGE_LIMIT),
    }
