"""Runs Kubernetes probes and actions as the daemon does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
from probe_bench import AROUND, Bench

from responder.actions.base import ACTIONS, Action, ActionSettings, Wish
from responder.clock import SystemClock
from responder.config import Targets
from responder.incident.finding import Finding
from responder.targets.base import Toolbox
from responder.targets.kubernetes import Clusters
from responder.triage.base import ProbeSettings

ACTIONS.discover("responder.actions")


class Looking:
    """Runs probes against one set of targets."""

    def __init__(self, session: aiohttp.ClientSession, targets: Targets) -> None:
        self._session = session
        self.targets = targets
        self.secrets: tuple[str, ...] = ()
        self._bench: Bench | None = None

    @property
    def bench(self) -> Bench:
        if self._bench is None:
            self._bench = Bench(self._session, self.targets, self.secrets)
        return self._bench

    @property
    def clusters(self) -> Clusters:
        return self.bench.clusters

    async def see(
        self,
        kind: str,
        settings: ProbeSettings,
        labels: Mapping[str, str] | None = None,
        opened_at: datetime | None = None,
    ) -> Finding:
        around = msgspec.structs.replace(
            AROUND, labels=labels or {}, opened_at=opened_at or SystemClock().now()
        )
        return await self.bench.see(kind, settings, around)

    def action(self, kind: str, settings: ActionSettings) -> Action:
        tools = Toolbox(
            targets=self.targets, session=self._session, clusters=self.clusters, clock=SystemClock()
        )
        found: Any = ACTIONS[kind]
        made: Action = found(settings, tools)
        return made

    async def close(self) -> None:
        if self._bench is not None:
            await self._bench.clusters.close()


def wish(run: str = "run-1", **labels: str) -> Wish:
    return Wish(run=run, incident="1" * 16, labels=labels, now=SystemClock().now().astimezone(UTC))
