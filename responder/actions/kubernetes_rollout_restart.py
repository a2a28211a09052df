"""Type ``kubernetes.rollout_restart``: new pods for a workload, a few at a time, as its own strategy has it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

from responder.actions.base import ACTIONS, ActionError, ActionSettings, Performed, Plan, Settling, Wish
from responder.actions.kubernetes_workload import RUN, KubernetesActionSettings, Thing, Workloads, reverting
from responder.parameters import Parameter, check_known, kubernetes_name
from responder.targets.base import Toolbox
from responder.targets.kubernetes import Patch, PatchType
from responder.targets.kubernetes_objects import Workload
from responder.targets.kubernetes_rollout import RESTARTED_AT, Kind


class RestartSettings(KubernetesActionSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly one of the three names what to restart."""

    deployment: Parameter | None = None
    statefulset: Parameter | None = None
    daemonset: Parameter | None = None

    def __post_init__(self) -> None:
        """Refuse none, more than one, and what is no name."""
        super().__post_init__()
        if len(self.named) != 1:
            raise ValueError("deployment: expected exactly one of deployment, statefulset and daemonset")
        for kind, name in self.named:
            check_known(name, kind.value, kubernetes_name)

    @property
    def named(self) -> list[tuple[Kind, Parameter]]:
        """What is named."""
        given = (
            (Kind.DEPLOYMENT, self.deployment),
            (Kind.STATEFUL_SET, self.statefulset),
            (Kind.DAEMON_SET, self.daemonset),
        )
        return [(kind, name) for kind, name in given if name is not None]


@ACTIONS.register("kubernetes.rollout_restart")
class RolloutRestart:
    """What ``kubectl rollout restart`` does: an annotation of the pods' template changes."""

    Settings: ClassVar[type[ActionSettings]] = RestartSettings

    def __init__(self, settings: RestartSettings, tools: Toolbox) -> None:
        self._kind, self._name = settings.named[0]
        self._workloads = Workloads(settings, tools.clusters)

    def plan(self, labels: Mapping[str, str]) -> Plan:
        """Which workload."""
        thing = self._thing(labels)
        return self._workloads.plan(thing, f"Restart {thing.where}")

    async def rehearse(self, wish: Wish) -> str:
        """The same change as a dry run of the server's."""
        thing = self._thing(wish.labels)
        workload = await self._restartable(thing)
        await self._workloads.change(thing, _patch(wish, rehearsal=True), wish.run)
        return f"would restart {_pods(workload)} of {thing.where}{reverting(workload)}"

    async def busy(self, wish: Wish) -> str | None:
        """A rollout of it."""
        return await self._workloads.under_way(self._thing(wish.labels))

    async def perform(self, wish: Wish) -> Performed:
        """Change the annotation; the controller does the rest."""
        thing = self._thing(wish.labels)
        workload = await self._restartable(thing)
        if workload.metadata.annotations.get(RUN) != wish.run:
            await self._workloads.change(thing, _patch(wish, rehearsal=False), wish.run)
        text = f"restarting {_pods(workload)} of {thing.where}{reverting(workload)}"
        return Performed(text=text, mark={"run": wish.run})

    async def settled(self, wish: Wish, mark: Mapping[str, str]) -> Settling:
        """Whether all pods are new and available."""
        return await self._workloads.settled(self._thing(wish.labels), wish.run, mark)

    async def undo(self, wish: Wish, undo: Mapping[str, str]) -> Performed:
        """There is no way back from a restart."""
        raise ActionError("a restart cannot be taken back")

    def _thing(self, labels: Mapping[str, str]) -> Thing:
        return self._workloads.thing(self._kind, self._name, labels)

    async def _restartable(self, thing: Thing) -> Workload:
        workload = await self._workloads.read(thing)
        if workload.spec.paused:
            raise ActionError(
                f"{thing} is paused, so that nothing would restart: kubectl rollout resume comes first"
            )
        if workload.spec.update_strategy.type == "OnDelete":
            raise ActionError(
                f"{thing} has the update strategy OnDelete: its pods restart only when they are deleted"
            )
        if workload.spec.replicas == 0:
            raise ActionError(f"{thing} is scaled to 0: there is no pod to restart")
        return workload


def _patch(wish: Wish, *, rehearsal: bool) -> Patch:
    body: dict[str, Any] = {
        "metadata": {"annotations": {RUN: wish.run}},
        "spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: restarted_at(wish)}}}},
    }
    return Patch(type=PatchType.STRATEGIC, body=body, rehearsal=rehearsal)


def restarted_at(wish: Wish) -> str:
    """A time whose fraction of a second is the run's own: with the same value, a second restart would do nothing."""
    fraction = int.from_bytes(hashlib.blake2b(wish.run.encode(), digest_size=8).digest()) % 10**9
    return f"{wish.now:%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def _pods(workload: Workload) -> str:
    count = workload.spec.replicas
    if count is None:
        count = workload.status.desired_number_scheduled
    return "1 pod" if count == 1 else f"{count} pods"
