"""What the store knows of signs of life: those that are waited for, the canary's, and whose turn it is.

Keys: ``:beats`` (zset: a watch, named by the alert of its absence, and when it is due), ``:beats:seen`` (hash: when it
was last seen), ``:beats:spared``, ``:beats:attended`` (when somebody last looked); ``:turns`` (zset: what is to be done
once in a while, and when next); ``:canary`` (when it last came through); ``:drill:NAME`` (its last run, expires).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from responder.store.connection import ask
from responder.store.loaded import record_incident
from responder.store.store import Store, from_ms, ms, to_ms

#: How long a replica that has just started waits for a sign of another one.
SETTLE = timedelta(seconds=2.5)
#: Longer than this between two looks means that nobody attended.
GAP = timedelta(seconds=10)
SPARED_AT_MOST = 3
#: A watch that nobody's configuration names and that is overdue for so long is forgotten.
ORPHANED_AFTER = timedelta(minutes=10)
_AT_ONCE = 500
_DRILL_KEPT = timedelta(days=60)
_PACK = msgspec.msgpack.Encoder()


class DueWatch(msgspec.Struct, frozen=True, kw_only=True):
    """A sign of life that did not come; ``seen_at`` is ``None`` where it never did."""

    watch: str
    due_at: datetime
    seen_at: datetime | None


class Attended(msgspec.Struct, frozen=True, kw_only=True):
    """A look at what is waited for. ``settled``: this replica attends from now on."""

    now: datetime
    settled: bool
    due: tuple[DueWatch, ...] = ()
    orphans: tuple[str, ...] = ()


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the daemon does its work.

    ``overdue`` is how long the longest overdue incident has been due, ``forgotten`` counts open incidents that nothing
    will wake.
    """

    now: datetime
    overdue: timedelta
    forgotten: int
    canary_at: datetime | None
    watchdog_at: datetime | None


class DrillRun(msgspec.Struct, frozen=True, kw_only=True):
    """The last run of a drill.

    ``occurrence`` is the latest time of ``schedule`` that was begun or let pass. ``incident`` is there while it is under
    way, ``judged`` once it can be said how it went; ``met`` and ``seconds`` are of the last one that was: whether it was
    acknowledged in time, and after how long. One that paged nobody was not run: ``began_at`` is then again what it was
    before, which is ``ran_before`` meanwhile.
    """

    schedule: str
    occurrence: datetime
    began_at: datetime | None = None
    ran_before: datetime | None = None
    incident: str = ""
    judged: bool = False
    met: bool | None = None
    seconds: float | None = None


class Signs:
    """Signs of life in the store. Every call raises ``StoreError`` where it is away."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._base = store.base

    async def now(self) -> datetime:
        """The store's time."""
        return await self._store.now()

    async def attend(self, watches: Mapping[str, timedelta], since: datetime | None) -> Attended:
        """Look after these watches (and their intervals); ``since`` is when this replica first looked, until it is settled."""
        head = (
            self._store.shift(), to_ms(since) if since else 0, ms(SETTLE), ms(GAP), SPARED_AT_MOST, ms(ORPHANED_AFTER),
            _AT_ONCE,
        )  # fmt: skip
        pairs = [(watch, ms(interval)) for watch, interval in watches.items()]
        answer = await self._store.run("attend", _PACK.encode(head), _PACK.encode(pairs))
        return Attended(
            now=from_ms(answer[0]),
            settled=answer[1] == 1,
            due=tuple(
                DueWatch(watch=watch.decode(), due_at=from_ms(due), seen_at=from_ms(seen) if seen else None)
                for watch, due, seen in answer[2]
            ),
            orphans=tuple(one.decode() for one in answer[3]),
        )

    async def seen(self, watches: Sequence[str]) -> dict[str, datetime]:
        """When each of these was last seen; those that never were are left out."""
        if not watches:
            return {}
        times = await ask(self._store.client, "HMGET", f"{self._base}:beats:seen", *watches)
        return {watch: from_ms(at) for watch, at in zip(watches, times, strict=True) if at}

    async def turn(self, what: str, every: timedelta) -> bool:
        """Whether it is this caller's turn to do what is done once in a while, by whichever replica comes first."""
        return bool(await self._store.run("turn", self._store.shift(), what, ms(every)))

    async def vitals(self) -> Vitals:
        """How the daemon is, as far as the store can tell."""
        now, oldest, forgotten, canary, watchdog = await self._store.run("vitals", self._store.shift())
        return Vitals(
            now=from_ms(now),
            overdue=from_ms(now) - from_ms(oldest) if oldest else timedelta(0),
            forgotten=int(forgotten),
            canary_at=from_ms(canary) if canary else None,
            watchdog_at=from_ms(watchdog) if watchdog else None,
        )

    async def incident_of(self, fingerprint: str) -> str:
        """The id of the incident that an alert belongs to, empty where there is none."""
        record = await ask(self._store.client, "GET", f"{self._base}:a:{fingerprint}")
        return record_incident(record) if record else ""

    async def lane_waits(self, lane: str) -> bool:
        """Whether a lane holds effects that are still to be performed."""
        return bool(await ask(self._store.client, "EXISTS", f"{self._base}:l:{lane}"))

    async def forget(self, fingerprint: str, key: str, queue: str) -> None:
        """Take the canary out of the store, with its messages, which have a queue of their own."""
        await self._store.run("forget", fingerprint, key, queue)

    async def canary_passed(self, at: datetime) -> None:
        """The canary came through."""
        await ask(self._store.client, "SET", f"{self._base}:canary", to_ms(at))

    async def drill(self, name: str) -> DrillRun | None:
        """The last run of a drill; ``None`` where nothing is known of it."""
        raw = await ask(self._store.client, "GET", f"{self._base}:drill:{name}")
        return msgspec.json.decode(raw, type=DrillRun) if raw else None

    async def set_drill(self, name: str, run: DrillRun) -> None:
        """Write down how far a drill has come."""
        key = f"{self._base}:drill:{name}"
        await ask(self._store.client, "SET", key, msgspec.json.encode(run), "PX", ms(_DRILL_KEPT))
