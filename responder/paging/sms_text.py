"""The words of a text message: what is broken, since when, what to press, within two segments. Pure.

Sources: 3GPP TS 23.038 (GSM 7-bit default alphabet and its extension table), TS 23.040 (153 and 67 characters in a
joined segment).
"""

from __future__ import annotations

import unicodedata
from datetime import timedelta

from responder.incident.message import Message, MessageKind
from responder.incident.outlook import overdue
from responder.paging.base import asks, asks_again
from responder.paging.compose import headline
from responder.paging.notices import NOTICE, TEST, VERIFY
from responder.text import one_line

SEGMENTS = 2
_LEAST = 40  # characters of the first line
_A_DAY_OR_SO = timedelta(hours=18)
#: What one message holds alone, and each of several joined ones.
_GSM, _GSM_JOINED = 160, 153
_UCS2, _UCS2_JOINED = 70, 67

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€\f")
#: What typographers write, in the alphabet of telephones.
_PLAIN = str.maketrans(
    {
        "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u201c": '"', "\u201d": '"', "\u201e": '"',
        "\u2039": "<", "\u203a": ">", "\u00ab": '"', "\u00bb": '"', "\u2013": "-", "\u2014": "-", "\u2010": "-",
        "\u2011": "-", "\u2212": "-", "\u2026": "...", "\u2022": "*", "\u00b7": "*", "\u00d7": "x",
        "\u2192": "->", "\u2190": "<-", "\u2264": "<=", "\u2265": ">=", "\u2248": "~", "\u00b0": " deg ", "\u00b5": "u",
        "\u03bc": "u", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\t": " ", "`": "'", "\u00b4": "'",
    }
)  # fmt: skip


def plain(text: str) -> str:
    """The text with what has a like in the GSM alphabet replaced by it, and without pictures."""
    return "".join(_like(one) for one in text.translate(_PLAIN))


def _like(one: str) -> str:
    if one in _BASIC or one in _EXTENDED:
        return one
    if unicodedata.category(one) in {"So", "Sk", "Cf", "Cn", "Co", "Cs"} or "\ufe00" <= one <= "\ufe0f":
        return ""
    bare = "".join(part for part in unicodedata.normalize("NFKD", one) if not unicodedata.combining(part))
    return bare if bare and all(part in _BASIC for part in bare) else one


def is_gsm(text: str) -> bool:
    """Whether every character is of the GSM alphabet; a single other one makes the whole message UCS-2."""
    return all(one in _BASIC or one in _EXTENDED for one in text)


def size(text: str) -> int:
    """Its length as it is counted: septets, or UTF-16 units."""
    if is_gsm(text):
        return sum(2 if one in _EXTENDED else 1 for one in text)
    return len(text.encode("utf-16-le")) // 2


def segments(text: str) -> int:
    """How many messages the text becomes."""
    alone, joined = (_GSM, _GSM_JOINED) if is_gsm(text) else (_UCS2, _UCS2_JOINED)
    length = size(text)
    return 1 if length <= alone else -(-length // joined)


def sms(message: Message, code: str) -> str:
    """The text. Severity, service and what is broken come first; with a code, how to answer.

    What does not fit is left out in this order: the link, where there is a code; then the end of the title.
    """
    what = plain(headline(message, 300))
    rest = [plain(line) for line in _rest(message, code)]
    if message.ack_url and message.kind in _LEADS_TO_A_LINK:
        text = "\n".join([what, *rest, message.ack_url])
        if segments(text) <= SEGMENTS:
            return text
        rest += [] if code else [message.ack_url]
    text = "\n".join([what, *rest])
    return text if segments(text) <= SEGMENTS else _cut(what, "\n".join(["", *rest]))


_LEADS_TO_A_LINK = frozenset({MessageKind.PAGE, MessageKind.REMINDER})


def _rest(message: Message, code: str) -> list[str]:
    """What follows the first line: since when, and what to do."""
    match message.kind:
        case MessageKind.ACKNOWLEDGED:
            return [f"{one_line(message.by, 60)} has it"] if message.by else []
        case MessageKind.RESOLVED:
            return [f"Resolved by {one_line(message.by, 60)}"] if message.by else ["Resolved"]
        case _ if message.incident.state in _NOTICES:
            return [_NOTICES[message.incident.state]]
        case _:
            return [_since(message), _answer(message, code)]


_NOTICES = {TEST: "Nothing to do.", VERIFY: "Open this to confirm:", NOTICE: "The incidents:"}


def _answer(message: Message, code: str) -> str:
    if not asks(message):
        return f"It is {message.incident.state} now"
    if asks_again(message):
        return f"Still at work on it? Reply ACK {code}" if code else "Still at work on it? Say so:"
    if late := overdue(message.respond_by, message.sent_at):
        return (
            f"It {late}: reply ACK {code} (ESC {code}: next person)" if code else f"It {late}. Acknowledge:"
        )
    until = f"{message.respond_by:%H:%M} UTC"
    return f"Reply ACK {code} by {until} (ESC {code}: next person)" if code else f"Acknowledge by {until}:"


def since_when(message: Message) -> str:
    """Since when it is broken, in UTC: the time of the day, with the day where that is long ago."""
    since = message.incident.since
    return f"{since:%d %b %H:%M}" if message.sent_at - since > _A_DAY_OR_SO else f"{since:%H:%M}"


def _since(message: Message) -> str:
    incident = message.incident
    at = since_when(message)
    return f"{incident.firing} firing, since {at} UTC" if incident.firing else f"since {at} UTC"


def _cut(what: str, rest: str) -> str:
    """As much of the title as leaves room for the rest, but never less than says which one it is."""
    while len(what) > _LEAST and segments(f"{what}...{rest}") > SEGMENTS:
        what = what[:-1]
    return f"{what.rstrip()}...{rest}"
