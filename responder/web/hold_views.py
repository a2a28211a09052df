"""What holds an incident's pages back, what is attached to it and what is told with it, as the API shows it."""

from __future__ import annotations

import msgspec

from responder.incident.hold import Hold, Silence
from responder.incident.severity import Severity
from responder.incident.state import Incident
from responder.web.times import rfc3339, rfc3339_or_none


class HoldView(msgspec.Struct, frozen=True, kw_only=True):
    """Why pages are held back, and since when; ``until`` is null where the end is not known."""

    kind: str
    by: str
    text: str
    since: str | None
    until: str | None


class SilenceView(msgspec.Struct, frozen=True, kw_only=True):
    """A silence in Alertmanager that was made from the incident."""

    id: str
    by: str
    until: str
    comment: str


class AttachedView(msgspec.Struct, frozen=True, kw_only=True):
    """An incident of a service that stands on this one's; it is not paged by itself."""

    incident: str
    service: str
    severity: Severity
    since: str


class DigestSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How many incidents are told with this one's page, and the newest of them; ``/digest`` has all of them.

    ``ended``: it was acknowledged, or told nobody any more; what was in it goes its own way.
    """

    began_at: str
    contacts: tuple[str, ...]
    count: int
    over: int
    ended: bool
    text: str
    newest: tuple[str, ...]


def digest_summary(incident: Incident) -> DigestSummary | None:
    """What is told with its page; null where that is nothing."""
    digest = incident.digest
    if digest is None:
        return None
    return DigestSummary(
        began_at=rfc3339(digest.began_at),
        contacts=digest.contacts,
        count=digest.count,
        over=digest.over,
        ended=digest.ended,
        text=digest.counted,
        newest=tuple(one.line for one in digest.newest),
    )


def attached_views(incident: Incident) -> tuple[AttachedView, ...]:
    """Everything that is attached."""
    return tuple(
        AttachedView(
            incident=one.incident, service=one.service, severity=one.severity, since=rfc3339(one.since)
        )
        for one in incident.attached
    )


def hold_views(incident: Incident) -> tuple[HoldView, ...]:
    """What holds its pages back; where nobody is to be paged, what Alertmanager mutes."""
    return tuple(_hold(one) for one in incident.holds or incident.muted)


def silence_views(incident: Incident) -> tuple[SilenceView, ...]:
    """The silences that were made from it and last."""
    return tuple(_silence(one) for one in incident.silences)


def _hold(hold: Hold) -> HoldView:
    return HoldView(
        kind=str(hold.kind),
        by=hold.by,
        text=hold.text,
        since=rfc3339_or_none(hold.since),
        until=rfc3339_or_none(hold.until),
    )


def _silence(silence: Silence) -> SilenceView:
    return SilenceView(id=silence.id, by=silence.by, until=rfc3339(silence.until), comment=silence.comment)
