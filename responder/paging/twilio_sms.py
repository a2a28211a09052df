"""Type ``twilio.sms``: pages as text messages that can be answered.

Sources: twilio/twilio-oai, twilio_api_v2010, Messages (April 2026); twilio.com/docs/messaging.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

import msgspec
import structlog

from responder.incident.message import Contact, Message, MessageKind, Receipt
from responder.paging.base import CHANNELS, ChannelError, ChannelTools, asks
from responder.paging.sms_text import sms
from responder.paging.twilio_api import E164, TwilioChannel, TwilioSettings
from responder.store.codes import CodedPage
from responder.store.errors import StoreError

log = structlog.get_logger(__name__)

#: How long a text may wait in Twilio's queue: a page until its promise ends, a notice for an hour.
_SHORTEST_USE, _NOTICE_USE, _LONGEST_USE = timedelta(minutes=5), timedelta(hours=1), timedelta(hours=10)
#: How far back an earlier attempt at the same text is looked for.
_LOOK_BACK = timedelta(hours=1)
_SENDER = re.compile(r"[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")


class TwilioSmsSettings(TwilioSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``from``: a number of the account (or a short code, or a sender's name); or a ``messaging_service_sid``."""

    sender: str | None = msgspec.field(name="from", default=None)
    messaging_service_sid: str | None = None

    def __post_init__(self) -> None:
        """Refuse what Twilio would refuse at the first page."""
        super().__post_init__()
        if (self.sender is None) is (self.messaging_service_sid is None):
            raise ValueError("give from, or messaging_service_sid")
        if self.sender is not None and not (E164.fullmatch(self.sender) or _SENDER.fullmatch(self.sender)):
            raise ValueError(f"from: expected a number such as +15005550006, got {self.sender!r}")
        if self.messaging_service_sid is not None and not _SERVICE.fullmatch(self.messaging_service_sid):
            raise ValueError("messaging_service_sid: expected MG and 32 hex digits")


@CHANNELS.register("twilio.sms")
class TwilioSmsChannel(TwilioChannel):
    """Sends pages, and who has taken them. Findings that come later are behind the link: they cost no text."""

    Settings: ClassVar[type[msgspec.Struct]] = TwilioSmsSettings
    concurrency: ClassVar[int] = 4

    def __init__(self, name: str, settings: TwilioSmsSettings, tools: ChannelTools) -> None:
        super().__init__(name, settings, tools)
        self._settings = settings
        # A sender's name takes no replies: its texts lead to the link.
        named = settings.sender is not None and not settings.sender.lstrip("+").isdigit()
        self._codes = None if named else tools.codes

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        """Send the text; after an unclear outcome it is looked for before it is sent again."""
        if message.kind is MessageKind.UPDATE:
            return page
        number = contact.addresses["phone"]
        code = await self._code(message, number) if asks(message) else ""
        text = sms(message, code)
        if message.attempt > 1 and (
            sent := await self._sent_before(message, number, f"ACK {code}" if code else text)
        ):
            return sent
        sender = ("From", self._settings.sender) if self._settings.sender else None
        service = ("MessagingServiceSid", self._settings.messaging_service_sid or "")
        form = [("To", number), sender or service, ("Body", text), ("ValidityPeriod", str(_use(message)))]
        if back := self.status_callback(message):
            form.append(("StatusCallback", back))
        said = await self.create("Messages", form)
        return Receipt({"sid": said["sid"]})

    async def _code(self, message: Message, number: str) -> str:
        """The code of the page; without one (the store is away) the text leads to the link."""
        if self._codes is None:
            return ""
        to = CodedPage(incident=message.incident.id, contact=message.to, page=message.page_id)
        try:
            return await self._codes.issue(number, to)
        except StoreError as error:
            log.warning("text message without a code", channel=self.name, error=str(error))
            return ""

    async def _sent_before(self, message: Message, number: str, mark: str) -> Receipt | None:
        """A text of ours to this number that holds the page's code, or that is this very notice."""
        since = message.sent_at - _LOOK_BACK
        try:
            listed = await self.recent("Messages", {"To": number, "DateSent>": f"{since:%Y-%m-%d}"})
        except ChannelError as error:
            if error.permanent:  # the key may send but not list: better twice than never
                return None
            raise
        for one in listed:
            failed = one.get("status") in {"failed", "undelivered", "canceled"}
            if mark in str(one.get("body", "")) and not failed and _made_at(one, since) >= since:
                return Receipt({"sid": str(one.get("sid", ""))})
        return None


def _made_at(one: dict[str, Any], otherwise: datetime) -> datetime:
    try:
        found = parsedate_to_datetime(str(one.get("date_created")))
    except ValueError:
        return otherwise
    return found if found.tzinfo is not None else otherwise


def _use(message: Message) -> int:
    """Seconds for which the text is of use."""
    use = message.respond_by - message.sent_at if asks(message) else _NOTICE_USE
    return round(min(max(use, _SHORTEST_USE), _LONGEST_USE).total_seconds())
