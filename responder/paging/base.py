"""What a channel is: one file, one class, registered under its ``type``, that sends one message at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import ClassVar, Protocol

import aiohttp
import msgspec

from responder.clock import Clock
from responder.incident.message import Contact, Message, Receipt
from responder.registry import Registry


class ChannelError(Exception):
    """A message was not delivered.

    The text is for people and holds no secret. ``permanent``: trying again over this channel is of no use.
    ``retry_after``: the provider asked to wait that long.
    """

    def __init__(self, why: str, *, permanent: bool = False, retry_after: timedelta | None = None) -> None:
        super().__init__(why)
        self.permanent = permanent
        self.retry_after = retry_after


async def _no_chart(_digest: str) -> bytes | None:
    return None


class ChannelTools(msgspec.Struct, frozen=True, kw_only=True):
    """What every channel is given: one shared HTTP session (closed by its owner) and the clock.

    ``chart`` answers the picture (PNG, at most 200 kB) of a finding by its digest, or ``None``, within a second; it
    raises nothing.
    """

    session: aiohttp.ClientSession
    clock: Clock
    external_url: str
    chart: Callable[[str], Awaitable[bytes | None]] = _no_chart


class Channel(Protocol):
    """A way to reach people.

    ``Settings`` is the typed form of its section in the configuration (without ``type``). The engine bounds the time
    and the number of sends at once; a channel keeps no queue and does not retry.
    """

    Settings: ClassVar[type[msgspec.Struct]]
    #: Sends that may be under way at once over one channel.
    concurrency: ClassVar[int]

    def __init__(self, name: str, settings: msgspec.Struct, tools: ChannelTools) -> None: ...

    def reaches(self, contact: Contact) -> bool:
        """Whether the contact has an address that this channel can use."""
        ...

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        """Deliver a message; ``page`` is the receipt of the page that it follows (empty for a page itself).

        Raises:
            ChannelError: where it was not delivered, or that is not known.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


CHANNELS: Registry[Channel] = Registry("channel")
