"""Names that stand for others: teams, schedules, and one inside another."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from shifts import at, layer, override, schedule, shown, swap

from responder.oncall.layer import Calendar, CalendarLayer
from responder.oncall.roster import Roster
from responder.oncall.schedule import Schedule
from responder.oncall.spans import Span, Why

MONDAY = at("2025-06-02 00:00")


def test_a_name_that_is_nothing_else_stands_for_itself() -> None:
    assert Roster().people("cto", MONDAY) == ("cto",)
    assert Roster().spans("cto", MONDAY, MONDAY + timedelta(days=1))[0].why is Why.ALWAYS


def test_a_team_is_all_its_members_in_the_order_written_each_once() -> None:
    roster = Roster(teams={"all": ("dbteam", "web", "zoe"), "dbteam": ("ana", "ben"), "web": ("ben", "cyd")})
    assert roster.people("all", MONDAY) == ("ana", "ben", "cyd", "zoe")


def test_a_schedule_may_hand_over_between_teams_and_a_team_may_hold_a_schedule() -> None:
    roster = Roster(
        {"days": schedule("UTC", layer("red blue", "00:00", "1d", start="2025-06-02"), name="days")},
        {"red": ("ana", "ben"), "blue": ("cyd",), "both": ("days", "zoe")},
    )
    assert shown(roster.spans("both", MONDAY, MONDAY + timedelta(days=3))) == [
        "06-02 00:00 24h ana+ben+zoe", "06-03 00:00 24h cyd+zoe", "06-04 00:00 24h ana+ben+zoe",
    ]  # fmt: skip
    assert [span.why for span in roster.spans("days", MONDAY, MONDAY + timedelta(days=2))] == [
        Why.ROTATION
    ] * 2


def test_a_gap_in_a_team_is_only_one_where_none_of_its_members_is_there() -> None:
    roster = Roster(
        {"nights": schedule("UTC", layer("ana", start="2025-06-03"), name="nights")}, {"t": ("nights",)}
    )
    found = roster.spans("t", MONDAY, MONDAY + timedelta(days=10))
    assert [(span.people, span.why) for span in found] == [((), Why.NOBODY), (("ana",), Why.ALWAYS)]


def test_a_circle_ends_and_is_found() -> None:
    roster = Roster(
        {"a": schedule("UTC", layer("b"), name="a")}, {"b": ("c", "ana"), "c": ("a",), "d": ("ana",)}
    )
    assert roster.people("a", MONDAY) == ("ana",)
    assert roster.circle("a") == ("a", "b", "c", "a")
    assert roster.circle("d") == ()
    own = Roster({"a": schedule("UTC", layer("a"), name="a")})
    assert own.people("a", MONDAY) == ()
    assert own.circle("a") == ("a", "a")


def test_teams_nested_without_end_are_cut_off() -> None:
    teams = {f"t{n}": (f"t{n + 1}",) for n in range(50)} | {"t50": ("ana",)}
    assert Roster(teams=teams).people("t0", MONDAY) == ()
    assert Roster(teams=teams).people("t45", MONDAY) == ("ana",)


def test_changes_of_the_store_come_after_those_of_the_files_and_the_last_one_wins() -> None:
    end = MONDAY + timedelta(days=1)
    base = schedule("UTC", layer("ana"), overrides=[override(MONDAY, end, "ben")])
    made = [override(MONDAY, end, "cyd"), override(MONDAY, end, "dan")]
    roster = Roster({"team": base}).with_changes(
        [
            *(msgspec.structs.replace(one, schedule="team") for one in made),
            msgspec.structs.replace(override(MONDAY, end, "eve"), schedule="another"),
        ]
    )
    assert roster.people("team", MONDAY) == ("dan",)


def test_a_swap_gives_each_the_others_turns_for_a_while_and_brings_in_who_is_not_in_the_rotation() -> None:
    week = timedelta(weeks=1)
    two_weeks = swap(MONDAY, MONDAY + 2 * week, "ana", "ben")
    team = schedule("UTC", layer("ana ben cyd", "Mon 00:00", "1w", start="2025-06-02"), swaps=[two_weeks])
    assert shown(team.spans(MONDAY, MONDAY + 4 * week)) == [
        "06-02 00:00 168h ben", "06-09 00:00 168h ana", "06-16 00:00 168h cyd", "06-23 00:00 168h ana",
    ]  # fmt: skip
    guest = schedule("UTC", layer("ana"), swaps=[swap(MONDAY, MONDAY + week, "ana", "zoe")])
    assert guest.people_at(MONDAY) == ("zoe",)
    assert "zoe" in guest.names()


def test_what_lies_outside_of_a_calendar_is_unknown_not_a_gap() -> None:
    day = timedelta(days=1)
    span = Span(start=MONDAY, end=MONDAY + day, people=("ana",), why=Why.CALENDAR)
    known = Calendar(start=MONDAY - day, end=MONDAY + 2 * day, spans=(span,))
    empty = Schedule(name="c", zone=schedule("UTC").zone, layers=(CalendarLayer(name="c"),))
    assert [s.why for s in empty.spans(MONDAY, MONDAY + day)] == [Why.UNKNOWN]
    found = Roster({"c": empty}).with_calendars({"c": known}).spans("c", MONDAY - 3 * day, MONDAY + 9 * day)
    assert [s.why for s in found] == [Why.UNKNOWN, Why.NOBODY, Why.CALENDAR, Why.NOBODY, Why.UNKNOWN]
    assert Roster({"c": empty}, {"t": ("c",)}).spans("t", MONDAY, MONDAY + day)[0].why is Why.UNKNOWN


@given(
    teams=st.dictionaries(
        st.sampled_from("abcd"), st.lists(st.sampled_from("abcdxyz"), max_size=4).map(tuple), max_size=4
    ),
    name=st.sampled_from("abcdx"),
)
def test_however_names_refer_to_each_other_the_answer_is_people_each_once(
    teams: dict[str, tuple[str, ...]], name: str
) -> None:
    roster = Roster(teams=teams)
    people = roster.people(name, MONDAY)
    assert len(set(people)) == len(people)
    assert set(people) <= set(roster.everybody(name))
    assert not any(roster.stands_for_others(one) for one in people)
    assert set(people) == set(roster.everybody(name)) or any(roster.circle(one) for one in teams)
