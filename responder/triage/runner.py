"""Runs probes side by side: each within its own limit, all within a budget, and every ending is a finding."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
import structlog

from responder.incident.finding import DETAIL_LIMIT, HEADLINE_LIMIT, Finding, FindingStatus
from responder.parameters import ParameterError, labels_used
from responder.rules.limits import LONGEST_LOOK
from responder.rules.model import ProbeDefinition
from responder.targets.base import TargetError
from responder.text import block, one_line, web_address
from responder.triage.base import PROBES, Chart, Circumstances, Observation, Probe, ProbeSettings, ProbeTools

log = structlog.get_logger(__name__)

#: Probes at once, in all and towards one target: one that hangs holds no other target's seats.
SIDE_BY_SIDE = 48
PER_TARGET = 4
BUDGET = LONGEST_LOOK.total_seconds()  # for all probes of an incident
SHARED_FOR = 5.0  # seconds in which a finding serves other incidents too
CHART_LIMIT = 200 * 1024  # bytes of a picture
_ALT_LIMIT = 300
_ACTIONABLE = (FindingStatus.WARNING, FindingStatus.CRITICAL)

#: A probe's name, and what its answer depends on: the labels that its settings name, or the one incident.
_Subject = tuple[str, tuple[str, ...]]


#: Keeps a PNG for a while; the name to ask for it, or nothing where it cannot be kept.
KeepChart = Callable[[bytes], Awaitable[str]]


class _Run(msgspec.Struct):
    """A probe under way, or just done, that others may share."""

    task: asyncio.Task[Finding]
    begun: float


class TriageRunner:
    """The probes of one set of rules."""

    def __init__(
        self,
        definitions: Mapping[str, ProbeDefinition],
        tools: ProbeTools,
        *,
        observe: Callable[[str, str, float], None],
        redact: Callable[[str], str],
        keep_chart: KeepChart,
    ) -> None:
        """``observe`` is told each probe's name, status and seconds; ``redact`` takes secrets out of a text."""
        self._definitions = definitions
        self._tools = tools
        self._observe = observe
        self._redact = redact
        self._keep_chart = keep_chart
        self._seats = asyncio.Semaphore(SIDE_BY_SIDE)
        self._target_seats: dict[tuple[str, str], asyncio.Semaphore] = {}
        self._probes: dict[str, Probe] = {}
        self._runs: dict[_Subject, _Run] = {}

    async def run(
        self,
        names: Sequence[str],
        circumstances: Circumstances,
        on_finding: Callable[[Finding], Awaitable[None]],
    ) -> None:
        """Run the probes; each finding is handed on as soon as it is there."""
        pending = set(names)

        async def one(name: str) -> None:
            finding = await self._shared(name, circumstances)
            pending.discard(name)
            await on_finding(finding)

        try:
            async with asyncio.timeout(BUDGET), asyncio.TaskGroup() as group:
                for name in dict.fromkeys(names):
                    group.create_task(one(name), name=f"probe {name}")
        except TimeoutError:
            for name in sorted(pending):
                text = f"given up after {BUDGET:g} s with the whole diagnosis"
                await on_finding(Finding(probe=name, status=FindingStatus.TIMEOUT, headline=text))

    @property
    def busy(self) -> bool:
        """Whether a probe is under way."""
        return any(not run.task.done() for run in self._runs.values())

    async def close(self) -> None:
        """End what is still under way."""
        tasks = [run.task for run in self._runs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._runs.clear()

    async def _shared(self, name: str, circumstances: Circumstances) -> Finding:
        """A storm of incidents on one target runs a probe once and shares its finding."""
        now = time.monotonic()
        for old in [
            key for key, run in self._runs.items() if run.task.done() and now - run.begun > SHARED_FOR
        ]:
            del self._runs[old]
        subject = self._subject(name, circumstances)
        run = self._runs.get(subject)
        if run is None:
            task = asyncio.create_task(self._look(name, circumstances), name=f"probe {name}")
            run = self._runs[subject] = _Run(task, now)
        return await asyncio.shield(run.task)

    def _subject(self, name: str, circumstances: Circumstances) -> _Subject:
        """What the probe's answer depends on; incidents that agree on it share the answer."""
        definition = self._definitions.get(name)
        if definition is None:
            return name, ()
        if PROBES[definition.type].per_incident:
            return name, (circumstances.incident,)
        used = sorted(labels_used(definition.settings))
        return name, tuple(circumstances.labels.get(label, "") for label in used)

    async def look_now(self, name: str, circumstances: Circumstances) -> Finding:
        """Run one probe now, sharing nothing: for whoever is about to act, or has just acted."""
        return await self._look(name, circumstances)

    async def _look(self, name: str, circumstances: Circumstances) -> Finding:
        begun = time.monotonic()
        async with self._seats_of(name), self._seats:
            observation = await self._observed(name, circumstances)
        took = time.monotonic() - begun
        self._observe(name, str(observation.status), took)
        chart = await self._kept(observation.chart)
        return Finding(
            probe=name,
            status=observation.status,
            headline=one_line(self._redact(observation.headline), HEADLINE_LIMIT),
            detail=block(self._redact(observation.detail), DETAIL_LIMIT),
            observed_at=self._tools.clock.now(),
            took=round(took, 3),
            suggests=observation.suggests,
            chart=chart,
            chart_alt=one_line(self._redact(observation.chart.alt), _ALT_LIMIT)
            if observation.chart and chart
            else "",
            link=web_address(observation.link),
        )

    def _seats_of(self, name: str) -> asyncio.Semaphore:
        definition = self._definitions.get(name)
        settings = definition.settings if definition is not None else None
        target = (getattr(settings, "TARGET_KIND", ""), str(getattr(settings, "target", name)))
        return self._target_seats.setdefault(target, asyncio.Semaphore(PER_TARGET))

    async def _kept(self, chart: Chart | None) -> str:
        if chart is None or len(chart.png) > CHART_LIMIT:
            return ""
        return await self._keep_chart(chart.png)

    async def _observed(self, name: str, circumstances: Circumstances) -> Observation:
        limit = 0.0
        try:
            probe, settings = self._probe(name)
            limit = settings.timeout.total_seconds()
            async with asyncio.timeout(limit):
                observation = await probe.look(circumstances)
            return _with_suggestion(observation, settings)
        except TimeoutError:
            return Observation(status=FindingStatus.TIMEOUT, headline=f"no answer within {limit:g} s")
        except TargetError as error:
            return Observation(status=error.status, headline=str(error))
        except ParameterError as error:
            return Observation(status=FindingStatus.ERROR, headline=str(error))
        except (OSError, ConnectionError) as error:
            return Observation(status=FindingStatus.ERROR, headline=f"cannot reach it: {_short(error)}")
        except Exception as error:  # noqa: BLE001 - a probe that fails is a finding, whatever went wrong with it
            log.warning("probe failed", probe=name, error=type(error).__name__)
            return Observation(status=FindingStatus.ERROR, headline=f"probe failed: {_short(error)}")

    def _probe(self, name: str) -> tuple[Probe, ProbeSettings]:
        definition = self._definitions.get(name)
        if definition is None:
            raise TargetError(f"no probe {name} in the rules")
        settings = definition.settings
        if not isinstance(settings, ProbeSettings):
            raise TargetError(f"probe {name} has no settings of its type")
        if name not in self._probes:
            self._probes[name] = PROBES[definition.type](settings, self._tools)
        return self._probes[name], settings


def _with_suggestion(observation: Observation, settings: ProbeSettings) -> Observation:
    """What the rule files suggest, where the probe itself knew nothing better and something is wrong."""
    if observation.suggests is not None or observation.status not in _ACTIONABLE:
        return observation
    return msgspec.structs.replace(observation, suggests=settings.suggests)


def _short(error: BaseException) -> str:
    return one_line(f"{type(error).__name__}: {error}", 150)
