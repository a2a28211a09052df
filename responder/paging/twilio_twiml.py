"""What Twilio is told to say and to send: TwiML, with everything that a sender wrote escaped. Pure.

Sources: twilio.com/docs/voice/twiml (Say, Gather), twilio.com/docs/messaging/twiml; XML 1.0 (characters).
"""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

import msgspec

from responder.incident.message import Message, MessageKind
from responder.paging.base import asks_again
from responder.paging.notices import TEST, VERIFY
from responder.paging.sms_text import since_when
from responder.text import one_line

TWIML_LIMIT = 4_000  # characters of a document that is given with the call
#: Seconds to press a key after the text was said.
_PATIENCE = 10
_TITLE_SPOKEN = 200
_NOT_XML = re.compile("[\ufffe\uffff\ud800-\udfff]")
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
ACKNOWLEDGE, ESCALATE = "4", "6"
CONFIRM_PROMPT = f"Press {ACKNOWLEDGE} to confirm that this reaches you."


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of the keys, and the address that a pressed one is sent to."""

    action: str
    prompt: str = f"Press {ACKNOWLEDGE} to acknowledge. Press {ESCALATE} for the next person."


def spoken(message: Message) -> str:
    """What a call says."""
    incident = message.incident
    title = one_line(incident.title, _TITLE_SPOKEN)
    if incident.state in (TEST, VERIFY):
        return f"This is responder. {title}."
    still = _still(message)
    firing = (
        f"{incident.firing} alert{'s' if incident.firing != 1 else ''} firing"
        if incident.firing
        else "It began"
    )
    return (
        f"This is responder. {still}{incident.severity}, service {one_line(incident.service, 80)}. {title}. "
        f"{firing} since {since_when(message)} U T C."
    )


def _still(message: Message) -> str:
    if asks_again(message):
        return "You have acknowledged this, and nothing was heard since. "
    return "Still nobody has answered. " if message.kind is MessageKind.REMINDER else ""


def announcement(text: str, keys: Keys | None) -> str:
    """The document of a call: the text twice, and a key. Without one the call ends, and nobody has taken anything."""
    if keys is None:
        return _document(_say(text, loop=2))
    return _document(
        _gather(f"{text} {keys.prompt}", keys.action, loop=2) + _say("No key was pressed. Goodbye.")
    )


def answer_to_key(text: str) -> str:
    """What is said when a key has done something; then the call ends."""
    return _document(f"{_say(text)}<Hangup/>")


def ask_again(keys: Keys) -> str:
    """After a key that means nothing."""
    return _document(_gather(keys.prompt, keys.action, loop=1) + _say("No key was pressed. Goodbye."))


def text_back(text: str) -> str:
    """A text message in answer to one; an empty text sends nothing."""
    return _document(f"<Message>{_safe(text)}</Message>" if text else "")


def _document(inner: str) -> str:
    return f"{_HEAD}<Response>{inner}</Response>"


def _gather(text: str, action: str, *, loop: int) -> str:
    return (
        f'<Gather input="dtmf" numDigits="1" timeout="{_PATIENCE}" method="POST" action={quoteattr(action)}>'
        f"{_say(text, loop=loop)}</Gather>"
    )


def _say(text: str, *, loop: int = 1) -> str:
    times = f' loop="{loop}"' if loop > 1 else ""
    return f"<Say{times}>{_safe(text)}</Say>"


def _safe(text: str) -> str:
    return escape(_NOT_XML.sub(" ", one_line(text, 1_000)))
