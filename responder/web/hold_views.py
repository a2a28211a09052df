"""What holds an incident's pages back, as the API shows it."""

from __future__ import annotations

import msgspec

from responder.incident.hold import Hold, Silence
from responder.incident.state import Incident
from responder.web.times import rfc3339, rfc3339_or_none


class HoldView(msgspec.Struct, frozen=True, kw_only=True):
    """Why pages are held back; ``until`` is null where the end is not known."""

    kind: str
    by: str
    text: str
    until: str | None


class SilenceView(msgspec.Struct, frozen=True, kw_only=True):
    """A silence in Alertmanager that was made from the incident."""

    id: str
    by: str
    until: str
    comment: str


def hold_views(incident: Incident) -> tuple[HoldView, ...]:
    """What holds its pages back; where nobody is to be paged, what Alertmanager mutes."""
    return tuple(_hold(one) for one in incident.holds or incident.muted)


def silence_views(incident: Incident) -> tuple[SilenceView, ...]:
    """The silences that were made from it and last."""
    return tuple(_silence(one) for one in incident.silences)


def _hold(hold: Hold) -> HoldView:
    return HoldView(kind=str(hold.kind), by=hold.by, text=hold.text, until=rfc3339_or_none(hold.until))


def _silence(silence: Silence) -> SilenceView:
    return SilenceView(id=silence.id, by=silence.by, until=rfc3339(silence.until), comment=silence.comment)
