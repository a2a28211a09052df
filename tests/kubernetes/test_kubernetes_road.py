"""The whole road: an alert, what the cluster says of it on the page, a rehearsal, a restart, its effect, and a way back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from daemon import DaemonProcess, alert, receiver, running, webhook_body
from kubernetes_api import FakeCluster, kubeconfig
from kubernetes_objects import (
    deployment,
    ended,
    pod,
    replica_set,
    template,
    usage,
)
from kubernetes_objects import (
    running as container_running,
)
from waiting import eventually, until

RULES = """
severities:
  P1: {title: Critical, respond_within: 60s}
escalation:
  database: {primary: dbteam}
  platform: {primary: platform}
contacts:
  dbteam: {}
rules:
  - name: workloads
    match: ['alertname=~"Kube.+"']
    severity: P1
    service: database
    group_by: [alertname, namespace, deployment]
    runbook: workloads
runbooks:
  workloads:
    summary: Look at the pods.
    diagnose: [pods, logs, top, events, rollouts]
    offer: [restart, scale, roll-back]
probes:
  pods: {type: kubernetes.pods, target: prod, namespace: {label: namespace}}
  logs: {type: kubernetes.logs, target: prod, selector: {app: {label: deployment}}, tail: 100, filter: "re2: ERROR|FATAL"}
  top: {type: kubernetes.top, target: prod, selector: "app in (api-gateway, other)"}
  events: {type: kubernetes.events, target: prod, object: {label: deployment, default: api-gateway}}
  rollouts: {type: kubernetes.rollouts, target: prod, suggests: roll-back}
actions:
  restart: {type: kubernetes.rollout_restart, target: prod, deployment: {label: deployment}, cooldown: 0s}
  scale: {type: kubernetes.scale, target: prod, deployment: api-gateway, by: +2, max: 8, cooldown: 0s}
  roll-back: {type: kubernetes.rollout_undo, target: prod, deployment: api-gateway}
"""


def populate(kube: FakeCluster) -> None:
    made = deployment(revision=2, pods=template("api:v2"))
    kube.apps("deployments", made)
    kube.apps(
        "replicasets",
        replica_set(made, 1, timedelta(days=9), template("api:v1")),
        replica_set(made, 2, timedelta(minutes=7), template("api:v2")),
    )
    sick = container_running("api", restarts=3, lastState=ended("OOMKilled", 137))
    kube.pods(*(pod(f"api-gateway-{n}", sick, labels={"app": "api-gateway"}) for n in range(3)))
    for number in range(3):
        kube.logs[f"api-gateway-{number}", "api", False] = [(timedelta(minutes=1), b"ERROR no upstream")] * 50
    measured = usage("api-gateway-0", api=("100m", "100Mi"))
    measured["metadata"]["labels"] = {"app": "api-gateway"}
    kube.add("metrics.k8s.io", "pods", measured)


async def run(daemon: DaemonProcess, incident: str, name: str, **more: Any) -> str:
    """Ask for an action; how its run ended."""
    path = f"/api/v1/incidents/{incident}/actions/{name}"
    status, answer = await daemon.post(path, {"by": "ana", **more})
    assert status == 202, answer

    async def over() -> Any:
        _, found = await daemon.get(f"/api/v1/incidents/{incident}")
        last = found["action_runs"][-1]
        return last if last["name"] == name and last["status"] not in {"requested", "verifying"} else None

    ended_as = await eventually(over)
    return f"{ended_as['status']}: {ended_as['text']}"


async def test_from_an_alert_over_the_clusters_findings_to_a_restart_a_scale_and_back(
    kube: FakeCluster, tmp_path: Path
) -> None:
    populate(kube)
    prod = {
        "kubeconfig": str(kubeconfig(tmp_path, kube.url)), "namespace": "analytics",
        "allow": ["deployment/api-gateway"],
    }  # fmt: skip
    async with receiver() as hook:
        config = {
            "targets": {"kubernetes": {"prod": prod}}, "triage_wait": "15s",
            "channels": {"hook": {"type": "webhook", "url": hook.url}},
        }  # fmt: skip
        async with running(tmp_path / "daemon", config, RULES) as daemon:
            fired = alert(namespace="analytics", deployment="api-gateway", alertname="KubePodCrashLooping")
            assert (await daemon.alerts(webhook_body(fired)))[0] == 200
            page = (await until(hook.pages))[0]
            told = {one["probe"]: one["headline"] for one in page["findings"]}
            assert told["pods"] == "3 of 3 pods ready in analytics: 3x OOMKilled"
            assert told["logs"].startswith(
                "150 errors in 150 lines (3 pods in analytics, app=api-gateway, last 1h): 150x"
            )
            assert told["top"].startswith(
                "1 pod in analytics, app in (api-gateway, other), none has a limit; most: api-gateway-0: "
            )
            assert told["events"] == "no warning events in analytics about api-gateway, last 1h"
            assert told["rollouts"] == "api-gateway: image v1 -> v2, 7m before the first alert"
            incident = page["incident"]["id"]
            assert "rehearsed: would restart 3 pods" in await run(daemon, incident, "restart", dry_run=True)
            settle(kube)
            assert (await run(daemon, incident, "restart")).startswith("effective")
            assert "responder/run" in kube.deployment()["metadata"]["annotations"]
            assert (await run(daemon, incident, "scale")).startswith("effective")
            assert kube.deployment()["spec"]["replicas"] == 5
            assert (await run(daemon, incident, "scale", undo=True)).startswith("effective")
            assert kube.deployment()["spec"]["replicas"] == 3
            kube.denied.add(("patch", "deployments"))
            refused = await run(daemon, incident, "roll-back")
            assert refused.startswith("refused")
            assert 'its role needs apiGroups: ["apps"], resources: [deployments], verbs: [patch]' in refused
        assert "Unclosed" not in daemon.log()
        assert "sa-token" not in daemon.log()


def settle(kube: FakeCluster) -> None:
    """From now on the controller does at once what is wanted."""

    async def controller(_request: Any) -> None:
        found = kube.deployment()
        count = found["spec"]["replicas"]
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        found["status"] |= {
            "observedGeneration": found["metadata"]["generation"],
            **dict.fromkeys(counts, count),
        }

    kube.faults.append(controller)
