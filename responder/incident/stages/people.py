"""Stage 2: what people said and did."""

from __future__ import annotations

from datetime import datetime

import msgspec

from responder.incident import facts as fact
from responder.incident.decision import AcknowledgedAfter, Reason, ResponseJudged
from responder.incident.draft import Draft
from responder.incident.escalation import everybody
from responder.incident.moves import TAKEN_IN
from responder.incident.reach import Reach
from responder.incident.stages.digest import is_told, note_gone
from responder.incident.state import Acknowledged, Monitoring, Resolved, Triggered


def take(draft: Draft) -> None:
    """Take each person's fact in the order in which it was recorded."""
    _take_each(draft)
    heard = [one.at for one in draft.news.facts if fact.is_by_person(one)]
    if heard and isinstance(draft.incident.state, Acknowledged):
        draft.change_state(active_at=max(draft.incident.state.quiet_since, *heard))


def _take_each(draft: Draft) -> None:
    for one in draft.news.facts:
        if type(one) not in TAKEN_IN:
            continue
        if draft.incident.state_name not in TAKEN_IN[type(one)]:
            text = f"{type(one).__struct_config__.tag}: too late, the incident is {draft.incident.state_name}"
            draft.note(Reason.TOO_LATE, text, by=getattr(one, "by", ""), at=one.at)
            if isinstance(one, fact.AcknowledgedBy) and one.digest:
                note_gone(draft, one.digest, draft.now)  # should it flap, nobody tells of it any more
            continue
        _take_one(draft, one)


def _take_one(draft: Draft, one: fact.Fact) -> None:  # noqa: PLR0911 - one arm per fact
    match one:
        case fact.AcknowledgedBy():
            return _acknowledge(draft, one)
        case fact.EscalatedBy():
            return _escalate(draft, one)
        case fact.ResolvedBy():
            return _resolve(draft, one)
        case fact.SnoozedBy():
            return _snooze(draft, one)
        case fact.ReopenedBy():
            draft.begin_episode(f"{one.by} has reopened it")
            return draft.note(Reason.REOPENED_BY_PERSON, one.note, by=one.by, at=one.at)
        case fact.SeveritySet():
            return _set_severity(draft, one)
        case fact.AssignedTo():
            draft.change(assignee=one.to)
            text = f"assigned to {one.to}. {one.note}".strip()
            draft.mention(f"{one.by}: {text}")
            return draft.note(Reason.ASSIGNED, text, by=one.by, at=one.at)
        case fact.NoteAdded():
            draft.mention(f"{one.by}: {one.note}")
            return draft.note(Reason.NOTE, one.note, by=one.by, at=one.at)
        case _:
            return None


def _judge_response(draft: Draft, at: datetime) -> None:
    """Say once whether the promise was kept: at the first answer of a person."""
    if not draft.incident.response_judged:
        draft.measure(ResponseJudged(met=at <= draft.incident.respond_by))
        draft.change(response_judged=True)


def _acknowledge(draft: Draft, one: fact.AcknowledgedBy) -> None:
    state = draft.incident.state
    if one.digest and isinstance(state, Acknowledged):
        return
    if one.digest and not is_told(draft, one):
        note_gone(draft, one.digest, draft.now)  # it was not in what the person saw, and never will be
        return
    if isinstance(state, Acknowledged):
        draft.note(
            Reason.ALREADY_ACKNOWLEDGED, f"already acknowledged by {state.by}. {one.note}".strip(), by=one.by
        )
        return
    first = not everybody.begun(draft.incident)
    if who := everybody.answer(draft, one.by):
        draft.move(Acknowledged(by=who, at=one.at, digest=one.digest, snoozed_until=one.snoozed_until))
        draft.change(acknowledged_at=one.at, acknowledged_by=who)
        draft.note(
            Reason.ACKNOWLEDGED, f"acknowledged via {one.via}. {one.note}".strip(), by=one.by, at=one.at
        )
    else:
        others = ", ".join(everybody.waiting_for(draft.incident))
        text = f"acknowledged via {one.via}; still to come: {others or 'others'}. {one.note}".strip()
        draft.note(Reason.ACKNOWLEDGED_IN_PART, text, by=one.by, at=one.at)
        if one.digest:
            note_gone(draft, one.digest, draft.now)  # those who have to answer as well hear of it by itself
    if first:
        _measure_answer(draft, one)


def _measure_answer(draft: Draft, one: fact.AcknowledgedBy | fact.SnoozedBy) -> None:
    """The first answer of a person in the episode."""
    draft.measure(AcknowledgedAfter(max((one.at - draft.incident.episode.began_at).total_seconds(), 0.0)))
    _judge_response(draft, one.at)


def _snooze(draft: Draft, one: fact.SnoozedBy) -> None:
    """Take the incident until a time; who has it already keeps it."""
    until = min(one.until, one.at + fact.SNOOZE_LIMIT)
    if isinstance(draft.incident.state, Triggered):
        first = not everybody.begun(draft.incident)
        draft.move(Acknowledged(by=one.by, at=one.at))
        draft.change(acknowledged_at=one.at, acknowledged_by=one.by)
        if first:
            _measure_answer(draft, one)
    draft.change_state(snoozed_until=until)
    text = f"snoozed until {until:%Y-%m-%d %H:%M:%S} UTC. {one.note}".strip()
    draft.note(Reason.SNOOZED, text, by=one.by, at=one.at)


def _escalate(draft: Draft, one: fact.EscalatedBy) -> None:
    draft.note(Reason.LEVEL_ASKED, one.note or "asked for the next level", by=one.by, at=one.at)
    if isinstance(draft.incident.state, Triggered):
        draft.change_episode(hurried=True)
        return
    reached = tuple(_over(reach) for reach in draft.incident.episode.reached)
    draft.begin_episode(f"{one.by} asked for the next level", reached=reached, hurried=True)


def _over(reach: Reach) -> Reach:
    """A level of an earlier episode: it stays reached, and its people are not paged again."""
    people = tuple(msgspec.structs.replace(person, acknowledged_at=None) for person in reach.people)
    return msgspec.structs.replace(reach, round=0, people=people)


def _resolve(draft: Draft, one: fact.ResolvedBy) -> None:
    if isinstance(draft.incident.state, Triggered):
        _judge_response(draft, one.at)
    draft.move(Resolved(at=draft.now, by=one.by))
    draft.note(Reason.RESOLVED_BY_PERSON, one.note, by=one.by, at=one.at)


def _set_severity(draft: Draft, one: fact.SeveritySet) -> None:
    before = draft.incident.severity
    draft.note(
        Reason.SEVERITY_SET, f"{before} set to {one.severity}. {one.note}".strip(), by=one.by, at=one.at
    )
    if one.severity.worse_than(before) and not isinstance(draft.incident.state, Monitoring):
        draft.raise_severity(one.severity)
        return
    draft.change(severity=one.severity)
    if not draft.incident.response_judged:
        draft.change(respond_by=draft.incident.episode.began_at + draft.incident.promise.respond_within)
