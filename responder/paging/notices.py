"""Messages that belong to no single incident: a test of a channel, a link for its owner to open, a hand-over. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec

from responder.incident.ids import derive
from responder.incident.message import IncidentBrief, Message, MessageKind
from responder.incident.severity import Level, Severity

#: The states that such a message shows instead of an incident's: nothing in it is to be acknowledged.
TEST, VERIFY, NOTICE = "test", "verify", "notice"
NOTICES = frozenset({TEST, VERIFY, NOTICE})


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """Which channel, to whom and when; ``url`` is what the message leads to."""

    channel: str
    contact: str
    now: datetime
    url: str


def trial(occasion: Occasion, severity: Severity) -> Message:
    """A message that says that it is a test, in every part of it that a channel may show alone."""
    title = f"TEST of channel {occasion.channel}: nothing is broken"
    asked = f"Somebody tries whether {occasion.channel} reaches {occasion.contact}. There is nothing to do."
    return _message(occasion, title, (severity, TEST), asked)


def tried(message: Message, now: datetime) -> Message:
    """The end of a test: what it may have opened elsewhere is closed."""
    number = derive(message.id, "resolved")
    return msgspec.structs.replace(message, kind=MessageKind.RESOLVED, id=number, sent_at=now, by="the test")


def verification(occasion: Occasion) -> Message:
    """A message with the link by which its owner confirms that the channel reaches them."""
    title = f"Please confirm: does channel {occasion.channel} reach {occasion.contact}?"
    asked = f"Open this to confirm, within a day: {occasion.url}"
    message = _message(occasion, title, (Severity.P4, VERIFY), asked)
    return msgspec.structs.replace(message, ack_url=occasion.url)


def notice(occasion: Occasion, title: str, text: str) -> Message:
    """A message that informs one person; there is nothing to acknowledge."""
    message = _message(occasion, title, (Severity.P4, NOTICE), text)
    return msgspec.structs.replace(message, summary=f"{title}\n{text}", ack_url=occasion.url)


def _message(occasion: Occasion, title: str, kind: tuple[Severity, str], asked: str) -> Message:
    severity, state = kind
    number = derive(state, occasion.channel, occasion.contact, occasion.now.isoformat())
    return Message(
        kind=MessageKind.PAGE,
        id=number,
        page_id=number,
        incident=IncidentBrief(
            id=state,
            title=title,
            severity=severity,
            service="responder",
            state=state,
            opened_at=occasion.now,
            url=occasion.url,
        ),
        level=Level.PRIMARY,
        to=occasion.contact,
        attempt=1,
        respond_by=occasion.now,
        sent_at=occasion.now,
        summary=f"{severity} responder: {title}\n{asked}",
    )
