"""``kubernetes.pods``, ``.top``, ``.events`` and ``.rollouts``: what they see, and what they say where they may not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

import pytest
from kubernetes_api import FakeCluster, failing
from kubernetes_bench import Looking
from kubernetes_objects import (
    Object,
    container,
    deployment,
    ended,
    event,
    fine_stamp,
    pod,
    replica_set,
    running,
    stamp,
    template,
    usage,
    waiting,
)

from responder.clock import SystemClock
from responder.incident.finding import Finding, FindingStatus
from responder.parameters import FromLabel
from responder.triage.base import ProbeSettings
from responder.triage.kubernetes_events import EventSettings
from responder.triage.kubernetes_pods import PodSettings
from responder.triage.kubernetes_rollouts import RolloutSettings
from responder.triage.kubernetes_top import TopSettings, quantity

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


async def pods(looking: Looking, **more: Any) -> Finding:
    return await looking.see("kubernetes.pods", PodSettings(target="prod", **more))


# kubernetes.pods


async def test_pods_that_are_well(kube: FakeCluster, looking: Looking) -> None:
    kube.pods(pod("a"), pod("b", running(restarts=9, lastState=ended("Error", 1, timedelta(days=2)))))
    kube.pods(pod("job", phase="Succeeded"))
    finding = await pods(looking)
    assert (finding.status, finding.headline) == (FindingStatus.OK, "2 of 2 pods ready in analytics")


@pytest.mark.parametrize(
    ("one", "word", "says"),
    [
        (
            lambda: pod("a", waiting("app", "CrashLoopBackOff", "back-off 5m0s", restartCount=6, lastState=ended("Error", 1))),
            "1x CrashLoopBackOff",
            "a: container CrashLoopBackOff, ended with Error (1) back-off 5m0s",
        ),
        (
            lambda: pod("a", waiting("app", "CrashLoopBackOff", lastState=ended("OOMKilled", 137))),
            "1x OOMKilled",
            "a: container CrashLoopBackOff, ended with OOMKilled (137)",
        ),
        (
            lambda: pod("a", running(restarts=4, lastState=ended("OOMKilled", 137))),
            "1x OOMKilled",
            "a: container restarted 4x, last 3m after OOMKilled (137)",
        ),
        (
            lambda: pod("a", waiting("app", "ImagePullBackOff", "Back-off pulling image v13"), phase="Pending"),
            "1x ImagePullBackOff",
            "a: container ImagePullBackOff Back-off pulling image v13",
        ),
        (
            lambda: pod("a", waiting("app", "CreateContainerConfigError", 'secret "db" not found'), phase="Pending"),
            "1x CreateContainerConfigError",
            'a: container CreateContainerConfigError secret "db" not found',
        ),
        (lambda: pod("a", running(ready=False)), "1x not ready", "a: container runs 5h, but its readiness probe does not pass"),
        (
            lambda: pod("a", running(ready=False, started=False)),
            "1x not ready",
            "a: container runs 5h, but its startup probe does not pass",
        ),
        (
            lambda: pod(
                "a", phase="Pending", ago=timedelta(minutes=9),
                conditions=[{
                    "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                    "message": "0/3 nodes are available: 3 Insufficient memory.", "lastProbeTime": None,
                }],
            ),
            "1x pending",
            "a: no node for it 9m: 0/3 nodes are available: 3 Insufficient memory.",
        ),
        (
            lambda: pod("a", waiting("app", "ContainerCreating"), phase="Pending", conditions=[]),
            "1x ContainerCreating",
            "a: container ContainerCreating",
        ),
        (
            lambda: pod("a", phase="Failed") | {"status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}},
            "1x Evicted",
            "a: Evicted The node was low on memory.",
        ),
        (
            lambda: pod("a", deletionTimestamp=stamp(timedelta(minutes=20))),
            "1x not ending",
            "a: should have ended 20m ago; is its node well?",
        ),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_pod_is_said(
    kube: FakeCluster, looking: Looking, one: Callable[[], Object], word: str, says: str
) -> None:
    kube.pods(one(), pod("b"), pod("c"))
    finding = await pods(looking)
    assert finding.status is FindingStatus.WARNING
    assert word in finding.headline
    assert finding.detail == says


async def test_many_sick_pods_are_counted_and_critical(kube: FakeCluster, looking: Looking) -> None:
    kube.pods(*(pod(f"p{number:02}", waiting("app", "CrashLoopBackOff")) for number in range(40)))
    kube.pods(pod("well"))
    finding = await pods(looking)
    assert finding.status is FindingStatus.CRITICAL
    assert finding.headline == "1 of 41 pods ready in analytics: 40x CrashLoopBackOff"
    assert finding.detail.endswith("… and 25 more")


async def test_a_young_pod_that_still_starts_is_no_trouble(kube: FakeCluster, looking: Looking) -> None:
    young = waiting("app", "ContainerCreating")
    kube.pods(pod("a", young, phase="Pending", conditions=[], ago=timedelta(seconds=20)), pod("b"))
    finding = await pods(looking)
    assert (finding.status, finding.headline) == (FindingStatus.OK, "1 of 2 pods ready in analytics")


async def test_thousands_of_pods_are_read_in_pages_and_no_further_than_a_thousand(
    kube: FakeCluster, looking: Looking
) -> None:
    kube.pods(*(pod(f"p{number:04}") for number in range(1_300)))
    finding = await pods(looking)
    assert finding.headline == "1000 of at least 1000 pods ready in analytics"
    assert [query["limit"] for _, _, query in kube.asked] == ["250"] * 4
    kube.asked.clear()
    kube.faults.append(failing(410, "The provided continue parameter is too old", times=0))
    assert (await pods(looking)).status is FindingStatus.OK


async def test_a_list_that_expires_on_the_server_is_begun_anew(kube: FakeCluster, looking: Looking) -> None:
    kube.pods(*(pod(f"p{number:03}") for number in range(300)))
    asked = 0

    async def expired(request: Any) -> None:
        nonlocal asked
        if "continue" in request.query:
            asked += 1
            if asked == 1:
                await failing(410, "too old resource version")(request)

    kube.faults.append(expired)
    assert (await pods(looking)).headline == "300 of 300 pods ready in analytics"


async def test_a_selector_text_takes_all_of_the_grammar(kube: FakeCluster, looking: Looking) -> None:
    kube.pods(pod("a", labels={"app": "x", "tier": "web"}), pod("b", labels={"app": "x"}), pod("c"))
    finding = await pods(looking, selector="app==x,tier in (web, worker),!gone")
    assert finding.headline == "1 of 1 pods ready in analytics, app==x,tier in (web, worker),!gone"
    assert (await pods(looking, selector="app=none")).status is FindingStatus.WARNING


# kubernetes.top


async def top(looking: Looking, **more: Any) -> Finding:
    return await looking.see("kubernetes.top", TopSettings(target="prod", **more))


def limited(name: str, memory: str, cpu: str) -> Object:
    limits = {"limits": {"memory": memory, "cpu": cpu}, "requests": {"memory": "512Mi", "cpu": "100m"}}
    return pod(name, containers=[container(resources=limits)])


async def test_the_pods_nearest_to_their_limits_come_first(kube: FakeCluster, looking: Looking) -> None:
    kube.pods(limited("a", "1Gi", "500m"), limited("b", "1Gi", "500m"), pod("free"))
    kube.add(
        "metrics.k8s.io",
        "pods",
        usage("a", app=("100m", "300Mi")),
        usage("b", app=("480000000n", "997130Ki")),
    )
    kube.add("metrics.k8s.io", "pods", usage("free", app=("2", "3Gi")))
    finding = await top(looking)
    assert finding.status is FindingStatus.CRITICAL
    assert finding.headline == (
        "b: cpu 480m of 500m (96%), asked for 100m; 2 above 80% of a limit in analytics"
    )
    assert finding.detail.splitlines()[:3] == [
        "b: cpu 480m of 500m (96%), asked for 100m",
        "b: memory 974Mi of 1Gi (95%), asked for 512Mi",
        "a: memory 300Mi of 1Gi (29%), asked for 512Mi",
    ]
    assert "free: memory 3Gi, no limit" in finding.detail


async def test_cpu_at_its_limit_is_a_warning_and_never_critical(kube: FakeCluster, looking: Looking) -> None:
    kube.pods(limited("a", "1Gi", "500m"))
    kube.add("metrics.k8s.io", "pods", usage("a", app=("500m", "300Mi")))
    assert (await top(looking)).status is FindingStatus.WARNING


async def test_all_below_and_what_is_not_measured(kube: FakeCluster, looking: Looking) -> None:
    kube.pods(limited("a", "1Gi", "500m"), limited("new", "1Gi", "1"))
    kube.add("metrics.k8s.io", "pods", usage("a", ago=timedelta(minutes=10), app=("1m", "3Mi")))
    finding = await top(looking)
    assert (finding.status, finding.headline) == (
        FindingStatus.OK,
        "1 pod in analytics below 80% of their limits; nearest: a: memory 3Mi of 1Gi (0%), asked for 512Mi",
    )  # fmt: skip
    assert "no metrics of 1 running pod: new" in finding.detail
    assert "the oldest metrics are 10m old" in finding.detail


async def test_metrics_server_that_is_not_there_is_told_from_one_that_is_down(
    kube: FakeCluster, looking: Looking
) -> None:
    kube.pods(pod("a"))
    kube.metrics = False
    absent = await top(looking)
    assert absent.status is FindingStatus.NO_DATA
    assert absent.headline == "prod: metrics-server is not installed (the cluster serves no metrics.k8s.io)"
    kube.faults.append(failing(503, "service unavailable", path="metrics.k8s.io"))
    down = await top(looking)
    assert (down.status, "metrics-server is down" in down.headline) == (FindingStatus.ERROR, True)


async def test_a_role_without_metrics_names_their_group(kube: FakeCluster, looking: Looking) -> None:
    kube.denied.add(("list", "pods.metrics.k8s.io"))
    finding = await top(looking)
    assert finding.status is FindingStatus.DENIED
    assert 'apiGroups: ["metrics.k8s.io"], resources: [pods], verbs: [list]' in finding.headline


@pytest.mark.parametrize(
    ("text", "value"),
    [("12345678n", 0.012345678), ("12m", 0.012), ("131072Ki", 2**27), ("1.5Gi", 1.5 * 2**30), ("2", 2), ("1k", 1e3),
     ("5e3", 5e3), ("x", None), ("", None), ("1.2.3", None), ("-", None)],
)  # fmt: skip
def test_quantities(text: str, value: float | None) -> None:
    assert quantity(text) == (pytest.approx(value) if value is not None else None)


# kubernetes.events


async def events(looking: Looking, labels: dict[str, str] | None = None, **more: Any) -> Finding:
    return await looking.see("kubernetes.events", EventSettings(target="prod", **more), labels)


async def test_warnings_are_grouped_counted_and_newest_first(kube: FakeCluster, looking: Looking) -> None:
    unhealthy = "Readiness probe failed: dial tcp 10.0.0.7:8088: connect: connection refused"
    kube.add(
        "", "events",
        event(1, "Unhealthy", unhealthy, "superset-7d9f-abcde", count=40, ago=20 * MINUTE),
        event(2, "Unhealthy", unhealthy.replace("0.7", "0.9"), "superset-7d9f-fghij", count=2, ago=9 * MINUTE),
        event(3, "BackOff", "Back-off restarting failed container", "scout-1", ago=MINUTE),
        event(4, "Old", "long ago", "scout-1", ago=5 * HOUR),
        event(5, "Scheduled", "all well", "scout-1") | {"type": "Normal"},
    )  # fmt: skip
    finding = await events(looking)
    assert finding.status is FindingStatus.WARNING
    assert finding.headline == (
        "43 warning events in analytics, last 1h; newest: BackOff pod scout-1: Back-off restarting failed container"
    )
    assert finding.detail.splitlines() == [
        "1m ago, 1x BackOff pod scout-1: Back-off restarting failed container",
        f"9m ago, 42x Unhealthy pod superset-7d9f-abcde and 1 more: {unhealthy}",
    ]
    assert {query["fieldSelector"] for _, _, query in kube.asked} == {"type=Warning"}


async def test_events_of_new_recorders_have_their_times_elsewhere(
    kube: FakeCluster, looking: Looking
) -> None:
    new = event(1, "FailedScheduling", "0/3 nodes", "a-1", count=0) | {
        "firstTimestamp": None, "lastTimestamp": None, "eventTime": fine_stamp(2 * HOUR),
        "series": {"count": 12, "lastObservedTime": fine_stamp(3 * MINUTE)},
    }  # fmt: skip
    new["metadata"]["creationTimestamp"] = stamp(2 * HOUR)
    kube.add("", "events", new)
    assert (await events(looking)).detail == "3m ago, 12x FailedScheduling pod a-1: 0/3 nodes"


async def test_events_about_one_object_and_what_it_has_made(kube: FakeCluster, looking: Looking) -> None:
    kube.add(
        "",
        "events",
        *(event(n, "BackOff", "x", name) for n, name in enumerate(("api", "api-7d-x", "apis-1"))),
    )
    finding = await events(looking, {"app": "api"}, object=FromLabel(label="app"))
    assert finding.headline.startswith("2 warning events in analytics about api, last 1h")
    assert (await events(looking, {"app": "other"}, object=FromLabel(label="app"))).status is FindingStatus.OK
    assert (
        "is not a Kubernetes name"
        in (await events(looking, {"app": "a/b"}, object=FromLabel(label="app"))).headline
    )


# kubernetes.rollouts


async def rollouts(looking: Looking, opened_ago: timedelta = timedelta(0), **more: Any) -> Finding:
    settings: ProbeSettings = RolloutSettings(target="prod", **more)
    opened = SystemClock().now().astimezone(UTC) - opened_ago
    return await looking.see("kubernetes.rollouts", settings, {"deployment": "api-gateway"}, opened)


def rolled(kube: FakeCluster, ago: timedelta, *, cause: str = "") -> Object:
    """api-gateway from v12 to v13, so long ago."""
    made = deployment(revision=13, pods=template("registry.example:5000/api:v13"))
    kube.apps("deployments", made)
    kube.apps(
        "replicasets",
        replica_set(made, 12, timedelta(days=9), template("registry.example:5000/api:v12")),
        replica_set(made, 13, ago, template("registry.example:5000/api:v13"), cause=cause),
    )
    return made


async def test_a_change_just_before_the_alert_is_the_headline(kube: FakeCluster, looking: Looking) -> None:
    rolled(kube, 17 * MINUTE, cause="release 2026.11 by ana")
    finding = await rollouts(looking, opened_ago=10 * MINUTE)
    assert finding.status is FindingStatus.WARNING
    assert finding.headline == "api-gateway: image v12 -> v13, 7m before the first alert"
    assert "revision 13, release 2026.11 by ana" in finding.detail


async def test_a_change_long_before_or_after_the_alert_is_told_and_no_warning(
    kube: FakeCluster, looking: Looking
) -> None:
    rolled(kube, 5 * HOUR)
    finding = await rollouts(looking)
    assert (finding.status, "5h before the first alert" in finding.headline) == (FindingStatus.OK, True)
    later = await rollouts(looking, opened_ago=6 * HOUR)
    assert (later.status, "after the first alert" in later.headline) == (FindingStatus.OK, True)
    none = await rollouts(looking, since=HOUR)
    assert none.headline == "nothing rolled out in the last 1h: 1 deployment in analytics"


async def test_another_deployments_replica_sets_are_not_its_history(
    kube: FakeCluster, looking: Looking
) -> None:
    made = rolled(kube, timedelta(days=8))
    kube.apps("replicasets", replica_set(made, 14, MINUTE, template("evil:1"), owner_uid="somebody-else"))
    assert (await rollouts(looking)).headline.startswith("nothing rolled out")


async def test_a_rollback_is_dated_by_the_change_not_by_the_age_of_what_came_back(
    kube: FakeCluster, looking: Looking
) -> None:
    made = deployment(revision=14, pods=template("api:v12"))
    made["metadata"]["managedFields"] = [
        {"manager": "helm", "time": stamp(2 * HOUR), "fieldsV1": {"f:spec": {"f:template": {}}}},
        {"manager": "kubectl-rollout", "time": stamp(4 * MINUTE), "fieldsV1": {"f:spec": {"f:template": {}}}},
        {"manager": "kube-controller-manager", "subresource": "status", "time": stamp(), "fieldsV1": {"f:status": {}}},
    ]  # fmt: skip
    kube.apps("deployments", made)
    kube.apps(
        "replicasets",
        replica_set(made, 13, 2 * HOUR, template("api:v13")),
        replica_set(made, 14, timedelta(days=9), template("api:v12"), earlier="10,12"),
    )
    finding = await rollouts(looking)
    assert finding.headline == (
        "api-gateway: rolled back, image v13 -> v12, 4m before the first alert (1 more change)"
    )
    assert "api-gateway: image v12 -> v13, 2h before the first alert" in finding.detail
    assert "by kubectl-rollout" in finding.detail


async def test_what_changed_beside_the_image_is_named_without_its_values(
    kube: FakeCluster, looking: Looking
) -> None:
    before = template("api:v1", env=[{"name": "PASSWORD", "value": "hunter2hunter2"}])
    after = template("api:v1", env=[{"name": "PASSWORD", "value": "hunter3hunter3"}])
    after["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": "2026-11-24T03:00:00Z"}
    after["spec"]["serviceAccountName"] = "other"
    made = deployment(revision=2, pods=after)
    kube.apps("deployments", made)
    kube.apps(
        "replicasets", replica_set(made, 1, timedelta(days=1), before), replica_set(made, 2, MINUTE, after)
    )
    finding = await rollouts(looking)
    assert "env changed, serviceAccountName changed, restarted" in finding.headline
    assert "hunter" not in finding.headline + finding.detail


async def test_a_rollout_that_is_stuck_under_way_or_paused_is_a_warning(
    kube: FakeCluster, looking: Looking
) -> None:
    stuck = [
        {
            "type": "Progressing",
            "status": "False",
            "reason": "ProgressDeadlineExceeded",
            "lastUpdateTime": None,
        }
    ]
    kube.apps("deployments", deployment("a", status={"updatedReplicas": 1, "conditions": stuck}))
    kube.apps("deployments", deployment("b", status={"updatedReplicas": 2}), deployment("c", paused=True))
    finding = await rollouts(looking)
    assert finding.status is FindingStatus.WARNING
    assert finding.detail.splitlines() == [
        "a: rollout stuck: 1 of 3 updated, 3 available, past its deadline",
        "b: rollout under way: 2 of 3 pods updated",
        "c: rollout is paused",
    ]


async def test_one_deployment_by_a_label(kube: FakeCluster, looking: Looking) -> None:
    rolled(kube, 7 * MINUTE)
    kube.apps("deployments", deployment("other", paused=True))
    finding = await rollouts(looking, deployment=FromLabel(label="deployment"))
    assert finding.headline == "api-gateway: image v12 -> v13, 7m before the first alert"
    gone = await rollouts(looking, deployment="nowhere")
    assert gone.headline == "prod: no deployment nowhere in namespace analytics"
