"""What holds pages back, and that nothing is held back by what is over."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from stage import MINUTE, START, Play

from responder.incident import facts
from responder.incident.decision import FirstPaged, Reason, ResponseJudged
from responder.incident.effects import SendMessage
from responder.incident.hold import Hold, HoldKind
from responder.incident.lastlook import overtaken
from responder.incident.message import MessageKind
from responder.incident.severity import Severity

WINDOW = Hold(kind=HoldKind.MAINTENANCE, by="move", text="the cluster is being moved")
SILENCE = Hold(kind=HoldKind.SILENCE, by="5f", text="silenced by ana: known", until=START + 60 * MINUTE)


def pages(play: Play) -> list[tuple[float, str]]:
    return [(minute, text) for minute, text in play.dialogue if text.startswith(("page", "reminder"))]


def test_while_something_holds_nobody_is_paged_and_the_reason_is_told_once() -> None:
    play = Play(holds=(WINDOW,)).until(30)
    assert pages(play) == []
    held = [entry for one in play.decisions for entry in one.entries if entry.reason is Reason.HELD]
    assert [entry.text for entry in held] == ["paging is held back (maintenance): the cluster is being moved"]


def test_e4_when_it_is_over_and_it_still_fires_it_is_paged_within_one_look_from_the_first_level() -> None:
    play = Play(holds=(WINDOW,)).until(30)
    play.holds = ()
    play.until(36)
    assert pages(play)[0] == (30.5, "page primary dbteam chat")
    assert pages(play)[1] == (35.5, "page secondary platform chat")


def first_paged(play: Play) -> list[float]:
    """What was measured of the first page, in seconds."""
    measured = [one.what for decision in play.decisions for one in decision.measured]
    return [one.seconds for one in measured if isinstance(one, FirstPaged)]


def test_the_time_to_the_first_page_leaves_out_what_was_held_back_on_purpose_and_nothing_else() -> None:
    held = Play(holds=(WINDOW,)).until(30)
    held.holds = ()
    held.until(30.5)
    held.minute = 31
    held.delivered()
    assert first_paged(held) == [30.0]
    late = Play()  # its page was asked for at once, and arrives only after it has fired again
    late.clear().at(1)
    late.fire(Severity.P1).at(2)
    late.minute = 3
    late.delivered()
    assert late.incident.episode.number == 2
    assert first_paged(late) == [180.0]


def test_a_hold_with_an_end_is_over_at_that_end_to_the_moment_whoever_still_hands_it_in() -> None:
    play = Play(holds=(msgspec.structs.replace(WINDOW, until=START + 7 * MINUTE),)).until(7)
    assert pages(play) == [(7, "page primary dbteam chat")]


def test_e5_a_window_that_begins_while_pages_wait_fences_them_off() -> None:
    play = Play()
    (page,) = [effect for _, effect in play.effects if isinstance(effect, SendMessage)]
    assert overtaken(page, play.incident) == ""
    play.holds = (WINDOW,)
    play.at(1)
    assert overtaken(page, play.incident) == "held back (maintenance): the cluster is being moved"
    play.until(20)
    assert len(pages(play)) == 1


def test_the_promise_does_not_run_while_nobody_is_told() -> None:
    play = Play(holds=(WINDOW,)).until(30)
    assert [one for one in play.measured if isinstance(one.what, ResponseJudged)] == []
    play.holds = ()
    play.until(31)
    assert play.incident.respond_by == START + timedelta(minutes=45.5)


def test_a_silence_told_by_alertmanager_holds_until_it_is_lifted_or_over() -> None:
    play = Play()
    play.at(0.5, facts.AlertsMuted(at=START, by=(SILENCE,)))
    play.until(10)
    assert len(pages(play)) == 1
    play.at(11, facts.AlertsUnmuted(at=START))
    assert pages(play)[-1] == (11, "page primary dbteam chat")
    again = Play()
    again.at(0.5, facts.AlertsMuted(at=START, by=(SILENCE,)))
    again.until(60)
    assert pages(again)[-1] == (60, "page primary dbteam chat")


def test_acknowledging_and_resolving_go_on_while_it_is_held() -> None:
    play = Play(holds=(WINDOW,))
    play.at(1, facts.AcknowledgedBy(at=START, by="ana"))
    assert play.incident.holds == ()
    play.holds = ()
    play.until(60)
    assert pages(play) == []


def test_a_person_who_asks_for_the_next_level_is_not_kept_waiting() -> None:
    play = Play(holds=(WINDOW,))
    play.at(1, facts.EscalatedBy(at=START, by="ana"))
    assert (1, "page primary dbteam chat") in pages(play)


@given(
    spans=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), max_size=4),
    severity=st.sampled_from([Severity.P1, Severity.P2]),
)
def test_no_hold_outlives_its_cause_and_what_fires_unheld_for_longer_than_its_time_is_paged(
    spans: list[tuple[int, int]], severity: Severity
) -> None:
    play = Play(severity)
    free = 0.0
    for minute in range(1, 300):
        held = any(begin <= minute < begin + length for begin, length in spans)
        play.holds = (WINDOW,) if held else ()
        play.until(minute)
        if play.incident.wake_at and play.incident.wake_at <= START + minute * MINUTE:
            play.at(minute)
        free = 0.0 if held else free + 1
        if not held and free > 1:
            assert play.incident.holds == ()
            kinds = {effect.kind for _, effect in play.effects if isinstance(effect, SendMessage)}
            assert MessageKind.PAGE in kinds
            assert play.incident.episode.reached
