"""Type ``ntfy``: push messages with an acknowledge button that works on the lock screen.

Sources: binwiederhier/ntfy, docs/publish.md and server (July 2025): JSON to the root address, 4,096 bytes of message
and twice that of JSON (a longer message becomes an attachment in silence), topics, actions, error codes.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, ClassVar

import msgspec

from responder.addresses import base_objection
from responder.incident.message import Contact, Message, MessageKind, Receipt
from responder.incident.severity import Severity
from responder.paging.base import CHANNELS, ChannelError, ChannelTools, asks
from responder.paging.compose import headline
from responder.paging.http import Answer, basic, check, exchange
from responder.secrets import Secret
from responder.text import one_line, web_address

MESSAGE_LIMIT = 4_096  # bytes
BODY_LIMIT = 8_192  # bytes
_TITLE_LIMIT = 200
_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")
_PRIORITIES = {Severity.P1: 5, Severity.P2: 4, Severity.P3: 3, Severity.P4: 2}
_TAGS = {
    MessageKind.PAGE: "rotating_light",
    MessageKind.REMINDER: "rotating_light",
    MessageKind.UPDATE: "mag",
    MessageKind.ACKNOWLEDGED: "eyes",
    MessageKind.RESOLVED: "white_check_mark",
}
_PAGES = frozenset({MessageKind.PAGE, MessageKind.REMINDER})
#: Requests come back at one every five seconds; a day's quota does not come back in time for a page.
_LIMITED = timedelta(seconds=5)
_QUOTAS = frozenset({42908, 42910})


class NtfySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server, and how to sign in. ``topic`` takes the pages of contacts without one; who knows a topic can read it."""

    url: str = "https://ntfy.sh"
    topic: Secret | None = None
    token: Secret | None = None
    username: str | None = None
    password: Secret | None = None

    def __post_init__(self) -> None:
        """Refuse what ntfy would refuse at the first page."""
        if objection := base_objection(self.url):
            raise ValueError(f"url: {objection}")
        if self.topic is not None and not _TOPIC.fullmatch(self.topic.reveal()):
            raise ValueError("topic: expected 1 to 64 letters, digits, '-' or '_'")
        if (self.username is None) is not (self.password is None):
            raise ValueError("username, password: give both or neither")
        if self.token is not None and self.username is not None:
            raise ValueError("give token, or username and password")


@CHANNELS.register("ntfy")
class NtfyChannel:
    """Publishes to a contact's topic (``ntfy``), or to the one of the settings."""

    Settings: ClassVar[type[msgspec.Struct]] = NtfySettings
    concurrency: ClassVar[int] = 4
    address_kind: ClassVar[str] = "ntfy"

    def __init__(self, name: str, settings: NtfySettings, tools: ChannelTools) -> None:
        self.name = name
        self._settings = settings
        self._session = tools.session

    def reaches(self, contact: Contact) -> bool:
        """Whether there is a topic that ntfy would take."""
        return bool(_TOPIC.fullmatch(self._topic(contact)))

    def _topic(self, contact: Contact) -> str:
        own = contact.addresses.get("ntfy", "")
        return own or (self._settings.topic.reveal() if self._settings.topic else "")

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        """Publish it; a repeated one is a second notification."""
        url = f"{self._settings.url.rstrip('/')}/"
        headers = {"Content-Type": "application/json", "User-Agent": "responder", **self._sign_in()}
        answer = await exchange(self._session, "POST", url, headers, encode(message, self._topic(contact)))
        said = answer.json()
        _check(answer, said)
        if not said.get("id"):
            raise ChannelError(f"ntfy: answered {answer.status}, but not that it published the message")
        return Receipt({"id": str(said["id"])})

    def _sign_in(self) -> dict[str, str]:
        s = self._settings
        if s.token is not None:
            return {"Authorization": f"Bearer {s.token.reveal()}"}
        if s.username is not None and s.password is not None:
            return {"Authorization": basic(s.username, s.password.reveal())}
        return {}

    async def close(self) -> None:
        """The session is its owner's."""


def encode(message: Message, topic: str) -> bytes:
    """The body of a request, its text cut to what ntfy shows as text."""
    incident = message.incident
    title = headline(message, _TITLE_LIMIT)
    lines = message.summary.split("\n")[1:]  # the first one is the title
    lines += [f"[{finding.status}] {finding.probe}: {finding.headline}" for finding in message.findings]
    made: dict[str, Any] = {
        "topic": topic,
        "title": title,
        "priority": _PRIORITIES[incident.severity] if message.kind in _PAGES else 2,
        "tags": [_TAGS[message.kind]],
        "actions": _actions(message),
    }
    if web_address(incident.url):
        made["click"] = incident.url
    room = MESSAGE_LIMIT
    while True:
        body = msgspec.json.encode({**made, "message": cut("\n".join(lines) or title, room)})
        if len(body) <= BODY_LIMIT or room < 100:
            return body
        room -= max(len(body) - BODY_LIMIT, 100)


def _actions(message: Message) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if message.ack_url and asks(message):
        # A POST to the link acknowledges; opening it would only show it.
        found.append(
            {
                "action": "http",
                "label": "Acknowledge",
                "url": message.ack_url,
                "method": "POST",
                "clear": True,
            }
        )
    if web_address(message.incident.url):
        found.append({"action": "view", "label": "Open", "url": message.incident.url})
    return found


def cut(text: str, limit: int) -> str:
    """At most so many bytes of UTF-8, ending with an ellipsis where something was cut, and never within a character."""
    raw = text.encode()
    if len(raw) <= limit:
        return text
    return raw[: max(limit - 3, 0)].decode("utf-8", "ignore") + "…"


def _check(answer: Answer, said: dict[str, Any]) -> None:
    code = said.get("code")
    reason = one_line(str(said.get("error", "")), 150)
    try:
        check(answer, f"{reason} ({code})" if reason else "")
    except ChannelError as error:
        wait = error.retry_after or (_LIMITED if answer.status == 429 else None)
        permanent = error.permanent or code in _QUOTAS
        raise ChannelError(
            f"ntfy: {error}", permanent=permanent, retry_after=None if permanent else wait
        ) from None
