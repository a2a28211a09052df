"""Type ``apprise``: the many services that Apprise knows, by its URLs. Needs ``pip install 'responder[apprise]'``.

Source: caronc/apprise 2.x (BSD): ``Apprise.add``, ``notify`` and its result; URLs of its wiki.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import threading
from typing import Any, ClassVar

import msgspec

from responder.incident.message import Contact, Message, MessageKind, Receipt
from responder.incident.severity import Severity
from responder.paging.base import CHANNELS, ChannelError, ChannelTools, asks_again
from responder.paging.compose import headline
from responder.secrets import Secret
from responder.text import block

SEND_LIMIT = 8.0  # seconds that we wait; a thread that is still at work then keeps its seat until it ends
SEATS = 4
_BODY_LIMIT = 3_000
_TITLE_LIMIT = 200
#: What stays on this machine, draws on its screen or writes its log: nobody is woken by that.
_LOCAL = frozenset(
    {"blink1", "dbus", "gio", "glib", "gnome", "kde", "macosx", "qt", "rsyslog", "syslog", "windows"}
)


class AppriseSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``url`` is one address of one service. It is a secret, whole."""

    url: Secret

    def __post_init__(self) -> None:
        """Refuse what Apprise would not understand, before a page depends on it."""
        _notifier(self.url.reveal())


@CHANNELS.register("apprise")
class AppriseChannel:
    """Sends text to the one address; it reaches everybody."""

    Settings: ClassVar[type[msgspec.Struct]] = AppriseSettings
    concurrency: ClassVar[int] = SEATS
    address_kind: ClassVar[str] = ""

    def __init__(self, name: str, settings: AppriseSettings, tools: ChannelTools) -> None:
        self.name = name
        self._settings = settings
        self._seats = threading.BoundedSemaphore(SEATS)

    def reaches(self, contact: Contact) -> bool:
        """Everybody: the address is in the settings."""
        return True

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        """Hand it to Apprise, which says no more than whether it worked; a repeated one is a second message."""
        try:
            async with asyncio.timeout(SEND_LIMIT):
                sent = await self._in_thread(message)
        except TimeoutError:
            raise ChannelError("apprise: no answer in time") from None
        if not sent:
            raise ChannelError("apprise: not delivered; Apprise gives no reason")
        return Receipt()

    def _in_thread(self, message: Message) -> asyncio.Future[bool]:
        """Its services block and cannot be cancelled: a bounded number of threads, that no stop has to wait for."""
        if not self._seats.acquire(blocking=False):
            raise ChannelError(f"apprise: {SEATS} earlier sends have not ended yet")
        loop = asyncio.get_running_loop()
        sent: asyncio.Future[bool] = loop.create_future()

        def tell(*, good: bool) -> None:
            if not sent.done():
                sent.set_result(good)

        def work() -> None:
            good = False
            try:
                good = _notify(self._settings.url.reveal(), message)
            finally:
                self._seats.release()
                with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                    loop.call_soon_threadsafe(lambda: tell(good=good))

        threading.Thread(target=work, name=f"apprise {self.name}", daemon=True).start()
        return sent

    async def close(self) -> None:
        """What is still at work ends by itself, or with the process."""


def _notify(url: str, message: Message) -> bool:
    try:
        return bool(
            _notifier(url).notify(
                title=headline(message, _TITLE_LIMIT),
                body=text(message),
                notify_type=_type(message),
                body_format="text",
            )
        )
    except Exception:  # noqa: BLE001 - somebody else's plug-in: whatever it raises, it has not delivered
        return False


def text(message: Message) -> str:
    """The body: the summary without its first line, which is the title; the findings; where to go."""
    lines = message.summary.split("\n")[1:]
    lines += [f"[{finding.status}] {finding.probe}: {finding.headline}" for finding in message.findings]
    room = _BODY_LIMIT - len(message.ack_url) - len(message.incident.url)
    links = []
    if message.ack_url and (message.incident.state == "triggered" or asks_again(message)):
        links.append(f"Acknowledge: {message.ack_url}")
    links.append(message.incident.url)
    return "\n".join([block("\n".join(lines), room), *links])


def _type(message: Message) -> str:
    if message.kind is MessageKind.RESOLVED:
        return "success"
    if message.kind in (MessageKind.ACKNOWLEDGED, MessageKind.UPDATE):
        return "info"
    return {Severity.P1: "failure", Severity.P2: "failure", Severity.P3: "warning"}.get(
        message.incident.severity, "info"
    )


def _notifier(url: str) -> Any:
    """Apprise with this one address.

    Raises:
        ValueError: where the package is missing, or the address is none that it could send to from here.
    """
    try:
        library: Any = importlib.import_module("apprise")
    except ModuleNotFoundError:
        raise ValueError("type apprise needs a package: pip install 'responder[apprise]'") from None
    scheme = url.partition("://")[0].lower()
    if scheme in _LOCAL:
        raise ValueError(f"url: {scheme}:// shows things on this machine only; nobody would be woken by it")
    # No plug-ins of others, and nothing on the disk.
    asset = library.AppriseAsset(plugin_paths=[], storage_mode=library.PersistentStoreMode.MEMORY)
    found = library.Apprise(asset=asset)
    if not found.add(url) or len(found) != 1:
        raise ValueError(
            f"url: Apprise does not understand this {scheme[:20]}:// address as one of one service"
        )
    return found
