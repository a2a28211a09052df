"""Type ``kubernetes.rollout_undo``: a deployment's pods as they were at an earlier revision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from responder.actions.base import ACTIONS, ActionError, ActionSettings, Performed, Plan, Settling, Wish
from responder.actions.kubernetes_workload import RUN, KubernetesActionSettings, Thing, Workloads, reverting
from responder.parameters import Parameter, check_known, kubernetes_name
from responder.targets.base import Toolbox
from responder.targets.kubernetes import Patch, PatchType
from responder.targets.kubernetes_calls import REPLICA_SETS, Ask, ClusterError
from responder.targets.kubernetes_history import (
    Revision,
    current_revision,
    differences,
    only_restarted,
    plain,
    revisions,
)
from responder.targets.kubernetes_objects import Workload
from responder.targets.kubernetes_rollout import CHANGE_CAUSE, Kind

#: The revision that a run of ours left behind: what is needed to take it back, after a crash too.
FROM_REVISION = "responder/from-revision"
_HISTORY_READ = 200


class RolloutUndoSettings(KubernetesActionSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``revision``: the last one that differs by more than a restart, where it is not given."""

    deployment: Parameter
    revision: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no revision."""
        super().__post_init__()
        check_known(self.deployment, "deployment", kubernetes_name)
        if self.revision is not None and self.revision < 1:
            raise ValueError(f"revision: expected 1 or more, got {self.revision}")


class _Way(msgspec.Struct, frozen=True, kw_only=True):
    """From the present revision to another one, and in words."""

    deployment: Workload
    present: int
    back_to: Revision

    def __str__(self) -> str:
        told = ", ".join(differences(plain(self.deployment.spec.template), self.back_to.template)[:4])
        return f"from revision {self.present} to {self.back_to.number} ({told})"


@ACTIONS.register("kubernetes.rollout_undo")
class RolloutUndo:
    """What ``kubectl rollout undo`` does, but never back to what is there already."""

    Settings: ClassVar[type[ActionSettings]] = RolloutUndoSettings

    def __init__(self, settings: RolloutUndoSettings, tools: Toolbox) -> None:
        self._settings = settings
        self._workloads = Workloads(settings, tools.clusters)

    def plan(self, labels: Mapping[str, str]) -> Plan:
        """Which deployment, and to which revision."""
        thing = self._thing(labels)
        number = self._settings.revision
        to = "the revision before" if number is None else f"revision {number}"
        return self._workloads.plan(thing, f"Roll back {thing.where} to {to}")

    async def rehearse(self, wish: Wish) -> str:
        """The same change as a dry run of the server's."""
        thing = self._thing(wish.labels)
        way = await self._way(thing, self._settings.revision)
        await self._workloads.change(thing, _patch(way, wish, rehearsal=True), wish.run)
        return f"would roll back {thing.where} {way}{reverting(way.deployment)}"

    async def busy(self, wish: Wish) -> str | None:
        """A change that its controller has not seen yet. A rollout under way is what one wants to go back from."""
        thing = self._thing(wish.labels)
        return _unseen(thing, await self._workloads.read(thing))

    async def perform(self, wish: Wish) -> Performed:
        """Put the earlier template in the place of the present one."""
        return await self._back(wish, self._settings.revision)

    async def settled(self, wish: Wish, mark: Mapping[str, str]) -> Settling:
        """Whether all pods are of that revision and available."""
        return await self._workloads.settled(self._thing(wish.labels), wish.run, mark)

    async def undo(self, wish: Wish, undo: Mapping[str, str]) -> Performed:
        """Go to the revision that was there before."""
        return await self._back(wish, int(undo["revision"]))

    async def _back(self, wish: Wish, number: int | None) -> Performed:
        thing = self._thing(wish.labels)
        before = await self._workloads.read(thing)
        left = before.metadata.annotations.get(FROM_REVISION, "")
        if before.metadata.annotations.get(RUN) == wish.run:
            text = f"rolled back {thing.where} from revision {left or '?'} already"
        else:
            way = await self._way(thing, number)
            await self._change(thing, way, wish)
            left = str(way.present)
            text = f"rolling back {thing.where} {way}{reverting(way.deployment)}"
        return Performed(text=text, undo={"revision": left} if left else None, mark={"run": wish.run})

    async def _change(self, thing: Thing, way: _Way, wish: Wish) -> None:
        try:
            await self._workloads.change(thing, _patch(way, wish, rehearsal=False), wish.run)
        except ClusterError as error:
            # A failed test of the generation and a template that is refused look alike.
            now = await self._workloads.read(thing) if error.code == 422 else way.deployment
            if now.metadata.generation != way.deployment.metadata.generation:
                raise ActionError(f"{thing} was changed by somebody else just now; look again") from None
            raise

    def _thing(self, labels: Mapping[str, str]) -> Thing:
        return self._workloads.thing(Kind.DEPLOYMENT, self._settings.deployment, labels)

    async def _way(self, thing: Thing, number: int | None) -> _Way:
        """Where to go, decided on what is there now."""
        workloads = self._workloads
        deployment = await workloads.read(thing)
        if deployment.spec.paused:
            raise ActionError(
                f"{thing} is paused, so that nothing would roll back: kubectl rollout resume comes first"
            )
        if unseen := _unseen(thing, deployment):
            raise ActionError(unseen)
        wanted = deployment.spec.selector.match_labels
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in sorted(wanted.items()))}
        ask = Ask(place=thing.place, what=REPLICA_SETS, query=query, limit=workloads.look_limit)
        history = await workloads.clusters.listed(ask, Workload, _HISTORY_READ)
        known = revisions(deployment, history.items)
        present = current_revision(deployment)
        back_to = _earlier(thing, deployment, known) if number is None else _named(thing, known, number)
        if plain(deployment.spec.template) == back_to.template:
            raise ActionError(f"{thing} is at revision {back_to.number} already (present revision {present})")
        return _Way(deployment=deployment, present=present, back_to=back_to)


def _earlier(thing: Thing, deployment: Workload, known: tuple[Revision, ...]) -> Revision:
    """The last revision before the present one that differs by more than a restart: going back must change something."""
    present, template = current_revision(deployment), plain(deployment.spec.template)
    for one in reversed(known):
        if one.number < present and not only_restarted(one.template, template):
            return one
    raise ActionError(
        f"{thing} has no earlier revision that differs: its history is empty or holds only restarts"
    )


def _named(thing: Thing, known: tuple[Revision, ...], number: int) -> Revision:
    for one in known:
        if one.number == number:
            return one
    kept = ", ".join(str(one.number) for one in known[-10:]) or "none"
    raise ActionError(f"{thing} has no revision {number} (kept: {kept})")


def _unseen(thing: Thing, deployment: Workload) -> str | None:
    if deployment.status.observed_generation < deployment.metadata.generation:
        return f"the controller of {thing} has not seen its last change yet"
    return None


def _patch(way: _Way, wish: Wish, *, rehearsal: bool) -> Patch:
    """The whole template at once: a merge would keep what the later revision has added.

    It holds only for the generation that was looked at, so that a change made meanwhile is not overwritten.
    """
    annotations = {RUN: wish.run, FROM_REVISION: str(way.present)}
    body: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/generation", "value": way.deployment.metadata.generation},
        {"op": "replace", "path": "/spec/template", "value": way.back_to.template},
        *({"op": "add", "path": _annotation(key), "value": value} for key, value in annotations.items()),
    ]
    if way.back_to.cause is not None:
        body.append({"op": "add", "path": _annotation(CHANGE_CAUSE), "value": way.back_to.cause})
    elif CHANGE_CAUSE in way.deployment.metadata.annotations:
        body.append({"op": "remove", "path": _annotation(CHANGE_CAUSE)})
    return Patch(type=PatchType.JSON, body=body, rehearsal=rehearsal)


def _annotation(key: str) -> str:
    """As RFC 6901 writes it."""
    return "/metadata/annotations/" + key.replace("~", "~0").replace("/", "~1")
