"""Type ``teams``: an Adaptive Card for each message, through a workflow's webhook.

Sources: learn.microsoft.com, "Create incoming webhooks with Workflows", rate and size limits of webhooks. A workflow
answers 202 before it has done anything; there is no message to update later, so each message is a new one.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import msgspec

from responder.addresses import http_objection
from responder.incident.message import Contact, Message, Receipt
from responder.paging.base import CHANNELS, ChannelError, ChannelTools
from responder.paging.http import check, exchange
from responder.paging.teams_card import encode
from responder.secrets import Secret
from responder.text import one_line

_PERSON = re.compile(r"[^@\s<>\"]{1,100}@[A-Za-z0-9.-]{1,200}")
#: What a mention's name may hold: it stands in a block that takes Markdown.
_NOT_A_NAME = re.compile(r"[^\w .-]")


class TeamsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The addresses of workflows, which are secrets: ``url`` for all, ``urls`` by the name that contacts give."""

    url: Secret | None = None
    urls: dict[str, Secret] = {}

    def __post_init__(self) -> None:
        """Refuse what could reach nobody."""
        if self.url is None and not self.urls:
            raise ValueError("give url, or urls by name")
        for what, url in (("url", self.url), *((f"urls.{name}", one) for name, one in self.urls.items())):
            if url is not None and (objection := http_objection(url.reveal())):
                raise ValueError(f"{what}: {objection}")


@CHANNELS.register("teams")
class TeamsChannel:
    """Posts cards. A contact's ``teams`` names an entry of ``urls``, or is a person's sign-in name to be mentioned."""

    Settings: ClassVar[type[msgspec.Struct]] = TeamsSettings
    concurrency: ClassVar[int] = 2  # more than four requests a second are refused
    address_kind: ClassVar[str] = "teams"

    def __init__(self, name: str, settings: TeamsSettings, tools: ChannelTools) -> None:
        self.name = name
        self._settings = settings
        self._session = tools.session

    def reaches(self, contact: Contact) -> bool:
        """Whether there is a workflow for the contact."""
        return self._url(contact) is not None

    def _url(self, contact: Contact) -> Secret | None:
        own = contact.addresses.get("teams", "")
        return self._settings.url if not own or _PERSON.fullmatch(own) else self._settings.urls.get(own)

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        """Post the card. That the workflow has taken it is all that is known."""
        url = self._url(contact)
        if url is None:
            raise ChannelError(f"teams: no workflow for {contact.name}", permanent=True)
        own = contact.addresses.get("teams", "")
        name = one_line(_NOT_A_NAME.sub(" ", contact.name), 80)
        mention = (name, own) if _PERSON.fullmatch(own) else None
        headers = {"Content-Type": "application/json", "User-Agent": "responder"}
        body = encode(message, mention)
        answer = await exchange(self._session, "POST", url.reveal(), headers, body)
        try:
            check(answer, _reason(answer.json()))
        except ChannelError as error:
            raise ChannelError(
                f"teams: {error}", permanent=error.permanent, retry_after=error.retry_after
            ) from None
        if answer.body.lstrip().startswith(b"<"):
            raise ChannelError("teams: a web page answered, not a workflow")
        return Receipt()

    async def close(self) -> None:
        """The session is its owner's."""


def _reason(said: dict[str, Any]) -> str:
    """The code of a workflow's error; its message may repeat the address, which is a secret."""
    error = said.get("error")
    return one_line(str(error.get("code", "")), 80) if isinstance(error, dict) else ""
