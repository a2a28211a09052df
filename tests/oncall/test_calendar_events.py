"""Whom a calendar's events mean, and what they make of a week."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from shifts import at, shown

from responder.oncall.calendar import OVERLAP_LIMIT, Acquaintances, Event, calendar_of

BERLIN = ZoneInfo("Europe/Berlin")
WHO = Acquaintances(
    {"Ana Reyes": "ana", "Ana": "another-ana", "ben@example.com": "ben"},
    {"cyd": "cyd", "platform": "platform", "cyd@example.com": "cyd"},
)
KNOWN = (at("2025-03-24 00:00"), at("2025-04-07 00:00"))


def event(summary: str = "", *attendees: tuple[str, str]) -> Event:
    return Event(start=KNOWN[0], end=KNOWN[1], summary=summary, attendees=attendees)


@pytest.mark.parametrize(
    ("summary", "attendees", "people"),
    [
        ("Ana Reyes", (), ("ana",)),
        ("  ANA REYES ", (), ("ana",)),
        ("On call: Ana Reyes (backup: Ana)", (), ("ana", "another-ana")),
        ("Anastasia", (), ()),  # whole words only
        ("cyd", (), ("cyd",)),
        ("Platform on-call: Ana Reyes", (), ("ana",)),  # a contact's name is not looked for inside a text
        ("platform rota", (), ()),
        ("On call", (("Ben", "ben@example.com"),), ("ben",)),
        ("Ana Reyes", (("Ben", "BEN@example.com"),), ("ben",)),  # who attends counts more than the title
        ("Ana Reyes", (("Room 7", "room7@example.com"),), ("ana",)),
        ("x", (("Ana Reyes", ""), ("", "cyd@example.com"), ("Ana Reyes", "")), ("ana", "cyd")),
        ("", (), ()),
    ],
)
def test_people_are_known_by_address_by_name_and_by_title(
    summary: str, attendees: tuple[tuple[str, str], ...], people: tuple[str, ...]
) -> None:
    assert WHO.people(event(summary, *attendees)) == people


def test_names_are_taken_as_they_are_written_not_as_patterns() -> None:
    odd = Acquaintances({"a.b (c)": "x", "": "nobody"}, {})
    assert odd.people(event("shift of a.b (c)!")) == ("x",)
    assert odd.people(event("axb (c)")) == ()
    assert odd.people(event("")) == ("nobody",)


def test_all_day_events_are_days_of_the_schedules_zone_also_when_the_clock_changes() -> None:
    midnights = [datetime.fromisoformat(f"2025-03-{day}") for day in (29, 30, 31)]
    days = [Event(start=start, end=end, summary="cyd") for start, end in itertools.pairwise(midnights)]
    found = calendar_of(days, WHO, BERLIN, KNOWN)
    assert shown(found.spans) == ["03-28 23:00 47h cyd"]


def test_events_at_the_same_time_put_all_their_people_on_call() -> None:
    one = Event(start=at("2025-03-25 08:00"), end=at("2025-03-25 16:00"), summary="Ana Reyes")
    two = Event(start=at("2025-03-25 12:00"), end=at("2025-03-25 20:00"), summary="cyd")
    assert shown(calendar_of([two, one], WHO, BERLIN, KNOWN).spans) == [
        "03-25 08:00 4h ana", "03-25 12:00 4h ana+cyd", "03-25 16:00 4h cyd",
    ]  # fmt: skip


def test_events_that_name_nobody_we_know_are_said_and_put_nobody_on_call() -> None:
    found = calendar_of([event("Zoe"), event("Zoe"), event("cyd")], WHO, BERLIN, KNOWN)
    assert found.strangers == ("Zoe",)
    assert [span.people for span in found.spans] == [("cyd",)]


def test_a_thousand_events_at_one_time_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match=f"more than {OVERLAP_LIMIT} events are at the same time"):
        calendar_of([event("cyd")] * 1_000, WHO, BERLIN, KNOWN)


def test_what_lies_outside_of_the_window_is_cut() -> None:
    long = Event(start=KNOWN[0] - timedelta(days=900), end=KNOWN[1] + timedelta(days=900), summary="cyd")
    assert [(s.start, s.end) for s in calendar_of([long], WHO, BERLIN, KNOWN).spans] == [KNOWN]
