"""Whether a window covers all of an incident: it may hold alerts that differ in the very label that the window goes by.

An incident is known by the labels of its first alert. Those that its rule groups by, or asks for, are the same for all of
its alerts; for others the alerts themselves are looked at, beside the work and a bounded number of them. Until that is
done, within a second, the first alert speaks for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from responder.alerts import AlertStatus
from responder.incident.maintenance import MaintenanceWindow
from responder.incident.state import Incident
from responder.matchers import Operator
from responder.rules.compile import Compiled
from responder.store.reading import Reader

#: Alerts of an incident that are looked at; of more, it is not known that a window covers all.
ALERTS_LIMIT = 500
_AT_ONCE = 50  # incidents in one look
_KEPT = 2_000  # incidents
_JOINED_LIMIT = 50  # sets of labels of one incident


class _Joined(msgspec.Struct):
    """What fires in an incident and may not be in the store: each set of labels that matters to a window, once.

    It counts until the store's counts, as they were when it was last asked about, have moved on; too much is ``None``.
    """

    labels: dict[tuple[tuple[str, str], ...], None] | None
    counts: tuple[int, int] | None = None


class _Looked(msgspec.Struct, frozen=True):
    """The labels of what fires, as of these counts; ``None`` where that is too much."""

    counts: tuple[int, int]
    firing: tuple[Mapping[str, str], ...] | None


class Members:
    """See the module."""

    def __init__(self, rules: Callable[[], Compiled], reader: Reader) -> None:
        self._rules = rules
        self._reader = reader
        self._common: tuple[Compiled, dict[str, frozenset[str]]] | None = None
        self._looked: dict[str, _Looked] = {}
        self._wanted: dict[str, tuple[int, int]] = {}
        self._joined: dict[str, _Joined] = {}

    def covered(self, window: MaintenanceWindow, incident: Incident) -> bool:
        """Whether a window concerns all of an incident that fires, as far as that is known now."""
        first = window.concerns(incident.labels, incident.service)
        counts = (sum(incident.totals.fired.values()), incident.totals.resolved)
        if self._has_joined(window, incident, counts):
            return False
        if counts[0] <= 1 or not self._may_differ(window, incident):
            return first
        looked = self._looked.get(incident.id)
        if (first or looked is not None) and (looked is None or looked.counts != counts):
            self._wanted[incident.id] = counts
        if looked is None:
            # Another replica may know better: what it let go is not taken back before this one knows as well.
            held = any(one.by == window.key for one in incident.holds)
            return first and (held or not incident.episode.reached)
        return looked.firing is not None and all(
            window.concerns(labels, incident.service) for labels in looked.firing or (incident.labels,)
        )

    def joined(
        self, incident_id: str, labels: Mapping[str, str], windows: Iterable[MaintenanceWindow]
    ) -> None:
        """An alert fires in an incident, and the store could not be told: it cannot be looked at there."""
        names = {one.name for window in windows for one in window.matchers}
        known = self._joined.pop(incident_id, None)
        found = known.labels if known is not None else {}
        if found is not None:
            found[tuple((name, value) for name, value in labels.items() if name in names)] = None
        self._joined[incident_id] = _Joined(found if found and len(found) <= _JOINED_LIMIT else None)
        if len(self._joined) > _KEPT:
            del self._joined[next(iter(self._joined))]

    def _has_joined(self, window: MaintenanceWindow, incident: Incident, counts: tuple[int, int]) -> bool:
        """Whether something fires in it besides that a window does not concern."""
        joined = self._joined.get(incident.id)
        if joined is None:
            return False
        if joined.counts not in {None, counts}:  # the store has been told meanwhile
            del self._joined[incident.id]
            return False
        joined.counts = counts
        return joined.labels is None or not all(
            window.concerns(dict(labels), incident.service) for labels in joined.labels
        )

    def _may_differ(self, window: MaintenanceWindow, incident: Incident) -> bool:
        rules = self._rules()
        if self._common is None or self._common[0] is not rules:
            self._common = (rules, _common(rules))
        same = self._common[1].get(incident.rule, frozenset({"service"}))
        return any(one.name not in same for one in window.matchers)

    async def look(self) -> list[str]:
        """Look at the alerts of incidents that were asked about; the incidents for which that may change something.

        Raises:
            StoreError: where the store is away; they are looked at the next time.
        """
        found = []
        for name, counts in list(self._wanted.items())[:_AT_ONCE]:
            alerts, total = await self._reader.alerts(name, ALERTS_LIMIT)
            firing = tuple(one.labels for one in alerts if one.status is AlertStatus.FIRING)
            self._looked[name] = _Looked(counts, firing if total <= ALERTS_LIMIT else None)
            self._wanted.pop(name, None)
            found.append(name)
        for name in list(self._looked)[: max(len(self._looked) - _KEPT, 0)]:
            del self._looked[name]
        return found

    def forget(self, incident_id: str) -> None:
        """An incident is over."""
        self._looked.pop(incident_id, None)
        self._joined.pop(incident_id, None)
        self._wanted.pop(incident_id, None)


def _common(rules: Compiled) -> dict[str, frozenset[str]]:
    """By rule, the labels that all alerts of an incident share."""
    found = {}
    for rule in (*rules.rules, rules.default):
        asked = {one.name for one in rule.matchers if one.operator is Operator.EQUAL}
        found[rule.name] = frozenset({"service", *asked, *(rule.shape.group_by or ("alertname",))})
    return found
