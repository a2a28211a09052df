"""Stage 9: what holds pages back just now. Level-triggered: no reason to wait outlives its cause.

What comes from outside (windows, dependencies, the night) is handed in with each decision; what Alertmanager mutes was
taken in by the stage before (``muting.py``). While something holds, no page leaves and none that waits is sent;
acknowledging, resolving and everything else goes on. When it is over and the incident still fires, it is paged as if it
had begun then.
"""

from __future__ import annotations

from datetime import timedelta

from responder.incident.decision import Reason
from responder.incident.draft import Draft
from responder.incident.hold import Hold
from responder.incident.stages.muting import joined
from responder.incident.state import Triggered

#: What holds is looked at again this often, whatever end it has.
LOOK_AGAIN = timedelta(seconds=30)


def take(draft: Draft) -> None:
    """Begin to wait, go on waiting, or page what has waited."""
    incident, before = draft.incident, draft.incident.holds
    if not isinstance(incident.state, Triggered):
        if before:
            draft.change(holds=())
        return
    holds = tuple(one for one in (*incident.muted, *draft.news.outside.holds) if not _over(one, draft))
    draft.change(holds=holds)
    if holds:
        _wait(draft, before, holds)
    elif before:
        _go_on(draft, before)


def _over(hold: Hold, draft: Draft) -> bool:
    return hold.until is not None and draft.now >= hold.until


def _wait(draft: Draft, before: tuple[Hold, ...], holds: tuple[Hold, ...]) -> None:
    known = {(one.kind, one.by) for one in before}
    for one in holds:
        if (one.kind, one.by) not in known:
            until = f" until {one.until:%Y-%m-%d %H:%M} UTC" if one.until else ""
            draft.note(Reason.HELD, f"paging is held back ({one.kind}): {one.text}{until}", by=one.by)
    draft.because(Reason.HELD)
    draft.wake(draft.now + LOOK_AGAIN)
    for one in holds:
        if one.until is not None:
            draft.wake(one.until)


def _go_on(draft: Draft, before: tuple[Hold, ...]) -> None:
    what = ", ".join(dict.fromkeys(str(one.kind) for one in before))
    cause = f"{what} is over and it still fires"
    if draft.before.muted and joined(draft):
        cause = "an alert joined that Alertmanager does not mute"
    draft.begin_episode(cause)
    draft.change(respond_by=draft.now + draft.incident.promise.respond_within)
    draft.note(Reason.HOLD_OVER, f"{cause}; paging now")
