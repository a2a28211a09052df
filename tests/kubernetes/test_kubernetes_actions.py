"""Scaling, restarting and rolling back: what is refused, what is sent, and what is known after a crash."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web
from kubernetes_api import FakeCluster, failing, hanging
from kubernetes_bench import Looking, wish
from kubernetes_objects import Object, autoscaler, deployment, replica_set, template

from responder.actions.base import Action, ActionError, Progress
from responder.actions.kubernetes_rollout_restart import RestartSettings
from responder.actions.kubernetes_rollout_undo import RolloutUndoSettings
from responder.actions.kubernetes_scale import ScaleSettings
from responder.config import Targets
from responder.parameters import FromLabel, ParameterError
from responder.targets.base import TargetError
from responder.targets.http import UnclearError

RESTARTED = "kubectl.kubernetes.io/restartedAt"


def scaling(looking: Looking, **more: Any) -> Action:
    return looking.action("kubernetes.scale", ScaleSettings(target="prod", deployment="api-gateway", **more))


def restarting(looking: Looking, **more: Any) -> Action:
    named = more or {"deployment": "api-gateway"}
    return looking.action("kubernetes.rollout_restart", RestartSettings(target="prod", **named))


def undoing(looking: Looking, **more: Any) -> Action:
    return looking.action(
        "kubernetes.rollout_undo", RolloutUndoSettings(target="prod", deployment="api-gateway", **more)
    )


def patches(kube: FakeCluster) -> list[tuple[str, dict[str, str]]]:
    return [(path, query) for method, path, query in kube.asked if method == "PATCH"]


# What is planned


def test_a_plan_names_the_object_and_its_namespace_only_where_it_is_another_one(looking: Looking) -> None:
    looking.targets = targets_with(looking, namespaces=("data",))
    plan = restarting(looking, deployment="pgbouncer").plan({})
    assert (plan.object, plan.text) == (
        "deployment/pgbouncer", "Restart deployment pgbouncer in namespace analytics (target prod)",
    )  # fmt: skip
    plan = restarting(looking, statefulset=FromLabel(label="app"), namespace="data").plan({"app": "store"})
    assert plan.object == "data/statefulset/store"
    plan = scaling(looking, replicas=5).plan({})
    assert plan.text == "Scale deployment api-gateway in namespace analytics (target prod) to 5 replicas"
    assert scaling(looking, by="50%", max=8).plan({}).text.endswith("by +50% (within 1 and 8)")
    assert undoing(looking).plan({}).text.startswith("Roll back deployment api-gateway")


def targets_with(looking: Looking, **more: Any) -> Targets:
    target = msgspec.structs.replace(looking.targets.kubernetes["prod"], **more)
    return msgspec.structs.replace(looking.targets, kubernetes={"prod": target})


@pytest.mark.parametrize("hostile", ["../x", "a/b", "A", "", "x" * 254, "a\n", "a..b", "."])
def test_a_hostile_name_is_refused_before_anything_is_asked(
    kube: FakeCluster, looking: Looking, hostile: str
) -> None:
    action = restarting(looking, deployment=FromLabel(label="deployment"))
    with pytest.raises(ParameterError):
        action.plan({"deployment": hostile})
    assert kube.asked == []


def test_a_namespace_that_a_label_chose_must_be_one_of_the_targets(looking: Looking) -> None:
    looking.targets = targets_with(looking, namespaces=("data",))
    action = restarting(looking, deployment="a", namespace=FromLabel(label="namespace", default="analytics"))
    assert action.plan({}).object == "deployment/a"
    assert action.plan({"namespace": "data"}).object == "data/deployment/a"
    with pytest.raises(
        TargetError, match="namespace kube-system is not one that target prod reaches: add it to targets"
    ):
        action.plan({"namespace": "kube-system"})
    with pytest.raises(ParameterError, match="is not a Kubernetes namespace"):
        action.plan({"namespace": "a/../b"})


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "expected either replicas"),
        ({"replicas": 5, "by": 2}, "either replicas"),
        ({"replicas": 50}, "not within min"),
        ({"replicas": 2, "min": 3}, "not within min"),
        ({"by": 0}, "changes nothing"),
        ({"by": "a lot"}, "expected a number"),
        ({"by": "0%"}, "expected a number"),
        ({"by": 1, "min": 5, "max": 4}, "min <= max"),
    ],
)
def test_bounds_and_steps_that_make_no_sense_are_refused_where_they_are_read(
    settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        ScaleSettings(target="prod", deployment="a", **settings)


def test_a_restart_names_exactly_one_workload() -> None:
    wrong: list[dict[str, Any]] = [{}, {"deployment": "a", "daemonset": "b"}]
    for named in wrong:
        with pytest.raises(ValueError, match="exactly one of"):
            RestartSettings(target="prod", **named)


# kubernetes.scale


@pytest.mark.parametrize(
    ("present", "settings", "wanted"),
    [
        (3, {"replicas": 5}, 5),
        (0, {"replicas": 5}, 5),
        (3, {"by": 2}, 5),
        (3, {"by": "50%"}, 5),
        (4, {"by": "-50%"}, 2),
        (9, {"by": 5}, 10),
        (3, {"by": -5}, 1),
        (8, {"replicas": 5, "down": True}, 5),
        (3, {"replicas": 0, "min": 0, "down": True}, 0),
    ],
)
async def test_scaling_and_taking_it_back(
    kube: FakeCluster, looking: Looking, present: int, settings: dict[str, Any], wanted: int
) -> None:
    kube.apps("deployments", deployment(replicas=present))
    action = scaling(looking, **settings)
    told = await action.rehearse(wish())
    assert (
        told
        == f"would scale deployment api-gateway in namespace analytics (target prod) from {present} to {wanted}"
    )
    assert kube.deployment()["spec"]["replicas"] == present
    done = await action.perform(wish())
    assert kube.deployment()["spec"]["replicas"] == wanted
    assert done.undo == {"replicas": str(present), "set": str(wanted)}
    path = "/apis/apps/v1/namespaces/analytics/deployments/api-gateway/scale"
    assert patches(kube) == [
        (path, {"fieldManager": "responder", "dryRun": "All"}), (path, {"fieldManager": "responder"}),
    ]  # fmt: skip
    back = await action.undo(wish("run-2"), done.undo)
    assert kube.deployment()["spec"]["replicas"] == present
    assert back.text.startswith("scaled deployment api-gateway")


@pytest.mark.parametrize(
    ("present", "settings", "says"),
    [
        (5, {"replicas": 5}, "has 5 replicas already"),
        (8, {"replicas": 5}, "has 8 replicas, more than 5: scaling down takes `down: true`"),
        (10, {"by": 2}, "has 10 replicas already"),
        (30, {"by": 2}, "has 30 replicas, more than 10"),
        (0, {"by": "50%", "min": 0}, "has 0 replicas already"),
        (0, {"by": -1}, "fewer than the least"),
    ],
)
async def test_what_would_change_nothing_or_the_wrong_way_is_refused(
    kube: FakeCluster, looking: Looking, present: int, settings: dict[str, Any], says: str
) -> None:
    kube.apps("deployments", deployment(replicas=present))
    action = scaling(looking, **settings)
    for call in (action.rehearse, action.perform):
        with pytest.raises(ActionError, match=says):
            await call(wish())
    assert patches(kube) == []


async def test_an_autoscaled_deployment_is_refused_with_the_hint(kube: FakeCluster, looking: Looking) -> None:
    kube.apps("deployments", deployment(replicas=3))
    kube.add(
        "autoscaling",
        "horizontalpodautoscalers",
        autoscaler("other", "web"),
        autoscaler("gateway", "api-gateway"),
    )
    action = scaling(looking, replicas=5)
    says = r"HorizontalPodAutoscaler gateway \(2 to 10\), .*change its minReplicas instead"
    with pytest.raises(ActionError, match=says):
        await action.perform(wish())
    with pytest.raises(ActionError, match=says):
        await action.undo(wish(), {"replicas": "3", "set": "5"})
    assert patches(kube) == []


async def test_a_lost_update_is_refused_and_a_status_that_moved_is_not_one(
    kube: FakeCluster, looking: Looking
) -> None:
    kube.apps("deployments", deployment(replicas=3))
    moved = 0

    async def meanwhile(request: web.Request) -> None:
        nonlocal moved
        if request.method == "PATCH" and moved < 2:
            moved += 1
            kube.touch()

    kube.faults.append(meanwhile)
    await scaling(looking, by=2).perform(wish())
    assert kube.deployment()["spec"]["replicas"] == 5
    kube.faults.clear()

    async def scaled(request: web.Request) -> None:
        if request.method == "PATCH" and kube.deployment()["spec"]["replicas"] == 5:
            kube.deployment()["spec"]["replicas"] = 7
            kube.touch()

    kube.faults.append(scaled)
    with pytest.raises(ActionError, match="was scaled from 5 to 7 by somebody else just now"):
        await scaling(looking, by=2).perform(wish())
    assert kube.deployment()["spec"]["replicas"] == 7


async def test_taking_it_back_is_refused_where_somebody_has_scaled_since(
    kube: FakeCluster, looking: Looking
) -> None:
    kube.apps("deployments", deployment(replicas=7))
    with pytest.raises(ActionError, match="has 7 replicas now, not 5: it was scaled since"):
        await scaling(looking, replicas=5).undo(wish(), {"replicas": "3", "set": "5"})


async def test_scaling_settles_when_so_many_pods_are_available(kube: FakeCluster, looking: Looking) -> None:
    kube.apps("deployments", deployment(replicas=3))
    action = scaling(looking, replicas=5)
    done = await action.perform(wish())
    found = kube.deployment()
    assert (await action.settled(wish(), done.mark)).progress is Progress.PENDING
    found["status"] |= {"observedGeneration": 3, "replicas": 5, "updatedReplicas": 5, "availableReplicas": 4}
    pending = await action.settled(wish(), done.mark)
    assert (pending.progress, pending.text) == (Progress.PENDING, "deployment api-gateway: 4 of 5 available")
    found["status"]["availableReplicas"] = 5
    assert (await action.settled(wish(), done.mark)).progress is Progress.DONE
    found["status"]["conditions"].append(
        {
            "type": "ReplicaFailure",
            "status": "True",
            "reason": "FailedCreate",
            "message": "exceeded quota: small",
        }
    )
    failed = await action.settled(wish(), done.mark)
    assert (failed.progress, "exceeded quota" in failed.text) == (Progress.FAILED, True)
    found["spec"]["replicas"] = 4
    assert "was scaled to 4 since" in (await action.settled(wish(), done.mark)).text


async def test_after_a_crash_the_managed_fields_tell_whether_it_was_scaled(
    kube: FakeCluster, looking: Looking
) -> None:
    kube.apps("deployments", deployment(replicas=3))
    action = scaling(looking, replicas=5)
    nothing = await action.settled(wish(), {})
    assert (nothing.progress, "it cannot be told whether this run scaled" in nothing.text) == (
        Progress.FAILED,
        True,
    )
    await action.perform(wish())
    assert (await action.settled(wish(), {})).progress is Progress.PENDING
    owner = kube.deployment()["metadata"]["managedFields"][-1]
    owner["manager"] = "kubectl"
    assert (await action.settled(wish(), {})).progress is Progress.FAILED
    owner["manager"] = "responder"
    by_steps = scaling(looking, by=2)  # what it was before is not known any more
    assert (await by_steps.settled(wish(), {})).progress is Progress.FAILED


# kubernetes.rollout_restart


async def test_a_restart_changes_the_template_and_leaves_the_runs_name(
    kube: FakeCluster, looking: Looking
) -> None:
    kube.apps("deployments", deployment())
    action = restarting(looking)
    assert (await action.rehearse(wish())).startswith("would restart 3 pods of deployment api-gateway")
    assert "annotations" not in kube.deployment()["spec"]["template"]["metadata"]
    done = await action.perform(wish())
    found = kube.deployment()
    first = found["spec"]["template"]["metadata"]["annotations"][RESTARTED]
    assert found["metadata"]["annotations"]["responder/run"] == "run-1"
    assert found["metadata"]["managedFields"][-1]["manager"] == "responder"
    assert (done.undo, done.mark) == (None, {"run": "run-1"})
    await action.perform(wish("run-2"))
    second = kube.deployment()["spec"]["template"]["metadata"]["annotations"][RESTARTED]
    assert first != second
    with pytest.raises(ActionError, match="cannot be taken back"):
        await action.undo(wish(), {})


async def test_the_same_run_restarts_once_however_often_it_is_performed(
    kube: FakeCluster, looking: Looking
) -> None:
    kube.apps("deployments", deployment())
    action = restarting(looking)
    for _ in range(3):
        await action.perform(wish())
    assert len(patches(kube)) == 1


@pytest.mark.parametrize(
    ("plural", "kind", "spec", "says"),
    [
        ("deployments", "deployment", {"paused": True}, "is paused, so that nothing would restart"),
        ("deployments", "deployment", {"replicas": 0}, "is scaled to 0"),
        ("statefulsets", "statefulset", {"updateStrategy": {"type": "OnDelete"}}, "update strategy OnDelete"),
        ("daemonsets", "daemonset", {"updateStrategy": {"type": "OnDelete"}}, "update strategy OnDelete"),
    ],
)
async def test_a_restart_that_would_do_nothing_is_refused(
    kube: FakeCluster, looking: Looking, plural: str, kind: str, spec: Object, says: str
) -> None:
    made = deployment("a")
    made["spec"] |= spec
    kube.apps(plural, made)
    action = restarting(looking, **{kind: "a"})
    for call in (action.rehearse, action.perform):
        with pytest.raises(ActionError, match=says):
            await call(wish())
    assert patches(kube) == []


async def test_a_rollout_under_way_is_busy_and_pods_that_fail_are_not(
    kube: FakeCluster, looking: Looking
) -> None:
    kube.apps("deployments", deployment(status={"updatedReplicas": 1}))
    action = restarting(looking)
    assert (
        await action.busy(wish()) == "a rollout of deployment api-gateway is under way: 1 of 3 pods updated"
    )
    kube.apps("deployments", deployment(status={"availableReplicas": 1}))
    assert await action.busy(wish()) is None
    kube.apps("deployments", deployment(status={"observedGeneration": 1}))
    assert "has not seen the last change" in str(await action.busy(wish()))


async def test_a_restart_settles_as_rollout_status_has_it(kube: FakeCluster, looking: Looking) -> None:
    kube.apps("deployments", deployment())
    action = restarting(looking)
    never = await action.settled(wish(), {})
    assert (never.progress, "carries no trace of this run" in never.text) == (Progress.FAILED, True)
    done = await action.perform(wish())
    found, progress = kube.deployment(), []
    for status in (
        {},
        {"observedGeneration": 3, "updatedReplicas": 1},
        {"updatedReplicas": 3, "replicas": 4},
        {"replicas": 3, "availableReplicas": 2},
        {"availableReplicas": 3},
    ):
        found["status"] |= status
        progress.append((await action.settled(wish(), done.mark)).progress)
    assert progress == [Progress.PENDING] * 4 + [Progress.DONE]
    assert (await action.settled(wish(), {})).progress is Progress.DONE
    found["status"]["conditions"][0] |= {"status": "False", "reason": "ProgressDeadlineExceeded"}
    assert (await action.settled(wish(), done.mark)).progress is Progress.FAILED
    found["metadata"]["annotations"]["responder/run"] = "run-2"
    assert "was changed or replaced since" in (await action.settled(wish(), done.mark)).text


async def test_what_a_repository_keeps_is_told(kube: FakeCluster, looking: Looking) -> None:
    kube.apps("deployments", deployment(labels={"argocd.argoproj.io/instance": "gateway"}))
    says = "Argo CD keeps it as its repository has it and may put it back"
    assert says in await restarting(looking).rehearse(wish())
    assert says in (await restarting(looking).perform(wish())).text
    kube.apps("deployments", deployment(labels={"kustomize.toolkit.fluxcd.io/name": "apps"}))
    assert "Flux keeps it" in await scaling(looking, replicas=5).rehearse(wish())


# Answers that do not come


async def test_a_change_whose_answer_is_lost_is_looked_for(kube: FakeCluster, looking: Looking) -> None:
    kube.apps("deployments", deployment())

    async def lost(request: web.Request) -> web.StreamResponse | None:
        if request.method != "PATCH":
            return None
        kube.faults.clear()
        await kube.handle(request)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    kube.faults.append(lost)
    await restarting(looking).perform(wish())
    assert kube.deployment()["metadata"]["annotations"]["responder/run"] == "run-1"
    kube.faults.append(lost)
    done = await scaling(looking, replicas=5).perform(wish())
    assert done.undo == {"replicas": "3", "set": "5"}


@pytest.mark.parametrize("fault", ["503", "500", "hang", "cut"])
async def test_a_change_of_which_nothing_is_known_is_no_refusal(
    kube: FakeCluster, looking: Looking, fault: str
) -> None:
    kube.apps("deployments", deployment())

    async def bad(request: web.Request) -> web.StreamResponse | None:
        if request.method != "PATCH":
            return None
        if fault == "hang":
            await asyncio.Event().wait()
        if fault == "cut":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return await failing(int(fault), "etcdserver: request timed out")(request)

    kube.faults.append(bad)
    action = looking.action(
        "kubernetes.rollout_restart",
        RestartSettings(target="prod", deployment="api-gateway", timeout=timedelta(seconds=4)),
    )
    with pytest.raises(UnclearError, match="no answer says whether it was changed"):
        await action.perform(wish())
    settings = ScaleSettings(
        target="prod", deployment="api-gateway", replicas=5, timeout=timedelta(seconds=4)
    )
    with pytest.raises(UnclearError, match="no answer says whether it was scaled to 5"):
        await looking.action("kubernetes.scale", settings).perform(wish())


@pytest.mark.parametrize("code", [400, 403, 409, 415, 422, 429])
async def test_a_refusal_is_certain(kube: FakeCluster, looking: Looking, code: int) -> None:
    kube.apps("deployments", deployment())

    async def refuse(request: web.Request) -> web.StreamResponse | None:
        return (
            await failing(code, "admission webhook says no")(request) if request.method == "PATCH" else None
        )

    kube.faults.append(refuse)
    with pytest.raises(TargetError):
        await restarting(looking).perform(wish())
    with pytest.raises(TargetError):
        await scaling(looking, replicas=5).perform(wish())


async def test_a_rehearsal_that_hangs_is_refused_and_changes_nothing(
    kube: FakeCluster, looking: Looking
) -> None:
    kube.apps("deployments", deployment())
    kube.faults.append(hanging("", "PATCH"))
    settings = ScaleSettings(
        target="prod", deployment="api-gateway", replicas=5, timeout=timedelta(seconds=4)
    )
    with pytest.raises(ActionError, match="no answer to the rehearsal"):
        await looking.action("kubernetes.scale", settings).rehearse(wish())


# kubernetes.rollout_undo


def history(kube: FakeCluster, *, present: int = 13, **more: Any) -> Object:
    """v12 and v13, of which the later one has brought another variable."""
    after = template("api:v13", env=[{"name": "NEW", "value": "1"}])
    made = deployment(
        revision=present, pods=after, annotations={"kubernetes.io/change-cause": "release 13"}, **more
    )
    kube.apps("deployments", made)
    kube.apps(
        "replicasets",
        replica_set(made, 11, timedelta(days=20), template("api:v11")),
        replica_set(made, 12, timedelta(days=9), template("api:v12"), cause="release 12"),
        replica_set(made, 13, timedelta(minutes=9), after),
        replica_set(made, 15, timedelta(minutes=1), template("evil:1"), owner_uid="another"),
    )
    return made


async def test_a_rollback_replaces_the_whole_template_and_the_cause(
    kube: FakeCluster, looking: Looking
) -> None:
    history(kube)
    action = undoing(looking)
    told = await action.rehearse(wish())
    assert told.startswith("would roll back deployment api-gateway")
    assert told.endswith("from revision 13 to 12 (image v13 -> v12, env changed)")
    assert kube.deployment()["spec"]["template"]["spec"]["containers"][0]["image"] == "api:v13"
    done = await action.perform(wish())
    found = kube.deployment()
    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert container == {"name": "api", "image": "api:v12", "resources": {}}
    assert found["spec"]["template"]["metadata"]["labels"] == {"app": "api-gateway"}
    assert found["metadata"]["annotations"]["kubernetes.io/change-cause"] == "release 12"
    assert (done.undo, done.mark) == ({"revision": "13"}, {"run": "run-1"})
    again = await action.perform(wish())
    assert (again.undo, len(patches(kube))) == ({"revision": "13"}, 2)


async def test_taking_a_rollback_back_goes_to_the_revision_that_was_left(
    kube: FakeCluster, looking: Looking
) -> None:
    history(kube)
    action = undoing(looking)
    done = await action.perform(wish())
    found = kube.deployment()  # the controller has noted the rollback
    found["status"]["observedGeneration"] = found["metadata"]["generation"]
    found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "14"
    assert done.undo is not None
    await action.undo(wish("run-2"), done.undo)
    assert kube.deployment()["spec"]["template"]["spec"]["containers"][0]["image"] == "api:v13"


async def test_a_revision_that_was_only_a_restart_is_passed_over(kube: FakeCluster, looking: Looking) -> None:
    made = history(kube, present=14)
    again = template("api:v13", env=[{"name": "NEW", "value": "1"}])
    again["metadata"]["annotations"] = {RESTARTED: "2026-11-24T03:00:00Z"}
    kube.deployment()["spec"]["template"] = again
    kube.apps("replicasets", replica_set(made, 14, timedelta(minutes=2), again))
    await undoing(looking).perform(wish())
    assert kube.deployment()["spec"]["template"]["spec"]["containers"][0]["image"] == "api:v12"


@pytest.mark.parametrize(
    ("settings", "spec", "says"),
    [
        ({"revision": 13}, {}, "is at revision 13 already"),
        ({"revision": 15}, {}, r"has no revision 15 \(kept: 11, 12, 13\)"),
        ({}, {"paused": True}, "is paused"),
        ({}, {"status": {"observedGeneration": 1}}, "has not seen its last change yet"),
    ],
)
async def test_a_rollback_that_makes_no_sense_is_refused(
    kube: FakeCluster, looking: Looking, settings: dict[str, Any], spec: dict[str, Any], says: str
) -> None:
    history(kube, **spec)
    with pytest.raises(ActionError, match=says):
        await undoing(looking, **settings).perform(wish())
    assert patches(kube) == []


async def test_without_a_history_there_is_nothing_to_go_back_to(kube: FakeCluster, looking: Looking) -> None:
    made = deployment(revision=3, pods=template("api:v3"))
    kube.apps("deployments", made)
    kube.apps("replicasets", replica_set(made, 3, timedelta(days=1), template("api:v3")))
    with pytest.raises(ActionError, match="has no earlier revision that differs"):
        await undoing(looking).perform(wish())


async def test_a_change_made_meanwhile_is_not_overwritten(kube: FakeCluster, looking: Looking) -> None:
    history(kube)

    async def meanwhile(request: web.Request) -> None:
        if request.method == "PATCH":
            found = kube.deployment()
            found["spec"]["template"] = template("api:v14")
            found["metadata"]["generation"] += 1
            kube.touch()

    kube.faults.append(meanwhile)
    with pytest.raises(ActionError, match="was changed by somebody else just now"):
        await undoing(looking).perform(wish())
    assert kube.deployment()["spec"]["template"]["spec"]["containers"][0]["image"] == "api:v14"


async def test_a_rollout_that_is_stuck_can_be_rolled_back(kube: FakeCluster, looking: Looking) -> None:
    history(kube, status={"updatedReplicas": 1})
    action = undoing(looking)
    assert await action.busy(wish()) is None
    await action.perform(wish())
    assert kube.deployment()["spec"]["template"]["spec"]["containers"][0]["image"] == "api:v12"
