"""The life of an incident: opened, acknowledged, watched, resolved, and opened again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from stage import MINUTE, START, Play, kinds

from responder.incident import action_facts, facts
from responder.incident.action import ActionRole, RunKind
from responder.incident.advance import advance
from responder.incident.decision import (
    AcknowledgedAfter,
    Escalated,
    FirstPaged,
    Opened,
    Reason,
    ResolvedAfter,
    ResponseJudged,
)
from responder.incident.facts import Fact
from responder.incident.finding import Finding, FindingStatus
from responder.incident.moves import MOVES, TAKEN_IN, mermaid
from responder.incident.severity import Severity
from responder.incident.state import StateName


def person(made: type[Fact], minute: float, **more: object) -> Fact:
    return made(at=START + minute * MINUTE, by="ana", **more)  # type: ignore[arg-type,call-arg]


def finding(play: Play, name: str = "connections", minute: float = 0.01, episode: int = 1) -> Fact:
    seen = Finding(probe=name, status=FindingStatus.CRITICAL, headline="97 of 100 connections used")
    return facts.FindingArrived(at=START + minute * MINUTE, episode=episode, finding=seen)


def test_when_every_alert_resolves_it_is_watched_for_half_an_hour_and_then_over() -> None:
    play = Play()
    play.delivered()
    decision = play.clear().at(3)
    assert play.incident.state_name == "monitoring"
    assert kinds(decision.effects) == ["update primary dbteam chat"]
    play.until(32.99)
    assert play.incident.state_name == "monitoring"
    play.until(33)
    assert play.incident.state_name == "resolved"
    assert play.dialogue[-1] == (33, "resolved primary dbteam chat")
    assert play.incident.wake_at is None


def test_a_partial_resolve_keeps_it_triggered() -> None:
    play = Play()
    play.fire(Severity.P1, 4).at(1)
    play.resolved += 4
    play.firing[Severity.P1] -= 4
    play.at(2)
    assert (play.incident.state_name, play.incident.totals.firing_now) == ("triggered", 1)


def test_a_re_fire_while_it_is_watched_reopens_the_same_incident_and_pages_anew() -> None:
    play = Play()
    play.delivered()
    play.at(1, person(facts.AcknowledgedBy, 1))
    play.clear().at(3)
    decision = play.fire(Severity.P1).at(20)
    assert (play.incident.state_name, play.incident.episode.number) == ("triggered", 2)
    assert kinds(decision.effects) == ["page primary dbteam chat"]
    assert play.incident.acknowledged_at is None
    assert play.incident.respond_by == START + 35 * MINUTE


def test_no_escalation_while_it_is_watched() -> None:
    play = Play()
    play.delivered()
    play.clear().at(3)
    play.until(32)
    assert not [line for _, line in play.dialogue if line.startswith("page secondary")]


def test_what_fires_and_resolves_again_between_two_looks_starts_the_watch_anew() -> None:
    play = Play()
    play.delivered()
    play.clear().at(3)
    play.fire(Severity.P1).clear().at(20)
    assert play.incident.state_name == "monitoring"
    play.until(49)
    assert play.incident.state_name == "monitoring"
    play.until(50)
    assert play.incident.state_name == "resolved"


def test_an_alert_that_joins_an_acknowledged_incident_tells_who_has_it_and_not_each_second() -> None:
    play = Play()
    play.delivered()
    play.at(1, person(facts.AcknowledgedBy, 1))
    play.delivered()
    assert kinds(play.fire(Severity.P1).at(2).effects) == ["update primary dbteam chat"]
    assert play.fire(Severity.P1).at(2.1).effects == ()
    assert play.fire(Severity.P1).at(2.2).effects == ()
    play.until(3)
    assert play.dialogue[-1] == (3, "update primary dbteam chat")


def test_the_page_waits_for_findings_up_to_triage_wait() -> None:
    play = Play(probes=("connections",))
    assert play.dialogue == [(0, "triage connections")]
    play.until(2 / 60)
    assert play.dialogue[-1] == (0.03, "page primary dbteam chat")


def test_the_page_leaves_as_soon_as_the_probes_are_done() -> None:
    play = Play(probes=("connections",))
    ended = facts.TriageEnded(at=START + 0.01 * MINUTE, episode=1)
    decision = play.at(0.01, finding(play), ended)
    assert kinds(decision.effects) == ["page primary dbteam chat"]


def test_findings_that_come_after_the_page_enrich_it() -> None:
    play = Play(probes=("connections",))
    play.until(2 / 60)
    play.delivered()
    decision = play.at(0.2, finding(play, minute=0.2))
    assert kinds(decision.effects) == ["update primary dbteam chat"]
    assert "connections" in play.incident.findings


def test_findings_of_an_earlier_episode_are_not_shown() -> None:
    play = Play(probes=("connections",))
    play.clear().at(1)
    play.fire(Severity.P1).at(2)
    play.at(3, finding(play, minute=3, episode=1))
    assert play.incident.findings == {}


def test_the_promise_is_judged_once_at_the_acknowledgement() -> None:
    play = Play()
    play.at(14, person(facts.AcknowledgedBy, 14))
    play.until(60)
    judged = [one.what for one in play.measured if isinstance(one.what, ResponseJudged)]
    assert judged == [ResponseJudged(met=True)]


def test_a_missed_promise_is_breached_at_the_deadline_and_not_when_it_is_acknowledged() -> None:
    play = Play()
    play.until(15.1)
    assert ResponseJudged(met=False) in [one.what for one in play.measured]
    play.at(20, person(facts.AcknowledgedBy, 20))
    assert len([one for one in play.measured if isinstance(one.what, ResponseJudged)]) == 1


def test_an_acknowledgement_in_time_counts_as_met_even_if_it_is_decided_late() -> None:
    play = Play()
    play.at(30, person(facts.AcknowledgedBy, 14))
    assert [o.what for o in play.measured if isinstance(o.what, ResponseJudged)] == [ResponseJudged(met=True)]


def test_times_are_measured_from_opening_to_page_to_acknowledgement_to_end() -> None:
    play = Play()
    play.delivered(minute=0.1)
    play.at(4, person(facts.AcknowledgedBy, 4))
    play.clear().at(10)
    play.until(40)
    whats = [one.what for one in play.measured]
    assert whats[0] == Opened()
    assert whats[1:] == [
        FirstPaged(0.0),
        AcknowledgedAfter(240.0),
        ResponseJudged(met=True),
        ResolvedAfter(2400.0),
    ]


def test_only_levels_beyond_the_first_count_as_escalations() -> None:
    play = Play()
    play.until(15)
    assert [one.what.level for one in play.measured if isinstance(one.what, Escalated)] == [
        "secondary",
        "executive",
    ]


def test_an_incident_of_which_nothing_is_heard_for_a_day_is_told_and_closed() -> None:
    play = Play(Severity.P4)
    play.delivered()
    play.at(1, person(facts.AcknowledgedBy, 1))
    silent = play.totals
    while play.incident.open:
        assert play.incident.wake_at is not None
        decision = advance(play.incident, silent, (), play.incident.wake_at)
        play.incident = decision.incident
        play.decisions.append(decision)
    assert Reason.STALE in play.decisions[-1].why
    assert kinds(play.decisions[-1].effects) == ["resolved primary dbteam chat"]
    assert play.incident.resolved_at == START + timedelta(days=1, minutes=1)


def test_e1_a_resolved_incident_asks_for_nothing_whenever_it_is_woken() -> None:
    play = Play()
    play.delivered()
    play.at(1, person(facts.ResolvedBy, 1))
    play.delivered()
    for minute in (5, 15, 600):
        assert play.at(minute).effects == ()


def test_a_person_can_reopen_what_was_resolved() -> None:
    play = Play()
    play.delivered()
    play.at(1, person(facts.ResolvedBy, 1))
    decision = play.at(2, person(facts.ReopenedBy, 2, note="still slow"))
    assert kinds(decision.effects) == ["page primary dbteam chat"]
    assert play.incident.state_name == "triggered"
    play.at(3)
    assert (
        play.incident.state_name == "triggered"
    )  # nothing fires, and still a person said that it is not over


def test_a_second_acknowledgement_changes_nothing_but_the_time_line() -> None:
    play = Play()
    play.at(1, person(facts.AcknowledgedBy, 1))
    decision = play.at(2, facts.AcknowledgedBy(at=START + 2 * MINUTE, by="ben"))
    assert (play.incident.acknowledged_by, decision.effects) == ("ana", ())
    assert Reason.ALREADY_ACKNOWLEDGED in decision.why


@pytest.mark.parametrize("fact", list(TAKEN_IN))
@pytest.mark.parametrize("state", list(StateName))
def test_every_fact_in_every_state_is_taken_or_refused_and_never_raises(
    fact: type[Fact], state: StateName
) -> None:
    play = Play()
    play.delivered()
    if state is StateName.ACKNOWLEDGED:
        play.at(1, person(facts.AcknowledgedBy, 1))
    if state in (StateName.MONITORING, StateName.RESOLVED):
        play.clear().at(1)
    if state is StateName.RESOLVED:
        play.until(40)
    assert play.incident.state_name == state
    more: dict[str, object] = {"note": "n"}
    if fact is facts.AssignedTo:
        more["to"] = "ben"
    if fact is facts.SeveritySet:
        more["severity"] = Severity.P2
    if fact is action_facts.ActionRequested:
        more |= {"name": "restart", "kind": RunKind.PERFORM, "role": ActionRole.RESPONDER}
    if fact in (facts.SnoozedBy, facts.SilencedBy):
        more["until"] = START + 60 * MINUTE
    if fact is facts.SilencedBy:
        more["silence"] = "5f"
    if fact is facts.UnsilencedBy:
        more["silences"] = ("5f",)
    decision = play.at(41, person(fact, 41, **more))
    assert (Reason.TOO_LATE in decision.why) == (state not in TAKEN_IN[fact])


def test_the_diagram_in_the_docs_is_drawn_from_the_table_of_moves() -> None:
    drawn = mermaid()
    for source, targets in MOVES.items():
        for target in targets:
            assert f"{source} --> {target}" in drawn


def test_decided_again_with_nothing_new_it_changes_nothing() -> None:
    play = Play(probes=("connections",))
    play.until(6)
    before = play.incident
    decision = play.at(play.minute)
    assert (decision.incident, decision.effects, decision.entries) == (before, (), ())
