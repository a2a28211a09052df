"""States of the store that cannot be, found and mended a few at a time.

Keys: ``:watchdog`` (hash: when it last ran, and how far its rounds over the open incidents and over the keys have come).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from responder.incident.effects import Effect
from responder.store.connection import ask, scan
from responder.store.loaded import stored_effect_of
from responder.store.store import INCIDENT_LEASE, Store, from_ms, ms, to_ms

INCIDENTS_AT_ONCE = 200
KEYS_AT_ONCE = 500
#: More open incidents than this are not counted anew in one step.
RECOUNT_LIMIT = 5_000
#: No lane is put off longer: a back-off ends at a minute, a lease with the time limit of an action.
PUT_OFF = timedelta(minutes=10)
OVERDUE = timedelta(minutes=2)
OUTLIVED = timedelta(minutes=5)
_SLACK = INCIDENT_LEASE + timedelta(seconds=5)
_PACK = msgspec.msgpack.Encoder()


class Kind(StrEnum):
    """What cannot be: a closed set, used as a metric label."""

    NO_WAKE = "no_wake"
    NO_NEXT_STEP = "no_next_step"
    WAKES_LATE = "wakes_late"
    OVERDUE = "overdue"
    LEASE = "lease"
    MARK = "mark"
    NO_INCIDENT = "no_incident"
    CLOSED_LISTED = "closed_listed"
    KEY_LOST = "key_lost"
    KEY_NOWHERE = "key_nowhere"
    LANE_LOST = "lane_lost"
    LANE_EMPTY = "lane_empty"
    LANE_LATE = "lane_late"
    EFFECT_OLD = "effect_old"
    GAUGE = "gauge"


class Finding(msgspec.Struct, frozen=True):
    """One of them. ``what`` is an incident, or a queue and a lane; ``due`` since when, where that matters."""

    kind: Kind
    what: str
    due: datetime | None = None


class Mender:
    """Looks and mends, a bounded number at each call. Every call raises ``StoreError`` where the store is away."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._base = store.base

    async def incidents(self) -> tuple[bool, list[Finding]]:
        """Look at the next open incidents and at what is due; whether the round is complete, and what was found."""
        head = (
            self._store.shift(), INCIDENTS_AT_ONCE, ms(_SLACK), ms(OVERDUE), ms(PUT_OFF), ms(OUTLIVED),
            ms(self._store.options.retention),
        )  # fmt: skip
        complete, found = await self._store.run("watch", _PACK.encode(head))
        return complete == 1, [
            Finding(Kind(kind.decode()), what.decode(), from_ms(due) if due else None)
            for kind, what, due in found
        ]

    async def keys(self) -> list[Finding]:
        """Look at the next keys of the store for what no incident leads to."""
        client, state = self._store.client, f"{self._base}:watchdog"
        cursor = int(await ask(client, "HGET", state, "scan") or 0)
        following, keys = await scan(client, self._base, cursor, f"{self._base}:[kl]:*", KEYS_AT_ONCE)
        await ask(client, "HSET", state, "scan", following)
        names = [key.decode().removeprefix(f"{self._base}:") for key in keys]
        lanes = [name[2:] for name in names if name.startswith("l:") and not name.endswith(":s")]
        owned = [name[2:] for name in names if name.startswith("k:")]
        return await self._mend(owned, [one for lane in lanes if (one := await self._lane(lane))])

    async def _lane(self, lane: str) -> tuple[str, str, bool] | None:
        """Where a lane belongs, from the effect at its head; ``None`` where that cannot be told."""
        head = await ask(self._store.client, "LINDEX", f"{self._base}:l:{lane}", 0)
        try:
            effect: Effect | None = stored_effect_of(head) if head else None
        except msgspec.DecodeError:  # of another version, which knows where it belongs
            return None
        return (effect.queue, lane, effect.urgent) if effect is not None else None

    async def _mend(self, keys: list[str], lanes: list[tuple[str, str, bool]]) -> list[Finding]:
        if not keys and not lanes:
            return []
        dropped, relisted = await self._store.run(
            "mend", _PACK.encode(keys), _PACK.encode(lanes), self._store.shift()
        )
        return [
            *(Finding(Kind.KEY_NOWHERE, one.decode()) for one in dropped),
            *(Finding(Kind.LANE_LOST, one.decode()) for one in relisted),
        ]

    async def ran(self) -> None:
        """A step has come to its end; whoever looks at the time of the last one sees that there is a watchdog."""
        await ask(self._store.client, "HSET", f"{self._base}:watchdog", "at", to_ms(await self._store.now()))

    async def counts(self) -> list[Finding]:
        """Put right the counts of open incidents."""
        wrong = await self._store.run("recount", RECOUNT_LIMIT)
        return [Finding(Kind.GAUGE, "")] * int(wrong)
