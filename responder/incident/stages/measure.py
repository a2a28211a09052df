"""Stage 15: what is counted at the end of an incident (the rest is measured where it is decided)."""

from __future__ import annotations

from responder.incident.decision import ResolvedAfter
from responder.incident.draft import Draft


def take(draft: Draft) -> None:
    """Measure the whole duration, once it is over."""
    if draft.before.open and not draft.incident.open:
        draft.measure(ResolvedAfter(draft.seconds_since(draft.incident.opened_at)))
