"""E7: daylight saving moved other people's schedules by an hour. Ours follow the wall, by written rules."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from shifts import at, hours, layer, override, schedule, shown

from responder.oncall.notation import Moment
from responder.oncall.roster import Roster
from responder.oncall.wall import instant


@pytest.mark.parametrize(
    ("zone", "wall", "utc"),
    [
        ("Europe/Berlin", "2025-03-30 01:59", "2025-03-30 00:59"),
        ("Europe/Berlin", "2025-03-30 02:00", "2025-03-30 01:00"),  # does not exist: 03:00 summer time
        ("Europe/Berlin", "2025-03-30 02:59", "2025-03-30 01:00"),
        ("Europe/Berlin", "2025-03-30 03:00", "2025-03-30 01:00"),
        ("Europe/Berlin", "2025-10-26 02:00", "2025-10-26 00:00"),  # comes twice: the first
        ("Europe/Berlin", "2025-10-26 02:59", "2025-10-26 00:59"),
        ("Europe/Berlin", "2025-10-26 03:00", "2025-10-26 02:00"),
        ("America/New_York", "2025-03-09 02:30", "2025-03-09 07:00"),
        ("America/New_York", "2025-11-02 01:30", "2025-11-02 05:30"),
        ("America/New_York", "2025-11-02 02:00", "2025-11-02 07:00"),
        ("Australia/Lord_Howe", "2025-10-05 02:00", "2025-10-04 15:30"),  # half an hour is missing
        ("Australia/Lord_Howe", "2025-10-05 02:15", "2025-10-04 15:30"),
        ("Australia/Lord_Howe", "2025-10-05 02:30", "2025-10-04 15:30"),
        ("Australia/Lord_Howe", "2025-04-06 01:45", "2025-04-05 14:45"),  # half an hour comes twice
        ("Australia/Lord_Howe", "2025-04-06 02:00", "2025-04-05 15:30"),
        ("Asia/Manila", "2025-03-30 02:30", "2025-03-29 18:30"),
        ("Pacific/Apia", "2011-12-30 12:00", "2011-12-30 10:00"),  # the day that Samoa left out
        ("Africa/Casablanca", "2025-02-23 02:30", "2025-02-23 01:30"),  # goes back for Ramadan
    ],
)
def test_e7_a_wall_time_that_is_missing_or_comes_twice_has_one_written_meaning(
    zone: str, wall: str, utc: str
) -> None:
    assert instant(datetime.fromisoformat(wall), ZoneInfo(zone)) == at(utc)


@pytest.mark.parametrize(
    ("zone", "start", "weeks"),
    [
        ("Europe/Berlin", "2025-03-17 08:00",
         ["03-17 08:00 168h ana", "03-24 08:00 167h ben", "03-31 07:00 168h ana"]),
        ("Europe/Berlin", "2025-10-13 07:00",
         ["10-13 07:00 168h ana", "10-20 07:00 169h ben", "10-27 08:00 168h ana"]),
        ("America/New_York", "2025-03-03 14:00",
         ["03-03 14:00 167h ana", "03-10 13:00 168h ben", "03-17 13:00 168h ana"]),
        ("America/New_York", "2025-10-20 13:00",
         ["10-20 13:00 168h ben", "10-27 13:00 169h ana", "11-03 14:00 168h ben"]),
        ("Australia/Lord_Howe", "2025-03-23 22:00",
         ["03-23 22:00 168h ben", "03-30 22:00 168.5h ana", "04-06 22:30 168h ben"]),
        ("Australia/Lord_Howe", "2025-09-21 22:30",
         ["09-21 22:30 168h ben", "09-28 22:30 167.5h ana", "10-05 22:00 168h ben"]),
        ("Asia/Manila", "2025-03-24 01:00",
         ["03-24 01:00 168h ben", "03-31 01:00 168h ana", "04-07 01:00 168h ben"]),
    ],
)  # fmt: skip
def test_e7_weeks_begin_at_nine_on_the_wall_and_one_with_a_change_is_shorter_or_longer(
    zone: str, start: str, weeks: list[str]
) -> None:
    team = schedule(zone, layer("ana ben", "Mon 09:00", "1w", start="2025-01-06"))
    nine = at(start)
    found = team.spans(nine, nine + timedelta(days=28))
    assert shown(found)[:3] == weeks
    assert {span.start.astimezone(ZoneInfo(zone)).strftime("%a %H:%M") for span in found} == {"Mon 09:00"}


@pytest.mark.parametrize(
    ("zone", "handoff", "start", "turns"),
    [
        # 02:30 is missing on the 30th: the turn begins when the clock shows 03:00.
        ("Europe/Berlin", "02:30", "2025-03-29 01:30",
         ["03-29 01:30 23.5h ana", "03-30 01:00 23.5h ben", "03-31 00:30 24h ana"]),
        # 02:30 comes twice on the 26th: the turn begins at the first.
        ("Europe/Berlin", "02:30", "2025-10-25 00:30",
         ["10-25 00:30 24h ana", "10-26 00:30 25h ben", "10-27 01:30 24h ana"]),
        ("America/New_York", "02:30", "2025-03-08 07:30",
         ["03-08 07:30 23.5h ben", "03-09 07:00 23.5h ana", "03-10 06:30 24h ben"]),
        ("America/New_York", "01:30", "2025-11-01 05:30",
         ["11-01 05:30 24h ben", "11-02 05:30 25h ana", "11-03 06:30 24h ben"]),
        ("Australia/Lord_Howe", "02:15", "2025-10-03 15:45",
         ["10-03 15:45 23.75h ben", "10-04 15:30 23.75h ana", "10-05 15:15 24h ben"]),
        ("Australia/Lord_Howe", "01:45", "2025-04-04 14:45",
         ["04-04 14:45 24h ben", "04-05 14:45 24.5h ana", "04-06 15:15 24h ben"]),
        ("Asia/Manila", "02:30", "2025-03-29 18:30",
         ["03-29 18:30 24h ben", "03-30 18:30 24h ana", "03-31 18:30 24h ben"]),
    ],
)  # fmt: skip
def test_e7_a_daily_handoff_in_the_hour_that_changes_happens_once(
    zone: str, handoff: str, start: str, turns: list[str]
) -> None:
    team = schedule(zone, layer("ana ben", handoff, "1d"))
    assert shown(team.spans(at(start), at(start) + timedelta(days=4)))[:3] == turns


def test_e7_turns_of_hours_keep_their_place_on_the_wall() -> None:
    team = schedule("Europe/Berlin", layer("ana ben", "08:00", "12h", start="2025-03-01"))
    assert shown(team.spans(at("2025-03-29 07:00"), at("2025-03-31 06:00"))) == [
        "03-29 07:00 12h ana", "03-29 19:00 11h ben", "03-30 06:00 12h ana", "03-30 18:00 12h ben",
    ]  # fmt: skip
    assert shown(team.spans(at("2025-10-25 06:00"), at("2025-10-27 07:00"))) == [
        "10-25 06:00 12h ana", "10-25 18:00 13h ben", "10-26 07:00 12h ana", "10-26 19:00 12h ben",
    ]  # fmt: skip


def test_e7_a_turn_that_falls_into_the_missing_hour_has_no_length() -> None:
    team = schedule("Europe/Berlin", layer("ana ben cyd", "00:00", "1h", start="2025-03-30"))
    assert shown(team.spans(at("2025-03-29 23:00"), at("2025-03-30 03:00"))) == [
        "03-29 23:00 1h ana", "03-30 00:00 1h ben", "03-30 01:00 1h ana", "03-30 02:00 1h ben",
    ]  # fmt: skip


def test_e7_hours_of_the_day_and_nights_follow_the_wall() -> None:
    office = schedule("Europe/Berlin", layer("ana", windows=hours("09:00-17:00")))
    assert shown(office.spans(at("2025-03-29 06:00"), at("2025-03-30 18:00"))) == [
        "03-29 06:00 2h -", "03-29 08:00 8h ana", "03-29 16:00 15h -", "03-30 07:00 8h ana", "03-30 15:00 3h -",
    ]  # fmt: skip
    night = schedule("Europe/Berlin", layer("ana", windows=hours("22:00-06:00")))
    assert "03-29 21:00 7h ana" in shown(night.spans(at("2025-03-29 12:00"), at("2025-03-30 12:00")))
    assert "10-25 20:00 9h ana" in shown(night.spans(at("2025-10-25 12:00"), at("2025-10-26 12:00")))
    missing = schedule("Europe/Berlin", layer("ana", windows=hours("02:00-03:00")))
    assert shown(missing.spans(at("2025-03-29 12:00"), at("2025-03-30 12:00"))) == ["03-29 12:00 24h -"]


def test_e7_neighbouring_hours_leave_no_hole_and_no_overlap_around_a_change() -> None:
    for edge in ("01:30", "02:00", "02:15", "02:30", "03:00"):
        for zone in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe"):
            early = layer("ana", windows=hours(f"00:00-{edge}"), name="early")
            late = layer("ben", windows=hours(f"{edge}-24:00"), name="late")
            for month in ("03-01", "10-01"):
                begin = at(f"2025-{month} 00:00")
                found = schedule(zone, early, late).spans(begin, begin + timedelta(days=40))
                assert all(span.people for span in found), (zone, edge)
                # Were there an overlap, the order of the two would matter.
                assert [(s.start, s.people) for s in found] == [
                    (s.start, s.people)
                    for s in schedule(zone, late, early).spans(begin, begin + timedelta(days=40))
                ]


def test_e7_an_override_given_as_wall_time_follows_the_same_rules() -> None:
    zone = ZoneInfo("Europe/Berlin")
    start, end = (Moment.from_text(f"2025-03-30 {time}").at(zone) for time in ("02:30", "04:00"))
    team = schedule("Europe/Berlin", layer("ana"), overrides=[override(start, end, "ben")])
    assert "03-30 01:00 1h ben" in shown(team.spans(at("2025-03-30 00:00"), at("2025-03-30 04:00")))
    assert Moment.from_text("2025-10-26T02:30:00+01:00").at(zone) == at(
        "2025-10-26 01:30"
    )  # the second, by offset


def test_l5_a_restriction_to_hours_is_kept_across_restarts_and_a_change_of_the_clock() -> None:
    """L5: nothing is remembered between two answers, so a process that starts anew every hour says the same."""

    def fresh() -> Roster:
        layers = layer("ana ben", "Mon 09:00", windows=hours("09:00-17:00"), start="2025-01-06")
        return Roster({"team": schedule("Europe/Berlin", layers)})

    begin = at("2025-03-28 00:00")
    whole = fresh().spans("team", begin, begin + timedelta(days=4))
    for hour in range(4 * 24):
        moment = begin + timedelta(hours=hour)
        expected = next(span.people for span in whole if span.start <= moment < span.end)
        assert fresh().people("team", moment) == expected
        wall = moment.astimezone(ZoneInfo("Europe/Berlin"))
        assert bool(expected) is (9 <= wall.hour < 17)
