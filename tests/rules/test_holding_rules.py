"""Windows, quiet hours and dependencies as they are written, what explanations say of them, and that the docs are right."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from held import rules_of

from responder.catalogue import catalogue
from responder.holding.foretelling import foretelling
from responder.incident.maintenance import Repeated
from responder.incident.severity import Severity
from responder.rules.explain import Explanation, as_text, explain
from responder.rules.load import Surroundings, load

RULES = """
maintenance:
  - {name: move, match: ['cluster="eu"'], from: 2026-12-24T22:00, to: 2026-12-25 02:00, timezone: Europe/Berlin}
  - {name: backup, match: ['service="database"'], starts: 2026-01-03T02:00, timezone: Asia/Manila, every: FREQ=WEEKLY;BYDAY=SA, lasts: 2h}
quiet_hours: {P3: {hours: "20:00-08:00", during: "Fri 20:00-Mon 08:00"}, P4: {hours: "18:00-09:00", timezone: UTC}}
contacts: {dbteam: {timezone: Europe/Berlin}, backend: {}}
services: {api: {depends_on: [database]}, dashboards: {depends_on: [api]}}
"""


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def explained(tmp_path: Path, when: str, **labels: str) -> Explanation:
    rules = rules_of(tmp_path, RULES)
    holding = foretelling(rules, rules.maintenance, lambda _: {}, at(when))
    return explain(rules, {"alertname": "X", **labels}, holding=holding)


def test_windows_are_read_with_their_times_and_zones(tmp_path: Path) -> None:
    move, backup = rules_of(tmp_path, RULES).maintenance
    assert [str(one) for one in move.matchers] == ['cluster="eu"']
    running = move.when.at(at("2026-12-24 21:30"))
    assert running is not None
    assert (running.start, running.end) == (at("2026-12-24 21:00"), at("2026-12-25 01:00"))
    assert isinstance(backup.when, Repeated)
    assert (backup.when.lasts, backup.when.zone) == (timedelta(hours=2), ZoneInfo("Asia/Manila"))


def test_a_name_that_two_files_give_a_window_is_an_error_with_both_places(tmp_path: Path) -> None:
    window = "maintenance: [{name: m, match: ['x=\"y\"'], from: 2026-01-01T00:00Z, to: 2026-01-02T00:00Z}]"
    (tmp_path / "a.yaml").write_text(window)
    (tmp_path / "b.yaml").write_text(window)
    found = [str(one) for one in load([str(tmp_path)], Surroundings(catalogue=catalogue())).problems]
    assert any(f"maintenance: 'm' is defined twice, first at {tmp_path}/a.yaml:1" in one for one in found)


@pytest.mark.parametrize(
    ("every", "lasts"),
    [
        ("FREQ=DAILY", "23h59m"),
        ("FREQ=WEEKLY;BYDAY=SA,SU", "1d"),
        ("FREQ=DAILY;COUNT=7", "1d"),
        ("FREQ=DAILY;UNTIL=20270110", "1d"),
        ("FREQ=DAILY;BYMONTH=2", "1d"),
        ("FREQ=WEEKLY", "6d"),
        ("FREQ=YEARLY", "7d"),
    ],
)
def test_a_window_that_comes_again_may_begin_as_it_ends_while_it_does_end(
    tmp_path: Path, every: str, lasts: str
) -> None:
    when = f"starts: 2027-01-02T00:00, timezone: UTC, every: '{every}', lasts: {lasts}"
    (tmp_path / "a.yaml").write_text(f"maintenance: [{{name: m, match: ['x=\"y\"'], {when}}}]\n")
    found = [str(one) for one in load([str(tmp_path)], Surroundings(catalogue=catalogue())).problems]
    assert [one for one in found if "maintenance" in one] == []


def test_quiet_hours_are_read_with_the_zones_of_people(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, RULES)
    assert sorted(rules.quiet_hours) == [Severity.P3, Severity.P4]
    assert len(rules.quiet_hours[Severity.P3].windows) == 8
    assert rules.zones == {"dbteam": ZoneInfo("Europe/Berlin")}


@pytest.mark.parametrize(
    ("when", "labels", "expected"),
    [
        ("2026-12-24 21:30", {"cluster": "eu", "service": "api", "severity": "P1"}, ["maintenance by move"]),
        ("2026-12-24 20:30", {"cluster": "eu", "service": "api", "severity": "P1"}, []),
        ("2026-12-24 21:30", {"cluster": "us", "service": "api", "severity": "P1"}, []),
        ("2026-01-02 18:30", {"service": "database", "severity": "P2"}, ["maintenance by backup"]),
        ("2026-01-14 19:30", {"service": "database", "severity": "P3"}, ["quiet hours by dbteam"]),
        ("2026-01-14 18:30", {"service": "database", "severity": "P3"}, []),
        ("2026-01-17 12:00", {"service": "database", "severity": "P3"}, ["quiet hours by dbteam"]),
        ("2026-01-14 19:30", {"service": "api", "severity": "P3"}, []),  # nobody knows on whose wall
        ("2026-01-14 19:30", {"service": "api", "severity": "P4"}, ["quiet hours by backend"]),
    ],
)
def test_an_explanation_says_what_would_hold_the_pages_back_at_a_time(
    tmp_path: Path, when: str, labels: dict[str, str], expected: list[str]
) -> None:
    found = explained(tmp_path, when, **labels)
    assert [f"{one.kind} by {one.by}" for one in found.held] == expected


def test_an_explanation_says_it_in_words_and_what_a_service_stands_on(tmp_path: Path) -> None:
    text = as_text(explained(tmp_path, "2026-12-24 21:30", cluster="eu", service="dashboards", severity="P2"))
    assert "held      back by maintenance: move until 2026-12-25 01:00 UTC" in text
    assert "stands on api, database: attached to what is paged there" in text


def test_d10_alerts_that_say_the_same_are_two_incidents_where_what_they_are_grouped_by_differs(
    tmp_path: Path,
) -> None:
    """Nothing is judged by a summary or a title: only by the rule, the service and the labels of ``group_by``."""
    rules = rules_of(tmp_path)
    one, other = (rules.match({"alertname": "Slow", "service": "api", "cluster": c}) for c in ("eu", "us"))
    assert one.key != other.key
    by_name = (
        rules.match({"alertname": name, "service": "api", "cluster": "eu"}) for name in ("Slow", "Sloww")
    )
    assert len({verdict.key for verdict in by_name}) == 2


def test_the_examples_of_the_documentation_are_read_without_a_problem(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", Path("docs/fewer-pages.md").read_text(), re.DOTALL)
    assert len(blocks) == 3
    for number, block in enumerate(blocks):
        rules = rules_of(tmp_path / str(number), block)
        assert rules.maintenance or rules.quiet_hours or rules.dependencies
