"""What the configured targets will refuse, told before any incident: objects that no allow-list names, namespaces out of reach."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from responder.config import Config, HttpTarget, KubernetesTarget, PostgresTarget, Targets
from responder.rulebook import load_rules
from responder.secrets import Secret

TARGETS = Targets(
    kubernetes={
        "prod": KubernetesTarget(
            namespace="analytics", namespaces=("data",), allow=("deployment/pgbouncer", "data/deployment/*")
        ),
        "closed": KubernetesTarget(namespace="analytics"),
    },
    http={"ops": HttpTarget(url="https://ops/api", allow=("POST /services/*", "DELETE /jobs"))},
    postgres={"main": PostgresTarget(url=Secret("postgresql://db/x"), allow=("cache",))},
)


def told(tmp_path: Path, section: str, entry: str) -> list[str]:
    (tmp_path / "rules.yaml").write_text(
        f"escalation: {{platform: {{primary: ana}}}}\n{section}:\n  a: {{{entry}}}\n"
    )
    config = Config(rules=(str(tmp_path),), targets=TARGETS)
    found = load_rules(config, None, datetime(2026, 11, 25, tzinfo=UTC))
    assert found.raw is not None, found.problems
    return [
        f"{one.line}:{one.column}: {one.level}: {one.text}"
        for one in found.problems
        if "primary" not in one.text
    ]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (
            "type: kubernetes.rollout_restart, target: prod, deployment: other",
            (
                "3:67: warning: actions.a.deployment: deployment/other is not in targets.kubernetes.prod.allow, "
                "so the action will be refused"
            ),
        ),
        (
            "type: http, target: ops, path: /notallowed",
            (
                "3:38: warning: actions.a.path: POST /notallowed is not in targets.http.ops.allow, "
                "so the action will be refused"
            ),
        ),
        (
            "type: http, target: ops, path: /services/a, undo: {method: PUT, path: /services/a}",
            (
                "3:38: warning: actions.a.path: POST /services/a and PUT /services/a are not in targets.http.ops.allow, "
                "so the action will be refused"
            ),
        ),
        # Whatever its body takes from labels, it is sent there.
        (
            "type: http, target: ops, path: /notallowed, json: {service: {label: service}}",
            (
                "3:38: warning: actions.a.path: POST /notallowed is not in targets.http.ops.allow, "
                "so the action will be refused"
            ),
        ),
        (
            "type: postgres.terminate_idle, target: main",
            (
                "3:46: warning: actions.a.target: sessions is not in targets.postgres.main.allow, "
                "so the action will be refused"
            ),
        ),
        (
            "type: kubernetes.scale, target: prod, namespace: billing, deployment: {label: app}, replicas: 3",
            (
                "3:56: warning: actions.a.namespace: namespace billing is not one that target prod reaches: "
                "add it to targets.kubernetes.prod.namespaces"
            ),
        ),
    ],
)
def test_what_will_be_refused_is_a_warning_with_its_setting(tmp_path: Path, entry: str, says: str) -> None:
    assert told(tmp_path, "actions", entry) == [says]


@pytest.mark.parametrize(
    "entry",
    [
        "type: kubernetes.rollout_restart, target: prod, deployment: pgbouncer",
        "type: kubernetes.rollout_restart, target: prod, namespace: data, deployment: any",
        # What a label will say is not known yet.
        "type: kubernetes.rollout_restart, target: prod, deployment: {label: app, default: other}",
        "type: http, target: ops, path: [jobs, {label: job}]",
        "type: http, target: ops, path: /services/a?now=1, dry_run: {method: GET, path: /elsewhere}",
    ],
)
def test_what_may_be_done_or_cannot_be_told_is_no_news(tmp_path: Path, entry: str) -> None:
    assert told(tmp_path, "actions", entry) == []


def test_a_probe_of_a_namespace_out_of_reach_is_told_and_an_empty_list_once(tmp_path: Path) -> None:
    [said] = told(tmp_path, "probes", "type: kubernetes.pods, target: prod, namespace: billing")
    assert said.startswith(
        "3:55: warning: probes.a.namespace: namespace billing is not one that target prod reaches"
    )
    assert told(tmp_path, "probes", "type: kubernetes.pods, target: prod, namespace: data") == []
    [once] = told(tmp_path, "actions", "type: kubernetes.rollout_restart, target: closed, deployment: other")
    assert "targets.kubernetes.closed.allow lists nothing" in once
