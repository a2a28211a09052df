"""Times as people write them, and what they are told where that cannot be read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from shifts import at, hours, layer, schedule, shown

from responder.oncall.notation import Day, Days, Handoff, Hours, Moment, Window


@pytest.mark.parametrize(
    ("kind", "text", "means"),
    [
        (Handoff, "Mon 09:00", Handoff(timedelta(hours=9), 0)),
        (Handoff, "sunday 9:05", Handoff(timedelta(hours=9, minutes=5), 6)),
        (Handoff, "00:00", Handoff(timedelta(0))),
        (Hours, "09:00-17:00", Hours(timedelta(hours=9), timedelta(hours=8))),
        (Hours, "22:00 - 06:00", Hours(timedelta(hours=22), timedelta(hours=8))),
        (Hours, "00:00-24:00", Hours(timedelta(0), timedelta(hours=24))),
        (Hours, "17:00-24:00", Hours(timedelta(hours=17), timedelta(hours=7))),
        (Days, "Tue", Days((1,))),
        (Days, "Mon-Fri", Days((0, 1, 2, 3, 4))),
        (Days, "Sat-Mon", Days((5, 6, 0))),
        (Window, "Fri 17:00-Mon 09:00", Window(4, timedelta(hours=17), timedelta(hours=64))),
        (Window, "Fri 00:00-Sun 24:00", Window(4, timedelta(0), timedelta(days=3))),
        (Window, "Sun 22:00-Mon 02:00", Window(6, timedelta(hours=22), timedelta(hours=4))),
    ],
)
def test_a_time_is_read_as_it_is_meant(kind: type, text: str, means: object) -> None:
    assert kind.from_text(text) == means  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (Handoff, "Moon 09:00", "expected a weekday"),
        (Handoff, "9", "expected a time of day such as 09:00, got '9'"),
        (Handoff, "Mon 24:00", "expected a time of day"),
        (Handoff, "Mon 25:00", "expected a time of day"),
        (Hours, "09:00", "expected hours such as 09:00-17:00"),
        (Hours, "09:00-09:00", "begins and ends at the same time; leave it out for the whole day"),
        (Days, "Mon-", "expected a weekday"),
        (Window, "Fri-Mon", "expected a time of day"),
        (Window, "17:00-Mon 09:00", "expected weekdays on both sides"),
        (Window, "Mon 00:00-Sun 24:00", "leave it out for the whole week"),
        (Window, "Mon 09:00-Mon 09:00", "leave it out for the whole week"),
        (Day, "2026-13-01", "expected a date such as 2026-01-05"),
        (Day, "0001-01-01", "expected a date"),
        (Moment, "noon", "expected a time such as 2026-12-24 09:00"),
        (Moment, "9999-12-31T23:00:00Z", "expected a time"),
        (Moment, "2026-12-24 09:00 PST", "PST means different zones .* give an offset"),
        (Moment, "2026-12-24T09:00:00CET", "CET means different zones"),
        (Moment, "2026-12-24P09:00Z", "expected a time"),
        (Moment, "2026-W52-4T09:00Z", "expected a time"),
        (Moment, "20261224T090000Z", "expected a time"),
    ],
)
def test_a_mistake_is_told_with_what_would_be_right(kind: type, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        kind.from_text(text)  # type: ignore[attr-defined]


def test_a_weekend_is_one_stretch_of_the_week() -> None:
    weekend = layer("wim", windows=[Window.from_text("Fri 17:00-Mon 09:00")])
    assert shown(schedule("UTC", weekend).spans(at("2025-06-05 00:00"), at("2025-06-10 00:00"))) == [
        "06-05 00:00 41h -", "06-06 17:00 64h wim", "06-09 09:00 15h -",
    ]  # fmt: skip


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    friday_night = layer("ana", windows=hours("22:00-06:00", days=[4]))
    assert shown(schedule("UTC", friday_night).spans(at("2025-06-05 00:00"), at("2025-06-08 00:00"))) == [
        "06-05 00:00 46h -", "06-06 22:00 8h ana", "06-07 06:00 18h -",
    ]  # fmt: skip


def test_a_start_and_an_end_move_on_to_the_next_handoff() -> None:
    bounded = layer("ana ben", "Mon 09:00", "1w", start="2025-06-03", end="2025-06-17")
    assert shown(schedule("UTC", bounded).spans(at("2025-06-01 00:00"), at("2025-07-01 00:00"))) == [
        "06-01 00:00 201h -", "06-09 09:00 168h ana", "06-16 09:00 168h ben", "06-23 09:00 183h -",
    ]  # fmt: skip


def test_later_layers_win_where_they_say_something() -> None:
    team = schedule(
        "UTC",
        layer("ana", name="base"),
        layer("ben", windows=hours("08:00-12:00"), name="mornings"),
        layer(
            "cyd", start="2025-06-03", handoff="00:00", every="1d", windows=hours("10:00-11:00"), name="hour"
        ),
    )
    found = team.spans(at("2025-06-03 00:00"), at("2025-06-04 00:00"))
    assert [(s.people[0], s.layer) for s in found] == [
        ("ana", "base"), ("ben", "mornings"), ("cyd", "hour"), ("ben", "mornings"), ("ana", "base"),
    ]  # fmt: skip


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(ValueError, match="the end must come after the start"):
        schedule("UTC", layer("ana")).spans(at("2025-06-03"), at("2025-06-03"))
