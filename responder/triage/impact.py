"""Type ``impact``: what the incident touches and what may have caused it, from alerts and rules; no target is asked."""

from __future__ import annotations

from typing import ClassVar

from responder.incident.finding import FindingStatus
from responder.incident.impact import Scene, impact
from responder.triage.base import PROBES, Circumstances, Observation, ProbeSettings, ProbeTools

_ALERTS = 200  # looked at; of more, a sample
_INCIDENTS = 500


class ImpactSettings(ProbeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing of its own to set: ``services`` of the rule files say what stands on what."""


@PROBES.register("impact")
class ImpactProbe:
    """Looks at the incident's own alerts and at the other incidents that are open."""

    Settings: ClassVar[type[ProbeSettings]] = ImpactSettings
    per_incident: ClassVar[bool] = True

    def __init__(self, settings: ImpactSettings, tools: ProbeTools) -> None:
        self._neighbours = tools.neighbours

    async def look(self, circumstances: Circumstances) -> Observation:
        """Say what is touched. It is a warning where a dependency that fires too explains the incident."""
        alerts, total = await self._neighbours.alerts(circumstances.incident, _ALERTS)
        found = impact(
            Scene(
                incident=circumstances.incident,
                service=circumstances.service,
                opened_at=circumstances.opened_at,
                alerts=alerts,
                total=total,
                others=await self._neighbours.open_incidents(_INCIDENTS),
                dependencies=self._neighbours.dependencies(),
                drill=circumstances.drill,
            )
        )
        status = FindingStatus.WARNING if found.explained else FindingStatus.OK
        return Observation(status=status, headline=found.headline, detail=found.detail)
