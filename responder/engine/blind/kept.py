"""The incidents that a replica remembers, within a bound of number and of bytes. Pure.

What matters the least is forgotten first; it is found at once.
"""

from __future__ import annotations

from datetime import datetime

from responder.engine.blind.item import Heard, Item
from responder.incident.state import Acknowledged, Monitoring, Triggered
from responder.overflow import Overflow, Spill

INCIDENTS_KEPT = 1_000
BYTES_KEPT = 16 * 1024 * 1024


class Kept:
    """See the module. ``items`` by their ids, each also found by its incident key; ``bytes``: of their alerts, about."""

    def __init__(self, spill: Spill) -> None:
        self._spill = spill
        self.items: dict[str, Item] = {}
        self.bytes = 0
        self._by_key: dict[str, str] = {}
        self._classes: dict[int, dict[str, None]] = {}

    def id_of(self, key: str) -> str | None:
        """The id of the incident that is remembered under a key."""
        return self._by_key.get(key)

    def add(self, item: Item) -> bool:
        """Remember it, in place of something that matters less where need be; ``False`` where there is no room."""
        if not self._room_for(item):
            return False
        self.items[item.id] = item
        self._by_key[item.key] = item.id
        self.weigh(item)
        return True

    def forget(self, incident_id: str) -> None:
        """Remember it no more."""
        item = self.items.pop(incident_id, None)
        if item is not None:
            self._unweigh(incident_id)
            self.bytes -= _size(item)
            if self._by_key.get(item.key) == incident_id:
                del self._by_key[item.key]

    def weigh(self, item: Item) -> None:
        """How much it matters has changed: class 0 matters the most."""
        self._unweigh(item.id)
        self._classes.setdefault(_class_of(item), {})[item.id] = None

    def hear(self, item: Item, alert: Heard, now: datetime) -> None:
        """It takes the alert, where that is news and there is room."""
        before = item.members.get(alert.fingerprint)
        if before is None and self.bytes + alert.size > BYTES_KEPT:
            self._spill(Overflow.BLIND_ALERTS)
        elif item.hear(alert, now):
            self.bytes += alert.size - (before.size if before is not None else 0)

    def drop_alerts(self, item: Item) -> None:
        """Its alerts are no news any more."""
        self.bytes -= _size(item)
        item.members = {}

    def _room_for(self, item: Item) -> bool:
        if len(self.items) < INCIDENTS_KEPT:
            return True
        self._spill(Overflow.BLIND_INCIDENTS)
        if (least := self._less_than(item)) is None:
            return False
        self.forget(least)
        return True

    def _less_than(self, item: Item) -> str | None:
        """The newest of those that matter the least, where these matter less than this one."""
        least = max(number for number, ids in self._classes.items() if ids)
        return next(reversed(self._classes[least])) if least > _class_of(item) else None

    def _unweigh(self, incident_id: str) -> None:
        for ids in self._classes.values():
            ids.pop(incident_id, None)


def _size(item: Item) -> int:
    return sum(one.size for one in item.members.values())


def _class_of(item: Item) -> int:
    """Smaller for what matters more: what was acted on, then what waits for somebody, then the worse."""
    state = item.incident.state if item.incident is not None else Triggered()
    rests = isinstance(state, (Acknowledged, Monitoring))
    return 8 * (not item.touched) + 4 * rests + item.severity.rank - 1
