"""What whoever takes over has to know: pure, from the open incidents as they are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from responder.incident.escalation.everybody import waiting_for
from responder.incident.hold import Hold
from responder.incident.reach import is_by
from responder.incident.severity import Severity
from responder.incident.state import Acknowledged, Incident, Monitoring, StateName, Triggered

#: Incidents told of each kind; what is beyond is counted.
SHOWN = 20
_HOLDS_SHOWN = 3


class HandoverItem(msgspec.Struct, frozen=True, kw_only=True):
    """One open incident in a line. ``own``: the person who takes over has acknowledged it, or it is assigned to them."""

    id: str
    severity: Severity
    service: str
    title: str
    state: StateName
    since: datetime
    line: str
    own: bool = False


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """The digest for one person; the worst first, then the oldest.

    ``unacknowledged`` nobody has taken, ``held`` neither, but something holds its pages back, ``acknowledged`` somebody is
    at work on, ``snoozed`` pages anew at its time, ``monitoring`` is quiet and watched. ``text`` is all of it for people,
    plain and bounded.
    """

    person: str
    unacknowledged: tuple[HandoverItem, ...] = ()
    held: tuple[HandoverItem, ...] = ()
    acknowledged: tuple[HandoverItem, ...] = ()
    snoozed: tuple[HandoverItem, ...] = ()
    monitoring: tuple[HandoverItem, ...] = ()
    text: str = ""


def handover(incidents: Iterable[Incident], person: str) -> Handover:
    """The digest of what is open, for the person who takes over. What is resolved is left out."""
    found: dict[str, list[HandoverItem]] = {name: [] for name in _HEADINGS}
    for incident in incidents:
        kind = _kind(incident)
        if kind is not None:
            found[kind].append(_item(incident, person))
    listed = {
        kind: tuple(sorted(items, key=lambda item: (item.severity.rank, item.since)))
        for kind, items in found.items()
    }
    return Handover(person=person, text=_text(listed, person), **listed)


_HEADINGS = {
    "unacknowledged": "Nobody has taken",
    "held": "Held back, and not paged",
    "acknowledged": "Somebody is at work on",
    "snoozed": "Snoozed",
    "monitoring": "Quiet, and watched",
}


def _kind(incident: Incident) -> str | None:
    match incident.state:
        case Triggered() if incident.holds:
            return "held"
        case Triggered():
            return "unacknowledged"
        case Acknowledged(snoozed_until=None):
            return "acknowledged"
        case Acknowledged():
            return "snoozed"
        case Monitoring():
            return "monitoring"
        case _:
            return None


def _item(incident: Incident, person: str) -> HandoverItem:
    what = f"{incident.severity} {incident.service}: {incident.title}"
    return HandoverItem(
        id=incident.id,
        severity=incident.severity,
        service=incident.service,
        title=incident.title,
        state=incident.state_name,
        since=incident.since,
        line=f"{what} ({incident.id}): since {_time(incident.since)}, {_standing(incident)}{_acted(incident)}",
        own=is_by(incident.acknowledged_by, person) or is_by(incident.assignee, person),
    )


def _standing(incident: Incident) -> str:
    """Where it stands, in a few words."""
    match incident.state:
        case Triggered() if incident.holds:
            return "; ".join(_held(hold) for hold in incident.holds[:_HOLDS_SHOWN])
        case Triggered():
            reached = [f"{reach.level} {reach.contact}" for reach in incident.episode.reached]
            waiting = waiting_for(incident)
            paged = f"paged {', '.join(reached)}" if reached else "nobody paged yet"
            each = f"; still to acknowledge: {', '.join(waiting)}" if waiting else ""
            return f"{paged}; an answer is due by {_time(incident.respond_by)}{each}"
        case Acknowledged(by=by, at=at, snoozed_until=None):
            return f"acknowledged by {by} at {_time(at)}{_assigned(incident)}"
        case Acknowledged(by=by, snoozed_until=until):
            return f"snoozed by {by}{f' until {_time(until)}' if until else ''}{_assigned(incident)}"
        case Monitoring(until=until):
            return f"nothing fires; watched until {_time(until)}"
        case _:
            return "resolved"


def _held(hold: Hold) -> str:
    until = f"until {_time(hold.until)}" if hold.until else "with no end known"
    return f"{hold.kind} ({hold.text}) {until}"


def _acted(incident: Incident) -> str:
    """What was done to a target last: it may be done again only after its pause."""
    done = [run for run in incident.actions if run.performed_at is not None]
    if not done or done[-1].performed_at is None:
        return ""
    return f"; {done[-1].name} done at {_time(done[-1].performed_at)} ({done[-1].status})"


def _assigned(incident: Incident) -> str:
    return f", assigned to {incident.assignee}" if incident.assignee else ""


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _text(listed: dict[str, tuple[HandoverItem, ...]], person: str) -> str:
    if not any(listed.values()):
        return f"{person}, you are on call now. Nothing is open."
    lines = [f"{person}, you are on call now. Open:"]
    for kind, items in listed.items():
        if items:
            lines += ["", f"{_HEADINGS[kind]} ({len(items)}):"]
            lines += [f"- {item.line}{' (yours)' if item.own else ''}" for item in items[:SHOWN]]
            if len(items) > SHOWN:
                lines.append(f"- and {len(items) - SHOWN} more")
    return "\n".join(lines)
