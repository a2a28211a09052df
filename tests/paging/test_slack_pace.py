"""Turns at Slack's door, on a clock that is a number: pages first, pauses heeded, nobody forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from responder.paging.slack_pace import POST, RATES, ROOM_FOR_PAGE, UPDATE, Pacer

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
NONE = timedelta(0)


def test_after_a_rest_a_few_go_at_once_and_the_others_each_get_a_turn_of_their_own() -> None:
    pacer, rate = Pacer(), RATES[POST]
    waits = [pacer.turn(f"m{number}", POST, "C1", NOW) for number in range(rate.burst + 3)]
    assert waits[: rate.burst] == [NONE] * rate.burst
    assert waits[rate.burst :] == [rate.every, rate.every * 2, rate.every * 3]
    assert pacer.turn("elsewhere", POST, "C2", NOW) == NONE


def test_whoever_comes_back_at_their_turn_has_it_and_who_comes_early_waits_for_the_rest() -> None:
    pacer, rate = Pacer(), RATES[POST]
    for number in range(rate.burst):
        pacer.turn(f"m{number}", POST, "C1", NOW)
    assert pacer.turn("late", POST, "C1", NOW) == rate.every
    assert pacer.turn("late", POST, "C1", NOW + rate.every / 2) == rate.every / 2
    assert pacer.turn("late", POST, "C1", NOW + rate.every) == NONE


def test_a_pause_that_slack_asked_for_holds_for_that_method_and_channel_only() -> None:
    pacer = Pacer()
    pacer.refused(POST, "C1", NOW, timedelta(seconds=7), page=False)
    assert pacer.turn("m", POST, "C1", NOW) == timedelta(seconds=7)
    assert pacer.turn("m", POST, "C2", NOW) == NONE
    assert pacer.turn("m", UPDATE, "", NOW) == NONE
    assert pacer.turn("m", POST, "C1", NOW + timedelta(seconds=7)) == NONE


def test_l13_while_a_page_waits_nothing_else_goes_and_once_it_is_out_the_others_follow() -> None:
    pacer, wait = Pacer(), timedelta(seconds=5)
    pacer.refused(POST, "C1", NOW, wait, page=True)
    assert pacer.backlog(POST, "C1", NOW) == wait + ROOM_FOR_PAGE
    pacer.spent(POST, "C1", NOW + wait)
    assert pacer.turn("note", POST, "C1", NOW + wait) == NONE


def test_the_backlog_says_how_long_a_newcomer_would_wait() -> None:
    pacer, rate = Pacer(), RATES[UPDATE]
    assert pacer.backlog(UPDATE, "", NOW) == NONE
    for number in range(100):
        pacer.turn(f"m{number}", UPDATE, "", NOW)
    assert pacer.backlog(UPDATE, "", NOW) == rate.every * (100 - rate.burst + 1)


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=120))
def test_s2_whatever_comes_when_slacks_rate_is_kept_and_everybody_has_a_turn(pauses: list[int]) -> None:
    pacer, rate, now = Pacer(), RATES[POST], NOW
    waiting: list[tuple[datetime, str]] = []
    for number, pause in enumerate(pauses):
        now += timedelta(milliseconds=pause)
        waiting.append((now, f"m{number}"))
    made: list[datetime] = []
    rounds = 0
    while waiting:
        rounds += 1
        waiting.sort()
        at, who = waiting.pop(0)
        wait = pacer.turn(who, POST, "C1", at)
        if wait:
            waiting.append((at + wait, who))
        else:
            made.append(at)
    assert len(made) == len(pauses)
    assert rounds <= 2 * len(pauses)  # each comes back at most once
    window = timedelta(seconds=10)
    for start in made:
        assert sum(start <= one < start + window for one in made) <= rate.burst + window / rate.every + 1
