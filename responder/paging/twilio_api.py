"""What text messages and calls share: the account, its REST API, what its errors mean, the addresses it calls back.

Sources: twilio/twilio-oai, twilio_api_v2010 (April 2026): forms, patterns, states; twilio.com/docs/api/errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

import msgspec

from responder.addresses import base_objection
from responder.config_checks import is_loopback
from responder.incident.message import Contact, Message
from responder.paging.base import ChannelError, ChannelTools
from responder.paging.http import Answer, basic, check, exchange
from responder.secrets import Secret
from responder.text import one_line

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_SID = re.compile(r"AC[0-9a-fA-F]{32}")
#: Too many requests, and a number's queue that is hours long: both pass, whatever the status says.
_PASSING = frozenset({20429, 21611})
STOPPED = 21610
_LISTED = 50

#: What a number's owner has to be told of the commonest errors, in callbacks and in answers alike.
_SAYS = {
    20003: "the account's credentials were not taken",
    21211: "the number is not valid",
    21408: "the account may not send to this region",
    21608: "a trial account sends to verified numbers only",
    STOPPED: "the owner of the number has replied STOP: nothing reaches it until they send START",
    21611: "the sender's queue is full",
    21614: "the number is not a mobile phone",
    30003: "the phone is switched off or out of reach",
    30004: "the number is blocked",
    30005: "the number is not known",
    30006: "a landline, or a carrier that takes no messages",
    30007: "the carrier took it for spam",
    30008: "the carrier gives no reason",
    30034: "the sender is not registered (A2P 10DLC)",
}


class TwilioSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account. ``auth_token`` signs what Twilio posts to us; an API key, where one is given, is what we call with."""

    account_sid: str
    auth_token: Secret
    api_key: str | None = None
    api_secret: Secret | None = None
    url: str = "https://api.twilio.com"

    def __post_init__(self) -> None:
        """Refuse what Twilio would refuse at the first page."""
        if not _SID.fullmatch(self.account_sid):
            raise ValueError(f"account_sid: expected AC and 32 hex digits, got {self.account_sid[:40]!r}")
        if (self.api_key is None) is not (self.api_secret is None):
            raise ValueError("api_key, api_secret: give both or neither")
        if objection := base_objection(self.url):
            raise ValueError(f"url: {objection}")


class TwilioChannel:
    """A number that sends; it reaches whoever has a ``phone`` in E.164 form."""

    address_kind: ClassVar[str] = "phone"

    def __init__(self, name: str, settings: TwilioSettings, tools: ChannelTools) -> None:
        self.name = name
        self._account = settings
        self._session = tools.session
        self._external_url = tools.external_url.rstrip("/")

    def reaches(self, contact: Contact) -> bool:
        """Whether the contact has a phone number such as +639171234567."""
        return bool(E164.fullmatch(contact.addresses.get("phone", "")))

    @property
    def auth_token(self) -> str:
        """What signs Twilio's requests to us."""
        return self._account.auth_token.reveal()

    async def create(self, resource: str, form: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Make a message or a call; what Twilio says of it.

        Raises:
            ChannelError: where it was refused, or that is not known.
        """
        body = urlencode(list(form)).encode()
        headers = {**self._headers(), "Content-Type": "application/x-www-form-urlencoded"}
        answer = await exchange(self._session, "POST", self._path(resource), headers, body)
        said = answer.json()
        _check(answer, said)
        if not isinstance(said.get("sid"), str):
            raise ChannelError(f"twilio: answered {answer.status}, but not what came of it")
        if said.get("status") in {"failed", "undelivered", "canceled"}:
            raise ChannelError(
                f"twilio: {said['status']}: {explained(said.get('error_code'))}", permanent=True
            )
        return said

    async def recent(self, resource: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """Messages or calls, newest first. Raises :class:`ChannelError`."""
        url = f"{self._path(resource)}?{urlencode({**query, 'PageSize': _LISTED})}"
        answer = await exchange(self._session, "GET", url, self._headers())
        said = answer.json()
        _check(answer, said)
        listed = said.get(resource.lower())
        return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []

    def callback(self, path: str, query: Mapping[str, str]) -> str:
        """An address of ours for Twilio to call; nothing where ours cannot be reached from elsewhere."""
        if is_loopback(urlsplit(self._external_url).hostname or ""):
            return ""
        return f"{self._external_url}{path}?{urlencode(query)}"

    def status_callback(self, message: Message) -> str:
        """Where Twilio says what became of a message, or of a call."""
        return self.callback(
            "/twilio/status",
            {
                "channel": self.name,
                "incident": message.incident.id,
                "page": message.page_id,
                "effect": message.id,
                "kind": message.kind,
            },
        )

    def _path(self, resource: str) -> str:
        return (
            f"{self._account.url.rstrip('/')}/2010-04-01/Accounts/{self._account.account_sid}/{resource}.json"
        )

    def _headers(self) -> dict[str, str]:
        account = self._account
        user, secret = account.account_sid, account.auth_token
        if account.api_key is not None and account.api_secret is not None:
            user, secret = account.api_key, account.api_secret
        return {"Authorization": basic(user, secret.reveal()), "User-Agent": "responder"}

    async def close(self) -> None:
        """The session is its owner's."""


def explained(code: object) -> str:
    """An error code of Twilio's, with what it means where that helps."""
    number = int(code) if isinstance(code, (int, str)) and str(code).isascii() and str(code).isdigit() else 0
    return f"{_SAYS[number]} (error {number})" if number in _SAYS else f"error {number or 'unknown'}"


def _check(answer: Answer, said: dict[str, Any]) -> None:
    code = said.get("code")
    reason = explained(code) if code else ""
    if code and reason.startswith("error") and isinstance(said.get("message"), str):
        reason = f"{reason}: {one_line(said['message'], 150)}"
    try:
        check(answer, reason)
    except ChannelError as error:
        passing = code in _PASSING or not error.permanent
        raise ChannelError(
            f"twilio: {error}", permanent=not passing, retry_after=answer.retry_after if passing else None
        ) from None
