"""The documented rights, held against a real API server: enough with all of them, and named where one is missing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kubernetes_api import targets
from kubernetes_bench import Looking, wish
from kubernetes_objects import Object, template
from kubernetes_real import Kubelet, RealCluster, write_kubeconfig
from waiting import eventually

from responder.actions.kubernetes_rollout_restart import RestartSettings
from responder.actions.kubernetes_rollout_undo import RolloutUndoSettings
from responder.actions.kubernetes_scale import ScaleSettings
from responder.incident.finding import FindingStatus
from responder.targets.base import TargetError
from responder.triage.base import ProbeSettings
from responder.triage.kubernetes_events import EventSettings
from responder.triage.kubernetes_logs import LogSettings
from responder.triage.kubernetes_pods import PodSettings
from responder.triage.kubernetes_rollouts import RolloutSettings
from responder.triage.kubernetes_top import TopSettings

pytestmark = pytest.mark.debian("etcd", "kube-apiserver", "kube-controller-manager")

DOCS = Path(__file__).parents[2] / "docs" / "probes-kubernetes.md"
_ROW = re.compile(r"\| `(kubernetes\.\w+)` \| `([^`]+)` \| (`[^|]+`) \| (`[^|]+`) \|")
Rule = dict[str, list[str]]


def documented() -> dict[str, list[Rule]]:
    """Each type's rules, one resource and one verb each."""
    found: dict[str, list[Rule]] = {}
    for kind, group, resources, verbs in _ROW.findall(DOCS.read_text()):
        for resource in re.findall(r"`([^`]+)`", resources):
            for verb in re.findall(r"`([^`]+)`", verbs):
                rule = {"apiGroups": [group.strip('"')], "resources": [resource], "verbs": [verb]}
                found.setdefault(kind, []).append(rule)
    return found


RULES = documented()
PROBES: dict[str, list[ProbeSettings]] = {
    "kubernetes.logs": [LogSettings(target="prod", selector="app=api-gateway")],
    "kubernetes.top": [TopSettings(target="prod")],
    "kubernetes.pods": [PodSettings(target="prod")],
    "kubernetes.events": [EventSettings(target="prod")],
    "kubernetes.rollouts": [
        RolloutSettings(target="prod"),
        RolloutSettings(target="prod", deployment="api-gateway"),
    ],
}
ACTIONS: dict[str, list[Any]] = {
    "kubernetes.scale": [ScaleSettings(target="prod", deployment="api-gateway", by=1)],
    "kubernetes.rollout_restart": [
        RestartSettings(target="prod", deployment="api-gateway"),
        RestartSettings(target="prod", statefulset="store"),
        RestartSettings(target="prod", daemonset="agent"),
    ],
    "kubernetes.rollout_undo": [RolloutUndoSettings(target="prod", deployment="api-gateway", revision=1)],
}


@asynccontextmanager
async def as_account(
    real: RealCluster, folder: Path, rules: list[Rule], name: str = "responder"
) -> AsyncIterator[Looking]:
    token = await real.account(name, rules)
    config = write_kubeconfig(real.programs, folder / f"{name}.kubeconfig", token)
    async with aiohttp.ClientSession() as session:
        looking = Looking(session, targets(config, namespace=real.namespace))
        yield looking
        await looking.close()


def workload(kind: str, name: str, image: str, **spec: Any) -> Object:
    pods = template(image)
    pods["metadata"] = {"labels": {"app": name}}
    return {
        "kind": kind, "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": pods, **spec},
    }  # fmt: skip


async def populate(real: RealCluster) -> None:
    """One workload of every kind, the deployment with two revisions."""
    await real.create("apps/v1", "deployments", workload("Deployment", "api-gateway", "api:v1", replicas=2))
    await real.create(
        "apps/v1", "statefulsets", workload("StatefulSet", "store", "store:v1", replicas=1, serviceName="s")
    )
    await real.create("apps/v1", "daemonsets", workload("DaemonSet", "agent", "agent:v1"))
    await complete(real, 1)
    await real.patch("apps/v1", "deployments", "api-gateway", image("api:v2"))
    await complete(real, 2)


def image(name: str) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "api", "image": name}]}}}}


async def complete(real: RealCluster, revision: int) -> None:
    async def rolled_out() -> bool:
        found = await real.read("apps/v1", "deployments", "api-gateway")
        status, wanted = found["status"], found["spec"]["replicas"]
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        counts = {status.get(key) for key in ("replicas", "updatedReplicas", "availableReplicas")}
        return (
            seen
            and counts == {wanted}
            and found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == str(revision)
        )

    await eventually(rolled_out)


METRICS = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "pods.metrics.k8s.io", "annotations": {"api-approved.kubernetes.io": "unapproved, only for a test"},
    },
    "spec": {
        "group": "metrics.k8s.io", "scope": "Namespaced",
        "names": {"plural": "pods", "singular": "pod", "kind": "PodMetrics", "listKind": "PodMetricsList"},
        "versions": [{
            "name": "v1beta1", "served": True, "storage": True,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        }],
    },
}  # fmt: skip


async def measure(real: RealCluster) -> None:
    """Metrics as metrics-server would serve them: a resource of the same name."""
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    known = (await real.call("GET", definitions))["items"]
    if not known:
        await real.call("POST", definitions, METRICS)

    async def served() -> bool:
        groups = await real.call("GET", "/apis")
        return any(one["name"] == "metrics.k8s.io" for one in groups["groups"])

    await eventually(served)
    for pod in await real.items("v1", "pods"):
        containers = [{"name": "api", "usage": {"cpu": "12345678n", "memory": "131072Ki"}}]
        body = {
            "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics", "containers": containers,
            "metadata": {"name": pod["metadata"]["name"], "labels": pod["metadata"]["labels"]},
            "timestamp": pod["metadata"]["creationTimestamp"], "window": "15s",
        }  # fmt: skip

        async def created(body: Object = body) -> bool:
            """The group is listed a moment before its resource can be made."""
            try:
                return bool(await real.create("metrics.k8s.io/v1beta1", "pods", body))
            except (AssertionError, aiohttp.ContentTypeError, ValueError):
                return False

        await eventually(created)


@pytest.mark.parametrize("kind", sorted(PROBES))
async def test_a_probe_works_with_its_documented_rights_and_names_the_one_that_is_missing(
    real: RealCluster, kubelet: Kubelet, tmp_path: Path, kind: str
) -> None:
    kubelet.logs["", "api", False] = b"2026-11-24T03:00:00.123456789Z GET / 200\n"
    await populate(real)
    if kind == "kubernetes.top":
        await measure(real)
    async with as_account(real, tmp_path, RULES[kind], "all") as looking:
        for settings in PROBES[kind]:
            finding = await looking.see(kind, settings)
            assert finding.status in (FindingStatus.OK, FindingStatus.WARNING), finding
    for number, missing in enumerate(RULES[kind]):
        rest = [rule for rule in RULES[kind] if rule is not missing]
        async with as_account(real, tmp_path, rest, f"without-{number}") as looking:
            findings = [await looking.see(kind, settings) for settings in PROBES[kind]]
            refused = [one for one in findings if one.status is FindingStatus.DENIED]
            assert refused, (missing, findings)
            assert needs(missing) in refused[0].headline


def needs(rule: Rule) -> str:
    group, resource, verb = rule["apiGroups"][0], rule["resources"][0], rule["verbs"][0]
    return f'its role needs apiGroups: ["{group}"], resources: [{resource}], verbs: [{verb}]'


@pytest.mark.parametrize("kind", sorted(ACTIONS))
async def test_an_action_works_with_its_documented_rights_and_changes_nothing_without_one(
    real: RealCluster, kubelet: Kubelet, tmp_path: Path, kind: str
) -> None:
    await populate(real)
    for number, missing in enumerate(RULES[kind]):
        rest = [rule for rule in RULES[kind] if rule is not missing]
        async with as_account(real, tmp_path, rest, f"without-{number}") as looking:
            before = await real.items("apps/v1", "deployments")
            said = []
            for settings in ACTIONS[kind]:
                action = looking.action(kind, settings)
                calls: list[Callable[[], Awaitable[Any]]] = [
                    lambda action=action: action.rehearse(wish("r")),  # type: ignore[misc]
                    lambda action=action: action.perform(wish("r")),  # type: ignore[misc]
                ]
                for call in calls:
                    try:
                        await call()
                    except TargetError as error:
                        said.append(str(error))
            assert [one for one in said if needs(missing) in one], (missing, said)
            changed = await real.items("apps/v1", "deployments")
            if "deployments" in missing["resources"][0]:
                assert [one["spec"] for one in changed] == [one["spec"] for one in before]
    async with as_account(real, tmp_path, RULES[kind], "all") as looking:
        for number, settings in enumerate(ACTIONS[kind]):
            action = looking.action(kind, settings)
            one = wish(f"run-{number}")

            async def quiet(action: Any = action, one: Any = one) -> bool:
                return await action.busy(one) is None

            await eventually(quiet)
            assert (await action.rehearse(one)).startswith("would ")
            done = await action.perform(one)

            async def settled(action: Any = action, one: Any = one, mark: Any = done.mark) -> bool:
                found = await action.settled(one, mark)
                assert found.progress != "failed", found
                return bool(found.progress == "done")

            await eventually(settled)


async def test_a_token_that_is_not_known_is_refused_in_words(real: RealCluster, tmp_path: Path) -> None:
    config = write_kubeconfig(real.programs, tmp_path / "wrong", "no-such-token")
    async with aiohttp.ClientSession() as session:
        looking = Looking(session, targets(config, namespace=real.namespace))
        finding = await looking.see(
            "kubernetes.pods", PodSettings(target="prod", timeout=timedelta(seconds=5))
        )
        await looking.close()
    assert finding.status is FindingStatus.DENIED
    assert finding.headline == "prod: it refuses the credentials: the token is wrong or has expired"
    assert "no-such-token" not in str(finding)
