"""Kubernetes' objects as a real server writes them, for tests to fill a cluster with."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

Object = dict[str, Any]


def stamp(ago: timedelta = timedelta(0)) -> str:
    """A time as Kubernetes writes it."""
    return f"{datetime.now(tz=UTC) - ago:%Y-%m-%dT%H:%M:%SZ}"  # noqa: TID251 - the cluster's own clock


def fine_stamp(ago: timedelta) -> str:
    """The same with microseconds, as the newer fields of events have it."""
    return f"{datetime.now(tz=UTC) - ago:%Y-%m-%dT%H:%M:%S.%fZ}"  # noqa: TID251 - the cluster's own clock


def uid(*names: str) -> str:
    raw = hashlib.md5("/".join(names).encode()).hexdigest()
    return f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}"


def meta(name: str, namespace: str = "analytics", ago: timedelta = timedelta(days=3), **more: Any) -> Object:
    return {"name": name, "namespace": namespace, "creationTimestamp": stamp(ago), **more}


def container(name: str = "app", image: str = "registry.example:5000/app:v1", **more: Any) -> Object:
    return {"name": name, "image": image, "resources": {}, **more}


def running(name: str = "app", *, ready: bool = True, restarts: int = 0, **more: Any) -> Object:
    """The status of a container that runs."""
    return {
        "name": name, "ready": ready, "started": True, "restartCount": restarts, "lastState": {},
        "state": {"running": {"startedAt": stamp(timedelta(hours=5))}}, **more,
    }  # fmt: skip


def ended(reason: str, code: int, ago: timedelta = timedelta(minutes=3)) -> Object:
    """A container's end, as ``lastState`` or ``state`` has it."""
    return {
        "terminated": {
            "reason": reason, "exitCode": code, "startedAt": stamp(ago * 2), "finishedAt": stamp(ago),
        }
    }  # fmt: skip


def waiting(name: str, reason: str, message: str = "", **more: Any) -> Object:
    """The status of a container that does not run."""
    return {
        "name": name, "ready": False, "started": False, "restartCount": 0, "lastState": {},
        "state": {"waiting": {"reason": reason, "message": message}}, **more,
    }  # fmt: skip


def pod(
    name: str,
    *statuses: Object,
    namespace: str = "analytics",
    labels: dict[str, str] | None = None,
    containers: list[Object] | None = None,
    phase: str = "Running",
    conditions: list[Object] | None = None,
    **more: Any,
) -> Object:
    statuses = statuses or (running(),)
    ready = phase == "Running" and all(one["ready"] for one in statuses)
    spec_containers = containers or [container(one["name"]) for one in statuses]
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": meta(name, namespace, labels=labels or {"app": "superset"}, **more),
        "spec": {"nodeName": "node-1", "containers": spec_containers},
        "status": {
            "phase": phase,
            "startTime": stamp(timedelta(days=3)),
            "conditions": conditions
            if conditions is not None
            else [{"type": "Ready", "status": str(ready), "lastProbeTime": None, "lastTransitionTime": stamp()}],
            "containerStatuses": list(statuses),
        },
    }  # fmt: skip


def template(image: str = "registry.example:5000/api:v1", **more: Any) -> Object:
    """A pod template; ``more`` goes into its one container."""
    return {
        "metadata": {"creationTimestamp": None, "labels": {"app": "api-gateway"}},
        "spec": {"containers": [container("api", image, **more)], "restartPolicy": "Always"},
    }


def deployment(
    name: str = "api-gateway",
    replicas: int = 3,
    *,
    namespace: str = "analytics",
    pods: Object | None = None,
    revision: int = 1,
    annotations: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    status: Object | None = None,
    **spec: Any,
) -> Object:
    """One whose rollout is complete, unless ``status`` says otherwise."""
    return {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": meta(
            name, namespace, generation=2, labels=labels or {},
            annotations={"deployment.kubernetes.io/revision": str(revision), **(annotations or {})},
        ),
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": pods or template(), **spec,
        },
        "status": {
            "observedGeneration": 2, "replicas": replicas, "updatedReplicas": replicas,
            "readyReplicas": replicas, "availableReplicas": replicas,
            "conditions": [
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable",
                 "lastUpdateTime": stamp(timedelta(days=3)), "lastTransitionTime": stamp(timedelta(days=3))},
            ],
            **(status or {}),
        },
    }  # fmt: skip


def replica_set(  # noqa: PLR0917 - a table of a deployment's past
    owner: Object,
    revision: int,
    ago: timedelta,
    pods: Object | None = None,
    cause: str = "",
    owner_uid: str = "",
    earlier: str = "",
) -> Object:
    """A revision of a deployment, as its controller keeps it."""
    name, namespace = owner["metadata"]["name"], owner["metadata"]["namespace"]
    kept = {**(pods or template())}
    digest = f"{revision:x}c9f7b"
    kept["metadata"] = {
        **kept["metadata"],
        "labels": {**kept["metadata"]["labels"], "pod-template-hash": digest},
    }
    annotations = {"deployment.kubernetes.io/revision": str(revision)}
    if cause:
        annotations["kubernetes.io/change-cause"] = cause
    if earlier:
        annotations["deployment.kubernetes.io/revision-history"] = earlier
    return {
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": meta(
            f"{name}-{digest}", namespace, ago, annotations=annotations, labels={"app": name},
            ownerReferences=[{"kind": "Deployment", "name": name, "controller": True, "apiVersion": "apps/v1",
                              "uid": owner_uid or uid("deployments", namespace, name)}],
        ),
        "spec": {"replicas": 0, "template": kept},
        "status": {"replicas": 0},
    }  # fmt: skip


def event(
    number: int,
    reason: str,
    message: str,
    about: str,
    *,
    ago: timedelta = timedelta(minutes=5),
    count: int = 1,
    kind: str = "Pod",
    namespace: str = "analytics",
    **more: Any,
) -> Object:
    return {
        "metadata": meta(f"{about}.{number:x}", namespace, ago),
        "involvedObject": {"kind": kind, "name": about, "namespace": namespace},
        "type": "Warning", "reason": reason, "message": message, "count": count,
        "firstTimestamp": stamp(ago * 2), "lastTimestamp": stamp(ago), "eventTime": None, **more,
    }  # fmt: skip


def usage(
    name: str, namespace: str = "analytics", ago: timedelta = timedelta(seconds=20), **containers: Any
) -> Object:
    """What a pod takes: ``app=("480m", "950Mi")``."""
    return {
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": stamp(), "labels": {"app": "superset"}},
        "timestamp": stamp(ago), "window": "15s",
        "containers": [
            {"name": one.replace("_", "-"), "usage": {"cpu": cpu, "memory": memory}}
            for one, (cpu, memory) in containers.items()
        ],
    }  # fmt: skip


def autoscaler(name: str, deployment_name: str, least: int = 2, most: int = 10) -> Object:
    return {
        "metadata": meta(name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment_name},
            "minReplicas": least, "maxReplicas": most,
        },
        "status": {},
    }  # fmt: skip
