"""Actions and findings in the pure core: one run at a time, nothing repeated, and a finding that makes it worse."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from stage import START, Play

from responder.incident import action_facts, facts
from responder.incident.action import ActionRole, Gate, Raise, RunKind, RunStatus
from responder.incident.decision import Reason
from responder.incident.effects import CheckAction, RunAction, SendMessage
from responder.incident.facts import FindingArrived, TriageEnded
from responder.incident.finding import Finding, FindingStatus
from responder.incident.message import MessageKind
from responder.incident.severity import Severity
from responder.incident.state import Acknowledged, Triggered

LATER = START + timedelta(minutes=9)


def wish(
    kind: RunKind = RunKind.PERFORM, name: str = "restart", by: str = "ana"
) -> action_facts.ActionRequested:
    return action_facts.ActionRequested(
        at=START, by=by, name=name, kind=kind, role=ActionRole.RESPONDER, via="console"
    )


def asked(play: Play) -> list[RunAction]:
    return [effect for _, effect in play.effects if isinstance(effect, RunAction)]


def performed(run: str, undo: dict[str, str] | None = None) -> action_facts.ActionPerformed:
    return action_facts.ActionPerformed(
        at=START, run=run, text="restarted", verify_until=LATER, before="97 used", undo=undo, mark={"g": "2"}
    )


def settled(run: str, *, effective: bool = True, given_up: bool = False) -> action_facts.ActionSettled:
    return action_facts.ActionSettled(
        at=START, run=run, effective=effective, text="rolled out", after="12 used", given_up=given_up
    )


def finding(status: FindingStatus, probe: str = "gauge") -> FindingArrived:
    return FindingArrived(
        at=START, episode=1, finding=Finding(probe=probe, status=status, headline=f"it is {status}")
    )


def test_a_wish_becomes_one_run_and_a_second_one_meanwhile_is_refused() -> None:
    play = Play()
    play.at(1, wish(), wish(by="ben"))
    (run,) = play.incident.actions
    assert (run.by, run.status) == ("ana", RunStatus.REQUESTED)
    assert len(asked(play)) == 1
    assert play.decisions[-1].entries[-1].reason is Reason.ACTION_REFUSED
    assert "ana asked for it already" in play.decisions[-1].entries[-1].text


def test_every_run_has_an_id_of_its_own_and_the_same_history_gives_the_same_ids() -> None:
    ids = []
    for _ in range(2):
        play = Play()
        for minute in (1, 2):
            play.at(minute, wish())
            play.at(
                minute, action_facts.ActionFailed(at=START, run=play.incident.actions[-1].id, reason="no")
            )
        ids.append([run.id for run in play.incident.actions])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


def test_performed_then_looked_at_then_told_with_before_and_after() -> None:
    play = Play()
    play.at(1, wish())
    run = play.incident.actions[0].id
    decision = play.at(1, performed(run))
    (check,) = [effect for effect in decision.effects if isinstance(effect, CheckAction)]
    assert (check.until, check.mark) == (LATER, {"g": "2"})
    assert [one.status for one in play.incident.actions] == [RunStatus.VERIFYING]
    decision = play.at(2, settled(run))
    assert [one.status for one in play.incident.actions] == [RunStatus.EFFECTIVE]
    assert decision.entries[-1].text == "restart: helped: rolled out: 97 used → 12 used"
    (update,) = [effect for effect in decision.effects if isinstance(effect, SendMessage)]
    assert (update.kind, "helped" in update.text) == (MessageKind.UPDATE, True)


@pytest.mark.parametrize("times", [2, 3])
def test_an_outcome_that_is_told_again_changes_nothing(times: int) -> None:
    play = Play()
    play.at(1, wish())
    run = play.incident.actions[0].id
    for fact in (performed(run), settled(run)):
        play.at(1, fact)
        before = play.incident
        for _ in range(times - 1):
            decision = play.at(1, fact)
            assert decision.effects == ()
            assert decision.entries == ()
        assert msgspec.json.encode(play.incident.actions) == msgspec.json.encode(before.actions)


def test_an_unknown_outcome_stays_unknown_whatever_the_look_sees() -> None:
    play = Play()
    play.at(1, wish())
    run = play.incident.actions[0].id
    decision = play.at(1, action_facts.ActionUnknown(at=START, run=run, reason="it died", verify_until=LATER))
    (check,) = [effect for effect in decision.effects if isinstance(effect, CheckAction)]
    assert check.unsure
    decision = play.at(2, settled(run))
    assert play.incident.actions[0].status is RunStatus.UNKNOWN
    assert play.incident.actions[0].after == "rolled out: 12 used"
    assert "nobody saw how it ended" in decision.entries[-1].text
    assert "helped" not in decision.entries[-1].text


def test_an_undo_takes_the_last_run_back_once() -> None:
    play = Play()
    play.at(1, wish())
    run = play.incident.actions[0].id
    play.at(1, performed(run, undo={"replicas": "3"}), settled(run))
    play.at(2, wish(RunKind.UNDO))
    assert asked(play)[-1].undo == {"replicas": "3"}
    back = play.incident.actions[-1].id
    play.at(2, performed(back), settled(back))
    assert play.incident.actions[0].undone
    play.at(3, wish(RunKind.UNDO))
    assert len(asked(play)) == 2
    assert play.decisions[-1].entries[-1].text.endswith("there is nothing to undo")


def test_what_does_not_help_is_given_up_loudly() -> None:
    play = Play()
    play.at(1, wish())
    run = play.incident.actions[0].id
    play.at(1, performed(run))
    decision = play.at(9, settled(run, effective=False, given_up=True))
    assert Reason.ACTION_GIVEN_UP in decision.why
    told = [(effect.kind, effect.text) for effect in decision.effects if isinstance(effect, SendMessage)]
    assert any(kind is MessageKind.REMINDER and "does not help" in text for kind, text in told)


def test_a_refusal_of_a_gate_names_the_gate() -> None:
    play = Play()
    play.at(1, wish())
    run = play.incident.actions[0].id
    refusal = action_facts.ActionRefused(at=START, run=run, gate=Gate.COOLDOWN, reason="free again in 3m")
    decision = play.at(1, refusal)
    assert decision.entries[-1].text == "restart: refused (cooldown): free again in 3m"
    assert play.incident.actions[0].gate is Gate.COOLDOWN


def test_an_acknowledgement_and_an_end_do_not_lose_a_run_under_way() -> None:
    play = Play()
    play.at(1, wish())
    run = play.incident.actions[0].id
    play.at(2, facts.AcknowledgedBy(at=START, by="ana"), performed(run))
    play.at(3, facts.ResolvedBy(at=START, by="ana"))
    play.at(4, settled(run))
    assert play.incident.actions[0].status is RunStatus.EFFECTIVE


def test_runs_are_bounded_and_what_is_under_way_is_kept() -> None:
    play = Play()
    play.at(0, wish(name="slow"))
    for minute in range(1, 60):
        play.at(minute, wish())
        play.at(minute, action_facts.ActionFailed(at=START, run=play.incident.actions[-1].id, reason="no"))
    assert len(play.incident.actions) == 30
    assert play.incident.actions[0].name == "slow"


class _Raising(Play):
    def __init__(self, severity: Severity, to: Severity, probes: tuple[str, ...] = ("gauge",)) -> None:
        super().__init__(severity, probes)
        raises = (Raise(probe="gauge", status=(FindingStatus.CRITICAL,), to=to),)
        self.incident = msgspec.structs.replace(self.incident, raises=raises)


def test_a_finding_raises_the_severity_before_the_first_page_leaves() -> None:
    play = _Raising(Severity.P3, Severity.P1)
    play.at(0.01, finding(FindingStatus.CRITICAL), TriageEnded(at=START, episode=1))
    assert (play.incident.severity, play.incident.episode.number) == (Severity.P1, 1)
    assert play.incident.respond_by == START + timedelta(minutes=15.01)
    assert [text for _, text in play.dialogue if text.startswith("page")] == ["page primary dbteam chat"]


def test_a_finding_that_comes_after_the_page_pages_anew_and_keeps_what_was_found() -> None:
    play = _Raising(Severity.P3, Severity.P1).until(0.04)
    play.delivered()
    play.at(1, finding(FindingStatus.CRITICAL), TriageEnded(at=START, episode=1))
    assert (play.incident.severity, play.incident.episode.number) == (Severity.P1, 2)
    assert "gauge" in play.incident.findings
    assert isinstance(play.incident.state, Triggered)
    play.at(2, finding(FindingStatus.CRITICAL))
    assert play.incident.episode.number == 2


def test_a_finding_never_lowers_it_and_one_that_the_rule_does_not_name_changes_nothing() -> None:
    for severity, to, status in (
        (Severity.P1, Severity.P3, FindingStatus.CRITICAL),
        (Severity.P2, Severity.P1, FindingStatus.WARNING),
    ):
        play = _Raising(severity, to)
        play.at(1, finding(status))
        assert play.incident.severity is severity


def test_a_finding_that_makes_an_acknowledged_incident_worse_pages_anew() -> None:
    play = _Raising(Severity.P3, Severity.P1).until(0.04)
    play.at(1, facts.AcknowledgedBy(at=START, by="ana"))
    assert isinstance(play.incident.state, Acknowledged)
    play.at(2, finding(FindingStatus.CRITICAL))
    assert isinstance(play.incident.state, Triggered)
