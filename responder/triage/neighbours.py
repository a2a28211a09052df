"""What probes may ask about incidents and rules, from the store and the rules in force."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from responder.alerts import Alert
from responder.incident.state import Incident
from responder.rules.model import RuleSet
from responder.store.reading import Reader


class StoreNeighbours:
    """Implements :class:`responder.triage.base.Neighbours`."""

    def __init__(self, reader: Reader, rules: Callable[[], RuleSet]) -> None:
        self._reader = reader
        self._rules = rules

    async def alerts(self, incident: str, limit: int) -> tuple[Sequence[Alert], int]:
        """A sample of the incident's alerts, and how many there are."""
        return await self._reader.alerts(incident, limit)

    async def open_incidents(self, limit: int) -> Sequence[Incident]:
        """Incidents that are open, newest first."""
        ids = [incident for incident, _ in await self._reader.ids("open", "+inf", limit)]
        return await self._reader.snapshots(ids)

    def dependencies(self) -> Mapping[str, tuple[str, ...]]:
        """Each service of the rule files and what it stands on."""
        return self._rules().dependencies
