"""What holds an incident's pages back, and what is attached to it, as the API shows it."""

from __future__ import annotations

import msgspec

from responder.incident.hold import HoldKind
from responder.incident.severity import Severity
from responder.incident.state import Incident
from responder.web.times import rfc3339, rfc3339_or_none


class HoldView(msgspec.Struct, frozen=True, kw_only=True):
    """A reason why nobody is paged: whose it is, in words, since when, and until when where that is known."""

    kind: HoldKind
    by: str
    text: str
    since: str | None
    until: str | None


class AttachedView(msgspec.Struct, frozen=True, kw_only=True):
    """An incident of a service that stands on this one's; it is not paged by itself."""

    incident: str
    service: str
    severity: Severity
    since: str


def held_views(incident: Incident) -> tuple[HoldView, ...]:
    """Every reason; none where pages leave."""
    return tuple(
        HoldView(
            kind=one.kind,
            by=one.by,
            text=one.text,
            since=rfc3339_or_none(one.since),
            until=rfc3339_or_none(one.until),
        )
        for one in incident.holds
    )


def attached_views(incident: Incident) -> tuple[AttachedView, ...]:
    """Everything that is attached."""
    return tuple(
        AttachedView(
            incident=one.incident, service=one.service, severity=one.severity, since=rfc3339(one.since)
        )
        for one in incident.attached
    )
