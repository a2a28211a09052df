"""Who is paged by itself and who with a digest while the store cannot be asked: what one replica knows, and no other's pages.

The answers are those of ``store/digests.py``. What a digest of the store has told of stays told with it; what is new counts
from nothing, has digests of its own, and never waits for one. Afterwards that is left to the store (``item.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

import msgspec

from responder.engine.blind.memory import Memory
from responder.incident.asking import told_in
from responder.incident.digest import Digest, present
from responder.incident.digest_facts import IncidentFolded
from responder.incident.likeness import kind_of, own_line, shown_kind
from responder.incident.state import Incident
from responder.store.digests import Answer, Bounds, Carry, Fold, Ring
from responder.store.store import Recorded


class _Storm(msgspec.Struct):
    """What rang a person lately, of which kinds, which of these broke through, and the incident that is their digest."""

    rang: dict[str, datetime] = {}
    kinds: dict[str, datetime] = {}
    broke: dict[str, datetime] = {}
    carrier: str = ""
    since: datetime | None = None
    active: datetime | None = None

    def forget(self, before: datetime) -> None:
        """What was earlier counts no longer."""
        for kept in (self.rang, self.kinds, self.broke):
            for name in [name for name, at in kept.items() if at < before]:
                del kept[name]


class _Folded(msgspec.Struct):
    """What is told with an incident from memory and of which kind, beside so many of which the store knew."""

    before: int
    alike: dict[str, int]
    kinds: dict[str, str] = {}

    def alike_by_now(self, kind: str) -> int:
        """How many there are of a kind."""
        return self.alike.get(kind, 0) + sum(one == kind for one in self.kinds.values())


def _before(digest: Digest | None) -> _Folded:
    if digest is None:
        return _Folded(before=0, alike={})
    return _Folded(before=digest.count, alike={one.kind: one.count for one in digest.kinds})


class MemoryGate:
    """See the module. ``now`` is the store's time, as far as it is known."""

    def __init__(self, memory: Memory, bounds: Bounds, now: Callable[[], datetime]) -> None:
        self._memory = memory
        self.bounds = bounds
        self._now = now
        self._storms: dict[str, _Storm] = {}
        self._folded: dict[str, _Folded] = {}

    async def ask(
        self,
        incident: Incident,
        contact: str,
        *,
        deaf: Collection[str] = (),
        never_rang: bool = False,  # noqa: ARG002 - whoever asks may ask the store instead
        unfit: Collection[str] = (),
    ) -> Answer:
        """What is to be done with a page to a contact.

        ``deaf`` are incidents whose page does not tell this person, ``unfit`` those with whose page this one cannot be told.
        """
        now, shut = self._now(), {*deaf, *unfit}
        storm = self._storms.setdefault(contact, _Storm())
        storm.forget(now - self.bounds.within)
        for name in shut:
            if (folded := self._folded.get(name)) is not None:
                folded.kinds.pop(incident.id, None)
        kind = kind_of(incident)
        if storm.carrier == incident.id:
            return self._rings(storm, incident, kind, Carry())
        if incident.id in storm.rang:
            return self._rings(storm, incident, kind, Ring())
        told = [one for one in told_in(incident) if one not in shut and self._is_paged(one)]
        if told:
            return self._fold(storm, told[0], incident, kind)
        return self._new(storm, incident, kind, shut)

    def _new(self, storm: _Storm, incident: Incident, kind: str, shut: Collection[str]) -> Answer:
        """Nobody has told this person of it."""
        now, bounds = self._now(), self.bounds
        goes_on = storm.active is not None and now - storm.active <= bounds.within
        if goes_on and storm.carrier not in shut and self._is_paged(storm.carrier):
            if kind in storm.kinds or len(storm.broke) >= bounds.new_kinds:
                return self._fold(storm, storm.carrier, incident, kind)
            storm.broke[kind] = now
            return self._rings(storm, incident, kind, Ring(new=True))
        if len(storm.rang) < bounds.after:
            return self._rings(storm, incident, kind, Ring())
        storm.carrier, storm.since, storm.active = incident.id, now, now
        self._folded = {one: kept for one, kept in self._folded.items() if one in self._memory.items}
        return self._rings(storm, incident, kind, Carry())

    def _rings(self, storm: _Storm, incident: Incident, kind: str, answer: Answer) -> Answer:
        storm.rang[incident.id] = storm.kinds[kind] = self._now()
        return answer

    def _fold(self, storm: _Storm, into: str, incident: Incident, kind: str) -> Fold:
        now, own = self._now(), into == storm.carrier and storm.since is not None
        storm.kinds[kind] = now
        if own:
            storm.active = now
        carrier = self._memory.items[into].incident
        digest = present(carrier.digest) if carrier is not None else None
        folded = self._folded.setdefault(into, _before(digest))
        shown = shown_kind(incident)
        if into not in told_in(incident):
            folded.kinds[incident.id] = shown
        return Fold(
            into=into,
            line=own_line(incident),
            count=folded.before + len(folded.kinds),
            carries_for=now - (storm.since or now) if own else None,
            at=now,
            alike=folded.alike_by_now(shown),
        )

    def _is_paged(self, incident_id: str) -> bool:
        item = self._memory.items.get(incident_id)
        seen = item.as_seen if item is not None else None
        return seen is not None and seen.is_paged


class MemoryBook:
    """Other incidents, as they are remembered."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def snapshot(self, incident_id: str) -> Incident | None:
        """An incident as it is now; ``None`` where it is not remembered."""
        item = self._memory.items.get(incident_id)
        return item.incident if item is not None else None

    async def record(self, incident_id: str, fact: IncidentFolded) -> Recorded:
        """Have it know what is told with it."""
        if incident_id not in self._memory.items:
            return Recorded("unknown")
        self._memory.told(incident_id, (fact,))
        return Recorded("ok")
