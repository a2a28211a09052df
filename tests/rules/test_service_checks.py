"""Services that nothing is called, wherever they are named, and windows that never come again: warned of, with what was meant."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from responder.catalogue import catalogue
from responder.cli import main
from responder.documents import Place
from responder.rules.load import Surroundings, load
from responder.rules.service_checks import ServiceOf

RULES = """escalation:
  database: {primary: dbteam}
  platform: {primary: plat}
services: {api: {depends_on: [database]}}
"""
NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)
LATER = "from: 2026-12-24T22:00Z, to: 2026-12-25T02:00Z"


def warnings(folder: Path, text: str, *services: ServiceOf) -> list[str]:
    file = folder / "rules.yaml"
    file.write_text(RULES + text)
    found = load([str(file)], Surroundings(catalogue=catalogue(), services=services, now=NOW))
    assert found.raw is not None, found.problems
    return [
        str(one).removeprefix(f"{file}:") for one in found.problems if "is not in contacts" not in str(one)
    ]


@pytest.mark.parametrize(
    ("matcher", "hint"),
    [
        ('service="databse"', '(did you mean "database"?)'),
        ('service="billing"', "(known: api, database, platform, responder)"),
        ('service=~"dat.|bill.*"', "(known: api, database, platform, responder)"),
    ],
)
def test_a_window_over_a_service_that_nothing_is_called_holds_nothing_back_and_says_so(
    tmp_path: Path, matcher: str, hint: str
) -> None:
    (told,) = warnings(tmp_path, f"maintenance:\n  - {{name: m, match: ['{matcher}'], {LATER}}}\n")
    assert (
        told == f"6:5: warning: maintenance.m: {matcher} holds nothing back: no service is called that {hint}"
    )


@pytest.mark.parametrize(
    "matcher", ['service="api"', 'service="responder"', 'service=~"data.*"', 'service!="databse"', 'team="databse"']
)  # fmt: skip
def test_a_window_over_a_service_that_is_there_is_no_worry(tmp_path: Path, matcher: str) -> None:
    text = f"maintenance: [{{name: m, match: ['{matcher}', 'env=\"prod\"'], {LATER}}}]\n"
    assert warnings(tmp_path, text) == []


def test_where_alerts_bring_their_services_only_what_nearly_is_one_is_doubted(tmp_path: Path) -> None:
    rule = "rules: [{name: a, match: ['x=\"y\"'], severity: P2, service: {label: service}}]\n"
    for service, told in (("billing", 0), ("databse", 1)):
        window = f"maintenance: [{{name: m, match: ['service=\"{service}\"'], {LATER}}}]\n"
        assert len(warnings(tmp_path, rule + window)) == told


def test_a_rule_over_a_label_that_nearly_is_a_service_is_doubted(tmp_path: Path) -> None:
    text = "rules:\n  - name: a\n    match: ['env=\"prod\"', 'service=\"{}\"']\n    severity: P2\n    service: database\n"
    assert warnings(tmp_path, text.format("databse")) == [
        '7:27: warning: rule a: service="databse": no service is called that (did you mean "database"?)'
    ]
    assert warnings(tmp_path, text.format("database-proxy")) == []


def test_a_slip_in_one_place_does_not_vouch_for_the_same_slip_in_another(tmp_path: Path) -> None:
    heartbeat = ServiceOf(what="heartbeats[0]", service="databse", place=Place("responder.yaml", 4, 31))
    window = f"maintenance: [{{name: m, match: ['service=\"databse\"'], {LATER}}}]\n"
    assert sorted(warnings(tmp_path, window, heartbeat))[1] == (
        "responder.yaml:4:31: warning: heartbeats[0]: service 'databse' has no row in escalation "
        '(did you mean "database"?); the default\'s is taken'
    )
    assert len(warnings(tmp_path, window, heartbeat)) == 2


@pytest.mark.parametrize(
    ("when", "over"),
    [
        ("from: 2025-12-24T22:00Z, to: 2025-12-25T02:00Z", True),
        ("from: 2026-11-25T09:00Z, to: 2026-11-25T11:00Z", False),
        ("starts: 2026-01-03T02:00, timezone: UTC, every: FREQ=WEEKLY;UNTIL=20260601, lasts: 2h", True),
        ("starts: 2026-01-03T02:00, timezone: UTC, every: FREQ=DAILY;COUNT=3, lasts: 2h", True),
        ("starts: 2026-01-03T02:00, timezone: UTC, every: FREQ=WEEKLY;UNTIL=20261231, lasts: 2h", False),
        ("starts: 2026-11-25T09:00, timezone: UTC, every: FREQ=DAILY;COUNT=1, lasts: 2h", False),
    ],
)
def test_a_window_that_is_over_and_never_comes_again_is_told(tmp_path: Path, when: str, over: bool) -> None:
    told = warnings(tmp_path, f"maintenance:\n  - {{name: m, match: ['service=\"api\"'], {when}}}\n")
    text = "6:5: warning: maintenance.m: is over and never comes again; move its end, or take it out"
    assert told == ([text] if over else [])


def test_check_tells_a_heartbeat_of_a_service_without_a_row_at_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    file = tmp_path / "responder.yaml"
    file.write_text(
        "rules: [rules.yaml]\nheartbeats:\n  - name: backup\n    every: 1h\n    service: databse\n"
    )
    with pytest.raises(SystemExit) as ended:
        main(["check", "--config", str(file)])
    shown = capsys.readouterr().out
    assert f"{file}:5:14: warning: heartbeats[0]: service 'databse' has no row in escalation" in shown
    assert ended.value.code == 0
