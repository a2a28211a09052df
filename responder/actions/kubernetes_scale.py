"""Type ``kubernetes.scale``: more or fewer pods of a deployment, within bounds, and not against an autoscaler."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from responder.actions.base import (
    ACTIONS,
    ActionError,
    ActionSettings,
    Performed,
    Plan,
    Progress,
    Settling,
    Wish,
)
from responder.actions.kubernetes_workload import KubernetesActionSettings, Thing, Workloads, reverting
from responder.parameters import Parameter, check_known, kubernetes_name
from responder.targets.base import TargetError, Toolbox
from responder.targets.http import UnclearError
from responder.targets.kubernetes import Patch, PatchType
from responder.targets.kubernetes_calls import AUTOSCALERS, DEPLOYMENT_SCALES, Ask, ClusterError
from responder.targets.kubernetes_objects import Autoscaler, Managed, Scale, Workload, condition
from responder.targets.kubernetes_rollout import Kind
from responder.text import one_line

_AUTOSCALERS_READ = 500
_TRIES = 4  # a status that changes at every moment of an incident also changes the resource version
_PERCENT = re.compile(r"[+-]?[1-9][0-9]{0,3}%")


class ScaleSettings(KubernetesActionSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either ``replicas``, or ``by``: a number (``+2``) or a share (``50%``, rounded up).

    The result stays within ``min`` and ``max``. Without ``down`` a deployment that has more than ``replicas`` is left
    as it is: who scaled it further knew more.
    """

    deployment: Parameter
    replicas: int | None = None
    by: int | str | None = None
    min: int = 1
    max: int = 10
    down: bool = False

    def __post_init__(self) -> None:
        """Refuse bounds and steps that make no sense."""
        super().__post_init__()
        check_known(self.deployment, "deployment", kubernetes_name)
        if (self.replicas is None) == (self.by is None):
            raise ValueError('replicas: expected either replicas: 5, or by: +2 or by: "50%"')
        if not 0 <= self.min <= self.max:
            raise ValueError(f"min: expected 0 <= min <= max, got {self.min} and {self.max}")
        if self.replicas is not None and not self.min <= self.replicas <= self.max:
            raise ValueError(f"replicas: {self.replicas} is not within min ({self.min}) and max ({self.max})")
        if isinstance(self.by, str) and _PERCENT.fullmatch(self.by) is None:
            raise ValueError(f'by: expected a number such as +2, or a share such as "50%", got {self.by!r}')
        if self.by == 0:
            raise ValueError("by: 0 changes nothing")


@ACTIONS.register("kubernetes.scale")
class KubernetesScale:
    """The scale subresource of a deployment."""

    Settings: ClassVar[type[ActionSettings]] = ScaleSettings

    def __init__(self, settings: ScaleSettings, tools: Toolbox) -> None:
        self._settings = settings
        self._workloads = Workloads(settings, tools.clusters)

    def plan(self, labels: Mapping[str, str]) -> Plan:
        """Which deployment, and to what."""
        s, thing = self._settings, self._thing(labels)
        to = (
            f"to {s.replicas} replicas"
            if s.by is None
            else f"by {_signed(s.by)} (within {s.min} and {s.max})"
        )
        return self._workloads.plan(thing, f"Scale {thing.where} {to}")

    async def rehearse(self, wish: Wish) -> str:
        """The same change as a dry run of the server's."""
        thing = self._thing(wish.labels)
        deployment = await self._workloads.read(thing)
        former, wanted = _count(deployment), self._wanted(thing, deployment)
        await self._refuse_autoscaled(thing)
        try:
            await self._patch(thing, deployment, wanted, rehearsal=True)
        except ClusterError as error:
            if error.code != 409:  # its status has changed since: no matter for a rehearsal
                raise
        except TimeoutError:
            raise ActionError(f"{thing.place.target}: no answer to the rehearsal") from None
        return f"would scale {thing.where} from {former} to {wanted}{reverting(deployment)}"

    async def busy(self, wish: Wish) -> str | None:
        """A rollout of it."""
        return await self._workloads.under_way(self._thing(wish.labels))

    async def perform(self, wish: Wish) -> Performed:
        """Set the count, if it is still what it was when it was decided."""
        thing = self._thing(wish.labels)
        await self._refuse_autoscaled(thing)
        deployment = await self._workloads.read(thing)
        return await self._scaled(thing, deployment, self._wanted(thing, deployment))

    async def settled(self, wish: Wish, mark: Mapping[str, str]) -> Settling:
        """Whether so many pods are available."""
        thing = self._thing(wish.labels)
        deployment = await self._workloads.read(thing)
        count, status = _count(deployment), deployment.status
        if not mark and (count != self._settings.replicas or not _is_ours(deployment)):
            return _failed(f"it cannot be told whether this run scaled {thing}; it has {count} replicas")
        if mark and mark["replicas"] != str(count):
            return _failed(f"{thing} was scaled to {count} since")
        failing = condition(status.conditions, "ReplicaFailure")
        if failing is not None and failing.status == "True":
            return _failed(f"{thing} cannot make pods: {one_line(failing.message, 200)}")
        seen = status.observed_generation >= deployment.metadata.generation
        done = seen and status.replicas == count and status.available_replicas == count
        text = f"{thing}: {status.available_replicas} of {count} available"
        return Settling(progress=Progress.DONE if done else Progress.PENDING, text=text)

    async def undo(self, wish: Wish, undo: Mapping[str, str]) -> Performed:
        """Set the former count, if nobody has scaled it since."""
        thing = self._thing(wish.labels)
        await self._refuse_autoscaled(thing)
        deployment = await self._workloads.read(thing)
        if _count(deployment) != int(undo["set"]):
            raise ActionError(
                f"{thing} has {_count(deployment)} replicas now, not {undo['set']}: it was scaled since"
            )
        return await self._scaled(thing, deployment, int(undo["replicas"]))

    def _thing(self, labels: Mapping[str, str]) -> Thing:
        return self._workloads.thing(Kind.DEPLOYMENT, self._settings.deployment, labels)

    def _wanted(self, thing: Thing, deployment: Workload) -> int:
        """How many there are to be.

        Raises:
            ActionError: where that changes nothing, or the other way round.
        """
        s, present = self._settings, _count(deployment)
        if s.by is None:
            wanted, lower = s.replicas or 0, s.down
        else:
            step = s.by if isinstance(s.by, int) else math.ceil(present * int(s.by[:-1]) / 100)
            wanted, lower = min(max(present + step, s.min), s.max), _signed(s.by).startswith("-")
        if wanted == present:
            raise ActionError(f"{thing} has {present} replicas already (bounds: {s.min} to {s.max})")
        if wanted < present and not lower:
            raise ActionError(
                f"{thing} has {present} replicas, more than {wanted}: scaling down takes `down: true`"
            )
        if wanted > present and s.by is not None and lower:
            raise ActionError(f"{thing} has {present} replicas, fewer than the least ({s.min}) already")
        return wanted

    async def _refuse_autoscaled(self, thing: Thing) -> None:
        limit = self._workloads.look_limit
        ask = Ask(place=thing.place, what=AUTOSCALERS, limit=limit)
        found = await self._workloads.clusters.listed(ask, Autoscaler, _AUTOSCALERS_READ)
        for one in found.items:
            target = one.spec.scale_target_ref
            if (target.kind, target.name) == ("Deployment", thing.name):
                bounds = f"{one.spec.min_replicas or 1} to {one.spec.max_replicas}"
                raise ActionError(
                    f"{thing} is scaled by HorizontalPodAutoscaler {one.metadata.name} ({bounds}), which would put it "
                    "back within seconds: change its minReplicas instead"
                )
        if not found.complete:
            raise ActionError(
                f"namespace {thing.place.namespace} has too many autoscalers to know that none scales {thing}"
            )

    async def _scaled(self, thing: Thing, deployment: Workload, wanted: int) -> Performed:
        former = _count(deployment)
        for _ in range(_TRIES):
            try:
                await self._patch(thing, deployment, wanted, rehearsal=False)
            except ClusterError as error:
                if error.code != 409:
                    raise
                deployment = await self._workloads.read(thing)
                if _count(deployment) != former:
                    text = (
                        f"{thing} was scaled from {former} to {_count(deployment)} by somebody else just now"
                    )
                    raise ActionError(text) from None
                continue
            except (UnclearError, TimeoutError):
                await self._look_after(thing, wanted)
            return Performed(
                text=f"scaled {thing.where} from {former} to {wanted}{reverting(deployment)}",
                undo={"replicas": str(former), "set": str(wanted)},
                mark={"replicas": str(wanted)},
            )
        raise ActionError(
            f"{thing} changes too fast to be scaled safely: {_TRIES} attempts met another change"
        )

    async def _patch(self, thing: Thing, deployment: Workload, wanted: int, *, rehearsal: bool) -> None:
        """With the resource version, so that another's change in between is a conflict, not lost."""
        body: dict[str, Any] = {
            "metadata": {"resourceVersion": deployment.metadata.resource_version},
            "spec": {"replicas": wanted},
        }
        limit = self._workloads.change_limit
        ask = Ask(place=thing.place, what=DEPLOYMENT_SCALES, name=thing.name, limit=limit)
        patch = Patch(type=PatchType.MERGE, body=body, rehearsal=rehearsal)
        await self._workloads.clusters.patch(ask, patch, Scale)

    async def _look_after(self, thing: Thing, wanted: int) -> None:
        """After a change without an answer: whether it was made. Raises :class:`UnclearError` where that is unknown."""
        with contextlib.suppress(TargetError, TimeoutError):
            seen = await self._workloads.read(thing)
            if _count(seen) == wanted and _is_ours(seen):
                return
        raise UnclearError(f"{thing}: no answer says whether it was scaled to {wanted}")


def _is_ours(deployment: Workload) -> bool:
    """Whether we were the last to scale it.

    The scale subresource takes no annotation. The server notes who has set the count there (but not when, and nobody
    where the count is 0).
    """
    setters = [one for one in deployment.metadata.managed_fields if _sets_count(one)]
    if not setters:
        return _count(deployment) == 0
    return all((one.manager, one.subresource) == ("responder", "scale") for one in setters)


def _sets_count(managed: Managed) -> bool:
    spec = managed.fields.get("f:spec") if isinstance(managed.fields, dict) else None
    return isinstance(spec, dict) and "f:replicas" in spec


def _count(deployment: Workload) -> int:
    return 1 if deployment.spec.replicas is None else deployment.spec.replicas


def _signed(by: int | str) -> str:
    return f"{by:+d}" if isinstance(by, int) else (by if by[0] in "+-" else f"+{by}")


def _failed(text: str) -> Settling:
    return Settling(progress=Progress.FAILED, text=text)
