"""Runs probes side by side: each within its own limit, all within a budget, and every ending is a finding."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
import structlog

from responder.incident.finding import DETAIL_LIMIT, HEADLINE_LIMIT, Finding, FindingStatus
from responder.rules.model import ProbeDefinition
from responder.text import block, one_line
from responder.triage.base import PROBES, Circumstances, Observation, Probe, ProbeSettings, ProbeTools

log = structlog.get_logger(__name__)

SIDE_BY_SIDE = 8
BUDGET = 20.0  # seconds for all probes of an incident
SHARED_FOR = 5.0  # seconds in which a finding serves other incidents too


class TargetError(Exception):
    """The probe's target cannot be used; the text is for people."""


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
    ) -> None:
        """``observe`` is told each probe's name, status and seconds; ``redact`` takes secrets out of a text."""
        self._definitions = definitions
        self._tools = tools
        self._observe = observe
        self._redact = redact
        self._seats = asyncio.Semaphore(SIDE_BY_SIDE)
        self._probes: dict[str, Probe] = {}
        self._runs: dict[str, _Run] = {}

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
        run = self._runs.get(name)
        if run is None:
            task = asyncio.create_task(self._look(name, circumstances), name=f"probe {name}")
            run = self._runs[name] = _Run(task, now)
        return await asyncio.shield(run.task)

    async def _look(self, name: str, circumstances: Circumstances) -> Finding:
        begun = time.monotonic()
        async with self._seats:
            observation = await self._observed(name, circumstances)
        took = time.monotonic() - begun
        self._observe(name, str(observation.status), took)
        return Finding(
            probe=name,
            status=observation.status,
            headline=one_line(self._redact(observation.headline), HEADLINE_LIMIT),
            detail=block(self._redact(observation.detail), DETAIL_LIMIT),
            observed_at=self._tools.clock.now(),
            took=round(took, 3),
            suggests=observation.suggests,
        )

    async def _observed(self, name: str, circumstances: Circumstances) -> Observation:
        limit = 0.0
        try:
            probe, settings = self._probe(name)
            limit = settings.timeout.total_seconds()
            async with asyncio.timeout(limit):
                return await probe.look(circumstances)
        except TimeoutError:
            return Observation(status=FindingStatus.TIMEOUT, headline=f"no answer within {limit:g} s")
        except TargetError as error:
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


def _short(error: BaseException) -> str:
    return one_line(f"{type(error).__name__}: {error}", 150)
