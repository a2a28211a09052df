"""Type ``kubernetes.top``: what the containers take, against what they asked for and what they may take at most."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import ClassVar

import msgspec

from responder.durations import rough_duration
from responder.incident.finding import FindingStatus
from responder.targets.kubernetes import Listing
from responder.targets.kubernetes_calls import POD_METRICS, Ask, ClusterError
from responder.targets.kubernetes_objects import Container, Pod, PodUsage
from responder.triage.base import PROBES, Circumstances, Observation, ProbeSettings, ProbeTools
from responder.triage.kubernetes_common import (
    PODS_READ,
    Scope,
    SelectedPods,
    counted,
    lines,
    pods_of,
    scope_of,
)
from responder.triage.thresholds import check_order, check_share

_OLD = timedelta(minutes=3)  # metrics are 15 to 60 seconds old where all is well
_ABSENT = {
    404: (FindingStatus.NO_DATA, "metrics-server is not installed (the cluster serves no metrics.k8s.io)"),
    503: (FindingStatus.ERROR, "metrics-server is down (the cluster answers 503 for metrics.k8s.io)"),
}


class TopSettings(SelectedPods, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``warning`` and ``critical`` are shares of a limit. CPU at its limit is slow and never more than a warning."""

    warning: float = 0.8
    critical: float = 0.95
    limit: int = 10

    def __post_init__(self) -> None:
        """Refuse what is no share, and a ``critical`` before ``warning``."""
        super().__post_init__()
        check_share("warning", self.warning)
        check_share("critical", self.critical)
        check_order(self.warning, self.critical)


class _Use(msgspec.Struct, frozen=True):
    """What one container takes of one resource; bytes or cores."""

    who: str
    resource: str
    used: float
    asked: float | None
    most: float | None

    @property
    def share(self) -> float:
        """Of its limit; 0 where it has none."""
        return self.used / self.most if self.most else 0.0

    @property
    def nearness(self) -> tuple[float, float]:
        """To order by: nearest to its limit first, then what takes most of what it asked for."""
        return self.share, self.used / self.asked if self.asked else 0.0

    def __str__(self) -> str:
        show = _memory if self.resource == "memory" else _cores
        asked = f", asked for {show(self.asked)}" if self.asked else ""
        if self.most:
            return f"{self.who}: {self.resource} {show(self.used)} of {show(self.most)} ({self.share:.0%}){asked}"
        return f"{self.who}: {self.resource} {show(self.used)}, no limit{asked}"


@PROBES.register("kubernetes.top")
class KubernetesTop:
    """The pods nearest to their limits."""

    Settings: ClassVar[type[ProbeSettings]] = TopSettings
    per_incident: ClassVar[bool] = False

    def __init__(self, settings: TopSettings, tools: ProbeTools) -> None:
        self._settings = settings
        self._tools = tools

    async def look(self, circumstances: Circumstances) -> Observation:
        """The metrics and the pods, side by side."""
        s, clusters = self._settings, self._tools.clusters
        scope = scope_of(clusters, s, s.selector, circumstances)
        ask = Ask(place=scope.place, what=POD_METRICS, query=scope.query, limit=s.timeout)
        listing = asyncio.create_task(pods_of(clusters, scope, s.timeout), name="pods")
        try:
            metrics = await self._metrics(ask)
            if isinstance(metrics, Observation):
                return metrics
            return self._judged(scope, await listing, metrics, self._tools.clock.now())
        finally:
            listing.cancel()
            await asyncio.gather(listing, return_exceptions=True)

    async def _metrics(self, ask: Ask) -> Listing[PodUsage] | Observation:
        try:
            return await self._tools.clusters.listed(ask, PodUsage, PODS_READ)
        except ClusterError as error:
            if error.code not in _ABSENT:
                raise
            status, headline = _ABSENT[error.code]
            return Observation(status=status, headline=f"{ask.place.target}: {headline}")

    def _judged(
        self, scope: Scope, pods: Listing[Pod], metrics: Listing[PodUsage], now: datetime
    ) -> Observation:
        s = self._settings
        by_name = {pod.metadata.name: pod for pod in pods.items}
        uses = [
            use
            for one in metrics.items
            if one.metadata.name in by_name
            for use in _uses(by_name[one.metadata.name], one)
        ]
        if not uses:
            return Observation(status=FindingStatus.NO_DATA, headline=f"no metrics of any pod in {scope}")
        uses.sort(key=lambda one: one.nearness, reverse=True)
        near = [one for one in uses if one.most and one.share >= s.warning]
        if near:
            headline = f"{near[0]}; {len(near)} above {s.warning:.0%} of a limit in {scope}"
        elif uses[0].most:
            headline = f"{counted(len(metrics.items), 'pod')} in {scope} below {s.warning:.0%} of their limits; nearest: {uses[0]}"
        else:
            headline = f"{counted(len(metrics.items), 'pod')} in {scope}, none has a limit; most: {uses[0]}"
        notes = list(_notes(pods, metrics, now))
        detail = "\n".join([lines(map(str, uses), max(s.limit, 1)), *notes])
        full = any(one.resource == "memory" and one.share >= s.critical for one in near)
        status = FindingStatus.CRITICAL if full else FindingStatus.WARNING if near else FindingStatus.OK
        return Observation(status=status, headline=headline, detail=detail)


def _uses(pod: Pod, measured: PodUsage) -> Iterator[_Use]:
    known = {one.name: one for one in (*(pod.spec.containers or ()), *pod.spec.init_containers)}
    alone = len(known) == 1
    for one in measured.containers or ():
        resources = known.get(one.name, Container()).resources
        for resource in ("memory", "cpu"):
            used = quantity((one.usage or {}).get(resource, ""))
            if used is None:
                continue
            who = pod.metadata.name if alone else f"{pod.metadata.name}/{one.name}"
            asked, most = (quantity(of.get(resource, "")) for of in (resources.requests, resources.limits))
            yield _Use(who, resource, used, asked, most)


def _notes(pods: Listing[Pod], metrics: Listing[PodUsage], now: datetime) -> Iterator[str]:
    measured = {one.metadata.name for one in metrics.items}
    missing = sorted(
        pod.metadata.name
        for pod in pods.items
        if pod.status.phase == "Running" and pod.metadata.name not in measured
    )
    if missing:
        yield f"no metrics of {counted(len(missing), 'running pod')}: {', '.join(missing[:3])}"
    oldest = min((one.timestamp for one in metrics.items if one.timestamp), default=now)
    if now - oldest > _OLD:
        yield f"the oldest metrics are {rough_duration(now - oldest)} old"
    if not (pods.complete and metrics.complete):
        yield f"only the first {PODS_READ} pods were looked at"


_QUANTITY = re.compile(r"([+-]?[0-9.]{1,40}(?:[eE][+-]?[0-9]{1,2})?)(n|u|m|k|[KMGTPE]i?)?")
_SCALE: Mapping[str, Decimal] = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1), "k": Decimal(1000),
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("K", "M", "G", "T", "P", "E"), start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate(("K", "M", "G", "T", "P", "E"), start=1)},
}  # fmt: skip


def quantity(text: str) -> float | None:
    """A quantity such as ``500m``, ``1Gi`` or ``12345678n`` in whole units; ``None`` where it is none.

    Source: Kubernetes' API reference, "Quantity".
    """
    match = _QUANTITY.fullmatch(text)
    try:
        return None if match is None else float(Decimal(match[1]) * _SCALE[match[2] or ""])
    except InvalidOperation:
        return None


def _memory(amount: float) -> str:
    for unit, size in (("Gi", 1024**3), ("Mi", 1024**2)):
        if amount >= size:
            return f"{amount / size:.3g}{unit}"
    return f"{amount / 1024:.0f}Ki"


def _cores(amount: float) -> str:
    return f"{amount * 1000:.0f}m" if amount < 10 else f"{amount:.0f}"
