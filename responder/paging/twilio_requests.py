"""Twilio's requests: verified over the address that it called and the form, then read. Pure.

Sources: twilio.com/docs/usage/security; twilio/twilio-python, request_validator; the forms of twilio.com/docs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, urlsplit

import msgspec

from responder.paging.twilio_api import explained

_FIELDS_READ = 100
_PORTS = {"https": 443, "http": 80}
_REPLY = re.compile(r"(ack|acknowledge|esc|escalate)[\s:,.]+([a-z0-9]{4,8})[.!]?", re.IGNORECASE)
_LOST_TEXTS = frozenset({"failed", "undelivered", "canceled"})
_LOST_CALLS = {
    "busy": "the line was busy",
    "no-answer": "nobody picked up",
    "failed": "the call did not go through",
    "canceled": "the call was cancelled",
}


class Reply(msgspec.Struct, frozen=True):
    """What somebody asks for in a text message."""

    escalate: bool
    code: str


class Lost(msgspec.Struct, frozen=True):
    """A page that Twilio took and that reached nobody: an id of what happened, and the reason for people."""

    event: str
    reason: str


def fields_of(raw: bytes) -> dict[str, str] | None:
    """The form; ``None`` where it is none, or names a field twice, which Twilio does not do."""
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=_FIELDS_READ, errors="strict")
    except ValueError:
        return None
    found = dict(pairs)
    return found if len(found) == len(pairs) else None


def verify(tokens: Iterable[str], signature: str, url: str, fields: Mapping[str, str]) -> bool:
    """Whether Twilio signed this form for this address with one of the tokens; in constant time.

    ``url`` is the address as Twilio knows it. Whether it signs the port is not settled, so both forms are tried.
    """
    given = signature.encode("utf-8", "replace")
    form = "".join(f"{name}{fields[name]}" for name in sorted(fields))
    good = False
    for token in tokens:
        for address in _forms(url):
            digest = hmac.new(token.encode(), f"{address}{form}".encode(), hashlib.sha1).digest()
            good |= hmac.compare_digest(base64.b64encode(digest), given)
    return good


def _forms(url: str) -> tuple[str, str]:
    """The address with its port, and without."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = parts.port or _PORTS.get(parts.scheme, 443)
    rest = url.partition("://")[2][len(parts.netloc) :]
    return f"{parts.scheme}://{host}:{port}{rest}", f"{parts.scheme}://{host}{rest}"


def read_reply(text: str) -> Reply | None:
    """``ACK 7f3k`` or ``ESC 7f3k``; anything else asks for nothing."""
    match = _REPLY.fullmatch(text.strip())
    return Reply(match[1].lower().startswith("esc"), match[2].lower()) if match else None


def lost(fields: Mapping[str, str]) -> Lost | None:
    """Whether a status says that a page has reached nobody; ``None`` for every other status.

    A mailbox that answered is nobody, and so is a phone that rang out. "Sent" and "completed" say nothing.
    """
    text, call = fields.get("MessageStatus", ""), fields.get("CallStatus", "")
    sid = fields.get("MessageSid") or fields.get("CallSid", "")
    by = fields.get("AnsweredBy", "")
    if text in _LOST_TEXTS:
        return Lost(f"{sid} {text}", f"twilio: {text}: {explained(fields.get('ErrorCode'))}")
    if by.startswith("machine") or by == "fax":
        return Lost(f"{sid} machine", "twilio: a mailbox answered the call")
    if call in _LOST_CALLS:
        return Lost(f"{sid} {call}", f"twilio: {_LOST_CALLS[call]}")
    return None
