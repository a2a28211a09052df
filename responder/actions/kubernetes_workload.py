"""What the Kubernetes actions have in common: the object, its annotations, and how far its rollout has come."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import msgspec

from responder.actions.base import ActionError, ActionSettings, Plan, Progress, Settling
from responder.parameters import Parameter, check_known, kubernetes_name, kubernetes_namespace, resolve
from responder.targets.base import TargetError
from responder.targets.http import UnclearError
from responder.targets.kubernetes import Clusters, Patch
from responder.targets.kubernetes_calls import (
    DAEMON_SETS,
    DEPLOYMENTS,
    STATEFUL_SETS,
    Ask,
    Place,
    Resource,
)
from responder.targets.kubernetes_objects import Workload
from responder.targets.kubernetes_rollout import Kind, RolloutState, rollout

#: The run that last changed an object: what tells, after a crash, whether its change was made.
RUN = "responder/run"

_RESOURCES: Mapping[Kind, Resource] = {
    Kind.DEPLOYMENT: DEPLOYMENTS,
    Kind.STATEFUL_SET: STATEFUL_SETS,
    Kind.DAEMON_SET: DAEMON_SETS,
}
#: Shares of the action's time limit for one call: two looks and a change fit into it.
_LOOK, _CHANGE = 0.2, 0.5

#: What puts an object back to what a repository says: where it leaves its name, and what it is called.
_OWNERS = (
    ("argocd.argoproj.io/instance", "Argo CD"),
    ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("helm.toolkit.fluxcd.io/name", "Flux"),
)


class KubernetesActionSettings(ActionSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``namespace``: the target's own where it is not given."""

    TARGET_KIND: ClassVar[str] = "kubernetes"

    namespace: Parameter | None = None

    def __post_init__(self) -> None:
        """Refuse what is no namespace."""
        check_known(self.namespace, "namespace", kubernetes_namespace)


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """One workload."""

    place: Place
    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def where(self) -> str:
        """For a sentence about it."""
        return f"{self} in namespace {self.place.namespace} (target {self.place.target})"


class Workloads:
    """Looks at workloads and changes them, each call within its share of the action's time."""

    def __init__(self, settings: KubernetesActionSettings, clusters: Clusters) -> None:
        self._settings = settings
        self.clusters = clusters

    def thing(self, kind: Kind, name: Parameter, labels: Mapping[str, str]) -> Thing:
        """The object that is meant.

        Raises:
            ParameterError, TargetError: where a label does not fit, or the target does not reach the namespace.
        """
        place = self.clusters.place(self._settings.target, self._settings.namespace, labels)
        return Thing(place=place, kind=kind, name=resolve(name, labels, kind.value, kubernetes_name))

    def plan(self, thing: Thing, text: str) -> Plan:
        """A plan for that object; its namespace is named where it is not the target's own."""
        name = f"{thing.kind}/{thing.name}"
        own = self.clusters.own_namespace(thing.place)
        return Plan(object=name if own else f"{thing.place.namespace}/{name}", text=text)

    @property
    def look_limit(self) -> timedelta:
        """How long one look may take."""
        return self._settings.timeout * _LOOK

    @property
    def change_limit(self) -> timedelta:
        """How long the change may take: admission webhooks have a say in it."""
        return self._settings.timeout * _CHANGE

    async def read(self, thing: Thing) -> Workload:
        """The object as it is."""
        what = _RESOURCES[thing.kind]
        ask = Ask(place=thing.place, what=what, name=thing.name, limit=self.look_limit)
        return await self.clusters.read(ask, Workload)

    async def change(self, thing: Thing, patch: Patch, run: str) -> Workload:
        """Change it; where no answer comes, look whether the change was made.

        Raises:
            TargetError: where it is certain that nothing was changed.
            UnclearError: where it is not.
        """
        what = _RESOURCES[thing.kind]
        ask = Ask(place=thing.place, what=what, name=thing.name, limit=self.change_limit)
        try:
            return await self.clusters.patch(ask, patch, Workload)
        except (UnclearError, TimeoutError):
            if patch.rehearsal:
                raise ActionError(f"{thing.place.target}: no answer to the rehearsal") from None
            with contextlib.suppress(TargetError, TimeoutError):
                seen = await self.read(thing)
                if seen.metadata.annotations.get(RUN) == run:
                    return seen
            raise UnclearError(f"{thing}: no answer says whether it was changed") from None

    async def under_way(self, thing: Thing) -> str | None:
        """The rollout that is going on, in words."""
        state = rollout(thing.kind, await self.read(thing))
        return (
            f"a rollout of {thing} is under way: {state.text}"
            if state.state is RolloutState.UNDER_WAY
            else None
        )

    async def settled(self, thing: Thing, run: str, mark: Mapping[str, str]) -> Settling:
        """Whether what that run changed has reached the pods; without a ``mark`` whether it changed anything at all."""
        workload = await self.read(thing)
        if workload.metadata.annotations.get(RUN) != run:
            why = (
                "was changed or replaced since"
                if mark
                else "carries no trace of this run: it was not changed"
            )
            return Settling(progress=Progress.FAILED, text=f"{thing} {why}")
        state = rollout(thing.kind, workload)
        return Settling(progress=_PROGRESS[state.state], text=f"{thing}: {state.text}")


_PROGRESS = {
    RolloutState.COMPLETE: Progress.DONE,
    RolloutState.STUCK: Progress.FAILED,
    RolloutState.UNDER_WAY: Progress.PENDING,
    RolloutState.UNAVAILABLE: Progress.PENDING,
}


def reverting(workload: Workload) -> str:
    """A warning, where something keeps the object as a repository has it; it begins with ``; ``."""
    meta = workload.metadata
    for key, program in _OWNERS:
        if key in meta.labels or key in meta.annotations:
            return f"; {program} keeps it as its repository has it and may put it back"
    return ""
