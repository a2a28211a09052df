"""Whatever a schedule looks like: one person a layer, no gap that was not written, overrides win, lists are true."""

from __future__ import annotations

import itertools
import time
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from shifts import MINUTE, WatchedClock, at, layer, on_turn, override, schedule, shown, swap

from responder.oncall.layer import RotationLayer
from responder.oncall.notation import DAY, WEEK, Window
from responder.oncall.schedule import Schedule
from responder.oncall.spans import Why

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Manila", "UTC", "America/St_Johns")
#: Weeks with a change of the clock in one zone or another, and one without.
WEEKS = ("2025-03-03", "2025-03-24", "2025-03-31", "2025-09-29", "2025-10-20", "2025-10-27", "2025-07-07")
PEOPLE = ("ana", "ben", "cyd", "dan")

times = st.integers(0, 95).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}")
windows = st.builds(
    Window,
    weekday=st.integers(0, 6),
    start=st.integers(0, 95).map(lambda quarter: quarter * timedelta(minutes=15)),
    length=st.integers(1, 7 * 24 * 2).map(lambda half: half * timedelta(minutes=30)),
)
#: Handoff and length of a turn.
paces = st.one_of(
    st.tuples(times, st.sampled_from(["1h", "6h", "8h", "12h", "1d", "36h", "2d"])),
    st.tuples(times.map(lambda text: f"Wed {text}"), st.sampled_from(["1w", "2w"])),
)


@st.composite
def layers(draw: st.DrawFn, *, always: bool = False) -> RotationLayer:
    people = " ".join(draw(st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=4)))
    handoff, every = draw(paces)
    if always:
        return layer(people, handoff, every)
    bounds = {"start": draw(st.sampled_from(["", "2025-01-06", "2025-03-26", "2025-10-22"]))}
    bounds["end"] = draw(st.sampled_from(["", "2025-10-25", "2027-01-01"]))
    return layer(people, handoff, every, windows=draw(st.lists(windows, max_size=4)), **bounds)


@st.composite
def schedules(draw: st.DrawFn, week: str) -> Schedule:
    """Layers, swaps and overrides somewhere in the week."""
    begin = at(week)
    minutes = st.integers(0, 7 * 24 * 60 - 1)

    def stretch() -> tuple[timedelta, timedelta]:
        first = draw(minutes)
        return first * MINUTE, (first + draw(st.integers(1, 3_000))) * MINUTE

    swaps, overrides = [], []
    for _ in range(draw(st.integers(0, 3))):
        first, last = stretch()
        one, other = draw(st.permutations(PEOPLE))[:2]
        swaps.append(swap(begin + first, begin + last, one, other))
    for _ in range(draw(st.integers(0, 3))):
        first, last = stretch()
        overrides.append(override(begin + first, begin + last, draw(st.sampled_from([*PEOPLE, "zoe"]))))
    found = draw(st.lists(layers(), min_size=1, max_size=3))
    return schedule(draw(st.sampled_from(ZONES)), *found, swaps=swaps, overrides=overrides)


weeks_and_schedules = st.sampled_from(WEEKS).flatmap(lambda week: st.tuples(st.just(week), schedules(week)))


@settings(max_examples=60)
@given(given_=weeks_and_schedules)
def test_the_list_of_a_week_equals_the_sum_of_its_minutes(given_: tuple[str, Schedule]) -> None:
    week, team = given_
    begin = at(week)
    clock = WatchedClock(str(team.zone), begin, begin + WEEK)
    minute = 0
    for span in team.spans(begin, begin + WEEK):
        assert span.start == begin + minute * MINUTE
        while minute < 7 * 24 * 60 and begin + minute * MINUTE < span.end:
            assert clock.people(team, minute) == span.people, (minute, span)
            minute += 1
    assert minute == 7 * 24 * 60


@settings(max_examples=60)
@given(
    given_=weeks_and_schedules, minutes=st.lists(st.integers(0, 7 * 24 * 60 - 1), min_size=20, max_size=20)
)
def test_who_is_on_call_at_a_minute_is_who_stands_in_the_list(
    given_: tuple[str, Schedule], minutes: list[int]
) -> None:
    week, team = given_
    begin = at(week)
    listed = team.spans(begin, begin + WEEK)
    for minute in minutes:
        now = begin + minute * MINUTE
        assert team.people_at(now) == next(s.people for s in listed if s.start <= now < s.end)


@settings(max_examples=25)
@given(given_=weeks_and_schedules)
def test_a_year_is_told_without_holes_or_overlaps_and_agrees_with_each_of_its_weeks(
    given_: tuple[str, Schedule],
) -> None:
    week, team = given_
    begin, end = at("2025-01-01"), at("2026-01-01")
    begun = time.thread_time()
    year = team.spans(begin, end)
    assert time.thread_time() - begun < 5  # alone it takes milliseconds; turns of an hour are 8,760 spans
    assert (year[0].start, year[-1].end) == (begin, end)
    for one, following in itertools.pairwise(year):
        assert one.start < one.end == following.start
        assert not one.says_same_as(following)
    inside = [s for s in year if s.end > at(week) and s.start < at(week) + WEEK]
    assert [s.people for s in inside] == [s.people for s in team.spans(at(week), at(week) + WEEK)]


@settings(max_examples=60)
@given(given_=weeks_and_schedules)
def test_at_each_minute_a_layer_has_at_most_one_primary_and_a_gap_is_a_written_one(
    given_: tuple[str, Schedule],
) -> None:
    week, team = given_
    begin = at(week)
    clock = WatchedClock(str(team.zone), begin, begin + WEEK)
    for one in _rotations(team):
        last = begin
        for span in one.spans(begin, begin + WEEK, team.zone):
            assert len(span.people) == 1
            assert span.start >= last or span.start < begin
            last = span.end
    for span in team.spans(begin, begin + WEEK):
        if span.why is Why.NOBODY:
            wall = clock.latest[int((span.start - begin) / MINUTE)]
            assert not span.people
            assert all(on_turn(one, wall) is None for one in _rotations(team))


@settings(max_examples=40)
@given(one=layers(always=True), zone=st.sampled_from(ZONES))
def test_a_rotation_without_restrictions_never_has_a_gap(one: RotationLayer, zone: str) -> None:
    assert all(span.people for span in schedule(zone, one).spans(at("2025-01-01"), at("2026-01-01")))


@settings(max_examples=60)
@given(given_=weeks_and_schedules)
def test_overrides_win_and_the_last_one_wins_over_the_others(given_: tuple[str, Schedule]) -> None:
    week, team = given_
    for span in team.spans(at(week), at(week) + WEEK):
        in_force = [one for one in team.overrides if one.start <= span.start < one.end]
        assert (span.why is Why.OVERRIDE) is bool(in_force)
        if in_force:
            assert span.people == in_force[-1].people


@settings(max_examples=60)
@given(given_=weeks_and_schedules)
def test_a_swap_made_twice_is_no_swap(given_: tuple[str, Schedule]) -> None:
    week, team = given_
    without = schedule(str(team.zone), *_rotations(team), overrides=team.overrides)
    there_and_back = without.with_changes([*team.swaps, *reversed(team.swaps)])
    minutes = [at(week) + n * timedelta(minutes=37) for n in range(int(WEEK / timedelta(minutes=37)))]
    assert all(there_and_back.people_at(now) == without.people_at(now) for now in minutes)


def _rotations(team: Schedule) -> list[RotationLayer]:
    return [one for one in team.layers if isinstance(one, RotationLayer)]


def test_a_year_of_three_layers_takes_a_moment() -> None:
    nights = [Window(day, timedelta(hours=20), timedelta(hours=12)) for day in range(7)]
    team = schedule(
        "Europe/Berlin",
        layer("ana ben cyd", "Mon 09:00", "1w"),
        layer("dan eve", "20:00", "12h", windows=nights),
        layer("fay gus", "Sat 00:00", "1w", windows=[Window(5, timedelta(0), 2 * DAY)]),
        overrides=[
            override(at(f"2025-{month:02}-10"), at(f"2025-{month:02}-12"), "zoe") for month in range(1, 13)
        ],
    )
    begun = time.thread_time()
    found = team.spans(at("2025-01-01"), at("2026-01-01"))
    took = time.thread_time() - begun
    assert len(found) > 600
    assert took < 1, shown(found)[:3]
