"""What a comparison with Alertmanager needs of the store: records of alerts, open incidents, and what was learned.

Keys: ``:am:lease`` (who compares, expires), ``:am:receivers`` and ``:am:senders`` (hashes: whose webhooks arrive, and
which Alertmanagers of theirs we can ask; bounded), ``:am:gone`` (zset: silences that were withdrawn; bounded),
``:am:inhibited`` (what was inhibited at the last comparison, expires), ``:am:compared`` (when that was).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from responder.store.connection import ask
from responder.store.reading import scored
from responder.store.store import Store, from_ms, ms, to_ms

#: Alerts or incidents that one call of the store looks at.
AT_ONCE = 1_000
NAMES_KEPT = 100
#: Longer than any Alertmanager stays away and comes back with what it knew.
GONE_KEPT = timedelta(days=180)
GONE_AT_MOST = 10_000
INHIBITED_AT_MOST = 10_000
_INHIBITED_KEPT = timedelta(hours=1)
_PACK = msgspec.msgpack.Encoder()
_NAMES = msgspec.json.Decoder(list[str])


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The last state of an alert. ``status``: F firing, R resolved, D doubtful; times in ms since the epoch.

    ``incident_open`` is about the incident that it belongs to; ``ttl`` is how long the record will be kept;
    ``sender`` names the Alertmanager whose webhook brought it, empty where none did.
    """

    status: str
    starts: int
    ends: int
    recorded: int
    incident: str
    incident_open: bool
    ttl: timedelta
    sender: str


class OpenIncident(msgspec.Struct, frozen=True, kw_only=True):
    """An open incident, as far as it is to be compared. ``fired`` counts every firing ever; ``muted``: it is known to be."""

    id: str
    state: str
    firing: int
    fired: int
    heard_at: datetime
    muted: bool


class Comparison:
    """The store's part of comparing. Every call raises ``StoreError`` where the store is away."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._base = f"{store.base}:am"
        self._me = store.token()

    async def now(self) -> datetime:
        """The store's time."""
        return await self._store.now()

    async def lease(self, span: timedelta) -> bool:
        """Whether this replica is the one that compares, from now on for this long."""
        key, client = f"{self._base}:lease", self._store.client
        if await ask(client, "SET", key, self._me, "NX", "PX", ms(span)):
            return True
        if await ask(client, "GET", key) != self._me.encode():
            return False
        return bool(await ask(client, "PEXPIRE", key, ms(span)))

    async def let_go(self) -> None:
        """Let another replica compare at once."""
        if await ask(self._store.client, "GET", f"{self._base}:lease") == self._me.encode():
            await ask(self._store.client, "DEL", f"{self._base}:lease")

    async def records(self, fingerprints: Sequence[str]) -> dict[str, Record]:
        """What is known of these alerts (any number); those of which nothing is are left out."""
        found: dict[str, Record] = {}
        for start in range(0, len(fingerprints), AT_ONCE):
            names = fingerprints[start : start + AT_ONCE]
            rows = await self._store.run("records", _PACK.encode(names))
            found.update((name, _record(row)) for name, row in zip(names, rows, strict=True) if row)
        return found

    async def open_incidents(self) -> list[OpenIncident]:
        """All that are open."""
        found: list[OpenIncident] = []
        while True:
            rows = await self._store.run("opens", len(found), len(found) + AT_ONCE // 2 - 1)
            found += [_open(row) for row in rows]
            if len(rows) < AT_ONCE // 2:
                return found

    async def members(self, incident: str) -> AsyncIterator[list[str]]:
        """The alerts that have ever fired in an incident, in pages."""
        key, cursor = f"{self._store.base}:i:{incident}:m", b"0"
        while True:
            cursor, names = await ask(self._store.client, "SSCAN", key, cursor, "COUNT", AT_ONCE)
            yield [name.decode() for name in names]
            if int(cursor) == 0:
                return

    async def bodies(self, fingerprints: Sequence[str]) -> list[bytes]:
        """The records of these alerts as they are stored; those that are gone are left out."""
        if not fingerprints:
            return []
        keys = [f"{self._store.base}:a:{name}" for name in fingerprints]
        return [row for row in await ask(self._store.client, "MGET", *keys) if row]

    async def names(self, kind: str, mark: str) -> frozenset[str]:
        """The ``receivers`` or ``senders`` that were met under this mark."""
        rows = await ask(self._store.client, "HGETALL", f"{self._base}:{kind}")
        pairs = rows.items() if isinstance(rows, dict) else zip(rows[::2], rows[1::2], strict=True)
        return frozenset(name.decode() for name, met in pairs if met == mark.encode())

    async def meet(self, kind: str, names: Sequence[str], mark: str) -> None:
        """Keep more of them; at the bound what there is makes room."""
        key, client = f"{self._base}:{kind}", self._store.client
        if int(await ask(client, "HLEN", key)) + len(names) > NAMES_KEPT:
            await ask(client, "DEL", key)
        for name in list(names)[:NAMES_KEPT]:
            await ask(client, "HSET", key, name, mark)

    async def gone(self) -> dict[str, datetime]:
        """Silences that were withdrawn, and since when that is known."""
        found = await ask(self._store.client, "ZRANGE", f"{self._base}:gone", 0, -1, "WITHSCORES")
        return {one.decode(): from_ms(at) for one, at in scored(found)}

    async def bury(self, silences: Sequence[str], at: datetime) -> None:
        """Remember that these silences were withdrawn."""
        key, client = f"{self._base}:gone", self._store.client
        for start in range(0, len(silences), AT_ONCE):
            pairs: list[Any] = []
            for silence in silences[start : start + AT_ONCE]:
                pairs += [to_ms(at), silence]
            await ask(client, "ZADD", key, "NX", *pairs)
        await ask(client, "ZREMRANGEBYSCORE", key, "-inf", to_ms(at - GONE_KEPT))
        await ask(client, "ZREMRANGEBYRANK", key, 0, -GONE_AT_MOST - 1)

    async def compared(self, at: datetime, inhibited: Sequence[str]) -> None:
        """Write down that a comparison was made, and which alerts were inhibited then."""
        names = msgspec.json.encode(list(inhibited)[:INHIBITED_AT_MOST])
        await ask(self._store.client, "SET", f"{self._base}:inhibited", names, "PX", ms(_INHIBITED_KEPT))
        await ask(self._store.client, "SET", f"{self._base}:compared", to_ms(at))

    async def last_compared(self) -> tuple[datetime | None, frozenset[str]]:
        """When the last comparison was made, and which alerts were inhibited then."""
        at = await ask(self._store.client, "GET", f"{self._base}:compared")
        names = await ask(self._store.client, "GET", f"{self._base}:inhibited")
        return from_ms(at) if at else None, frozenset(_NAMES.decode(names)) if names else frozenset()


def _record(row: bytes) -> Record:
    status, starts, ends, recorded, _, incident, state, ttl, sender = row.decode().split("|")
    return Record(
        status=status,
        starts=int(starts),
        ends=int(ends),
        recorded=int(recorded),
        incident=incident,
        incident_open=state not in {"", "resolved"},
        ttl=timedelta(milliseconds=int(ttl)),
        sender=sender,
    )


def _open(row: bytes) -> OpenIncident:
    incident, state, firing, fired, heard, muted = row.decode().split("|")
    return OpenIncident(
        id=incident,
        state=state,
        firing=int(firing),
        fired=int(fired),
        heard_at=from_ms(heard),
        muted=muted == "1",
    )
