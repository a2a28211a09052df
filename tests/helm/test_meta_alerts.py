"""The alerts on responder itself, as Prometheus evaluates them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_chart import FOLDER, Helm

from responder.metrics import Metrics

OPERATIONS = FOLDER.parents[1] / "docs" / "operations.md"
WHO = 'job="responder", namespace="ops"'
HEALTHY = {
    f"up{{{WHO}}}": "1x20",
    f"responder_store_up{{{WHO}}}": "1x20",
    f"responder_blind_mode{{{WHO}}}": "0x20",
    f"responder_wake_lag_seconds{{{WHO}}}": "0x20",
    f"responder_outbox_lag_seconds{{{WHO}}}": "0x20",
    f'responder_overflow_total{{{WHO}, queue="store"}}': "0x20",
    f'responder_overflow_total{{{WHO}, queue="pictures"}}': "0+1x20",  # nobody is woken for that
    f'responder_pages_total{{{WHO}, channel="mail", outcome="failed"}}': "0x20",
    f"responder_config_last_reload_successful{{{WHO}}}": "1x20",
    f"responder_config_stale{{{WHO}}}": "0x20",
    f"responder_alerts_quarantined_total{{{WHO}}}": "0x20",
    # Time begins at 0 here; both keep up with it.
    f"responder_watchdog_last_run_timestamp_seconds{{{WHO}}}": "0+60x20",
    f"responder_canary_last_success_timestamp_seconds{{{WHO}}}": "0+60x20",
}


def groups(helm: Helm) -> Any:
    objects = helm.render({"prometheusRule": {"enabled": True, "alertLabels": {"team": "platform"}}})
    return objects.one("PrometheusRule")["spec"]


def test_they_watch_what_the_operations_manual_says_to_watch(helm: Helm) -> None:
    watched = {metric for rule in groups(helm)["groups"][0]["rules"] for metric in metrics_in(rule["expr"])}
    table = OPERATIONS.read_text(encoding="utf-8").partition("| watch | why |")[2].partition("\n\n")[0]
    expressions = " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    assert watched
    assert watched <= metrics_in(expressions)
    known = {sample for one in Metrics().registry.collect() for sample in (one.name, f"{one.name}_total")}
    assert watched - {"up"} <= known


def test_a_canary_that_is_switched_off_or_slow_is_not_missed(helm: Helm) -> None:
    for every, expected in (("0s", None), ("10m", "> 1860"), (None, "> 240")):
        config = {"canary": {"every": every}} if every else {}
        objects = helm.render({"prometheusRule": {"enabled": True}, "config": config})
        rules = objects.one("PrometheusRule")["spec"]["groups"][0]["rules"]
        found = [rule["expr"] for rule in rules if rule["alert"] == "ResponderCanaryLost"]
        assert len(found) == (expected is not None)
        assert expected is None or found[0].endswith(expected)


def test_who_names_no_alertmanager_is_not_told_that_it_is_not_asked(helm: Helm) -> None:
    asked: dict[str, object] = {"urls": ["http://alertmanager:9093"], "reconcile_every": "2m"}
    for config, expected in (({}, None), ({"alertmanager": asked}, "> 480")):
        objects = helm.render({"prometheusRule": {"enabled": True}, "config": config})
        rules = objects.one("PrometheusRule")["spec"]["groups"][0]["rules"]
        found = [rule["expr"] for rule in rules if rule["alert"] == "ResponderNotCompared"]
        assert len(found) == (expected is not None)
        assert expected is None or found[0].endswith(expected)


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"\b(?:up|responder_\w+)\b(?=\{|\s|\[|\))", text))


@pytest.mark.debian("promtool")
@pytest.mark.parametrize(
    ("name", "series", "labels"),
    [
        (None, {}, {}),
        ("ResponderDown", {f"up{{{WHO}}}": "0x20"}, {}),
        (
            "ResponderStoreDown",
            {f"responder_store_up{{{WHO}}}": "0x20"},
            {},
        ),
        ("ResponderBlind", {f"responder_blind_mode{{{WHO}}}": "1x20"}, {}),
        ("ResponderEscalationsLate", {f"responder_wake_lag_seconds{{{WHO}}}": "11x20"}, {}),
        ("ResponderOutboxLate", {f"responder_outbox_lag_seconds{{{WHO}}}": "31x20"}, {}),
        (
            "ResponderFull",
            {f'responder_overflow_total{{{WHO}, queue="store"}}': "0+1x20"},
            {"queue": "store"},
        ),
        (
            "ResponderPagesFail",
            {f'responder_pages_total{{{WHO}, channel="mail", outcome="failed"}}': "0+1x20"},
            {"channel": "mail"},
        ),
        (
            "ResponderRulesNotReloaded",
            {f"responder_config_last_reload_successful{{{WHO}}}": "0x20"},
            {},
        ),
        ("ResponderConfigStale", {f"responder_config_stale{{{WHO}}}": "1x20"}, {}),
        ("ResponderWatchdogStopped", {f"responder_watchdog_last_run_timestamp_seconds{{{WHO}}}": "1x20"}, {}),
        ("ResponderCanaryLost", {f"responder_canary_last_success_timestamp_seconds{{{WHO}}}": "1x20"}, {}),
        ("ResponderAlertsNotUnderstood", {f"responder_alerts_quarantined_total{{{WHO}}}": "0+1x20"}, {}),
    ],
)
def test_each_fires_for_its_own_trouble_and_none_without(
    helm: Helm, tmp_path: Path, name: str | None, series: dict[str, str], labels: dict[str, str]
) -> None:
    spec = groups(helm)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(spec))
    shown = {**HEALTHY, **series}
    tests = []
    for rule in spec["groups"][0]["rules"]:
        expected = [
            {"exp_labels": {**labels, **rule["labels"]}, "exp_annotations": rule["annotations"]}
        ] if rule["alert"] == name else []  # fmt: skip
        tests.append({"eval_time": "20m", "alertname": rule["alert"], "exp_alerts": expected})
    case = {
        "interval": "1m",
        "input_series": [{"series": key, "values": value} for key, value in shown.items()],
        "alert_rule_test": tests,
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [case]}))
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
