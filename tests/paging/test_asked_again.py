"""The reminder of an acknowledgement, as each channel words it, and how one says that one is still at it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from pages import message, tools

from responder.incident.message import Contact, Message, MessageKind, Receipt
from responder.paging.apprise import text
from responder.paging.base import ChannelTools, asks, asks_again
from responder.paging.email import EmailChannel, EmailSettings
from responder.paging.ntfy import encode
from responder.paging.slack_blocks import blocks
from responder.paging.sms_text import sms
from responder.paging.twilio_twiml import spoken

__all__ = ["tools"]


def of(kind: MessageKind, state: str) -> Message:
    found = message(kind)
    return msgspec.structs.replace(found, incident=msgspec.structs.replace(found.incident, state=state))


REMINDER = of(MessageKind.REMINDER, "acknowledged")


def buttons(one: Message) -> list[str]:
    actions: Any = next(block for block in blocks(one) if block["type"] == "actions")
    return [button["text"]["text"] for button in actions["elements"]]


@pytest.mark.parametrize(
    ("kind", "state", "asked", "again"),
    [
        (MessageKind.PAGE, "triggered", True, False),
        (MessageKind.REMINDER, "triggered", True, False),
        (MessageKind.REMINDER, "acknowledged", True, True),
        (MessageKind.UPDATE, "acknowledged", False, False),
        (MessageKind.ACKNOWLEDGED, "acknowledged", False, False),
        (MessageKind.REMINDER, "resolved", False, False),
    ],
)
def test_who_is_asked_for_an_answer(kind: MessageKind, state: str, asked: bool, again: bool) -> None:
    assert (asks(of(kind, state)), asks_again(of(kind, state))) == (asked, again)


def test_slack_offers_to_say_that_one_is_at_it() -> None:
    assert buttons(REMINDER)[0] == "Still at work on it"
    assert buttons(of(MessageKind.REMINDER, "triggered"))[0] == "Acknowledge"
    assert "Acknowledge" not in buttons(of(MessageKind.UPDATE, "acknowledged"))


def test_a_text_message_asks_for_the_same_reply_as_a_page() -> None:
    assert "Still at work on it? Reply ACK k7" in sms(REMINDER, "k7")
    assert "by 03:00 UTC" not in sms(REMINDER, "k7")


def test_a_call_does_not_say_that_nobody_has_answered() -> None:
    assert "You have acknowledged this, and nothing was heard since." in spoken(REMINDER)
    assert "Still nobody has answered" in spoken(of(MessageKind.REMINDER, "triggered"))


def test_ntfy_and_apprise_lead_to_the_link() -> None:
    assert any(
        action.get("url") == REMINDER.ack_url for action in json.loads(encode(REMINDER, "t"))["actions"]
    )
    assert REMINDER.ack_url in text(REMINDER)
    assert REMINDER.ack_url not in text(of(MessageKind.UPDATE, "acknowledged"))


def test_mail_has_its_button_in_both_forms(tools: ChannelTools) -> None:
    settings = EmailSettings(host="localhost", sender="responder@example.com")
    channel = EmailChannel("mail", settings, tools)
    contact = Contact(name="ana", addresses={"email": "ana@example.com"})
    for one, label in ((REMINDER, "Still at work on it"), (of(MessageKind.PAGE, "triggered"), "Acknowledge")):
        mail = channel.mail(one, contact, Receipt(), {})
        for form in ("plain", "html"):
            body = mail.get_body((form,))
            assert body is not None
            assert label in body.get_content()
