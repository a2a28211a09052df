"""Requests from Slack: verified over their raw bytes, then decoded. Source: docs.slack.dev, verifying requests."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from urllib.parse import parse_qs

import msgspec

from responder.paging.slack_blocks import ButtonValue

TOLERANCE = timedelta(minutes=5)
_RESPONSE_HOST = "https://hooks.slack.com/"


class SlackRequestError(ValueError):
    """A request that is signed but not understood."""


class _User(msgspec.Struct, frozen=True):
    id: str
    username: str = ""
    name: str = ""


class _Team(msgspec.Struct, frozen=True):
    id: str = ""


class _Action(msgspec.Struct, frozen=True):
    action_id: str = ""
    value: str = ""


class _Payload(msgspec.Struct, frozen=True):
    type: str
    user: _User
    actions: tuple[_Action, ...] = ()
    team: _Team | None = None
    response_url: str = ""


class Interaction(msgspec.Struct, frozen=True, kw_only=True):
    """A pressed button; ``name`` is the action's. ``response_url`` is empty unless it is Slack's own."""

    user_id: str
    user_name: str
    team_id: str
    action: str
    incident: str
    contact: str
    name: str
    response_url: str


_PAYLOAD = msgspec.json.Decoder(_Payload)
_VALUE = msgspec.json.Decoder(ButtonValue)


def verify(signing_secret: str, timestamp: str, signature: str, body: bytes, now: datetime) -> bool:
    """Whether Slack signed these bytes within the last five minutes; compared in constant time."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        return False
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE.total_seconds():
        return False
    base = b"v0:" + timestamp.encode() + b":" + body
    expected = "v0=" + hmac.new(signing_secret.encode(), base, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))


def decode_interaction(body: bytes) -> Interaction | None:
    """The pressed button; ``None`` for a kind of interaction that asks nothing of us (a link button).

    Raises:
        SlackRequestError: where the body is not one of Slack's.
    """
    try:
        fields = parse_qs(body.decode(), max_num_fields=20)
        payload = _PAYLOAD.decode(fields["payload"][0])
    except (UnicodeDecodeError, ValueError, KeyError, RecursionError):
        raise SlackRequestError("payload: not an interaction of Slack's") from None
    if payload.type != "block_actions" or not payload.actions or not payload.actions[0].value:
        return None
    try:
        value = _VALUE.decode(payload.actions[0].value)
    except (msgspec.DecodeError, RecursionError):
        raise SlackRequestError("actions[0].value: not one of our buttons") from None
    url = payload.response_url if payload.response_url.startswith(_RESPONSE_HOST) else ""
    return Interaction(
        user_id=payload.user.id,
        user_name=payload.user.username or payload.user.name,
        team_id=payload.team.id if payload.team else "",
        action=payload.actions[0].action_id,
        incident=value.incident,
        contact=value.contact,
        name=value.name,
        response_url=url,
    )
