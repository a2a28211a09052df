"""Stage 5: whether somebody still stands by an acknowledgement.

A snooze ends at its time; who acknowledged and was not heard of since is reminded, and after a while the incident is
paged anew. Both silences are counted from the last thing that a person did.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from responder.durations import format_duration
from responder.incident.decision import Reason
from responder.incident.draft import Draft
from responder.incident.escalation.channels import Wish, follow
from responder.incident.escalation.standing import stands_by
from responder.incident.message import Wanted
from responder.incident.night import all_asleep_until
from responder.incident.outlook import paged_anew_at
from responder.incident.reach import Reach
from responder.incident.state import Acknowledged


def take(draft: Draft) -> None:
    """End a snooze, let an acknowledgement lapse, or remind who has it."""
    state = draft.incident.state
    if isinstance(state, Acknowledged) and state.snoozed_until is not None:
        _snoozed(draft, state.snoozed_until)
        state = draft.incident.state
    if isinstance(state, Acknowledged) and state.snoozed_until is None:
        _stand_by(draft, state)


def _stand_by(draft: Draft, state: Acknowledged) -> None:
    lapses_at = paged_anew_at(draft.incident, state)
    if lapses_at is not None:
        if draft.now >= lapses_at:
            _lapse(draft, state, lapses_at - state.quiet_since)
            return
        draft.wake(lapses_at)
    if (remind_after := draft.incident.promise.acknowledgement.remind_after) is not None:
        _remind(draft, state, remind_after)


def _snoozed(draft: Draft, until: datetime) -> None:
    if draft.now < until:
        draft.wake(until)
    elif draft.incident.totals.firing_now > 0:
        draft.begin_episode(f"it was snoozed until {until:%H:%M} UTC and still fires")
        draft.note(Reason.SNOOZE_OVER, f"the snooze is over and it still fires{draft.anew}")
    else:
        draft.change_state(snoozed_until=None, active_at=draft.now)
        draft.note(Reason.SNOOZE_OVER, "the snooze is over; nothing fires")


def _lapse(draft: Draft, state: Acknowledged, silence: timedelta) -> None:
    heard = f"nothing was heard for {format_duration(silence)} since {state.quiet_since:%H:%M} UTC"
    draft.begin_episode(f"{state.by} had acknowledged it, and {heard}")
    draft.note(
        Reason.ACKNOWLEDGEMENT_LAPSED, f"the acknowledgement by {state.by} has lapsed: {heard}{draft.anew}"
    )


def _remind(draft: Draft, state: Acknowledged, after: timedelta) -> None:
    """At each span of silence once; a reminder goes down its person's channels as a page does."""
    reminder, quiet = state.reminder, state.quiet_since
    last = max(quiet, reminder.at) if reminder else quiet
    if draft.now >= last + after:
        following = _reminder(draft, state)
        if morning := all_asleep_until(draft, [person.name for person in following.people]):
            draft.wake(morning)
            return
        reminder, last = following, draft.now
        names = ", ".join(person.name for person in reminder.people) or "nobody"
        draft.note(
            Reason.ACKNOWLEDGEMENT_REMINDED,
            f"nothing was heard since {quiet:%H:%M:%S} UTC; reminding {names}",
        )
    draft.wake(last + after)
    if reminder is not None and reminder.at >= quiet:
        draft.change_state(reminder=follow(draft, Wish(reminder, Wanted.ACKNOWLEDGED)))


def _reminder(draft: Draft, state: Acknowledged) -> Reach:
    reach = stands_by(draft)
    number = state.reminder.round + 1 if state.reminder else 1
    return msgspec.structs.replace(reach, at=draft.now, round=number)
