"""Actions and probes on a real API server with real controllers: what is believed of them elsewhere is so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kubernetes_api import targets
from kubernetes_bench import Looking, wish
from kubernetes_objects import Object, template
from kubernetes_real import ADMIN, Kubelet, RealCluster, write_kubeconfig
from waiting import eventually

from responder.actions.base import Action, ActionError, Performed, Progress
from responder.actions.kubernetes_rollout_restart import RestartSettings
from responder.actions.kubernetes_rollout_undo import RolloutUndoSettings
from responder.actions.kubernetes_scale import ScaleSettings
from responder.incident.finding import FindingStatus
from responder.targets.base import TargetError
from responder.targets.kubernetes import Patch, PatchType
from responder.targets.kubernetes_calls import DEPLOYMENTS, Ask, ClusterError, Place
from responder.targets.kubernetes_objects import Workload
from responder.triage.kubernetes_logs import LogSettings
from responder.triage.kubernetes_pods import PodSettings
from responder.triage.kubernetes_rollouts import RolloutSettings

pytestmark = pytest.mark.debian("etcd", "kube-apiserver", "kube-controller-manager")

LIMIT = timedelta(seconds=10)


@pytest.fixture
async def admin(real: RealCluster, tmp_path: Path) -> AsyncIterator[Looking]:
    config = write_kubeconfig(real.programs, tmp_path / "kubeconfig", ADMIN)
    async with aiohttp.ClientSession() as session:
        looking = Looking(session, targets(config, namespace=real.namespace))
        yield looking
        await looking.close()


async def gateway(real: RealCluster, image: str = "api:v1", **more: Any) -> Object:
    """The deployment of the runbook, at that image."""
    pods = template(image, **more)
    body = {
        "metadata": {"name": "api-gateway"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "api-gateway"}}, "template": pods},
    }
    return await real.create("apps/v1", "deployments", body)


async def deploy(real: RealCluster, image: str, *, cause: str = "", **more: Any) -> None:
    containers = [{"name": "api", "image": image, **more}]
    body: Object = {"spec": {"template": {"spec": {"containers": containers}}}}
    if cause:
        body["metadata"] = {"annotations": {"kubernetes.io/change-cause": cause}}
    await real.patch("apps/v1", "deployments", "api-gateway", body)


async def present(real: RealCluster) -> Object:
    return await real.read("apps/v1", "deployments", "api-gateway")


async def rolled_out(real: RealCluster) -> None:
    async def complete() -> bool:
        found = await present(real)
        status, wanted = found["status"], found["spec"]["replicas"]
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        return seen and {
            status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")
        } == {wanted}

    await eventually(complete)


async def done(action: Action, run: str, performed: Performed | None) -> None:
    mark = performed.mark if performed else {}

    async def settled() -> bool:
        found = await action.settled(wish(run), mark)
        assert found.progress is not Progress.FAILED, found
        return found.progress is Progress.DONE

    await eventually(settled)


async def test_scaling_settles_and_is_known_after_a_crash_and_taken_back(
    real: RealCluster, kubelet: Kubelet, admin: Looking
) -> None:
    await gateway(real)
    await rolled_out(real)
    action = admin.action(
        "kubernetes.scale", ScaleSettings(target="prod", deployment="api-gateway", replicas=5)
    )
    assert "from 3 to 5" in await action.rehearse(wish())
    assert (await present(real))["spec"]["replicas"] == 3
    never = await action.settled(wish(), {})
    assert never.progress is Progress.FAILED
    performed = await action.perform(wish())
    await done(action, "run-1", performed)
    await done(action, "run-1", None)
    (entry,) = [
        one for one in (await present(real))["metadata"]["managedFields"] if one["manager"] == "responder"
    ]
    assert (entry["subresource"], entry["fieldsV1"]) == ("scale", {"f:spec": {"f:replicas": {}}})
    assert "time" not in entry
    assert performed.undo is not None
    await done(action, "run-2", await action.undo(wish("run-2"), performed.undo))
    assert (await present(real))["spec"]["replicas"] == 3
    await real.patch("apps/v1", "deployments", "api-gateway", {"spec": {"replicas": 5}})
    after = await action.settled(wish("run-2"), {})
    assert (after.progress, "it cannot be told" in after.text) == (Progress.FAILED, True)


async def test_scaling_to_and_from_nothing(real: RealCluster, kubelet: Kubelet, admin: Looking) -> None:
    await gateway(real)
    await rolled_out(real)
    settings = ScaleSettings(target="prod", deployment="api-gateway", replicas=0, min=0, down=True)
    off = admin.action("kubernetes.scale", settings)
    performed = await off.perform(wish())
    await done(off, "run-1", performed)
    assert performed.undo is not None
    await done(off, "run-2", await off.undo(wish("run-2"), performed.undo))
    assert (await present(real))["spec"]["replicas"] == 3


async def test_a_stale_resource_version_is_a_conflict(
    real: RealCluster, kubelet: Kubelet, admin: Looking
) -> None:
    old = await gateway(real)
    await rolled_out(real)
    body = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}, "spec": {"replicas": 5}}
    place = Place(target="prod", namespace=real.namespace)
    ask = Ask(place=place, what=DEPLOYMENTS, name="api-gateway", limit=LIMIT)
    for kind in (PatchType.MERGE, PatchType.STRATEGIC):
        with pytest.raises(ClusterError) as caught:
            await admin.clusters.patch(ask, Patch(type=kind, body=body), Workload)
        assert (caught.value.code, caught.value.certain) == (409, True)
    # While it rolls out its status, and so its version, moves: scaling is not disturbed by that.
    action = admin.action("kubernetes.scale", ScaleSettings(target="prod", deployment="api-gateway", by=1))
    await deploy(real, "api:v2")
    await action.perform(wish())
    assert (await present(real))["spec"]["replicas"] == 4


async def test_an_autoscaler_is_found(real: RealCluster, kubelet: Kubelet, admin: Looking) -> None:
    await gateway(real)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api-gateway"}
    spec = {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 9}
    await real.create(
        "autoscaling/v2", "horizontalpodautoscalers", {"metadata": {"name": "gateway"}, "spec": spec}
    )
    action = admin.action(
        "kubernetes.scale", ScaleSettings(target="prod", deployment="api-gateway", replicas=5)
    )
    with pytest.raises(ActionError, match=r"HorizontalPodAutoscaler gateway \(2 to 9\)"):
        await action.perform(wish())


async def test_two_restarts_within_a_second_are_two_rollouts(
    real: RealCluster, kubelet: Kubelet, admin: Looking
) -> None:
    await gateway(real)
    await rolled_out(real)
    action = admin.action(
        "kubernetes.rollout_restart", RestartSettings(target="prod", deployment="api-gateway")
    )
    assert "would restart 3 pods" in await action.rehearse(wish())
    assert (await action.settled(wish(), {})).progress is Progress.FAILED
    before = (await present(real))["metadata"]["generation"]
    moment = wish()
    for run in ("run-1", "run-1", "run-2"):
        await action.perform(wish(run) if run != moment.run else moment)
    found = await present(real)
    assert found["metadata"]["generation"] == before + 2
    assert found["metadata"]["annotations"]["responder/run"] == "run-2"
    await done(action, "run-2", None)
    assert len(await real.items("apps/v1", "replicasets")) == 3


@pytest.mark.parametrize(("plural", "kind"), [("statefulsets", "statefulset"), ("daemonsets", "daemonset")])
async def test_stateful_and_daemon_sets_restart_and_settle(
    real: RealCluster, kubelet: Kubelet, admin: Looking, plural: str, kind: str
) -> None:
    spec: Object = {"selector": {"matchLabels": {"app": "api-gateway"}}, "template": template("store:v1")}
    spec |= {"replicas": 2, "serviceName": "store"} if kind == "statefulset" else {}
    await real.create("apps/v1", plural, {"metadata": {"name": "store"}, "spec": spec})
    named: dict[str, Any] = {kind: "store"}
    action = admin.action("kubernetes.rollout_restart", RestartSettings(target="prod", **named))

    async def quiet() -> bool:
        return await action.busy(wish()) is None and bool(await real.items("v1", "pods"))

    await eventually(quiet)
    born = {one["metadata"]["uid"] for one in await real.items("v1", "pods")}
    await done(action, "run-1", await action.perform(wish()))

    async def new_pods() -> bool:
        return born.isdisjoint(one["metadata"]["uid"] for one in await real.items("v1", "pods"))

    await eventually(new_pods)


async def test_a_bad_release_is_seen_rolled_back_while_it_is_stuck_and_taken_back(
    real: RealCluster, kubelet: Kubelet, admin: Looking
) -> None:
    kubelet.broken.add("api:v2")
    await gateway(real)
    await rolled_out(real)
    await deploy(real, "api:v2", cause="release 2", env=[{"name": "NEW", "value": "1"}])

    async def waits() -> bool:
        finding = await admin.see("kubernetes.pods", PodSettings(target="prod"))
        return "1x ImagePullBackOff" in finding.headline

    await eventually(waits)
    seen = await admin.see("kubernetes.rollouts", RolloutSettings(target="prod"))
    assert seen.status is FindingStatus.WARNING
    assert "api-gateway: image v1 -> v2, env changed, " in seen.headline
    assert "rollout under way" in seen.detail
    assert "release 2" in seen.detail
    action = admin.action(
        "kubernetes.rollout_undo", RolloutUndoSettings(target="prod", deployment="api-gateway")
    )
    assert "from revision 2 to 1 (image v2 -> v1, env changed)" in await action.rehearse(wish())
    assert await action.busy(wish()) is None
    performed = await action.perform(wish())
    await done(action, "run-1", performed)
    found = await present(real)
    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert (container["image"], "env" in container) == ("api:v1", False)
    assert "kubernetes.io/change-cause" not in found["metadata"]["annotations"]
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    assert performed.undo == {"revision": "2"}
    seen = await admin.see("kubernetes.rollouts", RolloutSettings(target="prod"))
    assert "rolled back, image v2 -> v1" in seen.headline + seen.detail
    assert "by responder" in seen.detail
    kubelet.broken.clear()
    await done(action, "run-2", await action.undo(wish("run-2"), performed.undo))
    assert (await present(real))["metadata"]["annotations"]["kubernetes.io/change-cause"] == "release 2"
    again = RolloutUndoSettings(target="prod", deployment="api-gateway", revision=4)
    with pytest.raises(ActionError, match="is at revision 4 already"):
        await admin.action("kubernetes.rollout_undo", again).perform(wish("run-3"))


async def test_a_rollback_is_refused_for_another_generation(
    real: RealCluster, kubelet: Kubelet, admin: Looking
) -> None:
    await gateway(real)
    place = Place(target="prod", namespace=real.namespace)
    ask = Ask(place=place, what=DEPLOYMENTS, name="api-gateway", limit=LIMIT)
    body = [
        {"op": "test", "path": "/metadata/generation", "value": 7},
        {"op": "replace", "path": "/spec/replicas", "value": 1},
    ]
    with pytest.raises(ClusterError) as caught:
        await admin.clusters.patch(ask, Patch(type=PatchType.JSON, body=body), Workload)
    assert (caught.value.code, caught.value.certain) == (422, True)


async def test_a_paused_deployment_is_neither_restarted_nor_rolled_back(
    real: RealCluster, kubelet: Kubelet, admin: Looking
) -> None:
    await gateway(real)
    await rolled_out(real)
    await real.patch("apps/v1", "deployments", "api-gateway", {"spec": {"paused": True}})
    restart = RestartSettings(target="prod", deployment="api-gateway")
    undo = RolloutUndoSettings(target="prod", deployment="api-gateway")
    for action in (
        admin.action("kubernetes.rollout_restart", restart),
        admin.action("kubernetes.rollout_undo", undo),
    ):
        with pytest.raises(ActionError, match="is paused"):
            await action.perform(wish())


async def test_what_is_not_there_is_named(real: RealCluster, admin: Looking) -> None:
    action = admin.action("kubernetes.rollout_restart", RestartSettings(target="prod", deployment="gone"))
    with pytest.raises(TargetError, match=f"prod: no deployment gone in namespace {real.namespace}"):
        await action.perform(wish())


async def test_logs_come_through_the_api_server_from_the_node_and_a_node_that_is_gone_is_a_note(
    real: RealCluster, kubelet: Kubelet, admin: Looking
) -> None:
    await gateway(real)
    await rolled_out(real)
    kubelet.logs["api-gateway", "api", False] = (
        b"2026-11-24T03:00:00.123456789Z ERROR upstream \xff gone\n" * 40
    )
    settings = LogSettings(target="prod", selector="app in (api-gateway),!gone", tail=100)
    finding = await admin.see("kubernetes.logs", settings)
    assert finding.headline.startswith("120 errors in 120 lines (3 pods in ")
    asked = kubelet.asked[-1]
    assert (asked["tailLines"], asked["sinceSeconds"], asked["timestamps"]) == ("100", "3600", "true")
    status = {"daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}}
    patch = "application/strategic-merge-patch+json"
    await real.call("PATCH", f"/api/v1/nodes/{kubelet.node}/status", {"status": status}, patch)
    finding = await admin.see("kubernetes.logs", settings)
    assert finding.status is FindingStatus.ERROR
    assert finding.headline.startswith("prod: it answers 500: Get ")


async def test_thousands_of_pods_come_in_pages(real: RealCluster, admin: Looking) -> None:
    await gateway(real)
    await real.patch("apps/v1", "deployments", "api-gateway", {"spec": {"replicas": 300}})

    async def made() -> bool:
        finding = await admin.see("kubernetes.pods", PodSettings(target="prod"))
        return finding.headline.startswith("0 of 300 pods ready")

    await eventually(made)
