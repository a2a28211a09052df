"""Stage 7: what is to be done to targets, and what came of it.

The gates stand outside, where targets and limits can be asked. Here a wish becomes a run, at most one of an action at
a time, and what is not known to have ended is looked at, never repeated.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from responder.incident import action_facts as fact
from responder.incident.action import ActionRole, ActionRun, Gate, RunKind, RunStatus
from responder.incident.decision import Reason
from responder.incident.draft import Draft
from responder.incident.effects import CheckAction, RunAction
from responder.incident.ids import derive
from responder.incident.state import Acknowledged, TriageStatus, Triggered

#: A wish that could not be begun in this time is not meant any more.
WISH_USE = timedelta(minutes=5)
#: Runs that the snapshot keeps; older ones that have ended leave it (the time line and the audit keep them).
RUNS_KEPT = 30
OURSELVES = "responder"


def take(draft: Draft) -> None:
    """Take wishes and outcomes in order, then start what needs nobody's approval."""
    for one in draft.news.facts:
        match one:
            case fact.ActionRequested() if draft.incident.open:
                _wish(draft, one)
            case fact.ActionDenied():
                text = f"{one.name}: refused ({one.gate}): {one.reason}"
                draft.note(Reason.ACTION_REFUSED, text, by=one.by, at=one.at)
            case (
                fact.ActionRefused()
                | fact.ActionRehearsed()
                | fact.ActionPerformed()
                | fact.ActionFailed()
                | fact.ActionUnknown()
                | fact.ActionSettled()
            ):
                _outcome(draft, one)
            case _:
                pass
    _start_automatic(draft)


def _wish(draft: Draft, one: fact.ActionRequested) -> None:
    refusal, undo = _refusal(draft, one)
    if refusal:
        draft.note(Reason.ACTION_REFUSED, f"{one.name}: {refusal}", by=one.by, at=one.at)
        return
    what = {RunKind.PERFORM: "", RunKind.REHEARSE: " (dry run)", RunKind.UNDO: " (undo)"}[one.kind]
    why = f": {one.note}" if one.note else ""
    text = f"{one.name}{what} asked for via {one.via}{why}"
    draft.note(Reason.ACTION_ASKED, text, by=one.by, at=one.at)
    run = ActionRun(
        id=_next_id(draft), name=one.name, kind=one.kind, episode=draft.incident.episode.number,
        by=one.by, via=one.via, requested_at=one.at, undo=undo,
    )  # fmt: skip
    _begin(draft, run, one.role)


def _refusal(draft: Draft, one: fact.ActionRequested) -> tuple[str, dict[str, str] | None]:
    """Why the wish cannot become a run, if so; and what an undo needs."""
    runs = [run for run in draft.incident.actions if run.name == one.name]
    going = next((run for run in runs if not run.status.final), None)
    if going is not None:
        return f"refused ({Gate.UNDER_WAY}): {going.by} asked for it already and it has not ended", None
    if one.kind is not RunKind.UNDO:
        return "", None
    done = next((run for run in reversed(runs) if undoable(run)), None)
    if done is None:
        return f"refused ({Gate.OFFERED}): there is nothing to undo", None
    return "", done.undo


def undoable(run: ActionRun) -> bool:
    """Whether a run can be taken back."""
    return run.kind is RunKind.PERFORM and run.undo is not None and not run.undone and run.status.final


def _next_id(draft: Draft) -> str:
    number = draft.incident.actions_asked + 1
    draft.change(actions_asked=number)
    return derive(draft.incident.id, "action", number)


def _begin(draft: Draft, run: ActionRun, role: ActionRole) -> None:
    draft.change(actions=_kept((*draft.incident.actions, run)))
    draft.ask(
        RunAction(
            id=run.id, lane=derive(draft.incident.id, "action", run.name), incident=draft.incident.id,
            urgent=draft.incident.severity.urgent, episode=run.episode, requested_at=draft.now,
            begin_by=draft.now + WISH_USE, run=run.id, name=run.name, kind=run.kind, by=run.by, role=role,
            automatic=run.automatic, undo=run.undo if run.kind is RunKind.UNDO else None,
        )
    )  # fmt: skip


def _kept(runs: tuple[ActionRun, ...]) -> tuple[ActionRun, ...]:
    if len(runs) <= RUNS_KEPT:
        return runs
    ended = next((i for i, run in enumerate(runs) if run.status.final), 0)
    return (*runs[:ended], *runs[ended + 1 :])


_Outcome = (
    fact.ActionRefused
    | fact.ActionRehearsed
    | fact.ActionPerformed
    | fact.ActionFailed
    | fact.ActionUnknown
    | fact.ActionSettled
)


def _outcome(draft: Draft, one: _Outcome) -> None:
    run = next((run for run in draft.incident.actions if run.id == one.run), None)
    if run is None:
        return
    match one:
        case fact.ActionSettled():
            _settled(draft, run, one)
        case fact.ActionPerformed() if run.status is RunStatus.REQUESTED:
            _performed(draft, run, one)
        case fact.ActionUnknown() if run.status is RunStatus.REQUESTED:
            _change(draft, run, status=RunStatus.UNKNOWN, text=one.reason, verify_until=one.verify_until)
            draft.note(Reason.ACTION_UNKNOWN, f"{run.name}: outcome unknown: {one.reason}", at=one.at)
            draft.announce(f"{run.name}: nobody can say whether it was done ({one.reason}); looking at it")
            _check(draft, run, one.verify_until, unsure=True)
        case fact.ActionRefused() if not run.status.final:
            _change(draft, run, status=RunStatus.REFUSED, gate=one.gate, text=one.reason)
            draft.note(Reason.ACTION_REFUSED, f"{run.name}: refused ({one.gate}): {one.reason}", at=one.at)
            if one.gate is Gate.NO_EFFECT and not _is_given_up(draft, run):
                _give_up(draft, run)
        case fact.ActionRehearsed() if not run.status.final:
            _change(draft, run, status=RunStatus.REHEARSED, text=one.text)
            draft.note(Reason.ACTION_REHEARSED, f"{run.name}: dry run: {one.text}", at=one.at)
        case fact.ActionFailed() if not run.status.final:
            _change(draft, run, status=RunStatus.FAILED, text=one.reason)
            draft.note(Reason.ACTION_FAILED, f"{run.name}: not done: {one.reason}", at=one.at)
            draft.announce(f"{run.name} was not done: {one.reason}")
        case _:
            pass  # it comes a second time


def _performed(draft: Draft, run: ActionRun, one: fact.ActionPerformed) -> None:
    undo = one.undo if run.kind is RunKind.PERFORM else None
    _change(
        draft, run, status=RunStatus.VERIFYING, text=one.text, performed_at=one.at, before=one.before,
        verify_until=one.verify_until, undo=undo,
    )  # fmt: skip
    draft.note(Reason.ACTION_PERFORMED, f"{run.name}: {one.text}", by=run.by, at=one.at)
    _check(draft, run, one.verify_until, mark=one.mark, before_status=one.before_status)
    if run.kind is RunKind.UNDO:
        for done in draft.incident.actions:
            if done.name == run.name and undoable(done):
                _change(draft, done, undone=True)


def _settled(draft: Draft, run: ActionRun, one: fact.ActionSettled) -> None:
    if run.after:
        return
    if run.status is RunStatus.UNKNOWN:
        _looked_at(draft, run, one)
        return
    if run.status is not RunStatus.VERIFYING:
        return
    if not one.seen:
        _change(draft, run, status=RunStatus.UNKNOWN, after=one.text)
        text = f"{run.name}: done; whether it helped is not known: {one.text}"
        draft.note(Reason.ACTION_UNKNOWN, text, at=one.at)
        draft.announce(text)
        return
    what = "helped" if one.effective else "worse than before" if one.worse else "no effect"
    change = f": {run.before} → {one.after}" if run.before and one.after else ""
    text = f"{run.name}: {what}: {one.text}{change}"
    status = RunStatus.EFFECTIVE if one.effective else RunStatus.INEFFECTIVE
    _change(draft, run, status=status, after=one.after or one.text)
    draft.note(Reason.ACTION_EFFECTIVE if one.effective else Reason.ACTION_INEFFECTIVE, text, at=one.at)
    draft.announce(text, loud=one.worse)
    if one.given_up:
        _give_up(draft, run)


def _looked_at(draft: Draft, run: ActionRun, one: fact.ActionSettled) -> None:
    """What nobody saw happen stays unknown, whatever it looks like now."""
    seen = ": ".join(part for part in (one.text, one.after) if part)
    _change(draft, run, after=seen)
    text = f"{run.name}: nobody saw how it ended; what can be seen now: {seen}"
    draft.note(Reason.ACTION_UNKNOWN, text, at=one.at)
    draft.announce(text)


def _is_given_up(draft: Draft, run: ActionRun) -> bool:
    """Whether people know already: once an episode is enough."""
    return any(
        one.given_up and (one.name, one.episode) == (run.name, run.episode) for one in draft.incident.actions
    )


def _give_up(draft: Draft, run: ActionRun) -> None:
    _change(draft, next(one for one in draft.incident.actions if one.id == run.id), given_up=True)
    text = f"{run.name} does not help: it is not tried again on this object. Look for another cause"
    draft.note(Reason.ACTION_GIVEN_UP, text)
    draft.announce(text, loud=True)


def _check(draft: Draft, run: ActionRun, until: datetime, **more: Any) -> None:
    draft.ask(
        CheckAction(
            id=derive(run.id, "check"), lane=derive(draft.incident.id, "action", run.name),
            incident=draft.incident.id, urgent=draft.incident.severity.urgent, episode=run.episode,
            requested_at=draft.now, run=run.id, name=run.name, kind=run.kind, until=until, **more,
        )
    )  # fmt: skip


def _change(draft: Draft, run: ActionRun, **fields: Any) -> None:
    changed = msgspec.structs.replace(run, **fields)
    draft.change(actions=tuple(changed if old.id == run.id else old for old in draft.incident.actions))


def _start_automatic(draft: Draft) -> None:
    """Once an episode, when its diagnosis is done; the precondition is asked as a gate."""
    incident = draft.incident
    if not isinstance(incident.state, (Triggered, Acknowledged)):
        return
    if incident.probes and incident.triage is not TriageStatus.DONE:
        return
    for name in incident.automatic:
        runs = [run for run in draft.incident.actions if run.name == name]
        if any(
            (run.automatic and run.episode == incident.episode.number) or not run.status.final for run in runs
        ):
            continue
        draft.note(Reason.ACTION_ASKED, f"{name} starts by itself: the rules approve it", by=OURSELVES)
        run = ActionRun(
            id=_next_id(draft), name=name, kind=RunKind.PERFORM, episode=incident.episode.number, by=OURSELVES,
            via="rules", requested_at=draft.now, automatic=True,
        )  # fmt: skip
        _begin(draft, run, ActionRole.ADMIN)
