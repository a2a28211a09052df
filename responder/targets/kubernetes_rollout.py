"""How far the rollout of a workload has come, by what its controller says of it.

Source: kubectl's ``rollout status`` (Kubernetes documentation, "Deployments", section "Deployment status").
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from responder.targets.kubernetes_objects import Workload, condition

REVISION = "deployment.kubernetes.io/revision"
CHANGE_CAUSE = "kubernetes.io/change-cause"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
HASH_LABEL = "pod-template-hash"


class Kind(StrEnum):
    """The workloads that roll out a change of their template."""

    DEPLOYMENT = "deployment"
    STATEFUL_SET = "statefulset"
    DAEMON_SET = "daemonset"


class RolloutState(StrEnum):
    """``unavailable``: rolled out, but not all pods are available; ``stuck``: past its own deadline."""

    UNDER_WAY = "under way"
    UNAVAILABLE = "unavailable"
    STUCK = "stuck"
    COMPLETE = "complete"


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """How far a rollout has come, and that in words."""

    state: RolloutState
    text: str


def rollout(kind: Kind, workload: Workload) -> Rollout:
    """How far the present template has reached the pods."""
    if workload.status.observed_generation < workload.metadata.generation:
        return _so(RolloutState.UNDER_WAY, "its controller has not seen the last change yet")
    if kind is Kind.DEPLOYMENT:
        return _of_deployment(workload)
    if kind is Kind.STATEFUL_SET:
        return _of_stateful_set(workload)
    return _of_daemon_set(workload)


def _of_deployment(workload: Workload) -> Rollout:
    wanted, status = workload.spec.replicas or 0, workload.status
    progressing = condition(status.conditions, "Progressing")
    reason = progressing.reason if progressing else ""
    if reason == "ProgressDeadlineExceeded":
        text = f"{status.updated_replicas} of {wanted} updated, {status.available_replicas} available, past its deadline"
        return _so(RolloutState.STUCK, text)
    if status.updated_replicas < wanted:
        return _so(RolloutState.UNDER_WAY, f"{status.updated_replicas} of {wanted} pods updated")
    if status.replicas > status.updated_replicas:
        left = status.replicas - status.updated_replicas
        return _so(RolloutState.UNDER_WAY, f"{left} old pods have not ended yet")
    if status.available_replicas < status.updated_replicas:
        # Once a rollout was complete, that stays its reason; pods that fail later are no rollout.
        state = RolloutState.UNAVAILABLE if reason == "NewReplicaSetAvailable" else RolloutState.UNDER_WAY
        return _so(state, f"{status.available_replicas} of {status.updated_replicas} updated pods available")
    return _so(RolloutState.COMPLETE, f"{status.available_replicas} of {wanted} available")


def _of_stateful_set(workload: Workload) -> Rollout:
    wanted, status = workload.spec.replicas or 0, workload.status
    rolling = workload.spec.update_strategy.rolling_update
    updating = max(wanted - (rolling.partition if rolling else 0), 0)
    changing = status.update_revision != status.current_revision
    if changing and status.updated_replicas < updating:
        return _so(RolloutState.UNDER_WAY, f"{status.updated_replicas} of {updating} pods updated")
    if status.available_replicas < wanted:
        state = RolloutState.UNDER_WAY if changing and updating == wanted else RolloutState.UNAVAILABLE
        return _so(state, f"{status.available_replicas} of {wanted} pods available")
    return _so(RolloutState.COMPLETE, f"{status.available_replicas} of {wanted} available")


def _of_daemon_set(workload: Workload) -> Rollout:
    status = workload.status
    wanted = status.desired_number_scheduled
    if status.updated_number_scheduled < wanted:
        return _so(RolloutState.UNDER_WAY, f"{status.updated_number_scheduled} of {wanted} pods updated")
    if status.number_available < wanted:
        return _so(RolloutState.UNAVAILABLE, f"{status.number_available} of {wanted} pods available")
    return _so(RolloutState.COMPLETE, f"{status.number_available} of {wanted} available")


def _so(state: RolloutState, text: str) -> Rollout:
    return Rollout(state=state, text=text)
