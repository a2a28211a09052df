"""Type ``kubernetes.rollouts``: what was rolled out of late, and whether it was just before the alert."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec

from responder.durations import format_duration, rough_duration
from responder.incident.finding import FindingStatus
from responder.parameters import Parameter, check_known, kubernetes_name, resolve
from responder.targets.kubernetes_calls import DEPLOYMENTS, REPLICA_SETS, Ask, Place
from responder.targets.kubernetes_history import Revision, differences, last_change, revisions
from responder.targets.kubernetes_objects import Workload
from responder.targets.kubernetes_rollout import Kind, RolloutState, rollout
from responder.triage.base import PROBES, Circumstances, Observation, ProbeSettings, ProbeTools
from responder.triage.kubernetes_common import KubernetesSettings, counted, lines, said

_DEPLOYMENTS_READ = 500
_REPLICA_SETS_READ = 3_000
_SHOWN = 12
_CAUSE = 120
_UNFINISHED = frozenset({RolloutState.UNDER_WAY, RolloutState.STUCK})


class RolloutSettings(KubernetesSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change at most ``suspect_within`` before the alert makes the finding a warning."""

    deployment: Parameter | None = None
    since: timedelta = timedelta(hours=24)
    suspect_within: timedelta = timedelta(hours=1)

    def __post_init__(self) -> None:
        """Refuse what is no name."""
        super().__post_init__()
        check_known(self.deployment, "deployment", kubernetes_name)


class _Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one deployment; ``before`` is the time from it to the alert, below zero where it came later."""

    deployment: str
    what: str
    at: datetime
    before: timedelta
    revision: int
    more: str

    def __str__(self) -> str:
        ago = rough_duration(abs(self.before))
        side = "before" if self.before >= timedelta(0) else "after"
        return f"{self.deployment}: {self.what}, {ago} {side} the first alert"


@PROBES.register("kubernetes.rollouts")
class KubernetesRollouts:
    """The deployments of a namespace, and their history."""

    Settings: ClassVar[type[ProbeSettings]] = RolloutSettings
    per_incident: ClassVar[bool] = True  # it depends on when the incident was opened

    def __init__(self, settings: RolloutSettings, tools: ProbeTools) -> None:
        self._settings = settings
        self._tools = tools

    async def look(self, circumstances: Circumstances) -> Observation:
        """Two list calls."""
        s, clusters = self._settings, self._tools.clusters
        labels = circumstances.labels
        place = clusters.place(s.target, s.namespace, labels)
        name = "" if s.deployment is None else resolve(s.deployment, labels, "deployment", kubernetes_name)
        deployments, complete = await self._deployments(place, name)
        ask = Ask(place=place, what=REPLICA_SETS, limit=s.timeout)
        history = await clusters.listed(ask, Workload, _REPLICA_SETS_READ)
        changes = [
            change
            for one in deployments
            for change in self._changes(one, history.items, circumstances.opened_at)
        ]
        where = (
            f"{name} in {place.namespace}"
            if name
            else f"{counted(len(deployments), 'deployment')} in {place.namespace}"
        )
        if not (complete and history.complete):
            where += " (there are more)"
        return self._judged(where, deployments, changes)

    async def _deployments(self, place: Place, name: str) -> tuple[Sequence[Workload], bool]:
        clusters, limit = self._tools.clusters, self._settings.timeout
        if name:
            ask = Ask(place=place, what=DEPLOYMENTS, name=name, limit=limit)
            return [await clusters.read(ask, Workload)], True
        ask = Ask(place=place, what=DEPLOYMENTS, limit=limit)
        found = await clusters.listed(ask, Workload, _DEPLOYMENTS_READ)
        return found.items, found.complete

    def _changes(
        self, deployment: Workload, history: Sequence[Workload], opened_at: datetime
    ) -> Iterator[_Change]:
        earliest = self._tools.clock.now() - self._settings.since
        former: Revision | None = None
        steps = sorted(_steps(revisions(deployment, history)), key=lambda one: one[0])
        for number, revision in steps:
            # A template that came back keeps its old replica set, whose age says nothing of the change.
            returned = number > min((revision.number, *revision.earlier))
            changed = last_change(deployment) if number == steps[-1][0] else None
            at = (changed.at if changed else None) if returned else revision.made
            if at is not None and at >= earliest:
                more = f"revision {number}"
                more += f", by {changed.by}" if changed and changed.by else ""
                more += f", {said(revision.cause)}" if revision.cause else ""
                what = _what(former, revision, returned=returned)
                name = deployment.metadata.name
                yield _Change(
                    deployment=name,
                    what=what,
                    at=at,
                    before=opened_at - at,
                    revision=number,
                    more=more,
                )
            former = revision

    def _judged(self, where: str, deployments: Sequence[Workload], changes: Sequence[_Change]) -> Observation:
        s = self._settings
        suspects = [one for one in changes if timedelta(0) <= one.before <= s.suspect_within]
        others = [one for one in changes if one not in suspects]
        # Times are of whole seconds: of two changes in one, the later revision is the later one.
        ordered = sorted(suspects, key=lambda one: (one.before, -one.revision))
        ordered += sorted(others, key=lambda one: (one.at, one.revision), reverse=True)
        states = [(one.metadata.name, rollout(Kind.DEPLOYMENT, one)) for one in deployments]
        unfinished = [
            f"{name}: rollout {state.state}: {state.text}"
            for name, state in states
            if state.state in _UNFINISHED
        ]
        unfinished += [f"{one.metadata.name}: rollout is paused" for one in deployments if one.spec.paused]
        if ordered:
            more = f" ({counted(len(ordered) - 1, 'more change')})" if len(ordered) > 1 else ""
            headline = f"{ordered[0]}{more}"
        else:
            headline = f"nothing rolled out in the last {format_duration(s.since)}: {where}"
        if unfinished:
            headline = f"{headline}; {unfinished[0]}"
        shown = [f"{one} ({one.at:%Y-%m-%d %H:%M}Z, {one.more})" for one in ordered]
        detail = "\n".join([*unfinished[:_SHOWN], lines(shown, _SHOWN)]).strip()
        status = FindingStatus.WARNING if suspects or unfinished else FindingStatus.OK
        return Observation(status=status, headline=headline, detail=detail)


def _steps(known: Sequence[Revision]) -> Iterator[tuple[int, Revision]]:
    """Every number that a revision has or had."""
    for revision in known:
        for number in (*revision.earlier, revision.number):
            yield number, revision


def _what(former: Revision | None, revision: Revision, *, returned: bool) -> str:
    if former is None:
        return "created" if revision.number == 1 else "changed (what it was before is no longer kept)"
    told = ", ".join(differences(former.template, revision.template)[:4]) or "nothing in its template changed"
    return f"rolled back, {told}" if returned else told
