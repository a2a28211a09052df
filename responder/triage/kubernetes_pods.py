"""Type ``kubernetes.pods``: which pods are not well, and why: crashes, memory, images, probes, no place to run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec

from responder.durations import rough_duration
from responder.incident.finding import FindingStatus
from responder.targets.kubernetes import Listing
from responder.targets.kubernetes_objects import ContainerStatus, Pod, condition
from responder.triage.base import PROBES, Circumstances, Observation, ProbeSettings, ProbeTools
from responder.triage.kubernetes_common import Scope, SelectedPods, lines, pods_of, said, scope_of
from responder.triage.thresholds import check_share

_SHOWN = 15
_MESSAGE = 160
#: A pod may take so long to start, or to end, before it is worth a word.
_PATIENCE = timedelta(minutes=2)
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})


class PodSettings(SelectedPods, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Restarts longer ago than ``since`` are not spoken of. From a share of ``critical`` not ready on it is critical."""

    since: timedelta = timedelta(hours=1)
    critical: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        super().__post_init__()
        check_share("critical", self.critical)


class _Trouble(msgspec.Struct, frozen=True):
    """What is wrong with a pod: a word for counting, and the story."""

    word: str
    text: str


@PROBES.register("kubernetes.pods")
class KubernetesPods:
    """The state of every pod in scope."""

    Settings: ClassVar[type[ProbeSettings]] = PodSettings
    per_incident: ClassVar[bool] = False

    def __init__(self, settings: PodSettings, tools: ProbeTools) -> None:
        self._settings = settings
        self._tools = tools

    async def look(self, circumstances: Circumstances) -> Observation:
        """One list call."""
        s, clusters = self._settings, self._tools.clusters
        scope = scope_of(clusters, s, s.selector, circumstances)
        return self._judged(scope, await pods_of(clusters, scope, s.timeout), self._tools.clock.now())

    def _judged(self, scope: Scope, pods: Listing[Pod], now: datetime) -> Observation:
        serving = [pod for pod in pods.items if pod.status.phase != "Succeeded"]
        if not serving:
            status = FindingStatus.WARNING if scope.selector else FindingStatus.NO_DATA
            return Observation(status=status, headline=f"no pod in {scope}")
        troubles = {pod.metadata.name: list(_troubles(pod, now, self._settings.since)) for pod in serving}
        sick = {name: found for name, found in troubles.items() if found}
        ready = sum(map(_is_ready, serving))
        at_least = "" if pods.complete else "at least "
        headline = f"{ready} of {at_least}{len(serving)} pods ready in {scope}"
        if not sick:
            return Observation(status=FindingStatus.OK, headline=headline)
        words = Counter(one.word for found in sick.values() for one in found)
        headline += ": " + ", ".join(f"{count}x {word}" for word, count in words.most_common(4))
        detail = lines((f"{name}: {'; '.join(one.text for one in sick[name])}" for name in sick), _SHOWN)
        lost = 1 - ready / len(serving)
        status = FindingStatus.CRITICAL if lost >= self._settings.critical else FindingStatus.WARNING
        return Observation(status=status, headline=headline, detail=detail)


def _is_ready(pod: Pod) -> bool:
    ready = condition(pod.status.conditions, "Ready")
    return ready is not None and ready.status == "True"


def _troubles(pod: Pod, now: datetime, since: timedelta) -> Iterator[_Trouble]:
    status, ending = pod.status, pod.metadata.deletion_timestamp
    if ending is not None:
        # The time stamp is when its grace time is over, which it has not heeded.
        if now - ending > _PATIENCE:
            yield _Trouble(
                "not ending", f"should have ended {rough_duration(now - ending)} ago; is its node well?"
            )
        return
    if status.phase in {"Failed", "Unknown"}:
        reason = status.reason or status.phase
        yield _Trouble(reason, f"{reason} {said(status.message)}".strip())
        return
    placed = condition(status.conditions, "PodScheduled")
    if placed is not None and placed.status == "False":
        age = _age(pod.metadata.creation_timestamp, now)
        yield _Trouble("pending", f"no node for it{age}: {said(placed.message)}")
        return
    found = [
        trouble
        for one in (*status.init_container_statuses, *status.container_statuses)
        for trouble in _container_troubles(pod, one, now, since)
    ]
    yield from found
    if not found and status.phase == "Pending" and _is_late(pod, now):
        yield _Trouble("not started", f"not started{_age(pod.status.start_time, now)}")


def _container_troubles(
    pod: Pod, one: ContainerStatus, now: datetime, since: timedelta
) -> Iterator[_Trouble]:
    name = one.name if len(pod.spec.containers or ()) > 1 else "container"
    waiting, former = one.state.waiting, one.last_state.terminated
    if waiting is not None and waiting.reason and (waiting.reason not in _STARTING or _is_late(pod, now)):
        ended = f", ended with {former.reason} ({former.exit_code})" if former else ""
        text = f"{name} {waiting.reason}{ended} {said(waiting.message)}".strip()
        yield _Trouble(_word(waiting.reason, former.reason if former else ""), text)
    elif former is not None and (former.finished_at is None or now - former.finished_at < since):
        ended = f"{former.reason or 'ended'} ({former.exit_code})"
        text = f"{name} restarted {one.restart_count}x, last{_age(former.finished_at, now)} after {ended}"
        yield _Trouble("OOMKilled" if former.reason == "OOMKilled" else "restarted", text)
    running = one.state.running
    if running is None or one.ready or (running.started_at and now - running.started_at < _PATIENCE):
        return
    if any(init.name == one.name for init in pod.spec.init_containers):
        return
    probe = "startup" if one.started is False else "readiness"
    yield _Trouble(
        "not ready", f"{name} runs{_age(running.started_at, now)}, but its {probe} probe does not pass"
    )


def _word(reason: str, former: str) -> str:
    """What to count a waiting container as: that it ran out of memory says more than that it waits to start again."""
    return "OOMKilled" if former == "OOMKilled" else reason


def _is_late(pod: Pod, now: datetime) -> bool:
    born = pod.metadata.creation_timestamp
    return born is not None and now - born > _PATIENCE


def _age(since: datetime | None, now: datetime) -> str:
    return f" {rough_duration(now - since)}" if since is not None else ""
