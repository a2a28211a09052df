"""Webhooks of PagerDuty (v3): verified over their raw bytes, then decoded. Pure.

Source: PagerDuty/developer-docs, webhooks: Overview, Behavior, Signatures (August 2026).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

import msgspec

_SIGNATURES_READ = 20
_PERSON = frozenset({"user_reference", "user"})


class _Agent(msgspec.Struct, frozen=True):
    type: str = ""
    summary: str | None = None
    id: str | None = None


class _Data(msgspec.Struct, frozen=True):
    id: str | None = None
    incident_key: str | None = None


class _Event(msgspec.Struct, frozen=True):
    id: str
    event_type: str
    occurred_at: datetime | None = None
    agent: _Agent | None = None
    data: _Data = _Data()


class _Body(msgspec.Struct, frozen=True):
    event: _Event


class PagerDutyEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What happened there. ``person`` is empty where it was no person: PagerDuty itself, or an event of ours."""

    id: str
    type: str
    occurred_at: datetime | None
    person: str
    incident_key: str
    their_incident: str


_BODY = msgspec.json.Decoder(_Body)


def verify(secrets: Iterable[str], signatures: str, body: bytes) -> bool:
    """Whether one of the ``v1`` signatures was made over these bytes with one of the secrets; in constant time."""
    given = [one.strip().encode("utf-8", "replace") for one in signatures.split(",")[:_SIGNATURES_READ]]
    good = False
    for secret in secrets:
        expected = b"v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()
        for one in given:
            good |= hmac.compare_digest(expected, one)
    return good


def decode_event(body: bytes) -> PagerDutyEvent | None:
    """The event of a webhook; ``None`` for anything that does not look like one."""
    try:
        event = _BODY.decode(body).event
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    agent = event.agent
    at = event.occurred_at
    return PagerDutyEvent(
        id=event.id,
        type=event.event_type,
        occurred_at=at if at is not None and at.tzinfo is not None else None,
        person=(agent.summary or agent.id or "") if agent is not None and agent.type in _PERSON else "",
        incident_key=event.data.incident_key or "",
        their_incident=event.data.id or "",
    )
