"""The other open incidents in outline, and what each of them means for one.

What this replica decides is known at once; what the others decide, from the store, within a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import msgspec

from responder.incident.around import Outline
from responder.incident.impact import reached, turned
from responder.incident.outline import outline_of
from responder.incident.state import Incident
from responder.rules.compile import Compiled


class _Graph:
    """What services stand on, and what stands on them, however far."""

    def __init__(self, dependencies: Mapping[str, tuple[str, ...]]) -> None:
        self.dependencies = dependencies
        self._above = turned(dependencies)
        self._beneath: dict[str, dict[str, int]] = {}

    def beneath(self, service: str) -> dict[str, int]:
        """With how far each is away."""
        if service not in self.dependencies:
            return {}
        if service not in self._beneath:
            self._beneath[service] = reached(service, self.dependencies)
        return self._beneath[service]

    def above(self, service: str) -> dict[str, int]:
        """The same, the other way round."""
        return reached(service, self._above) if service in self._above else {}


class Neighbours:
    """See the module."""

    def __init__(self, rules: Callable[[], Compiled]) -> None:
        self._rules = rules
        self._graph: tuple[Compiled, _Graph] | None = None
        self._outlines: dict[str, Outline] = {}
        self._by_service: dict[str, set[str]] = {}
        self.over: frozenset[str] = frozenset()
        self.version = ""
        self.as_of: datetime | None = None

    @property
    def _services(self) -> _Graph:
        rules = self._rules()
        if self._graph is None or self._graph[0] is not rules:
            self._graph = (rules, _Graph(rules.dependencies))
        return self._graph[1]

    def take(self, as_of: datetime, version: str, outlines: dict[str, Outline] | None) -> set[str]:
        """What the store says; the incidents for which that may change something."""
        self.as_of, self.over = as_of, frozenset()
        if outlines is None:
            return set()
        before, self._outlines, self.version = self._outlines, outlines, version
        self._by_service = {}
        for one in outlines.values():
            self._by_service.setdefault(one.service, set()).add(one.id)
        changed = [name for name in before.keys() | outlines.keys() if before.get(name) != outlines.get(name)]
        return self._concerned((before.get(name), outlines.get(name)) for name in changed)

    def heard(self, incident: Incident) -> set[str]:
        """What this replica has just decided; the incidents for which that may change something."""
        before, now = self._outlines.get(incident.id), outline_of(incident)
        if before == now:
            return set()
        if now is None:
            self._outlines.pop(incident.id, None)
            self._by_service.get(incident.service, set()).discard(incident.id)
        else:
            self._outlines[incident.id] = now
            self._by_service.setdefault(incident.service, set()).add(incident.id)
        pages = now is not None and now.pages
        self.over = self.over - {incident.id} if pages else self.over | {incident.id}
        return self._concerned([(before, now)])

    def _concerned(self, changes: Iterable[tuple[Outline | None, Outline | None]]) -> set[str]:
        """The incidents of services that stand on one which begins to page, or does not any more."""
        services: set[str] = set()
        for before, now in changes:
            if _bears(before) != _bears(now):
                known = now or before
                services |= self._services.above(known.service).keys() if known else set()
        return {name for service in services for name in self._by_service.get(service, ())}

    def depends(self, service: str) -> bool:
        """Whether a service stands on anything."""
        return bool(self._services.beneath(service))

    def beneath(self, service: str) -> tuple[Outline, ...]:
        """The open incidents of what a service stands on: of a chain that fires, the far end first."""
        distance = self._services.beneath(service)
        names = [name for service in distance for name in self._by_service.get(service, ())]
        found = [self._as_it_will_be(self._outlines[name]) for name in names]
        return tuple(sorted(found, key=lambda one: (-distance[one.service], *one.order)))

    def _as_it_will_be(self, one: Outline) -> Outline:
        """What was attached to an incident that pages no more is paged in a moment, and carries what stands on it."""
        carrier = self._outlines.get(one.carrier)
        if not one.carrier or (carrier is not None and carrier.pages):
            return one
        return msgspec.structs.replace(one, pages=True)

    def beside(self, incident: Incident) -> tuple[Outline, ...]:
        """The incidents that wait for a morning, where this one does."""
        own = outline_of(incident)
        if own is None or own.morning is None:
            return ()
        return tuple(one for one in self._outlines.values() if one.morning == own.morning)

    def urgent(self, incident_id: str) -> bool:
        """Whether an incident is P1 or P2."""
        known = self._outlines.get(incident_id)
        return known is not None and known.severity.urgent


def _bears(outline: Outline | None) -> Outline | None:
    """What matters of it to what stands on it."""
    if outline is None or not outline.pages:
        return None
    return msgspec.structs.replace(outline, title="", morning=None, only=False)
