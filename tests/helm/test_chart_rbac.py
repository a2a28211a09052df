"""Rights on the Kubernetes API: each switch grants exactly its own, and without a switch there is not even a token."""

from __future__ import annotations

import re
from typing import Any

import pytest
from helm_chart import FOLDER, Helm, Objects, ci_values

Rule = tuple[str, str, str, str]  # API group, resource, verbs, names
DOCS = FOLDER.parents[1] / "docs" / "deployment.md"

PROBES: dict[str, list[Rule]] = {
    "logs": [("", "pods", "list get", ""), ("", "pods/log", "get", "")],
    "top": [("metrics.k8s.io", "pods", "list", ""), ("", "pods", "list", "")],
    "pods": [("", "pods", "list", "")],
    "events": [("", "events", "list", "")],
    "rollouts": [("apps", "deployments", "list get", ""), ("apps", "replicasets", "list", "")],
}
ACTIONS: dict[str, list[Rule]] = {
    "scale": [
        ("apps", "deployments", "get", "api web"),
        ("apps", "deployments/scale", "get patch", "api web"),
        ("autoscaling", "horizontalpodautoscalers", "list", ""),
    ],
    "rolloutRestart": [("apps", "deployments", "get patch", "api web")],
    "rolloutUndo": [("apps", "deployments", "get patch", "api web"), ("apps", "replicasets", "list", "")],
}


def rules_of(role: dict[str, Any]) -> list[Rule]:
    found = []
    for rule in role["rules"]:
        assert set(rule) <= {"apiGroups", "resources", "verbs", "resourceNames"}
        (group,), (resource,) = rule["apiGroups"], rule["resources"]
        found.append((group, resource, " ".join(rule["verbs"]), " ".join(rule.get("resourceNames", []))))
    return found


def switched_on(kind: str, *names: str) -> dict[str, Any]:
    on = {name: True if kind == "probes" else {"deployments": ["api", "web"]} for name in names}
    return {"rbac": {"namespaces": ["analytics"], kind: on}}


SWITCHES = [("probes", name, rules) for name, rules in PROBES.items()]
SWITCHES += [("actions", name, rules) for name, rules in ACTIONS.items()]


@pytest.mark.parametrize(("kind", "name", "rules"), SWITCHES)
def test_a_switch_grants_exactly_its_rules(helm: Helm, kind: str, name: str, rules: list[Rule]) -> None:
    objects = helm.render(switched_on(kind, name))
    role = objects.one("Role")
    assert rules_of(role) == rules
    assert (role["metadata"]["name"], role["metadata"]["namespace"]) == (f"responder-{kind}", "analytics")
    assert_bound(objects, 1)


@pytest.mark.parametrize(("kind", "table"), [("probes", PROBES), ("actions", ACTIONS)])
def test_all_switches_together_grant_the_sum(helm: Helm, kind: str, table: dict[str, list[Rule]]) -> None:
    role = helm.render(switched_on(kind, *table)).one("Role")
    assert rules_of(role) == [rule for rules in table.values() for rule in rules]


def assert_bound(objects: Objects, count: int) -> None:
    bindings = objects.of("RoleBinding")
    assert len(bindings) == len(objects.of("Role")) == count
    for role, binding in zip(objects.of("Role"), bindings, strict=True):
        for key in ("name", "namespace"):
            assert binding["metadata"][key] == role["metadata"][key]
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "responder", "namespace": "ops"}]


def token_is_mounted(objects: Objects) -> bool:
    mounted = objects.pod["automountServiceAccountToken"]
    assert objects.one("ServiceAccount")["automountServiceAccountToken"] is mounted
    return bool(mounted)


def test_nothing_is_granted_by_default_and_the_pod_has_no_token(helm: Helm) -> None:
    for values in ({}, {"rbac": {"namespaces": ["analytics"]}}, switched_on("actions")):
        objects = helm.render(values)
        assert not objects.of("Role")
        assert not objects.of("RoleBinding")
        assert not token_is_mounted(objects)


def test_an_action_without_deployments_grants_nothing(helm: Helm) -> None:
    empty: dict[str, Any] = {name: {"deployments": []} for name in ACTIONS}
    objects = helm.render({"rbac": {"namespaces": ["analytics"], "actions": empty}})
    assert not objects.of("Role")
    assert not token_is_mounted(objects)


@pytest.mark.parametrize(("kind", "name"), [("probes", "pods"), ("actions", "scale")])
def test_the_pod_has_a_token_where_anything_is_on(helm: Helm, kind: str, name: str) -> None:
    assert token_is_mounted(helm.render(switched_on(kind, name)))


def test_roles_are_made_in_each_namespace_that_is_named_and_in_no_other(helm: Helm) -> None:
    objects = helm.render(ci_values()["redis-values"])
    places = sorted((one["metadata"]["namespace"], one["metadata"]["name"]) for one in objects.of("Role"))
    assert places == [
        ("analytics", "responder-actions"),
        ("analytics", "responder-probes"),
        ("web", "responder-actions"),
        ("web", "responder-probes"),
    ]
    assert_bound(objects, 4)
    assert not [one for one in objects.all if one["kind"].startswith("Cluster")]


def test_rights_without_a_place_are_refused(helm: Helm) -> None:
    why = helm.refused({"rbac": {"probes": {"logs": True}}})
    assert "rbac.namespaces: name the namespaces" in why


def test_roles_that_are_made_elsewhere_are_not_made_here_but_the_token_is_mounted(helm: Helm) -> None:
    objects = helm.render({"rbac": {"create": False, "probes": {"logs": True}}})
    assert not objects.of("Role")
    assert not objects.of("RoleBinding")
    assert token_is_mounted(objects)


def test_no_right_is_wider_than_it_works(helm: Helm) -> None:
    for role in helm.render(ci_values()["redis-values"]).of("Role"):
        for group, resource, verbs, names in rules_of(role):
            assert "*" not in f"{group} {resource} {verbs}"
            assert set(verbs.split()) <= {"list", "get", "patch"}
            assert not (names and "list" in verbs), "a list cannot be bound to names"
            assert names or "patch" not in verbs, "what changes things is bound to names"


def test_a_target_for_whose_namespace_no_role_is_made_is_told(helm: Helm) -> None:
    values = switched_on("probes", "logs")
    values["config"] = {"targets": {"kubernetes": {"prod": {"namespace": "web"}}}}
    assert "Target kubernetes.prod names namespace web" in helm.render(values).notes
    values["rbac"]["namespaces"].append("web")
    assert "Target kubernetes.prod" not in helm.render(values).notes


def test_the_docs_name_these_rights() -> None:
    documented = {}
    for line in DOCS.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"\| `(?:probes|actions)\.(\w+)` \| `kubernetes\.\w+` \|([^|]+)\|$", line):
            documented[found[1]] = found[2].strip()
    assert documented == {name: sentence(rules) for name, rules in {**PROBES, **ACTIONS}.items()}


def sentence(rules: list[Rule]) -> str:
    parts = []
    for group, resource, verbs, names in rules:
        which = f"`{group}` {resource}" if group else resource
        parts.append(f"{which}: {', '.join(verbs.split())}{' (the named)' if names else ''}")
    return "; ".join(parts)
