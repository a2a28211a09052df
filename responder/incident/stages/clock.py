"""Stage 4: what the clock alone brings about."""

from __future__ import annotations

from datetime import datetime

from responder.incident.decision import Reason, ResponseJudged
from responder.incident.draft import Draft
from responder.incident.state import Acknowledged, Incident, Monitoring, Resolved, Triggered


def stale_at(incident: Incident) -> datetime:
    """When it is closed because nothing was heard of its alerts."""
    return (incident.totals.heard_at or incident.opened_at) + incident.policy.stale_after


def take(draft: Draft) -> None:
    """End the watch, judge a missed promise, close what nobody speaks of any more."""
    match draft.incident.state:
        case Monitoring(until=until) if draft.now >= until:
            draft.move(Resolved(at=draft.now))
            draft.note(Reason.WATCH_OVER, "quiet for the whole watch; resolved")
        case Triggered() | Acknowledged() if draft.now >= stale_at(draft.incident):
            draft.move(Resolved(at=draft.now))
            draft.note(
                Reason.STALE,
                f"nothing was heard of its alerts since {draft.incident.totals.heard_at}; closed",
            )
        case Triggered() if _missed(draft):
            draft.measure(ResponseJudged(met=False))
            draft.change(response_judged=True)
        case _:
            pass


def _missed(draft: Draft) -> bool:
    """Whether the promise is over unanswered; what nobody was told of is nobody's promise."""
    incident = draft.incident
    return not (incident.response_judged or incident.holds) and draft.now > incident.respond_by
