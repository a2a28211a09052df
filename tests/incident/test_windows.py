"""Maintenance windows as a function of the time, on the wall of their zone, over both changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from responder.incident.hold import HoldKind
from responder.incident.maintenance import MaintenanceWindow, Once, Repeated, Stretch
from responder.matchers import parse_matcher
from responder.oncall.recurrence import recurrence
from responder.oncall.rrule import Rule

BERLIN, MANILA, NEW_YORK, LORD_HOWE = map(
    ZoneInfo, ("Europe/Berlin", "Asia/Manila", "America/New_York", "Australia/Lord_Howe")
)
HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def repeated(starts: str, every: str, zone: ZoneInfo, lasts: timedelta) -> Repeated:
    times = recurrence(Rule.from_text(every), datetime.fromisoformat(starts), zone)
    return Repeated(times=times, zone=zone, lasts=lasts)


def told(when: Repeated | Once, now: str) -> str:
    running = when.at(at(now))
    return f"{running.start:%m-%d %H:%M} {running.end:%m-%d %H:%M}" if running else ""


SATURDAYS = repeated("2026-01-03T02:00", "FREQ=WEEKLY;BYDAY=SA", MANILA, 2 * HOUR)


def test_a_window_that_comes_again_runs_from_each_of_its_times_for_as_long_as_it_lasts() -> None:
    assert told(SATURDAYS, "2026-01-02 17:59:59") == ""
    assert told(SATURDAYS, "2026-01-02 18:00") == "01-02 18:00 01-02 20:00"
    assert told(SATURDAYS, "2026-01-02 19:59:59") == "01-02 18:00 01-02 20:00"
    assert told(SATURDAYS, "2026-01-02 20:00") == ""
    following = SATURDAYS.following(at("2026-01-02 18:00"))
    assert following == Stretch(at("2026-01-09 18:00"), at("2026-01-09 20:00"))
    assert told(SATURDAYS, "2025-12-26 18:30") == ""  # before it began at all


@pytest.mark.parametrize(
    ("zone", "starts", "now", "expected"),
    [
        # 02:30 does not exist on 29 March: the first moment after the gap
        (BERLIN, "02:30", "2026-03-29 01:00", "03-29 01:00 03-29 03:00"),
        (BERLIN, "02:30", "2026-03-28 01:30", "03-28 01:30 03-28 03:30"),
        # 02:30 comes twice on 25 October: the first of them
        (BERLIN, "02:30", "2026-10-25 00:30", "10-25 00:30 10-25 02:30"),
        (BERLIN, "02:30", "2026-10-25 02:30", ""),
        # a window that the clock goes over is as long as any other
        (BERLIN, "01:00", "2026-03-29 01:59", "03-29 00:00 03-29 02:00"),
        (BERLIN, "01:00", "2026-10-25 00:59", "10-24 23:00 10-25 01:00"),
        (BERLIN, "01:00", "2026-10-25 01:00", ""),
        (NEW_YORK, "02:30", "2026-03-08 07:00", "03-08 07:00 03-08 09:00"),
        (NEW_YORK, "01:30", "2026-11-01 05:30", "11-01 05:30 11-01 07:30"),
        (LORD_HOWE, "02:15", "2026-10-03 15:30", "10-03 15:30 10-03 17:30"),  # half an hour forward
    ],
)
def test_the_clock_moves_its_times_and_never_its_length(
    zone: ZoneInfo, starts: str, now: str, expected: str
) -> None:
    assert told(repeated(f"2026-01-01T{starts}", "FREQ=DAILY", zone, 2 * HOUR), now) == expected


def test_where_stretches_overlap_the_one_that_ends_last_counts_and_there_is_no_gap() -> None:
    when = repeated("2026-01-01T00:00", "FREQ=DAILY", BERLIN, timedelta(hours=30))
    running = when.at(at("2026-01-10 02:00"))
    assert running is not None
    assert running.end == at("2026-01-11 05:00")
    after = when.at(running.end)
    assert after is not None
    assert after.end > running.end


zones = st.sampled_from([BERLIN, MANILA, NEW_YORK, LORD_HOWE])
rules = st.sampled_from(
    ["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=SU", "FREQ=MONTHLY;BYDAY=-1SU", "FREQ=DAILY;INTERVAL=3"]
)


@settings(max_examples=200, deadline=None)
@given(
    zone=zones, rule=rules, hour=st.integers(0, 47), lasts=st.integers(1, 60), minutes=st.integers(0, 600_000)
)
def test_what_comes_next_is_what_runs_when_it_comes_and_nothing_runs_in_between(
    zone: ZoneInfo, rule: str, hour: int, lasts: int, minutes: int
) -> None:
    starts = (datetime.fromisoformat("2026-01-01") + timedelta(minutes=30 * hour)).isoformat()
    when = repeated(starts, rule, zone, lasts * HOUR)
    now = at("2026-01-01 00:00") + timedelta(minutes=minutes)
    following = when.following(now)
    assert following is not None
    assert following.start > now
    assert following.end - following.start == lasts * HOUR
    assert when.at(following.start) == following
    running = when.at(now)
    before = when.at(following.start - timedelta(microseconds=1))
    if running is None:
        assert before is None
    else:
        assert running.start <= now < running.end
        assert before is None or before.start <= now


def window(*match: str, **more: str) -> MaintenanceWindow:
    once = Once(Stretch(at("2026-01-01 00:00"), at("2026-01-01 01:00")))
    return MaintenanceWindow(name="move", matchers=tuple(map(parse_matcher, match)), when=once, **more)


def test_every_matcher_has_to_hold_and_the_service_is_that_of_the_incident() -> None:
    moved = window('cluster="eu"', 'service=~"api|web"')
    labels = {"cluster": "eu", "service": "what the sender says"}
    assert moved.concerns(labels, "api")
    assert not moved.concerns(labels, "database")
    assert not moved.concerns({"cluster": "us"}, "api")
    assert not window('instance!="a"').concerns({"instance": "a"}, "api")
    assert [moved.may_concern(one) for one in ("api", "web", "database")] == [True, True, False]
    assert window('cluster="eu"').may_concern("anything")


def test_what_holds_says_which_window_it_is_who_made_it_and_until_when() -> None:
    one = window('cluster="eu"', id="0123456789abcdef", by="ana", note="the cluster is moved")
    hold = one.hold(Stretch(at("2026-01-01 00:00"), at("2026-01-01 01:00")))
    assert (hold.kind, hold.by) == (HoldKind.MAINTENANCE, "move (0123456789abcdef)")
    assert hold.text == "move: the cluster is moved, set by ana"
    assert hold.until == at("2026-01-01 01:00")
    assert window('cluster="eu"').hold(Stretch(at("2026-01-01 00:00"), at("2026-01-01 01:00"))).text == "move"
