"""Runs probes as the daemon does, and keeps what was observed."""

from __future__ import annotations

from datetime import UTC, datetime

import aiohttp

from responder.alerts import Alert
from responder.clock import SystemClock
from responder.config import Targets
from responder.config_load import configured_secrets
from responder.incident.finding import Finding
from responder.incident.state import Incident
from responder.rules.model import ProbeDefinition
from responder.secrets import Redactor
from responder.targets.kubernetes import Clusters
from responder.triage.base import PROBES, Circumstances, Neighbours, ProbeSettings, ProbeTools
from responder.triage.runner import TriageRunner

PROBES.discover("responder.triage")

AROUND = Circumstances(
    incident="1" * 16, service="database", labels={}, opened_at=datetime(2026, 11, 24, tzinfo=UTC)
)


class Alone:
    """No other incidents, no rules."""

    async def alerts(self, incident: str, limit: int) -> tuple[list[Alert], int]:
        return [], 0

    async def open_incidents(self, limit: int) -> list[Incident]:
        return []

    def dependencies(self) -> dict[str, tuple[str, ...]]:
        return {}


class Bench:
    """Runs probes as the daemon does, and keeps what was observed."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        targets: Targets,
        secrets: tuple[str, ...] = (),
        neighbours: Neighbours | None = None,
    ) -> None:
        """``secrets`` are those of the configuration beside the targets' own."""
        self.charts: dict[str, bytes] = {}
        self.observed: list[tuple[str, str]] = []
        self.clusters = Clusters(targets.kubernetes)
        self._tools = ProbeTools(
            targets=targets,
            session=session,
            clusters=self.clusters,
            clock=SystemClock(),
            neighbours=neighbours or Alone(),
        )
        self._redact = Redactor((*configured_secrets(targets), *secrets))

    def runner(self, **probes: tuple[str, ProbeSettings]) -> TriageRunner:
        definitions = {n: ProbeDefinition(name=n, type=t, settings=s) for n, (t, s) in probes.items()}
        return TriageRunner(
            definitions,
            self._tools,
            observe=lambda p, o, _: self.observed.append((p, o)),
            redact=self._redact,
            keep_chart=self.keep_chart,
        )

    async def keep_chart(self, png: bytes) -> str:
        self.charts[f"{len(self.charts):032x}"] = png
        return f"{len(self.charts) - 1:032x}"

    async def see(self, kind: str, settings: ProbeSettings, around: Circumstances = AROUND) -> Finding:
        found: list[Finding] = []

        async def on_finding(finding: Finding) -> None:
            found.append(finding)

        runner = self.runner(probe=(kind, settings))
        await runner.run(["probe"], around, on_finding)
        await runner.close()
        return found[0]
