"""What fires again and again: from the n-th time within a while on it goes on as it was, instead of paging anew.

Whoever had it has it again. Where nobody did, the escalation that was under way goes on with the next level: a flapping
alert is one that fires all the time, and not one that is forgotten.
"""

from __future__ import annotations

from datetime import timedelta

from responder.durations import format_duration
from responder.incident.decision import Reason
from responder.incident.draft import Draft
from responder.incident.state import Incident, Monitoring, Triggered

#: Times that are kept; what fires more often is counted no further.
_KEPT = 50
#: While it flaps, the watch after it was quiet is so many times as long.
_LONGER = 2


def count(draft: Draft) -> None:
    """Take down that it has begun to fire."""
    within = draft.incident.policy.flapping.within
    recent = [at for at in draft.incident.fires if draft.now - at < within]
    draft.change(fires=(*recent, draft.now)[-_KEPT:])


def goes_on(draft: Draft) -> bool:
    """Let what fires again while it was watched go on as it was, where it flaps; whether it did."""
    incident, policy = draft.incident, draft.incident.policy.flapping
    if len(incident.fires) < policy.count:
        _settle(draft)
        return False
    if not isinstance(incident.state, Monitoring) or not _was_paged(incident):
        return False
    draft.move(incident.state.taken or Triggered())
    text = f"flapping: {len(incident.fires)} times in {_span(incident)}"
    draft.note(Reason.FLAPPING, f"{text}; not paged anew")
    if incident.flapping_since is None:
        draft.change(flapping_since=draft.now)
        draft.announce(f"{text[0].upper()}{text[1:]}. It is not paged anew each time.")
    return True


def watch_for(incident: Incident) -> timedelta:
    """How long it is watched once it is quiet."""
    longer = _LONGER if incident.flapping_since is not None else 1
    return incident.policy.monitor_for * longer


def _settle(draft: Draft) -> None:
    if draft.incident.flapping_since is not None:
        draft.change(flapping_since=None)
        draft.note(Reason.FLAPPING_OVER)


def _was_paged(incident: Incident) -> bool:
    """Whether anybody heard of it, or still may, in the episode that would go on."""
    return any(page.live and page.episode == incident.episode.number for page in incident.pages)


def _span(incident: Incident) -> str:
    seconds = round((incident.fires[-1] - incident.fires[0]).total_seconds())
    span = timedelta(seconds=seconds) if seconds < 60 else timedelta(minutes=round(seconds / 60))
    return format_duration(span)
