"""The schema of the values: what is not known, or not of its form, is refused before anything is rendered."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from helm_chart import FOLDER, Helm

ROOT = FOLDER.parents[1]


@pytest.mark.parametrize(
    "values",
    [
        {"replica": 2},
        {"image": {"name": "x"}},
        {"service": {"prot": 1}},
        {"webhookService": {"x": 1}},
        {"persistence": {"sise": "1Gi"}},
        {"rbac": {"probes": {"nodes": True}}},
        {"rbac": {"actions": {"delete": {"deployments": ["a"]}}}},
        {"rbac": {"actions": {"scale": {"statefulsets": ["a"]}}}},
        {"probes": {"liveness": {"httpGet": {"path": "/"}}}},
        {"secretFiles": {"a": {"secretName": "b", "value": "c"}}},
        {"serviceMonitor": {"x": 1}},
        {"prometheusRule": {"x": 1}},
        {"networkPolicy": {"x": 1}},
        {"ingress": {"x": 1}},
        {"podDisruptionBudget": {"x": 1}},
        {"serviceAccount": {"x": 1}},
    ],
    ids=str,
)
def test_an_unknown_key_is_refused_by_name(helm: Helm, values: dict[str, Any]) -> None:
    assert "additional properties" in helm.refused(values)


@pytest.mark.parametrize(
    "values",
    [
        {"replicas": "2"},
        {"replicas": -1},
        {"config": []},
        {"config": {"data_dir": "./data"}},
        {"config": {"shutdown_grace": 20}},
        {"config": {"listen": "8080"}},
        {"rules": {"a.yaml": {"rules": []}}},
        {"rules": {"a.json": "x"}},
        {"rules": {"../a.yaml": "x"}},
        {"env": {"A": "b"}},
        {"envFrom": [{}]},
        {"secretFiles": {"Upper": {"secretName": "a"}}},
        {"rbac": {"probes": {"logs": "yes"}}},
        {"rbac": {"namespaces": ["UPPER"]}},
        {"rbac": {"namespaces": "analytics"}},
        {"rbac": {"actions": {"scale": {"deployments": ["*"]}}}},
        {"image": {"digest": "latest"}},
        {"service": {"port": 0}},
        {"ingress": {"enabled": True}},
        {"podLabels": {"a": 1}},
    ],
    ids=str,
)
def test_a_value_of_the_wrong_type_or_form_is_refused(helm: Helm, values: dict[str, Any]) -> None:
    assert "values don't meet the specifications of the schema" in helm.refused(values)


def test_the_schema_and_the_docs_know_every_value(helm: Helm) -> None:
    values = yaml.safe_load((FOLDER / "values.yaml").read_text(encoding="utf-8"))
    schema = json.loads((FOLDER / "values.schema.json").read_text(encoding="utf-8"))
    assert set(schema["properties"]) == {*values, "global"}
    docs = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert [key for key in values if f"`{key}" not in docs] == []
    assert helm.render({"global": {"from": "a parent chart"}}).all
