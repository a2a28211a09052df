"""Stage 9: what is attached to this incident, since its service stands on this one's: told to those who were paged."""

from __future__ import annotations

from datetime import timedelta

from responder.incident import facts as fact
from responder.incident.decision import Reason
from responder.incident.draft import Draft
from responder.incident.state import Attached

#: Attached incidents that the snapshot keeps; what is beyond stands in the time line.
_LIMIT = 50
#: Those who were paged hear of it at most this often.
_PACE = timedelta(minutes=1)


def take(draft: Draft) -> None:
    """Take down who is attached, and tell of it."""
    for one in draft.news.facts:
        match one:
            case fact.ServiceAttached():
                _attach(draft, one)
            case fact.ServiceDetached():
                _detach(draft, one)
            case _:
                pass
    _tell(draft)


def _attach(draft: Draft, one: fact.ServiceAttached) -> None:
    known = draft.incident.attached
    if any(other.incident == one.incident for other in known):
        return
    new = Attached(incident=one.incident, service=one.service, severity=one.severity, since=one.at)
    draft.change(attached=(*known, new)[-_LIMIT:], attached_untold=True)
    text = f"{one.service} is attached ({one.severity}, incident {one.incident}): not paged by itself"
    draft.note(Reason.ATTACHED, text, at=one.at)


def _detach(draft: Draft, one: fact.ServiceDetached) -> None:
    kept = tuple(other for other in draft.incident.attached if other.incident != one.incident)
    if kept != draft.incident.attached:
        draft.change(attached=kept)
        draft.note(
            Reason.DETACHED, f"{one.service} is not attached any more (incident {one.incident})", at=one.at
        )


def _tell(draft: Draft) -> None:
    incident = draft.incident
    if not incident.attached_untold or not incident.open:
        return
    due = incident.attached_told_at + _PACE if incident.attached_told_at else draft.now
    if draft.now < due:
        draft.wake(due)
        return
    if incident.attached:
        draft.announce("More services are affected.")
    draft.change(attached_untold=False, attached_told_at=draft.now)
