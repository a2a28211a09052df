"""Type ``kubernetes.logs``: the logs of the pods that a selector names, side by side, with equal lines counted.

Every log is read by itself within its own limit: a node that does not answer hides no other pod's log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec

from responder.durations import format_duration
from responder.incident.finding import FindingStatus
from responder.targets.kubernetes import Tail
from responder.targets.kubernetes_calls import POD_LOGS, Ask, ClusterError
from responder.targets.kubernetes_objects import ContainerStatus, Pod
from responder.targets.kubernetes_selector import LabelSelector, checked_selector
from responder.triage.base import PROBES, Circumstances, Observation, ProbeSettings, ProbeTools
from responder.triage.kubernetes_common import (
    KubernetesSettings,
    Scope,
    counted,
    lines,
    pods_of,
    said,
    scope_of,
)
from responder.triage.kubernetes_log_lines import ERRORS, Digest, digest, line_check, lines_of
from responder.triage.thresholds import check_order

POD_LIMIT = 10
LOG_LIMIT = 20
_AT_ONCE = 10
_KEPT = 256 * 1024  # bytes of a log that are looked at: its end
_SENT = (
    2 * 1024 * 1024
)  # bytes that a server may send of a log; it cuts at the end, so this is far above what is kept
_TAIL_MOST = 10_000
_SHARE = 0.4  # of the time that is left, for one log: those that hang leave time for a second ten
_SHOWN = 12


class LogSettings(KubernetesSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``filter`` and ``errors`` are a text, or a pattern after ``re2:``.

    ``filter`` chooses the lines; ``errors`` tells which of those are errors (an empty one: all of them). From
    ``warning`` errors on the finding is a warning, from ``critical`` on critical; 0 is never.
    """

    selector: LabelSelector
    containers: tuple[str, ...] = ()
    since: timedelta = timedelta(hours=1)
    tail: int = 2_000
    filter: str = ""
    errors: str = ERRORS
    warning: int = 1
    critical: int = 0

    def __post_init__(self) -> None:
        """Refuse what the API would refuse, or what would read everything."""
        super().__post_init__()
        checked_selector(self.selector)
        if not 1 <= self.tail <= _TAIL_MOST:
            raise ValueError(f"tail: expected 1 to {_TAIL_MOST} lines, got {self.tail}")
        if self.since < timedelta(seconds=1):
            raise ValueError("since: expected at least 1s")
        for key, errors in (("warning", self.warning), ("critical", self.critical)):
            if errors < 0:
                raise ValueError(f"{key}: expected a number of errors, or 0 for never, got {errors}")
        check_order(self.warning, self.critical or None)
        for key, expression in (("filter", self.filter), ("errors", self.errors)):
            try:
                line_check(expression)
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None


class _Log(msgspec.Struct, frozen=True, kw_only=True):
    """One log: of a pod's container, or of the container before its last restart."""

    pod: str
    container: str
    previous: bool = False

    def __str__(self) -> str:
        return f"{self.pod}/{self.container}" + (" before its restart" if self.previous else "")


class _Read(msgspec.Struct):
    """What came of reading several logs: ``notes`` are trouble, ``remarks`` are not."""

    tails: list[tuple[str, Tail]] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)
    remarks: list[str] = msgspec.field(default_factory=list)
    failed: list[ClusterError] = msgspec.field(default_factory=list)


@PROBES.register("kubernetes.logs")
class KubernetesLogs:
    """What the selected pods have said of late."""

    Settings: ClassVar[type[ProbeSettings]] = LogSettings
    per_incident: ClassVar[bool] = False

    def __init__(self, settings: LogSettings, tools: ProbeTools) -> None:
        self._settings = settings
        self._tools = tools
        self._filter = line_check(settings.filter)
        self._errors = line_check(settings.errors)

    async def look(self, circumstances: Circumstances) -> Observation:
        """List the pods, read their logs, group what they say."""
        s, clusters = self._settings, self._tools.clusters
        end = time.monotonic() + s.timeout.total_seconds()
        scope = scope_of(clusters, s, s.selector, circumstances)
        pods = (await pods_of(clusters, scope, s.timeout)).items
        if not pods:
            return Observation(status=FindingStatus.NO_DATA, headline=f"no pod in {scope}")
        chosen = sorted(pods, key=_interest)[:POD_LIMIT]
        now = self._tools.clock.now()
        logs = [log for pod in chosen for log in self._logs_of(pod, now)]
        read = await self._read(scope, logs, timedelta(seconds=max((end - time.monotonic()) * _SHARE, 0.01)))
        read.notes[:0] = [note for pod in chosen for note in _notes(pod)]
        if len(pods) > len(chosen):
            read.remarks.append(
                f"{len(chosen)} of {len(pods)} pods were read, those in trouble and the newest first"
            )
        if read.failed and not read.tails:
            raise read.failed[0]
        # Tens of thousands of lines take a good part of a second: not on the loop.
        found = await asyncio.to_thread(self._digest, read.tails)
        return self._observation(f"{counted(len(chosen), 'pod')} in {scope}", found, read)

    def _digest(self, tails: Sequence[tuple[str, Tail]]) -> Digest:
        read = (
            line
            for source, tail in tails
            for line in lines_of(tail.raw, source, whole=tail.size == len(tail.raw))
        )
        return digest(read, self._filter, self._errors)

    def _logs_of(self, pod: Pod, now: datetime) -> Iterator[_Log]:
        wanted = self._settings.containers
        for one in (*pod.status.container_statuses, *pod.status.init_container_statuses):
            if wanted and one.name not in wanted:
                continue
            former = one.last_state.terminated
            if one.state.waiting is None:
                yield _Log(pod=pod.metadata.name, container=one.name)
            if former and (former.finished_at is None or now - former.finished_at < self._settings.since):
                yield _Log(pod=pod.metadata.name, container=one.name, previous=True)

    async def _read(self, scope: Scope, logs: Sequence[_Log], limit: timedelta) -> _Read:
        read, seats = _Read(), asyncio.Semaphore(_AT_ONCE)

        async def one(log: _Log) -> None:
            async with seats:
                await self._read_one(scope, log, limit, read)

        async with asyncio.TaskGroup() as group:
            for log in logs[:LOG_LIMIT]:
                group.create_task(one(log), name=f"log {log}")
        if len(logs) > LOG_LIMIT:
            read.remarks.append(f"{LOG_LIMIT} of {len(logs)} logs were read; name containers to choose")
        return read

    async def _read_one(self, scope: Scope, log: _Log, limit: timedelta, read: _Read) -> None:
        ask = Ask(place=scope.place, what=POD_LOGS, name=log.pod, query=self._query(log), limit=limit)
        try:
            tail = await self._tools.clusters.log(ask, _KEPT)
        except ClusterError as error:
            read.failed.append(error)
            read.notes.append(f"{log}: {error}")
            return
        except TimeoutError:
            read.notes.append(f"{log}: no answer within {limit.total_seconds():.1f} s; is its node well?")
            return
        if tail.size >= _SENT:
            read.notes.append(
                f"{log}: over {_SENT >> 20} MB for {self._settings.tail} lines; the newest are missing"
            )
        read.tails.append((log.pod + (" (before its restart)" if log.previous else ""), tail))

    def _query(self, log: _Log) -> Mapping[str, str]:
        query = {
            "container": log.container,
            "tailLines": str(self._settings.tail),
            "limitBytes": str(_SENT),
            "timestamps": "true",
        }
        if log.previous:
            return query | {"previous": "true"}
        return query | {"sinceSeconds": str(max(int(self._settings.since.total_seconds()), 1))}

    def _observation(self, scope: str, found: Digest, read: _Read) -> Observation:
        s = self._settings
        where, read_lines = f"{scope}, last {format_duration(s.since)}", counted(found.read, "line")
        detail = "\n".join([*read.notes[:_SHOWN], lines(map(str, found.groups), _SHOWN), *read.remarks])
        if not read.tails:
            headline = f"no log to read ({where}): {(read.notes or ['no container has started'])[0]}"
            return Observation(status=FindingStatus.WARNING, headline=headline, detail=detail)
        if found.errors:
            top = found.groups[0]
            headline = (
                f"{counted(found.errors, 'error')} in {read_lines} ({where}): {top.count}x {top.sample}"
            )
        elif s.filter and found.passed:
            headline = f"{found.passed} of {read_lines} have {s.filter!r}, none is an error ({where})"
        else:
            headline = f"no error in {read_lines} ({where})"
        if read.notes and not found.errors:
            headline += f"; {read.notes[0]}"
        return Observation(status=self._status(found, read), headline=headline, detail=detail)

    def _status(self, found: Digest, read: _Read) -> FindingStatus:
        s = self._settings
        if 0 < s.critical <= found.errors:
            return FindingStatus.CRITICAL
        if 0 < s.warning <= found.errors or read.notes:
            return FindingStatus.WARNING
        return FindingStatus.OK


def _interest(pod: Pod) -> tuple[bool, bool, float]:
    """What to read first: pods in trouble, then those that run, then the newest."""
    statuses = pod.status.container_statuses
    trouble = any(not one.ready or one.restart_count for one in statuses)
    born = pod.metadata.creation_timestamp
    return not trouble, pod.status.phase != "Running", -(born.timestamp() if born else 0.0)


def _notes(pod: Pod) -> Iterator[str]:
    """What its containers' states say that no log does."""
    name = pod.metadata.name
    if not pod.status.container_statuses and pod.status.phase == "Pending":
        yield f"{name}: pending, no container has started"
    for one in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        if why := _trouble(one):
            yield f"{name}/{one.name}: {why}"


def _trouble(one: ContainerStatus) -> str:
    waiting, former = one.state.waiting, one.last_state.terminated
    if waiting is not None and waiting.reason not in {"PodInitializing", "ContainerCreating"}:
        ended = f", ended with {former.reason} ({former.exit_code})" if former else ""
        return f"{waiting.reason or 'waiting'}{ended} {said(waiting.message)}".strip()
    return ""
