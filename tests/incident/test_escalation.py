"""Who is paged, when, until somebody answers."""

from __future__ import annotations

import pytest
from stage import MINUTE, START, Play, kinds, policy

from responder.incident import facts
from responder.incident.decision import Reason
from responder.incident.severity import Level, Severity


def ack(minute: float, by: str = "ana") -> facts.AcknowledgedBy:
    return facts.AcknowledgedBy(at=START + minute * MINUTE, by=by)


@pytest.mark.parametrize(
    ("severity", "secondary", "executive"),
    [(Severity.P1, 5, 15), (Severity.P2, 20, 60), (Severity.P3, 80, 240), (Severity.P4, 480, 1440)],
)
def test_each_level_is_paged_at_the_runbooks_times(
    severity: Severity, secondary: int, executive: int
) -> None:
    play = Play(severity)
    play.delivered()
    play.until(secondary)
    play.delivered()
    play.until(executive - 0.01)
    assert play.dialogue == [
        (0, "page primary dbteam chat"),
        (secondary, "page secondary platform chat"),
    ]
    if severity is not Severity.P4:  # a day later nothing was heard of it either, and it is closed
        play.until(executive)
        assert play.dialogue[-1] == (executive, "page executive cto chat")


def test_nobody_further_is_paged_after_an_acknowledgement() -> None:
    play = Play()
    play.delivered()
    play.at(4.9, ack(4.9))
    play.until(600)
    assert play.dialogue == [(0, "page primary dbteam chat"), (4.9, "acknowledged primary dbteam chat")]


def test_everybody_who_was_paged_hears_who_has_it() -> None:
    play = Play()
    play.delivered()
    play.until(5)
    play.delivered()
    decision = play.at(6, ack(6))
    assert kinds(decision.effects) == [
        "acknowledged primary dbteam chat",
        "acknowledged secondary platform chat",
    ]


def test_after_the_last_level_that_one_is_reminded_at_the_pace_of_the_promise() -> None:
    play = Play()
    play.delivered()
    for minute in (5, 15, 30, 45):
        play.until(minute)
        play.delivered()
    assert play.dialogue[2:] == [
        (15, "page executive cto chat"),
        (30, "reminder executive cto chat"),
        (45, "reminder executive cto chat"),
    ]


def test_every_page_has_an_id_of_its_own_and_the_same_wish_the_same_id() -> None:
    first, second = Play(), Play()
    for play in (first, second):
        play.until(60)
    ids = [effect.id for _, effect in first.effects]
    assert len(set(ids)) == len(ids)
    assert ids == [effect.id for _, effect in second.effects]


def test_a_worse_alert_raises_the_severity_and_pages_anew_from_the_primary() -> None:
    play = Play(Severity.P3)
    play.delivered()
    play.at(1, ack(1))
    decision = play.fire(Severity.P1).at(10)
    assert (play.incident.severity, play.incident.state_name) == (Severity.P1, "triggered")
    assert kinds(decision.effects) == ["page primary dbteam chat"]
    assert play.incident.respond_by == START + 25 * MINUTE
    play.until(15)
    assert play.dialogue[-1] == (15, "page secondary platform chat")


def test_a_milder_alert_does_not_page_again() -> None:
    play = Play(Severity.P1)
    play.delivered()
    assert play.fire(Severity.P3).at(1).effects == ()
    assert play.incident.severity is Severity.P1


def test_severity_does_not_fall_when_the_worst_alert_resolves() -> None:
    play = Play(Severity.P3)
    play.fire(Severity.P1).at(1)
    play.clear(Severity.P1).at(2)
    assert play.incident.severity is Severity.P1


def test_a_channel_that_fails_for_good_moves_the_page_to_the_next_channel() -> None:
    play = Play(rules=policy(channels=("phone", "chat")))
    decision = play.failed("no such number")
    assert kinds(decision.effects) == ["page primary dbteam chat"]
    assert Reason.CHANNEL_FAILED in decision.why


def test_a_channel_that_does_not_deliver_within_half_a_minute_is_joined_by_the_next() -> None:
    play = Play(rules=policy(channels=("phone", "chat", "mail")))
    play.until(1)
    assert play.dialogue == [
        (0, "page primary dbteam phone"),
        (0.5, "page primary dbteam chat"),
        (1.0, "page primary dbteam mail"),
    ]


def test_l10_a_failed_page_is_no_page_and_the_next_level_is_paged_at_once() -> None:
    """L10: a step was marked done whatever became of the send."""
    play = Play()
    decision = play.failed()
    assert kinds(decision.effects) == ["page secondary platform chat"]
    assert Reason.LEVEL_UNREACHABLE in decision.why


def test_l12_a_level_without_any_channel_falls_to_the_next_at_once_and_says_so() -> None:
    """L12: a contact without any way to reach them fell through in silence."""
    play = Play(rules=policy(unreachable=("dbteam",)))
    assert play.dialogue == [(0, "page secondary platform chat")]
    assert Reason.LEVEL_UNREACHABLE in play.reasons()


def test_where_nobody_can_be_reached_it_says_so_and_tries_the_whole_row_again() -> None:
    play = Play(rules=policy(unreachable=("dbteam", "platform", "cto")))
    assert Reason.NOBODY_REACHABLE in play.reasons()
    assert play.incident.wake_at == START + 5 * MINUTE
    play.until(11)
    assert play.reasons().count(Reason.NOBODY_REACHABLE) == 3


def test_a_row_with_a_primary_only_reminds_the_primary() -> None:
    play = Play(rules=policy(contacts={Level.PRIMARY: "solo"}))
    play.delivered()
    play.until(30)
    assert play.dialogue == [
        (0, "page primary solo chat"),
        (15, "reminder primary solo chat"),
        (30, "reminder primary solo chat"),
    ]


def test_a_person_can_ask_for_the_next_level_before_its_time() -> None:
    play = Play()
    play.delivered()
    decision = play.at(1, facts.EscalatedBy(at=START + MINUTE, by="ana"))
    assert kinds(decision.effects) == ["page secondary platform chat"]
    play.until(14.9)
    assert len(play.dialogue) == 2


def test_escalating_an_acknowledged_incident_pages_the_next_level_and_not_the_first_again() -> None:
    play = Play()
    play.delivered()
    play.at(1, ack(1))
    decision = play.at(2, facts.EscalatedBy(at=START + 2 * MINUTE, by="ana"))
    assert play.incident.state_name == "triggered"
    assert kinds(decision.effects) == ["page secondary platform chat"]


def test_escalating_past_the_last_level_reminds_the_last() -> None:
    play = Play()
    play.delivered()
    for minute in (5, 15):
        play.until(minute)
        play.delivered()
    decision = play.at(16, facts.EscalatedBy(at=START + 16 * MINUTE, by="ana"))
    assert kinds(decision.effects) == ["reminder executive cto chat"]


def test_e3_no_level_is_paged_before_its_time_whatever_wakes_the_incident() -> None:
    """E3: a wait step was ignored."""
    play = Play()
    play.delivered()
    for tenth in range(1, 50):
        play.at(tenth / 10)
    assert play.dialogue == [(0, "page primary dbteam chat")]
    play.at(5)
    assert play.dialogue[-1] == (5, "page secondary platform chat")


def test_e11_a_daemon_that_was_down_over_the_deadlines_pages_at_once() -> None:
    play = Play()
    play.delivered()
    decision = play.at(40)
    assert kinds(decision.effects) == ["page secondary platform chat", "page executive cto chat"]
