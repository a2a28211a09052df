"""Stage 1: what fired and what resolved since the last decision, as differences of the store's counts."""

from __future__ import annotations

from responder.incident import flapping
from responder.incident.decision import Opened, Reason
from responder.incident.draft import Draft
from responder.incident.severity import Severity
from responder.incident.state import Acknowledged, Monitoring, Resolved, Triggered


def take(draft: Draft) -> None:
    """Fold the counts in; reopen, rise or begin to watch."""
    before, totals = draft.incident.totals, draft.news.totals
    fired = {
        severity: count - before.fired.get(severity, 0)
        for severity, count in totals.fired.items()
        if count > before.fired.get(severity, 0)
    }
    resolved = totals.resolved - before.resolved
    draft.change(totals=totals)
    if draft.news.opened:
        flapping.count(draft)
        draft.note(Reason.OPENED, draft.incident.title)
        draft.measure(Opened())
    if isinstance(draft.incident.state, Resolved):
        return
    if fired:
        _fired(draft, fired)
    if resolved > 0:
        _resolved(draft, resolved)


def _fired(draft: Draft, fired: dict[Severity, int]) -> None:
    incident, worst, count = draft.incident, min(fired), sum(fired.values())
    if isinstance(incident.state, Monitoring):
        if incident.totals.firing_now == 0:
            flapping.count(draft)  # and resolved again before we looked: the watch starts anew below
            return
        _reopen(draft, worst, count)
    elif worst.worse_than(incident.severity):
        if not draft.news.opened:
            draft.note(Reason.SEVERITY_RISEN, f"{incident.severity} rises to {worst}{draft.anew}")
            draft.raise_severity(worst)
        else:
            _open_at(draft, worst)
    elif not draft.news.opened:
        draft.note(Reason.ALERTS_JOINED, f"{count} alert(s) joined; {incident.totals.firing_now} fire now")
        if isinstance(incident.state, Acknowledged):
            draft.change(joined_untold=incident.joined_untold + count)


def _reopen(draft: Draft, worst: Severity, count: int) -> None:
    """Page anew, unless it is as bad as it was and only flaps."""
    rises = worst.worse_than(draft.incident.severity)
    flapping.count(draft)
    if not rises and flapping.goes_on(draft):
        return
    if rises:
        draft.change(severity=worst)
    draft.begin_episode("it fired again while it was being watched")
    draft.note(Reason.REOPENED_BY_FIRING, f"{count} alert(s) fired again{draft.anew}")


def _open_at(draft: Draft, worst: Severity) -> None:
    """The first body held something worse than its first alert: the incident opens at that."""
    draft.change(severity=worst)
    draft.change(respond_by=draft.incident.opened_at + draft.incident.promise.respond_within)


def _resolved(draft: Draft, count: int) -> None:
    incident = draft.incident
    if incident.totals.firing_now > 0:
        draft.note(
            Reason.ALERTS_RESOLVED, f"{count} alert(s) resolved; {incident.totals.firing_now} still fire"
        )
        return
    until = draft.now + flapping.watch_for(incident)
    if isinstance(incident.state, (Triggered, Acknowledged, Monitoring)):
        draft.move(Monitoring(since=draft.now, until=until, taken=_taken(incident.state)))
        draft.note(Reason.ALL_RESOLVED, f"every alert has resolved; watching until {until:%H:%M:%S} UTC")


def _taken(state: Triggered | Acknowledged | Monitoring) -> Acknowledged | None:
    match state:
        case Acknowledged():
            return state
        case Monitoring(taken=taken):
            return taken
        case _:
            return None
