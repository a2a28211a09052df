"""``/api/v1/contacts``: who can be reached over which channel, when they last confirmed it, and asking them to.

Addresses are not shown: telephone numbers and topics are nobody's business but their owner's.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
from aiohttp import web

from responder.incident.message import Contact, Receipt
from responder.paging.base import Channel, ChannelError
from responder.paging.notices import Occasion, verification
from responder.store.verified import Reach, address_digest
from responder.web.auth import Role, requires
from responder.web.parts import PARTS, WebParts
from responder.web.problems import ProblemError, answer, decoded, read
from responder.web.times import rfc3339
from responder.web.verify import subject_of

_SEND_LIMIT = 9.0  # seconds
LINK_LIFETIME = timedelta(days=1)


class ReachableView(msgspec.Struct, frozen=True, kw_only=True):
    """A channel that can reach a contact; ``verified_at`` is null where its owner never confirmed the address."""

    name: str
    verified_at: str | None


class ContactView(msgspec.Struct, frozen=True, kw_only=True):
    """A contact and its channels, in the order of the configuration."""

    name: str
    channels: tuple[ReachableView, ...]


class ContactsView(msgspec.Struct, frozen=True, kw_only=True):
    """Every contact of the rule files."""

    contacts: tuple[ContactView, ...]


class VerifyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The channel whose owner is to confirm it."""

    channel: str


class VerifyView(msgspec.Struct, frozen=True, kw_only=True):
    """The link was sent; what the channel said of it is no more than that."""

    contact: str
    channel: str
    expires_at: str


def routes() -> list[web.RouteDef]:
    """Both calls."""
    return [web.get("/api/v1/contacts", show), web.post("/api/v1/contacts/{name}/verify", ask)]


@requires(Role.VIEWER)
async def show(request: web.Request) -> web.Response:
    """Who can be reached over what."""
    parts = request.app[PARTS]
    contacts = parts.rules().contacts
    reaches = [
        _reach(name, channel, contact)
        for contact in contacts.values()
        for name, channel in parts.channels.items()
        if channel.reaches(contact)
    ]
    views: dict[str, list[ReachableView]] = {name: [] for name in sorted(contacts)}
    for reach, at in zip(reaches, await parts.verified.when(reaches), strict=True):
        views[reach.contact].append(
            ReachableView(name=reach.channel, verified_at=rfc3339(at) if at else None)
        )
    listed = tuple(ContactView(name=name, channels=tuple(channels)) for name, channels in views.items())
    return answer(ContactsView(contacts=listed))


@requires(Role.RESPONDER)
async def ask(request: web.Request) -> web.Response:
    """Send the owner of an address a link to confirm it with."""
    parts, name = request.app[PARTS], request.match_info["name"]
    wanted = decoded(await read(request), VerifyBody).channel
    contact, channel = parts.rules().contacts.get(name), parts.channels.get(wanted)
    if contact is None:
        raise ProblemError(404, f"no contact {name[:100]}")
    if channel is None:
        raise ProblemError(404, f"no channel {wanted[:100]}")
    if not channel.reaches(contact):
        raise ProblemError(409, f"{name} has no address for channel {wanted}")
    expires = parts.clock.now() + LINK_LIFETIME
    occasion = Occasion(
        channel=wanted,
        contact=name,
        now=parts.clock.now(),
        url=_link(parts, _reach(wanted, channel, contact)),
    )
    try:
        async with asyncio.timeout(_SEND_LIMIT):
            await channel.send(verification(occasion), contact, Receipt())
    except (ChannelError, TimeoutError) as error:
        raise ProblemError(502, f"{wanted}: {parts.redact(str(error) or 'no answer in time')}") from None
    return answer(VerifyView(contact=name, channel=wanted, expires_at=rfc3339(expires)))


def _link(parts: WebParts, reach: Reach) -> str:
    tokens = parts.tokens.for_purpose("verify")
    token = tokens.issue(subject_of(reach), reach.contact, parts.clock.now(), LINK_LIFETIME)
    return f"{parts.external_url.rstrip('/')}/verify/{token}"


def _reach(name: str, channel: Channel, contact: Contact) -> Reach:
    address = contact.addresses.get(channel.address_kind, "")
    return Reach(contact=contact.name, channel=name, address=address_digest(address))
