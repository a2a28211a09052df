"""Rule files: matching, grouping, severities, and every problem of every file at once."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES
from hypothesis import given, settings
from hypothesis import strategies as st

from responder.catalogue import catalogue
from responder.config import Config
from responder.incident.severity import Level, Severity
from responder.rules.compile import Compiled, Timing
from responder.rules.explain import as_text, explain
from responder.rules.load import LoadedRules, Surroundings, load

BASE = """
escalation:
  database: {primary: dbteam, secondary: platform, executive: cto}
  platform: {primary: "@platform"}
"""


def loading(tmp_path: Path, *texts: str, around: Surroundings | None = None) -> LoadedRules:
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.yaml").write_text(text)
    return load([str(tmp_path)], around or Surroundings(catalogue=catalogue()))


def compiled(tmp_path: Path, *texts: str, channels: tuple[str, ...] = ("log",)) -> Compiled:
    found = loading(tmp_path, *texts)
    assert found.raw is not None, [str(one) for one in found.problems]
    return Compiled(found.raw, Timing(channels=channels))


def says(tmp_path: Path, *texts: str, around: Surroundings | None = None) -> list[str]:
    found = loading(tmp_path, *texts, around=around)
    return [str(one).removeprefix(f"{tmp_path}/") for one in found.problems]


def test_the_first_rule_in_file_order_takes_the_alert(tmp_path: Path) -> None:
    rules = compiled(
        tmp_path,
        BASE,
        "rules: [{name: a, match: ['x=~\"1|2\"'], severity: P1, service: database}]",
        "rules: [{name: b, match: ['x=\"1\"'], severity: P2, service: database}, {name: c, severity: P3, service: platform}]",
    )
    assert [rules.match({"x": x}).rule for x in ("1", "2", "3")] == ["a", "a", "c"]


def test_what_no_rule_takes_falls_to_the_shipped_default(tmp_path: Path) -> None:
    verdict = compiled(tmp_path, BASE).match({"alertname": "Anything"})
    assert (verdict.rule, verdict.severity, verdict.service, verdict.unmatched) == (
        "default",
        "P3",
        "platform",
        True,
    )


def test_an_unknown_severity_falls_to_the_stated_default_and_is_marked(tmp_path: Path) -> None:
    rules = compiled(
        tmp_path,
        BASE,
        "rules: [{name: a, severity: {label: severity, map: {critical: P1, info: P4}, default: P2}, service: database}]",
    )
    assert [
        (v.severity, v.severity_defaulted)
        for v in (rules.match({"severity": s} if s else {}) for s in ("critical", "info", "odd", ""))
    ] == [("P1", False), ("P4", False), ("P2", True), ("P2", True)]


def test_a_service_of_a_label_is_taken_bounded_and_never_a_metric_label_unless_named(tmp_path: Path) -> None:
    rules = compiled(tmp_path, BASE, "rules: [{name: a, severity: P1, service: {label: service}}]")
    known, odd, none = (rules.match({"service": s} if s else {}) for s in ("database", "x\ny" * 200, ""))
    assert (known.service, known.service_label) == ("database", "database")
    assert odd.service_label == "other"
    assert len(odd.service) <= 100
    assert "\n" not in odd.service
    assert none.service == "platform"
    assert rules.policy(odd.service).row == "platform"


def test_alerts_that_agree_on_group_by_share_an_incident_whatever_else_differs(tmp_path: Path) -> None:
    rules = compiled(
        tmp_path, BASE, "rules: [{name: a, severity: P1, service: database, group_by: [cluster, db]}]"
    )
    one = rules.match({"cluster": "c", "db": "d", "pod": "1", "alertname": "X"})
    same = rules.match({"pod": "2", "alertname": "Y", "db": "d", "cluster": "c"})
    other = rules.match({"cluster": "c", "db": "e"})
    shifted = rules.match({"cluster": "cd", "db": ""})
    assert one.key == same.key
    assert len({one.key, other.key, shifted.key}) == 3


def test_without_group_by_an_incident_is_rule_service_and_alertname(tmp_path: Path) -> None:
    rules = compiled(tmp_path, BASE)
    assert rules.match({"alertname": "X", "pod": "1"}).key == rules.match({"alertname": "X", "pod": "2"}).key
    assert rules.match({"alertname": "X"}).key != rules.match({"alertname": "Y"}).key


def test_d4_the_key_survives_a_reload_and_another_order_of_labels(tmp_path: Path) -> None:
    text = "rules: [{name: a, severity: P1, service: database, group_by: [x, y]}]"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = compiled(tmp_path / "a", BASE, text).match({"x": "1", "y": "2"}).key
    again = compiled(tmp_path / "b", BASE, text.replace("[x, y]", "[y, x]")).match({"y": "2", "x": "1"}).key
    assert first == again


def test_levels_default_to_a_third_and_the_whole_of_the_response_time(tmp_path: Path) -> None:
    policy = compiled(tmp_path, BASE, "severities: {P2: {respond_within: 30m}}").policy("database")
    assert policy.severities[Severity.P1].respond_within == timedelta(minutes=15)
    assert policy.severities[Severity.P2].escalate == {
        Level.SECONDARY: timedelta(minutes=10),
        Level.EXECUTIVE: timedelta(minutes=30),
    }
    assert policy.contacts[Level.PRIMARY] == "dbteam"


def test_a_contacts_channels_come_before_the_severitys_and_these_before_all(tmp_path: Path) -> None:
    rules = compiled(
        tmp_path,
        BASE,
        "severities: {P2: {respond_within: 1h, channels: [chat]}}\n"
        "contacts: {dbteam: {email: db@x.example, channels: {P1: [phone, chat]}}}",
        channels=("chat", "phone", "mail"),
    )
    channels = rules.policy("database").channels["dbteam"]
    assert [str(step) for step in channels[Severity.P1]] == ["phone", "chat"]
    assert [str(step) for step in channels[Severity.P2]] == ["chat"]
    assert [str(step) for step in channels[Severity.P3]] == ["chat", "phone", "mail"]


INVALID = Path(__file__).parent / "invalid"


@pytest.mark.parametrize("path", sorted(INVALID.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_mistake_is_told_where_it_stands_with_what_would_be_right(path: Path) -> None:
    expected = path.read_text().splitlines()[0].removeprefix("# ")
    around = Surroundings(catalogue=catalogue(), channels=("chat",), targets={"http": frozenset({"api"})})
    found = [str(one).removeprefix(f"{path}:") for one in load([str(path)], around).problems]
    assert expected in found


def test_a_name_defined_twice_names_both_places(tmp_path: Path) -> None:
    text = "runbooks:\n  a: {summary: x}\n"
    assert any("1.yaml:2:3: error: runbooks: 'a' is defined twice, first at" in one and "0.yaml:2" in one
               for one in says(tmp_path, text + BASE, text))  # fmt: skip


def test_a_rule_that_can_never_match_is_a_warning(tmp_path: Path) -> None:
    found = says(
        tmp_path,
        BASE
        + """
rules:
  - {name: wide, match: ['a=~"x|y|z"'], severity: P1, service: database}
  - {name: hidden, match: ['a="x"', 'b="c"'], severity: P1, service: database}
  - {name: open, match: ['a=~"x|w"'], severity: P1, service: database}
""",
    )
    assert [one for one in found if "can never match" in one] == [found[0]]
    assert "hidden can never match: wide" in found[0]
    assert ": warning: " in found[0]


def test_each_circle_of_dependencies_is_told_once_and_what_only_leads_to_one_is_none(tmp_path: Path) -> None:
    found = says(
        tmp_path,
        BASE
        + """
services:
  web: {depends_on: [api]}
  api: {depends_on: [database, queue]}
  queue: {depends_on: [api, alone]}
  alone: {depends_on: [alone]}
""",
    )
    assert [one.partition(": error: ")[2] for one in found] == [
        "services.api: depends on itself: api -> queue -> api; take one of these out",
        "services.alone: depends on itself: alone -> alone; take one of these out",
    ]


def test_a_long_chain_of_dependencies_is_no_circle_and_checked_in_a_moment(tmp_path: Path) -> None:
    chain = {f"s{n}": {"depends_on": [f"s{n + 1}", f"s{n + 2}"]} for n in range(3_000)}
    chain |= {"s3000": {}, "s3001": {}}
    assert says(tmp_path, BASE, json.dumps({"services": chain})) == []


def test_a_thousand_rules_are_checked_in_a_moment(tmp_path: Path) -> None:
    rules = [
        {"name": f"r{n}", "match": [f'alertname="A{n}"'], "severity": "P1", "service": "platform"}
        for n in range(3_000)
    ]
    text = json.dumps({"rules": rules})  # JSON is YAML
    found = loading(tmp_path, BASE, text)
    assert found.raw is not None
    assert len(found.raw.rules) == 3_000


label_values = st.sampled_from(["", "a", "b", "ab", "PgBouncerX", "x y", "é"])
matcher_texts = st.builds(
    lambda name, op, value: f'{name}{op}"{value}"',
    st.sampled_from(["x", "y", "alertname"]),
    st.sampled_from(["=", "!=", "=~", "!~"]),
    st.sampled_from(["", "a", "b", "a|b", "a.*", ".*b", "PgBouncer.+", "[ab]+", "(?i)A"]),
)


@settings(max_examples=60, deadline=None)
@given(
    rules=st.lists(st.lists(matcher_texts, max_size=3), max_size=8),
    labels=st.dictionaries(st.sampled_from(["x", "y", "alertname"]), label_values),
)
def test_the_index_takes_the_rule_that_trying_each_would_take(
    tmp_path_factory: pytest.TempPathFactory, rules: list[list[str]], labels: dict[str, str]
) -> None:
    listed = [
        {"name": f"r{n}", "match": m, "severity": "P1", "service": "platform"} for n, m in enumerate(rules)
    ]
    found = compiled(tmp_path_factory.mktemp("rules"), BASE, json.dumps({"rules": listed}))
    by_trying = next((rule for rule in found.rules if rule.matches(labels)), found.default)
    assert found.rule_for(labels) is by_trying


def shipped() -> Compiled:
    found = load(["rules/"], Surroundings(catalogue=catalogue()))
    assert found.problems == ()
    assert found.raw is not None
    return Compiled(found.raw, Timing(channels=("log",)))


@pytest.mark.parametrize(
    ("service", "row"),
    [
        ("database", ("dbteam", "platform", "cto")),
        ("api", ("backend", "platform", "cto")),
        ("dashboards", ("frontend", "analytics", "cpo")),
        ("ml", ("datascience", "platform", "cto")),
    ],
)
def test_the_shipped_matrix_is_the_runbooks_row_by_row(service: str, row: tuple[str, ...]) -> None:
    assert tuple(shipped().policy(service).contacts[level] for level in Level) == row


def test_the_shipped_severities_are_the_runbooks() -> None:
    severities = shipped().policy("database").severities
    assert [severities[s].respond_within for s in Severity] == [
        timedelta(minutes=15), timedelta(hours=1), timedelta(hours=4), timedelta(hours=24),
    ]  # fmt: skip
    for promise in severities.values():
        assert promise.escalate[Level.SECONDARY] == promise.respond_within / 3
        assert promise.escalate[Level.EXECUTIVE] == promise.respond_within


@pytest.mark.parametrize(
    ("labels", "service", "runbook"),
    [
        (
            {"alertname": "PostgresTooManyConnections", "severity": "critical"},
            "database",
            "database-connection-errors",
        ),
        (
            {"alertname": "PgBouncerPoolSaturated", "severity": "warning"},
            "database",
            "database-connection-errors",
        ),
        ({"alertname": "PostgreSQLDown"}, "database", "database-connection-errors"),
        ({"alertname": "HighAPILatency", "severity": "critical"}, "api", "high-api-latency"),
        ({"alertname": "EdgeFunctionErrors"}, "api", "high-api-latency"),
        ({"alertname": "SupersetDashboardError"}, "dashboards", "superset-dashboard-errors"),
        (
            {"alertname": "KubePodCrashLooping", "namespace": "analytics"},
            "dashboards",
            "superset-dashboard-errors",
        ),
        ({"alertname": "MLJobFailed"}, "ml", None),
        ({"alertname": "KubePodCrashLooping", "namespace": "web"}, "platform", "kubernetes-workloads"),
        ({"alertname": "BlackboxProbeFailed", "severity": "critical"}, "api", "health-checks"),
        ({"alertname": "NodeFilesystemAlmostOutOfSpace"}, "platform", None),
        ({"alertname": "AlertmanagerFailedToSendAlerts"}, "monitoring", None),
    ],
)
def test_the_shipped_rules_take_what_exporters_emit(
    labels: dict[str, str], service: str, runbook: str | None
) -> None:
    verdict = shipped().match(labels)
    assert (verdict.service, verdict.runbook) == (service, runbook)
    assert not verdict.unmatched


def test_the_shipped_rules_take_every_recorded_alert_without_raising_and_the_runbooks_by_a_rule() -> None:
    rules = shipped()
    for path in FIXTURES.glob("*.json"):
        decoded: Any = json.loads(path.read_bytes())
        for alert in decoded.get("alerts", []) if isinstance(decoded, dict) else []:
            verdict = rules.match(alert["labels"])
            if path.name.startswith(("runbook-", "watchdog", "prometheus-")):
                assert not verdict.unmatched, path.name


def test_the_explanation_says_why_each_earlier_rule_did_not_match(tmp_path: Path) -> None:
    rules = compiled(
        tmp_path,
        BASE
        + "rules: [{name: a, match: ['env=\"prod\"'], severity: P1, service: database}, "
        + "{name: b, match: ['env=~\"dev.*\"'], severity: P2, service: database}]",
    )
    explained = explain(rules, {"env": "dev1"})
    assert (explained.rule, explained.passed_in_all) == ("b", 1)
    assert explained.passed[0].because == "env=\"prod\" does not hold: env is 'dev1'"
    assert [(p.level, p.contact, p.after) for p in explained.paged] == [
        ("primary", "dbteam", "0s"), ("secondary", "platform", "20m"), ("executive", "cto", "1h"),
    ]  # fmt: skip
    assert "executive cto after 1h, over log" in as_text(explained)


def test_the_default_configuration_uses_the_shipped_folder() -> None:
    assert Config().rules == ("rules/",)
