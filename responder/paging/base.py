"""What a channel is: one file, one class, registered under its ``type``, that sends one message at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import ClassVar, Protocol, runtime_checkable

import aiohttp
import msgspec

from responder.clock import Clock
from responder.incident.message import Contact, Message, MessageKind, Receipt
from responder.overflow import Spill, unheard
from responder.registry import Registry
from responder.store.codes import CodedPage
from responder.store.conversations import Place


class ChannelError(Exception):
    """A message was not delivered.

    The text is for people and holds no secret. ``permanent``: trying again over this channel is of no use.
    ``retry_after``: the provider asked to wait that long.
    """

    def __init__(self, why: str, *, permanent: bool = False, retry_after: timedelta | None = None) -> None:
        super().__init__(why)
        self.permanent = permanent
        self.retry_after = retry_after


class NotYetError(Exception):
    """Nothing was tried: it is not this message's turn. That is no failure of the channel.

    ``wait``: when to come again. ``why`` is for people.
    """

    def __init__(self, why: str, wait: timedelta) -> None:
        super().__init__(why)
        self.wait = wait


async def _no_chart(_digest: str) -> bytes | None:
    return None


class ReplyCodes(Protocol):
    """Short codes that a person can type: each is bound to one page and to the number it was sent to."""

    async def issue(self, number: str, to: CodedPage) -> str:
        """The code of a page for this number, the same whenever it is asked for. Raises ``StoreError``."""
        ...

    async def find(self, number: str, code: str) -> CodedPage | None:
        """What a code from this number stands for; ``None`` for one that it was not given. Raises ``StoreError``."""
        ...


class Memory(Protocol):
    """What is known of the one message about an incident in each conversation; the same for every replica.

    Every call raises ``StoreError`` where the store is away.
    """

    async def recall(self, place: Place) -> dict[str, str]:
        """Everything that was noted; empty where nothing was."""
        ...

    async def note(self, place: Place, **fields: str) -> None:
        """Note fields; they stay as long as incidents do."""
        ...

    async def first(self, place: Place, what: str) -> bool:
        """Note that something is done once; whether this is the first time."""
        ...

    async def forget(self, place: Place, *fields: str) -> None:
        """Take fields out again."""
        ...

    async def take(self, place: Place) -> bool:
        """Have the place for oneself, for a little longer than a send may take; whether it was free."""
        ...

    async def let_go(self, place: Place) -> None:
        """Give the place back."""
        ...


class ChannelTools(msgspec.Struct, frozen=True, kw_only=True):
    """What every channel is given: one shared HTTP session (closed by its owner), the clock, our own address.

    ``user_ids``: the chat's own ids of contacts, as far as the configuration names them. ``silences``: whether people can
    make one.

    ``codes`` makes the short codes of text messages, ``memory`` keeps what conversations hold; both ``None`` outside of
    the daemon. ``chart`` answers the picture (PNG,
    at most 200 kB) of a finding by its digest, or ``None``, within a second; it raises nothing. ``spill`` hears of what a channel leaves out
    beside pages because too much waits.
    """

    session: aiohttp.ClientSession
    clock: Clock
    external_url: str
    user_ids: Mapping[str, str] = {}
    silences: bool = False
    codes: ReplyCodes | None = None
    memory: Memory | None = None
    chart: Callable[[str], Awaitable[bytes | None]] = _no_chart
    spill: Spill = unheard


class Channel(Protocol):
    """A way to reach people.

    ``Settings`` is the typed form of its section in the configuration (without ``type``). The engine bounds the time
    and the number of sends at once; a channel keeps no queue and does not retry.
    """

    Settings: ClassVar[type[msgspec.Struct]]
    #: Sends that may be under way at once over one channel.
    concurrency: ClassVar[int]
    #: The kind of address in a contact that it uses (``email``, ``phone``); empty where it needs none.
    address_kind: ClassVar[str]

    def __init__(self, name: str, settings: msgspec.Struct, tools: ChannelTools) -> None: ...

    def reaches(self, contact: Contact) -> bool:
        """Whether the contact has an address that this channel can use."""
        ...

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        """Deliver a message; ``page`` is the receipt of the page that it follows.

        For a page or a reminder that is the last page before it to this contact over this channel; empty for the first.

        Raises:
            ChannelError: where it was not delivered, or that is not known.
            NotYetError: where it was not tried, since what goes before it needs the room.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@runtime_checkable
class Conversational(Protocol):
    """A channel that keeps a conversation about an incident, and so carries what is said aside."""

    keeps_conversation: ClassVar[bool]


@runtime_checkable
class Ringing(Protocol):
    """A channel that rings whatever it carries: nothing is sent over it that can wait."""

    rings: ClassVar[bool]


CHANNELS: Registry[Channel] = Registry("channel")

_PAGES = frozenset({MessageKind.PAGE, MessageKind.REMINDER})


def asks(message: Message) -> bool:
    """Whether the message asks somebody to answer: a page that nobody has taken, or a reminder to who has."""
    return message.kind in _PAGES and message.incident.state in ("triggered", "acknowledged")


def asks_again(message: Message) -> bool:
    """Whether it asks who has acknowledged whether they are still at work: acknowledging once more says so."""
    return message.kind is MessageKind.REMINDER and message.incident.state == "acknowledged"
