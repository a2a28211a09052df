"""Stage 16: when to look again. An open incident always has such a time, and it lies in the future."""

from __future__ import annotations

from datetime import timedelta

from responder.incident.draft import Draft
from responder.incident.stages.clock import stale_at
from responder.incident.state import Acknowledged, Monitoring, Triggered

#: A time that has passed already is our own mistake; it must not turn into a busy loop.
_SOONEST = timedelta(milliseconds=1)


def take(draft: Draft) -> None:
    """Set ``wake_at`` to the earliest time at which anything can change by itself."""
    incident = draft.incident
    match incident.state:
        case Triggered():
            draft.wake(stale_at(incident))
            if not (incident.response_judged or incident.holds):
                draft.wake(incident.respond_by + _SOONEST)
        case Acknowledged():
            draft.wake(stale_at(incident))
        case Monitoring(until=until):
            draft.wake(until)
        case _:
            draft.change(wake_at=None)
            return
    draft.change(wake_at=max(min(draft.wake_ups), draft.now + _SOONEST))
