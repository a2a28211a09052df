"""What comes next by itself, as things stand: the level that is paged, and when."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from responder.durations import rough_duration
from responder.incident.escalation.rounds import again_at, last_reached
from responder.incident.severity import LEVELS, Level
from responder.incident.state import Acknowledged, Incident, Triggered

_MINUTE = timedelta(minutes=1)


class NextStep(msgspec.Struct, frozen=True, kw_only=True):
    """A level of the row, its name there, and when it is paged."""

    level: Level
    contact: str
    at: datetime


def next_step(incident: Incident) -> NextStep | None:
    """Who is paged next unless somebody acts; ``None`` where nobody is, also because something holds it back."""
    match incident.state:
        case Triggered() if incident.holds and not incident.episode.hurried:
            return None
        case Triggered():
            return _escalation(incident)
        case Acknowledged() as state:
            at = paged_anew_at(incident, state)
            first = next((level for level in LEVELS if level in incident.policy.contacts), None)
            return _step(incident, first, at)
        case _:
            return None


def overdue(respond_by: datetime, now: datetime) -> str:
    """What is to be said of a promised answer whose time is over; nothing while it is not."""
    if now <= respond_by:
        return ""
    ago = f", {rough_duration(now - respond_by)} ago" if now - respond_by >= _MINUTE else ""
    return f"was due at {respond_by:%H:%M} UTC{ago}"


def paged_anew_at(incident: Incident, state: Acknowledged) -> datetime | None:
    """When an acknowledgement ends by itself: at the end of its snooze, or when it lapses."""
    lapse_after = incident.promise.acknowledgement.lapse_after
    if state.snoozed_until is not None or lapse_after is None:
        return state.snoozed_until
    return state.quiet_since + lapse_after


def _escalation(incident: Incident) -> NextStep | None:
    if (level := incident.next_level) is not None:
        return _step(incident, level, incident.due_at(level))
    last = last_reached(incident)
    return _step(incident, last.level, again_at(incident)) if last is not None else None


def _step(incident: Incident, level: Level | None, at: datetime | None) -> NextStep | None:
    if level is None or at is None:
        return None
    return NextStep(level=level, contact=incident.policy.contacts.get(level, ""), at=at)
