"""Schedules and teams of the rule files: every form of them, and what they make of a time."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from shifts import at, shown

from responder.catalogue import catalogue
from responder.oncall.calendar import Event
from responder.oncall.spans import Why
from responder.rules.compile import Compiled, Timing
from responder.rules.load import Surroundings, load

BASE = "escalation: {platform: {primary: dbteam, secondary: platform}}\n"
CONTACTS = "contacts: {ana: {email: ana@x.example}, ben: {}, cyd: {}, dbteam: {slack: C1}}\n"


def compiled(tmp_path: Path, text: str, *, warnings: int = 0) -> Compiled:
    (tmp_path / "rules.yaml").write_text(BASE + text)
    found = load([str(tmp_path)], Surroundings(catalogue=catalogue()))
    assert found.raw is not None, [str(one) for one in found.problems]
    assert len(found.problems) == warnings, [str(one) for one in found.problems]
    return Compiled(found.raw, Timing(channels=("log",)))


def test_the_short_form_is_a_rotation_that_hands_over_every_week(tmp_path: Path) -> None:
    schedule = 'schedules: {dbteam: {timezone: Asia/Manila, rotation: [ana, ben], handoff: "Mon 09:00", overrides: []}}'
    roster = compiled(tmp_path, CONTACTS + schedule).roster
    found = roster.spans("dbteam", at("2026-01-05 01:00"), at("2026-01-26 01:00"))
    assert [s.end - s.start for s in found] == [timedelta(weeks=1)] * 3
    assert [s.people[0] for s in found] in (["ana", "ben", "ana"], ["ben", "ana", "ben"])


def test_the_short_form_works_where_nobody_of_it_is_a_contact_and_is_warned_of(tmp_path: Path) -> None:
    schedule = 'schedules: {dbteam: {timezone: Asia/Manila, rotation: [ana, "@ben"], handoff: "Mon 09:00"}}'
    roster = compiled(tmp_path, schedule, warnings=2).roster
    assert set(roster.everybody("dbteam")) == {"ana", "ben"}


LONG = """
schedules:
  dbteam:
    timezone: Europe/Berlin
    layers:
      - {name: weeks, rotation: [ana, ben], handoff: "Mon 09:00", every: 1w, start: 2025-01-06}
      - {name: office, rotation: [cyd], hours: "09:00-17:00", days: [Mon-Wed, Fri]}
      - {name: nights, rotation: [ben, ana], handoff: "20:00", every: 12h, start: 2025-03-31, end: 2025-04-01,
         hours: ["00:00-02:00", "22:00-24:00"]}
    overrides:
      - {from: "2025-03-30 02:30", to: "2025-03-30 12:00", who: cyd}
      - {from: 2025-04-02T10:00:00Z, to: 2025-04-02T11:00:00Z, who: ["@ana", ben]}
    swaps:
      - {from: 2025-03-31, to: 2025-04-07, between: [ana, ben]}
"""


def test_the_long_form_has_layers_hours_days_overrides_and_swaps(tmp_path: Path) -> None:
    roster = compiled(tmp_path, CONTACTS + LONG).roster
    found = roster.spans("dbteam", at("2025-03-30 00:00"), at("2025-04-03 00:00"))
    assert [f"{one} {span.layer or span.why}" for one, span in zip(shown(found), found, strict=True)] == [
        "03-30 00:00 1h ben weeks",
        "03-30 01:00 9h cyd override",  # 02:30 does not exist: 03:00
        "03-30 10:00 12h ben weeks",
        "03-30 22:00 9h ana weeks",  # the swap begins at midnight
        "03-31 07:00 8h cyd office",
        "03-31 15:00 5h ben weeks",  # ana's week, swapped
        "03-31 20:00 4h ana nights",  # ben's night, swapped; it ends on the 1st
        "04-01 00:00 7h ben weeks",
        "04-01 07:00 8h cyd office",
        "04-01 15:00 16h ben weeks",
        "04-02 07:00 3h cyd office",
        "04-02 10:00 1h ana+ben override",
        "04-02 11:00 4h cyd office",
        "04-02 15:00 9h ben weeks",
    ]


def test_a_team_is_its_members_and_a_name_that_is_contact_and_schedule_is_whom_the_schedule_says(
    tmp_path: Path,
) -> None:
    text = """
contacts: {dbteam: {members: [ana, ben]}, platform: {slack: C2, email: p@x.example}, ana: {}, ben: {}}
schedules: {platform: {timezone: UTC, rotation: [dbteam]}}
"""
    rules = compiled(tmp_path, text)
    assert rules.roster.people("dbteam", at("2025-01-01")) == ("ana", "ben")
    assert rules.roster.people("platform", at("2025-01-01")) == ("ana", "ben")
    assert rules.contacts["platform"].addresses == {"slack": "C2", "email": "p@x.example"}


def test_an_icalendar_schedule_knows_its_place_and_its_people(tmp_path: Path) -> None:
    (tmp_path / "team.ics").write_text("")
    text = """
contacts: {ana: {email: ana@x.example}, ben: {}}
schedules:
  dbteam: {timezone: Asia/Manila, ical: {file: team.ics, refresh: 5m, people: {"Ben Cruz": "@ben"}}}
  platform: {timezone: UTC, ical: {url: "https://calendar.example/secret-token/x.ics"}}
"""
    rules = compiled(tmp_path, text)
    source = rules.calendars["dbteam"]
    assert source.file == str(tmp_path / "team.ics")
    assert source.refresh == timedelta(minutes=5)
    event = Event(start=at("2025-01-01"), end=at("2025-01-02"), summary="shift: Ben Cruz")
    assert source.who.people(event) == ("ben",)
    mail = Event(start=at("2025-01-01"), end=at("2025-01-02"), attendees=(("", "ana@x.example"),))
    assert source.who.people(mail) == ("ana",)
    assert rules.roster.spans("dbteam", at("2025-01-01"), at("2025-01-02"))[0].why is Why.UNKNOWN
    assert rules.roster.everybody("dbteam") == ("ben",)
    assert "secret-token" not in repr(rules.calendars["platform"])


def test_an_address_with_a_token_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://calendar.example/x.ics\n")
    (tmp_path / "rules.yaml").write_text(
        BASE + "schedules: {dbteam: {timezone: UTC, ical: {url_file: url, people: {A: a}}}}"
    )
    found = load([str(tmp_path / "rules.yaml")], Surroundings(catalogue=catalogue()))
    assert found.raw is not None
    url = Compiled(found.raw, Timing()).calendars["dbteam"].url
    assert url is not None
    assert url.reveal() == "https://calendar.example/x.ics"


def test_a_schedule_that_could_not_be_read_is_told_once_and_not_as_an_unknown_name(tmp_path: Path) -> None:
    text = "contacts: {t: {members: [dbteam, ana]}, ana: {}}\nschedules: {dbteam: {timezone: UTC}}"
    (tmp_path / "rules.yaml").write_text(BASE + text)
    found = load([str(tmp_path)], Surroundings(catalogue=catalogue()))
    assert [one.text for one in found.problems] == ["schedules.dbteam: give rotation, layers or ical"]


def test_the_examples_of_the_documentation_are_read_without_a_problem(tmp_path: Path) -> None:
    text = Path("docs/oncall.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    names = ("ana", "ben", "cyd", "dan", "eve", "fay", "gus", "hal", "dbteam", "platform")
    contacts = "contacts: {" + ", ".join(f"{name}: {{}}" for name in names) + "}\n"
    assert len(blocks) == 2
    for number, block in enumerate(blocks):
        one_place = re.sub(r"\n *url: .*", "", block)  # file or url, as it says
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "dbteam.ics").write_text("")
        assert compiled(tmp_path / str(number), contacts + one_place).roster.schedules
