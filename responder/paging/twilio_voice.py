"""Type ``twilio.voice``: a call that says what is broken and takes an answer by key.

Sources: twilio/twilio-oai, twilio_api_v2010, Calls (April 2026); twilio.com/docs/voice/twiml and
answering-machine-detection.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import msgspec

from responder.incident.message import Contact, Message, MessageKind, Receipt
from responder.paging.base import CHANNELS, ChannelError, ChannelTools, asks
from responder.paging.notices import VERIFY
from responder.paging.twilio_api import E164, TwilioChannel, TwilioSettings
from responder.paging.twilio_twiml import CONFIRM_PROMPT, Keys, announcement, spoken

#: While a call to the same phone is under way, another one would meet a busy line.
_UNDER_WAY = ("queued", "ringing", "in-progress")
_BUSY_WAIT = timedelta(seconds=30)
_PAGES = frozenset({MessageKind.PAGE, MessageKind.REMINDER})


class TwilioVoiceSettings(TwilioSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``from``: a number of the account. ``ring_for`` ends before most mailboxes answer.

    ``detect_machines``: Twilio listens whether a mailbox has answered, and the page goes on over the next channel.
    """

    sender: str = msgspec.field(name="from")
    ring_for: timedelta = timedelta(seconds=25)
    detect_machines: bool = True

    def __post_init__(self) -> None:
        """Refuse what Twilio would refuse at the first page."""
        super().__post_init__()
        if not E164.fullmatch(self.sender):
            raise ValueError(f"from: expected a number such as +15005550006, got {self.sender!r}")
        if not timedelta(seconds=5) <= self.ring_for <= timedelta(seconds=600):
            raise ValueError("ring_for: expected 5s to 10m")


@CHANNELS.register("twilio.voice")
class TwilioVoiceChannel(TwilioChannel):
    """Calls for pages and reminders; nobody is called to hear that it is over."""

    Settings: ClassVar[type[msgspec.Struct]] = TwilioVoiceSettings
    concurrency: ClassVar[int] = 2
    rings: ClassVar[bool] = True

    def __init__(self, name: str, settings: TwilioVoiceSettings, tools: ChannelTools) -> None:
        super().__init__(name, settings, tools)
        self._settings = settings

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        """Place the call. That it was placed is all that is known; an answer comes to ``/twilio/voice``."""
        if message.kind not in _PAGES:
            return page
        number = contact.addresses["phone"]
        if message.attempt > 1:
            await self._wait_for_line(number)
        form = [
            ("To", number),
            ("From", self._settings.sender),
            ("Twiml", announcement(spoken(message), self._keys(message))),
            ("Timeout", str(round(self._settings.ring_for.total_seconds()))),
        ]
        if back := self.status_callback(message):
            form.append(("StatusCallback", back))
            if self._settings.detect_machines:
                form += [
                    ("MachineDetection", "Enable"),
                    ("AsyncAmd", "true"),
                    ("AsyncAmdStatusCallback", back),
                ]
        said = await self.create("Calls", form)
        return Receipt({"sid": said["sid"]})

    def _keys(self, message: Message) -> Keys | None:
        """Which keys mean what, and where they are sent; ``None`` where there is nothing to press."""
        if message.incident.state == VERIFY:
            token = message.ack_url.rpartition("/")[2]
            action = self.callback("/twilio/voice", {"verify": token})
            return Keys(action=action, prompt=CONFIRM_PROMPT) if action else None
        if not asks(message):
            return None
        query = {"incident": message.incident.id, "page": message.page_id, "contact": message.to}
        action = self.callback("/twilio/voice", query)
        return Keys(action=action) if action else None

    async def _wait_for_line(self, number: str) -> None:
        """After an unclear outcome: the call may be ringing."""
        for status in _UNDER_WAY:
            try:
                calls = await self.recent(
                    "Calls", {"To": number, "From": self._settings.sender, "Status": status}
                )
            except ChannelError as error:
                if error.permanent:  # the key may call but not list
                    return
                raise
            if calls:
                raise ChannelError("twilio: a call to this phone is under way", retry_after=_BUSY_WAIT)
