"""What comes again, against another reader of RFC 5545; and that no rule can be written that takes long."""

from __future__ import annotations

import itertools
import re
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from responder.oncall.recurrence import Recurrence, recurrence
from responder.oncall.rrule import Rule


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


FIRST = wall("2026-01-03 02:00")
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


def times(text: str, starts: datetime = FIRST, zone: ZoneInfo | None = None) -> Recurrence:
    return recurrence(Rule.from_text(text), starts, zone or ZoneInfo("UTC"))


def first(text: str, number: int, starts: datetime = FIRST) -> list[str]:
    found = times(text, starts)
    return [f"{one:%F %R}" for one in itertools.islice(found.between(starts, wall("2060-01-01")), number)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FREQ=WEEKLY;BYDAY=SA", ["2026-01-03 02:00", "2026-01-10 02:00", "2026-01-17 02:00"]),
        ("RRULE:FREQ=DAILY;INTERVAL=10", ["2026-01-03 02:00", "2026-01-13 02:00", "2026-01-23 02:00"]),
        ("FREQ=MONTHLY;BYDAY=-1SU", ["2026-01-25 02:00", "2026-02-22 02:00", "2026-03-29 02:00"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", ["2026-01-31 02:00", "2026-03-31 02:00", "2026-05-31 02:00"]),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            ["2026-01-30 02:00", "2026-02-27 02:00", "2026-03-31 02:00"],
        ),
        (
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
            ["2028-02-29 02:00", "2032-02-29 02:00", "2036-02-29 02:00"],
        ),
        ("FREQ=DAILY;COUNT=2", ["2026-01-03 02:00", "2026-01-04 02:00"]),
        ("FREQ=DAILY;UNTIL=20260104", ["2026-01-03 02:00", "2026-01-04 02:00"]),
        ("FREQ=DAILY;UNTIL=20260104T015959", ["2026-01-03 02:00"]),
    ],
)
def test_a_rule_names_these_times(text: str, expected: list[str]) -> None:
    assert first(text, 3) == expected


def test_an_until_in_utc_is_an_instant_on_the_wall_of_the_zone() -> None:
    text = "FREQ=DAILY;UNTIL=20260103T180000Z"
    found = times(text, zone=ZoneInfo("Asia/Manila")).between(FIRST, wall("2026-02-01"))
    assert [f"{one:%F}" for one in found] == ["2026-01-03", "2026-01-04"]


numbers = st.integers(-31, 31).filter(bool)
parts = st.fixed_dictionaries(
    {"FREQ": st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])},
    optional={
        "INTERVAL": st.integers(1, 5).map(str),
        "COUNT": st.integers(1, 12).map(str),
        "BYMONTH": st.lists(st.integers(1, 12), min_size=1, max_size=3, unique=True).map(
            lambda found: ",".join(map(str, found))
        ),
        "BYMONTHDAY": st.lists(numbers, min_size=1, max_size=3, unique=True).map(
            lambda found: ",".join(map(str, found))
        ),
        # That reader takes 1MO,TH for days that are both.
        "BYDAY": st.sampled_from([["", ""], ["1", "-1", "5"]]).flatmap(
            lambda places: st.lists(
                st.tuples(st.sampled_from(places), st.sampled_from(DAYS)), min_size=1, max_size=3, unique=True
            )
        ).map(lambda found: ",".join("".join(one) for one in found)),
        "BYSETPOS": st.sampled_from(["1", "-1", "2", "1,-1"]),
        "WKST": st.sampled_from(["MO", "SU", "WE"]),
    },
)  # fmt: skip


def rule_of(found: dict[str, str]) -> Rule | None:
    try:
        return Rule.from_text(";".join(f"{name}={value}" for name, value in found.items()))
    except ValueError:
        return None


@settings(max_examples=200, deadline=None)
@given(found=parts, day=st.integers(0, 800), look=st.integers(0, 1_500))
def test_it_agrees_with_another_reader_wherever_it_begins_to_look(
    found: dict[str, str], day: int, look: int
) -> None:
    rule = rule_of(found)
    # That reader counts only the rest of the first week where BYSETPOS is given.
    if rule is None or (rule.positions and found["FREQ"] == "WEEKLY"):
        return
    starts = FIRST + timedelta(days=day)
    begin, end = starts + timedelta(days=look), starts + timedelta(days=look + 800)
    endless = times(";".join(part for part in rule.text.split(";") if not part.startswith("COUNT")), starts)
    if endless.following(end + timedelta(days=3_000)) is None:
        return  # that reader would look for the next one until the year 9999
    limit = "" if "COUNT" in found else f";UNTIL={end:%Y%m%dT%H%M%S}"
    other = [one for one in rrulestr(rule.text + limit, dtstart=starts) if begin <= one < end]
    assert list(times(rule.text, starts).between(begin, end)) == other


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=YEARLY;INTERVAL=1000;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=366",
        "FREQ=DAILY;INTERVAL=1000;COUNT=1000;BYMONTH=2;BYMONTHDAY=30",
    ],
)
def test_what_never_comes_is_found_out_at_once(text: str) -> None:
    begun = time.thread_time()
    assert times(text).following(wall("2026-06-01")) is None
    assert time.thread_time() - begun < 2.0  # of our own work: others share the machine


def test_a_look_far_from_the_beginning_costs_no_more_than_one_near_it() -> None:
    found = times("FREQ=DAILY", wall("2000-01-01 02:00"))
    begun = time.thread_time()
    for number in range(200):
        assert list(found.between(wall("2090-01-01") + timedelta(days=number), wall("2090-12-01")))
    assert time.thread_time() - begun < 2.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("FREQ=MINUTELY", "expected FREQ to be one of DAILY, WEEKLY, MONTHLY, YEARLY"),
        ("FREQ=HOURLY", "expected FREQ to be one of"),
        ("BYDAY=SA", "expected FREQ to be one of"),
        ("every saturday", "is no part that is understood here"),
        ("FREQ=DAILY;BYSECOND=0", "is no part that is understood here"),
        ("FREQ=DAILY;FREQ=WEEKLY", "FREQ stands twice"),
        ("FREQ=DAILY;INTERVAL=0", "expected INTERVAL to be a number from 1 to 1000"),
        ("FREQ=DAILY;INTERVAL=99999999", "expected INTERVAL to be a number from 1 to 1000"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20260101", "give either COUNT or UNTIL"),
        ("FREQ=DAILY;UNTIL=20261331", "expected UNTIL to be a time"),
        ("FREQ=WEEKLY;BYDAY=SAT", "expected BYDAY to be days such as SA or -1SU"),
        ("FREQ=WEEKLY;BYDAY=1SA", "a number before a day, as in 1MO"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY does not go with FREQ=WEEKLY"),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS goes with"),
        ("FREQ=MONTHLY;BYMONTHDAY=" + ",".join(["1"] * 100), "BYMONTHDAY has 100 values"),
        ("FREQ=WEEKLY;WKST=X", "expected WKST to be one of"),
    ],
)
def test_a_rule_that_is_not_understood_says_what_would_be(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        Rule.from_text(text)


def test_an_instant_is_kept_as_one() -> None:
    assert Rule.from_text("FREQ=DAILY;UNTIL=20260103T020000Z").until == datetime(2026, 1, 3, 2, 0, tzinfo=UTC)
