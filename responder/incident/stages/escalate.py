"""Stage 12: who is paged now.

The primary at once, the other levels at the severity's times, until somebody acknowledges. A level that cannot be
reached falls to the next one at once. After the last level, that one is paged again. Who stands behind a level is
asked in ``escalation/who.py``, over which channels they are paged in ``channels.py``, when again in ``rounds.py``.
"""

from __future__ import annotations

from responder.incident.decision import Escalated, Reason, Unreachable
from responder.incident.draft import Draft
from responder.incident.escalation import everybody
from responder.incident.escalation.channels import Wish, follow
from responder.incident.escalation.rounds import again, again_at, all_failed
from responder.incident.escalation.who import left_out, people_of
from responder.incident.night import morning_for
from responder.incident.reach import Person, Reach
from responder.incident.severity import Level
from responder.incident.state import Acknowledged, TriageStatus, Triggered

_NAMES_SHOWN = 8


def take(draft: Draft) -> None:
    """Page whom it is time to page."""
    if not isinstance(draft.incident.state, Triggered) or _held(draft) or _waits_for_findings(draft):
        return
    again(draft)
    _page(draft)
    if again(draft):  # the last hope of a round that is over has just failed
        _page(draft)
    if who := everybody.answered(draft.incident):
        _all_answered(draft, who)
        return
    _set_wake(draft)


def _held(draft: Draft) -> bool:
    """Whether pages are held back; a person who asks for the next level is not kept waiting."""
    return bool(draft.incident.holds) and not draft.incident.episode.hurried


def _page(draft: Draft) -> None:
    """Page the people of this round over what is due, and those of each level whose time has come."""
    _follow(draft)
    # A level that turns out to be unreachable makes the next one due in the same decision.
    while not everybody.answered(draft.incident) and _reach_due(draft):
        _follow(draft)


def _waits_for_findings(draft: Draft) -> bool:
    incident = draft.incident
    until = incident.triage_until
    if incident.triage is not TriageStatus.RUNNING or until is None or draft.now >= until:
        return False
    if incident.episode.reached:
        return False
    draft.because(Reason.WAITING_FOR_TRIAGE)
    draft.wake(until)
    return True


def _reach_due(draft: Draft) -> bool:
    """Reach each level whose time has come; whether there was one."""
    reached = False
    while (level := draft.incident.next_level) is not None and _is_due(draft, level):
        _reach(draft, level)
        reached = True
    return reached


def _is_due(draft: Draft, level: Level) -> bool:
    incident = draft.incident
    if incident.episode.hurried or not incident.episode.reached:
        return True
    due = incident.due_at(level)
    return (due is not None and draft.now >= due) or incident.episode.reached[-1].exhausted


def _reach(draft: Draft, level: Level) -> None:
    incident = draft.incident
    contact = incident.policy.contacts[level]
    first = not incident.episode.reached and incident.episode.round == 1
    reach = Reach(
        level=level,
        contact=contact,
        people=people_of(draft, contact),
        at=draft.now,
        round=incident.episode.round,
        asked=incident.episode.hurried,
    )
    _note_level(draft, reach, first=first)
    draft.change_episode(
        reached=(*incident.episode.reached, reach),
        hurried=incident.episode.hurried and first,
        round_at=draft.now,
    )
    if not first and incident.episode.round == 1:
        draft.measure(Escalated(level))
    if not reach.people:
        draft.note(Reason.NOBODY_ON_CALL, f"nobody is on call for {contact} ({level})")
        draft.measure(Unreachable(level))


def _note_level(draft: Draft, reach: Reach, *, first: bool) -> None:
    """The one line of a transition, however many people it pages."""
    previous = draft.incident.episode.reached[-1] if draft.incident.episode.reached else None
    if first:
        reason = Reason.LEVEL_FIRST
    elif draft.incident.episode.hurried:
        reason = Reason.LEVEL_ASKED
    elif previous is not None and previous.exhausted:
        reason = Reason.LEVEL_UNREACHABLE
    else:
        reason = Reason.LEVEL_DUE
    draft.note(reason, f"{reason}: {reach.level} {_people(draft, reach)}")


def _people(draft: Draft, reach: Reach) -> str:
    if [person.name for person in reach.people] == [reach.contact]:
        return f"{reach.contact}, over {_over(draft, reach, reach.people[0])}"
    shown = [f"{person.name} over {_over(draft, reach, person)}" for person in reach.people[:_NAMES_SHOWN]]
    if len(reach.people) > _NAMES_SHOWN:
        shown.append(f"{len(reach.people) - _NAMES_SHOWN} more")
    if more := left_out(draft, reach.contact):
        shown.append(f"and {more} beyond the bound, who are not paged")
    return f"{reach.contact}: {'; '.join(shown) or 'nobody'}"


def _over(draft: Draft, reach: Reach, person: Person) -> str:
    if person.acknowledged_at is not None:
        return "nothing: has acknowledged already"
    channels = ", ".join(str(step) for step in person.plan) or "no channel"
    morning = None if reach.asked else morning_for(draft, person.name)
    return channels if morning is None else f"{channels} from {morning:%Y-%m-%d %H:%M} UTC on (quiet hours)"


def _follow(draft: Draft) -> None:
    """Page the people of the present round over the channels whose time has come."""
    for index, reach in enumerate(draft.incident.episode.reached):
        if reach.round == draft.incident.episode.round and not reach.exhausted:
            followed = follow(draft, Wish(reach))
            reached = draft.incident.episode.reached
            draft.change_episode(reached=(*reached[:index], followed, *reached[index + 1 :]))
            if followed.exhausted:
                draft.measure(Unreachable(reach.level))


def _all_answered(draft: Draft, who: str) -> None:
    """Those who are missing cannot be reached: the others have it."""
    draft.move(Acknowledged(by=who, at=draft.now))
    draft.change(acknowledged_at=draft.now, acknowledged_by=who)
    draft.note(Reason.ACKNOWLEDGED, f"acknowledged by all who could be reached: {who}", by=who)


def _set_wake(draft: Draft) -> None:
    incident = draft.incident
    if incident.next_level is not None and (due := incident.due_at(incident.next_level)):
        draft.wake(due)
    if at := again_at(incident):
        draft.wake(at)
    if incident.next_level is None and not incident.episode.nobody and all_failed(incident):
        draft.note(Reason.NOBODY_REACHABLE, f"nobody of the row {incident.policy.row} could be reached")
        draft.change_episode(nobody=True)
