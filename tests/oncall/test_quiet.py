"""When people sleep, on their own wall: golden mornings over both changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responder.oncall.layer import covered
from responder.oncall.notation import Days, Hours, Window
from responder.oncall.quiet import is_whole_week, morning
from responder.rules.schedules import stretches

NIGHTS = stretches((Hours.from_text("20:00-08:00"),), ())
WEEKEND = (Window.from_text("Fri 20:00-Mon 08:00"),)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def told(windows: tuple[Window, ...], now: str, zone: str) -> str:
    found = morning(windows, at(now), ZoneInfo(zone))
    return f"{found:%m-%d %H:%M}" if found else ""


@pytest.mark.parametrize(
    ("zone", "now", "expected"),
    [
        ("Europe/Berlin", "2026-01-14 18:59", ""),
        ("Europe/Berlin", "2026-01-14 19:00", "01-15 07:00"),
        ("Europe/Berlin", "2026-01-15 06:59", "01-15 07:00"),
        ("Europe/Berlin", "2026-01-15 07:00", ""),
        ("Europe/Berlin", "2026-03-28 22:00", "03-29 06:00"),  # a night of eleven hours
        ("Europe/Berlin", "2026-10-24 22:00", "10-25 07:00"),  # and one of thirteen
        ("America/New_York", "2026-03-08 03:00", "03-08 12:00"),
        ("America/New_York", "2026-11-01 03:00", "11-01 13:00"),
        ("Asia/Manila", "2026-03-28 22:00", "03-29 00:00"),
        ("Australia/Lord_Howe", "2026-10-03 12:00", "10-03 21:00"),
    ],
)
def test_the_morning_is_that_of_the_persons_own_wall(zone: str, now: str, expected: str) -> None:
    assert told(NIGHTS, now, zone) == expected


@given(
    second=st.integers(0, 330 * 86_400),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Manila"]),
    windows=st.sampled_from([NIGHTS, WEEKEND, (*NIGHTS, *WEEKEND)]),
)
def test_what_is_worked_out_once_a_day_is_what_holds_at_the_instant(
    second: int, zone: str, windows: tuple[Window, ...]
) -> None:
    now = at("2026-01-01") + timedelta(seconds=second)
    spans = covered(windows, now, now + timedelta(days=9), ZoneInfo(zone))
    ends = [end for begin, end in spans if begin <= now < end]
    assert morning(windows, now, ZoneInfo(zone)) == (ends[0] if ends else None)


def test_a_weekend_is_one_night() -> None:
    both = (*NIGHTS, *WEEKEND)
    assert told(both, "2026-01-16 19:30", "Europe/Berlin") == "01-19 07:00"
    assert told(both, "2026-01-18 12:00", "Europe/Berlin") == "01-19 07:00"
    assert told(both, "2026-01-19 12:00", "Europe/Berlin") == ""
    assert told(both, "2026-01-19 20:00", "Europe/Berlin") == "01-20 07:00"


def test_nights_of_some_days_belong_to_the_day_on_which_they_begin() -> None:
    week = stretches((Hours.from_text("20:00-08:00"),), (Days.from_text("Mon-Thu"),))
    assert told(week, "2026-01-16 05:00", "UTC") == "01-16 08:00"  # Thursday's night
    assert told(week, "2026-01-16 22:00", "UTC") == ""  # Friday has none


@pytest.mark.parametrize(
    ("windows", "whole"),
    [
        (NIGHTS, False),
        (WEEKEND, False),
        ((*NIGHTS, *stretches((Hours.from_text("08:00-20:00"),), ())), True),
        (stretches((), ()), True),
        ((Window.from_text("Mon 00:00-Sun 23:59"),), False),
        ((Window.from_text("Wed 10:00-Wed 09:00"), Window.from_text("Wed 08:00-Wed 11:00")), True),
    ],
)
def test_quiet_hours_that_leave_no_time_at_all_are_recognised(
    windows: tuple[Window, ...], whole: bool
) -> None:
    assert is_whole_week(windows) is whole


@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Manila", "Australia/Lord_Howe"]),
    minutes=st.integers(0, 600_000),
    windows=st.lists(st.sampled_from([*NIGHTS, *WEEKEND]), min_size=1, max_size=4),
)
def test_every_night_ends_and_nothing_is_quiet_in_the_moment_of_its_end(
    zone: str, minutes: int, windows: list[Window]
) -> None:
    now, info = at("2026-01-01 00:00") + timedelta(minutes=minutes), ZoneInfo(zone)
    end = morning(windows, now, info)
    if end is not None:
        assert now < end <= now + timedelta(days=9)
        assert morning(windows, end, info) is None
        assert morning(windows, end - timedelta(microseconds=1), info) == end
