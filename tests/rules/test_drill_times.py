"""``drills`` in rule files: their times on the wall of a zone, and every mistake with its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from responder.catalogue import catalogue
from responder.rules.compile import Compiled, Timing
from responder.rules.drills import Drill
from responder.rules.load import Surroundings, load

BASE = "escalation: {database: {primary: dbteam}, platform: {primary: platform}}\n"


def problems(tmp_path: Path, drills: str) -> list[str]:
    (tmp_path / "rules.yaml").write_text(BASE + drills)
    found = load([str(tmp_path)], Surroundings(catalogue=catalogue()))
    return [str(one).removeprefix(f"{tmp_path}/") for one in found.problems]


def drill(tmp_path: Path, at: str, timezone: str = "") -> Drill:
    zone = f", timezone: {timezone}" if timezone else ""
    (tmp_path / "rules.yaml").write_text(f"{BASE}drills: [{{name: d, service: database, at: '{at}'{zone}}}]")
    found = load([str(tmp_path)], Surroundings(catalogue=catalogue()))
    assert found.raw is not None, found.problems
    [only] = Compiled(found.raw, Timing()).drills
    return only


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("when", "zone", "now", "latest"),
    [
        ("Wed 10:00", "", "2026-11-25 10:00", "2026-11-25 10:00"),
        ("Wed 10:00", "", "2026-11-25 09:59", "2026-11-18 10:00"),
        ("Wed 10:00", "", "2026-12-01 23:00", "2026-11-25 10:00"),
        ("Wed 10:00", "Asia/Manila", "2026-11-25 02:00", "2026-11-25 02:00"),
        ("Mon 00:30", "Pacific/Auckland", "2026-11-22 12:00", "2026-11-22 11:30"),
        ("09:00", "", "2026-11-25 08:00", "2026-11-24 09:00"),
        # Berlin: 10:00 is 09:00 UTC in winter and 08:00 UTC in summer.
        ("Sun 10:00", "Europe/Berlin", "2026-03-28 12:00", "2026-03-22 09:00"),
        ("Sun 10:00", "Europe/Berlin", "2026-03-29 12:00", "2026-03-29 08:00"),
        # 02:30 does not exist that night, and comes twice in autumn: the first time counts.
        ("Sun 02:30", "Europe/Berlin", "2026-03-29 12:00", "2026-03-29 01:00"),
        ("Sun 02:30", "Europe/Berlin", "2026-10-25 12:00", "2026-10-25 00:30"),
    ],
)
def test_a_drill_was_last_due_at_its_time_on_the_wall(
    tmp_path: Path, when: str, zone: str, now: str, latest: str
) -> None:
    assert drill(tmp_path, when, zone).latest(at(now)) == at(latest)


def test_each_occurrence_follows_the_one_before_within_a_week_and_an_hour(tmp_path: Path) -> None:
    one = drill(tmp_path, "Sun 02:30", "Europe/Berlin")
    now, before = at("2026-01-01 00:00"), one.latest(at("2026-01-01 00:00"))
    while now < at("2027-01-01 00:00"):
        now += timedelta(hours=5)
        found = one.latest(now)
        assert found <= now
        assert found == before or timedelta(days=6, hours=22) < found - before < timedelta(days=7, hours=2)
        before = found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("drills: {}", "expected a list"),
        ("drills: [{service: database, at: 'Wed 10:00'}]", "missing name"),
        ("drills: [{name: d, service: database}]", "missing at"),
        ("drills: [{name: d, service: database, at: 'Wed 25:00'}]", "expected a time of day such as 09:00"),
        ("drills: [{name: d, service: database, at: 'Wen 10:00'}]", "expected a weekday"),
        ("drills: [{name: d, service: database, at: '10:00', timezone: Mars/Olympus}]", "expected a time zone"),
        ("drills: [{name: d, service: database, at: '10:00', severity: P9}]", "expected one of P1, P2, P3, P4"),
        ("drills: [{name: d, service: database, at: '10:00', every: 1w}]", "unknown key 'every'"),
        (f"drills: [{{name: {'n' * 65}, service: database, at: '10:00'}}]", "expected 1 to 64 characters"),
        (
            "drills: [{name: d, service: database, at: '10:00'}, {name: d, service: database, at: '11:00'}]",
            "'d' is defined twice",
        ),
        ("drills: [{name: d, service: databse, at: '10:00'}]", 'no row in escalation (did you mean "database"?)'),
    ],
)  # fmt: skip
def test_a_mistake_says_what_would_be_right(tmp_path: Path, text: str, says: str) -> None:
    found = problems(tmp_path, text)
    assert any(says in one for one in found), found
