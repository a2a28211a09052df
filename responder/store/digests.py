"""Who is paged by itself and who with a digest: asked of the store in one step, so that the bound holds over replicas.

Keys: ``:storm:PERSON`` with ``…:r``, ``…:k``, ``…:n2`` to ``…:n4``: a person's digests by severity, what rang them lately, its
kinds, and the kinds that broke through by severity; ``:folded:ID`` with ``…:due``, ``…:over``, ``…:alike``: the lines of what is told with an incident, which
of these do not know yet what became of it, which have left, and how many there are of each kind; ``:told_in:ID``: with whom an incident is told, by person;
``:reminds:…``: which of those that were taken together reminds a person over a channel.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

from responder.incident.ids import derive
from responder.incident.likeness import kind_of, own_line
from responder.incident.state import Incident, StateName
from responder.store.connection import ask
from responder.store.reading import Reader
from responder.store.store import Store, from_ms, ms

#: Incidents that one digest takes; beyond it there is another one.
FOLDED_LIMIT = 10_000
_CHUNK = 500
#: In these states an incident waits for somebody to take it.
_WAITS = frozenset({"new", StateName.TRIGGERED})
_PACK = msgspec.msgpack.Encoder()


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How many incidents ring a person ``within`` this before there is a digest, and what breaks through it.

    ``after`` zero: everything rings. ``digest_every``: at most one new digest in that time.
    """

    after: int
    within: timedelta
    new_kinds: int
    digest_every: timedelta


class Ring(msgspec.Struct, frozen=True):
    """It rings by itself; ``new``: as a new kind, in spite of a digest."""

    new: bool = False


class Carry(msgspec.Struct, frozen=True):
    """Its page is the person's digest."""


class Wait(msgspec.Struct, frozen=True):
    """There was a digest just now; the next one comes then at the latest."""

    how_long: timedelta


class Fold(msgspec.Struct, frozen=True, kw_only=True):
    """It is told with the page of ``into``.

    ``count`` is of all by now, ``line`` its own there; ``carries_for`` is how long that one has been this person's digest,
    ``None`` where it is somebody else's. ``at`` is when it was folded. ``over`` is how many have left by now, where it had and
    is back. ``alike`` is how many of them are of its kind.
    """

    into: str
    line: str
    count: int
    carries_for: timedelta | None
    at: datetime
    over: int | None = None
    alike: int = 0


class FoldedIncident(msgspec.Struct, frozen=True, kw_only=True):
    """One that is told with another's page: its line there, and its present state (empty where it is no longer kept).

    ``severity`` is the present one, empty where it is not open; ``left``: it is over, was taken, or is paged by itself.
    """

    id: str
    line: str
    state: str
    severity: str = ""
    left: bool = False

    @property
    def shown(self) -> str:
        """Its line, and what it has become since."""
        changed = self.severity and not self.line.startswith(f"{self.severity} ")
        return f"{self.line} ({self.severity} by now)" if changed else self.line


Answer = Ring | Carry | Wait | Fold


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """One that was folded, in its ``episode`` and ``at`` that millisecond, and its present state."""

    id: str
    episode: int
    at: int
    state: str


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """Whether people are paged for the incident ``now``, in which episode, and some of those that do not know."""

    now: datetime
    paged: bool
    episode: int
    folded: tuple[Waiting, ...]


class Digests:
    """Every call raises ``StoreError`` where the store is away."""

    def __init__(self, store: Store, bounds: Bounds) -> None:
        self._store = store
        self.bounds = bounds
        #: Those that are told together may be open for longer than closed incidents are kept.
        self._kept = max(store.options.retention, store.options.firing_ttl)

    async def ask(
        self,
        incident: Incident,
        contact: str,
        *,
        deaf: Collection[str] = (),
        never_rang: bool = False,
        unfit: Collection[str] = (),
    ) -> Answer:
        """What is to be done with a page to a contact.

        ``deaf`` are incidents whose page does not tell this person; ``never_rang``: not even the person's own digest.
        ``unfit`` are those with whose page this one cannot be told, but others can.
        """
        bounds, store = self.bounds, self._store
        line, kind = own_line(incident), kind_of(incident)
        answer = await store.run(
            "bundle",
            _PACK.encode(
                (
                    store.shift(), incident.id, incident.episode.number, derive(contact), kind, line,
                    bounds.after, ms(bounds.within), bounds.new_kinds, ms(bounds.digest_every),
                    ms(self._kept), FOLDED_LIMIT, tuple(deaf), never_rang, incident.severity.rank, tuple(unfit),
                )
            ),
        )  # fmt: skip
        match answer[0]:
            case b"carry":
                return Carry()
            case b"wait":
                return Wait(timedelta(milliseconds=int(answer[1])))
            case b"fold":
                age = int(answer[3])
                return Fold(
                    into=answer[1].decode(),
                    line=line,
                    count=int(answer[2]),
                    carries_for=timedelta(milliseconds=age) if age >= 0 else None,
                    at=from_ms(answer[4]),
                    over=int(answer[5]) if int(answer[5]) >= 0 else None,
                    alike=int(answer[6]),
                )
            case _:
                return Ring(answer[1] == b"new")

    async def due(self, incident_id: str, limit: int) -> Due:
        """Some of what was folded into an incident and does not know what became of it."""
        store = self._store
        now, paged, episode, found = await store.run("spread", store.shift(), incident_id, limit)
        parts = (one.decode().split("|", 3) for one in found)
        return Due(
            now=from_ms(now),
            paged=paged == 1,
            episode=int(episode),
            folded=tuple(
                Waiting(id=one, episode=int(folded_in), at=int(at), state=state)
                for one, folded_in, at, state in parts
            ),
        )

    async def told(self, incident_id: str, folded: Collection[Waiting]) -> None:
        """These know, unless they were folded again since they were looked at."""
        if folded:
            named = (word for one in folded for word in (one.id, one.at))
            await self._store.run("told", incident_id, *named)

    async def leave(self, incident_id: str, carrier: str) -> int | None:
        """An incident has left a digest; how many have by now, ``None`` where it was not in it."""
        count = int(await self._store.run("leave", incident_id, carrier))
        return count if count >= 0 else None


class Reminders:
    """Which of the incidents that were taken together reminds a person. Raises ``StoreError`` where the store is away."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def first(self, what: Collection[str], incident_id: str, lasts: timedelta) -> str:
        """The one that reminds: this one, where none does already."""
        key, client = self._key(what), self._store.client
        if await ask(client, "SET", key, incident_id, "NX", "PX", ms(lasts)):
            return incident_id
        found = await ask(client, "GET", key)
        return found.decode() if found else incident_id

    async def take(self, what: Collection[str], incident_id: str, lasts: timedelta) -> None:
        """The other one did not reach the person: this one reminds."""
        await ask(self._store.client, "SET", self._key(what), incident_id, "PX", ms(lasts))

    def _key(self, what: Collection[str]) -> str:
        return f"{self._store.base}:reminds:{derive(*what)}"


class FoldedLists:
    """What is told with an incident, as people look at it. Raises ``StoreError`` where the store is away."""

    def __init__(self, store: Store) -> None:
        self._store, self._reader = store, Reader(store)

    async def listed(self, incident_id: str, most: int = FOLDED_LIMIT) -> list[FoldedIncident]:
        """The first of them, by id; by default all that a digest takes."""
        key, cursor = f"{self._store.base}:folded:{incident_id}", 0
        lines: dict[str, str] = {}
        while True:
            following, found = await ask(self._store.client, "HSCAN", key, cursor, "COUNT", _CHUNK)
            pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
            lines |= {name.decode(): line.decode().split("|", 2)[2] for name, line in pairs}
            cursor = int(following)
            if cursor == 0:
                break
        names = sorted(lines)[:most]
        states: list[tuple[str, str]] = []
        over = {one.decode() for one in await ask(self._store.client, "SMEMBERS", f"{key}:over")}
        for at in range(0, len(names), _CHUNK):
            states += await self._reader.states(names[at : at + _CHUNK])
        return [
            FoldedIncident(
                id=name,
                line=lines[name],
                state=state,
                severity=severity,
                left=name in over or state not in _WAITS,
            )
            for name, (state, severity) in zip(names, states, strict=True)
        ]
