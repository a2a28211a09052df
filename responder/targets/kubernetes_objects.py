"""Kubernetes' objects as far as they matter here; what else they hold is not decoded.

Fields that a server writes as ``null`` are optional; all others are left out by it where they are empty.
Source: Kubernetes' API reference (core/v1, apps/v1, autoscaling/v2, metrics.k8s.io/v1beta1).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class _Object(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class Owner(_Object, frozen=True, kw_only=True):
    """Which object made this one."""

    uid: str = ""


class Managed(_Object, frozen=True, kw_only=True):
    """Who has set which fields, and when; ``fields`` are a tree of ``f:name`` keys."""

    manager: str = ""
    subresource: str = ""
    time: datetime | None = None
    fields: Any = msgspec.field(default=None, name="fieldsV1")


class Meta(_Object, frozen=True, kw_only=True):
    """What every object has."""

    name: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[Owner, ...] = ()
    managed_fields: tuple[Managed, ...] = ()


class Condition(_Object, frozen=True, kw_only=True):
    """One aspect of an object's state."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_update_time: datetime | None = None


class Waiting(_Object, frozen=True, kw_only=True):
    """Why a container does not run yet."""

    reason: str = ""
    message: str = ""


class Running(_Object, frozen=True, kw_only=True):
    """Since when a container runs."""

    started_at: datetime | None = None


class Terminated(_Object, frozen=True, kw_only=True):
    """How a container ended."""

    reason: str = ""
    exit_code: int = 0
    finished_at: datetime | None = None


class ContainerState(_Object, frozen=True, kw_only=True):
    """One of the three."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(_Object, frozen=True, kw_only=True):
    """How a container is, and how it was before its last restart."""

    name: str = ""
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class Resources(_Object, frozen=True, kw_only=True):
    """What a container asks for and may take at most."""

    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


class Container(_Object, frozen=True, kw_only=True):
    """A container of a pod's spec."""

    name: str = ""
    resources: Resources = Resources()


class PodSpec(_Object, frozen=True, kw_only=True):
    """What a pod is to be."""

    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] = ()


class PodStatus(_Object, frozen=True, kw_only=True):
    """What a pod is."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    start_time: datetime | None = None
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(_Object, frozen=True, kw_only=True):
    """A pod."""

    metadata: Meta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class Usage(_Object, frozen=True, kw_only=True):
    """What a container takes just now."""

    name: str = ""
    usage: dict[str, str] | None = None


class PodUsage(_Object, frozen=True, kw_only=True):
    """What a pod's containers take just now."""

    metadata: Meta
    timestamp: datetime | None = None
    containers: tuple[Usage, ...] | None = None


class Involved(_Object, frozen=True, kw_only=True):
    """What an event is about."""

    kind: str = ""
    name: str = ""


class Series(_Object, frozen=True, kw_only=True):
    """An event that goes on."""

    count: int = 0
    last_observed_time: datetime | None = None


class Event(_Object, frozen=True, kw_only=True):
    """Something that happened to an object."""

    metadata: Meta
    involved_object: Involved = Involved()
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int = 0
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    series: Series | None = None


class Selector(_Object, frozen=True, kw_only=True):
    """Which pods are an object's; the expressions beside the labels only narrow it further."""

    match_labels: dict[str, str] = {}


class RollingUpdate(_Object, frozen=True, kw_only=True):
    """How many at once; ``partition``: pods below that number stay as they are."""

    partition: int = 0


class UpdateStrategy(_Object, frozen=True, kw_only=True):
    """How a change of the template reaches the pods."""

    type: str = ""
    rolling_update: RollingUpdate | None = None


class WorkloadSpec(_Object, frozen=True, kw_only=True):
    """What a deployment, stateful set, daemon set or replica set is to be."""

    replicas: int | None = None
    paused: bool = False
    selector: Selector = Selector()
    template: dict[str, Any] = {}
    update_strategy: UpdateStrategy = UpdateStrategy()


class WorkloadStatus(_Object, frozen=True, kw_only=True):
    """How far its controller has come; the second half is a stateful set's and a daemon set's."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0
    conditions: tuple[Condition, ...] = ()
    current_revision: str = ""
    update_revision: str = ""
    desired_number_scheduled: int = 0
    updated_number_scheduled: int = 0
    number_available: int = 0


class Workload(_Object, frozen=True, kw_only=True):
    """A deployment, stateful set, daemon set or replica set."""

    metadata: Meta
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


class ScaleTarget(_Object, frozen=True, kw_only=True):
    """What an autoscaler scales."""

    kind: str = ""
    name: str = ""


class AutoscalerSpec(_Object, frozen=True, kw_only=True):
    """Within which bounds it scales."""

    scale_target_ref: ScaleTarget = ScaleTarget()
    min_replicas: int | None = None
    max_replicas: int = 0


class Autoscaler(_Object, frozen=True, kw_only=True):
    """A HorizontalPodAutoscaler."""

    metadata: Meta
    spec: AutoscalerSpec = AutoscalerSpec()


class ScaleSpec(_Object, frozen=True, kw_only=True):
    """How many are wanted."""

    replicas: int = 0


class Scale(_Object, frozen=True, kw_only=True):
    """The scale subresource."""

    metadata: Meta
    spec: ScaleSpec = ScaleSpec()


def condition(conditions: tuple[Condition, ...], kind: str) -> Condition | None:
    """The condition of that type."""
    return next((one for one in conditions if one.type == kind), None)
