"""Reading: lists, one incident with its alerts and time line, the quarantine, the counts for metrics."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
from redis.exceptions import RedisError

from responder.alerts import Alert, AlertStatus
from responder.incident.canary import NULL_CHANNEL
from responder.incident.decision import Entry
from responder.incident.state import Incident
from responder.store.connection import CALL_LIMIT, ask, pairs
from responder.store.errors import StoreError
from responder.store.loaded import NewerSchemaError, decode_incident, record_body, totals_of
from responder.store.store import Store, from_ms, ms

_ALERT = msgspec.json.Decoder(Alert)
_ENTRY = msgspec.json.Decoder(Entry)

QUARANTINE_KEPT = 100
QUARANTINE_BODY = 1024 * 1024
_QUARANTINE_TTL = timedelta(days=30)


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A body that could not be read. ``size`` in bytes; a body over 1 MiB is kept cut."""

    digest: str
    reason: str
    first_seen: str
    last_seen: str
    seen: int
    size: int
    body: bytes = b""


class Shared(NamedTuple):
    """Open incidents by (service, severity, state), the lanes in the outbox, how long the most overdue has been due.

    What is tried again later is not due.
    """

    counts: dict[tuple[str, str, str], int]
    depth: int
    lag: timedelta


class Reader:
    """Everything that only looks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._base = store.base

    async def _pipeline(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Several reads in one round trip."""
        if not commands:
            return []
        try:
            async with asyncio.timeout(CALL_LIMIT):
                pipe = self._store.client.pipeline(transaction=False)
                for command in commands:
                    pipe.execute_command(*command)
                answers: list[Any] = await pipe.execute()
                return answers
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreError(f"read: {type(error).__name__}") from error

    async def ids(self, index: str, score: str, limit: int) -> list[tuple[str, str]]:
        """Ids of ``all`` or ``open`` incidents with their scores, newest first, from a score (``+inf``) on."""
        found = await ask(
            self._store.client,
            "ZREVRANGEBYSCORE", f"{self._base}:x:{index}", score, "-inf", "WITHSCORES", "LIMIT", 0, limit,
        )  # fmt: skip
        return [(i.decode(), s.decode()) for i, s in scored(found)]

    async def snapshots(self, ids: Sequence[str]) -> list[Incident]:
        """The snapshots of these incidents, in this order; those without one yet are left out."""
        raw = await self._pipeline([("HGET", f"{self._base}:i:{i}", "snap") for i in ids])
        return [decode_incident(one) for one in raw if one]

    async def states(self, ids: Sequence[str]) -> list[tuple[str, str]]:
        """The states and severities of these incidents, in this order; empty for one that is no longer kept.

        The severity is known of what is open only.
        """
        raw = await self._pipeline([("HMGET", f"{self._base}:i:{i}", "st", "gauge") for i in ids])
        return [
            (state.decode() if state else "", gauge.decode().split("|")[1] if gauge else "")
            for state, gauge in raw
        ]

    async def opened(self, ids: Sequence[str]) -> int:
        """How many of these incidents there are, decided or not."""
        return sum(map(int, await self._pipeline([("EXISTS", f"{self._base}:i:{i}") for i in ids])))

    async def readable(self, ids: Sequence[str]) -> list[Incident]:
        """The same without those that are damaged, or that a newer version wrote."""
        raw = await self._pipeline([("HGET", f"{self._base}:i:{i}", "snap") for i in ids])
        found = []
        for one in raw:
            with contextlib.suppress(NewerSchemaError, msgspec.DecodeError):
                if one:
                    found.append(decode_incident(one))
        return found

    async def snapshot(self, incident_id: str) -> Incident | None:
        """One snapshot, with its counts as they are now."""
        raw = await ask(self._store.client, "HGETALL", f"{self._base}:i:{incident_id}")
        fields = _fields(raw)
        if b"snap" not in fields:
            return None
        return msgspec.structs.replace(decode_incident(fields[b"snap"]), totals=totals_of(fields))

    async def taken(self, incident_id: str) -> int:
        """How many facts of the incident's inbox have been decided."""
        value = await ask(self._store.client, "HGET", f"{self._base}:i:{incident_id}", "it")
        return int(value or 0)

    async def asked_with(self, idempotency_key: str) -> str | None:
        """The digest of the request that came with an idempotency key, ``None`` where none did."""
        value = await ask(self._store.client, "GET", f"{self._base}:idem:{idempotency_key}")
        return value.decode() if value else None

    async def alerts(self, incident_id: str, limit: int) -> tuple[list[Alert], int]:
        """A sample of the incident's alerts, and how many there are."""
        members = f"{self._base}:i:{incident_id}:m"
        total, sample = await self._pipeline([("SCARD", members), ("SRANDMEMBER", members, limit)])
        if total <= limit:
            sample = await ask(self._store.client, "SMEMBERS", members)
        names = sorted(member.decode() for member in sample)
        records = await self._pipeline([("GET", f"{self._base}:a:{name}") for name in names])
        return [_alert(n, record) for n, record in zip(names, records, strict=True) if record], int(total)

    async def timeline(self, incident_id: str) -> list[Entry]:
        """The time line, oldest first."""
        raw = await ask(self._store.client, "LRANGE", f"{self._base}:i:{incident_id}:t", 0, -1)
        return [_ENTRY.decode(one) for one in raw]

    async def shared(self) -> Shared:
        """What every replica's metrics show."""
        queues: list[bytes]
        counts, queues = await self._pipeline(
            [("HGETALL", f"{self._base}:gauge"), ("SMEMBERS", f"{self._base}:queues")]
        )
        names = [queue.decode() for queue in queues if queue.decode() != NULL_CHANNEL]
        indexes = [f"{self._base}:q:{name}:{kind}" for name in names for kind in "un"]
        found = await self._pipeline(
            [*(("ZCARD", one) for one in indexes), *(("ZRANGE", one, 0, 0, "WITHSCORES") for one in indexes)]
        )
        depths, firsts = found[: len(indexes)], found[len(indexes) :]
        due = [from_ms(score) for first in firsts for _, score in first]
        lag = max(await self._store.now() - min(due), timedelta(0)) if due else timedelta(0)
        by_labels = {}
        for field, count in _fields(counts).items():
            service, severity, state = field.decode().rsplit("|", 2)
            by_labels[service, severity, state] = int(count)
        return Shared(by_labels, sum(int(depth) for depth in depths), lag)

    async def memory(self) -> dict[str, Any]:
        """``INFO memory``."""
        info = await ask(self._store.client, "INFO", "memory")
        return dict(info) if isinstance(info, dict) else _info(info)

    async def quarantine(self, body: bytes, reason: str) -> tuple[int, int]:
        """Keep a body that could not be read; how often it has been seen, and how many older ones were dropped for it."""
        digest = hashlib.blake2b(body, digest_size=16).hexdigest()
        answer = await self._store.run(
            "quarantine",
            self._store.shift(), digest, reason, len(body), body[:QUARANTINE_BODY],
            QUARANTINE_KEPT, ms(_QUARANTINE_TTL),
        )  # fmt: skip
        return int(answer[0]), int(answer[1])

    async def quarantined(self, limit: int) -> list[Quarantined]:
        """What is in quarantine, newest first, without the bodies."""
        index = f"{self._base}:quarantine"
        digests = [d.decode() for d in await ask(self._store.client, "ZREVRANGE", index, 0, limit - 1)]
        names = ("reason", "first", "last", "seen", "size")
        rows = await self._pipeline([("HMGET", f"{index}:{digest}", *names) for digest in digests])
        return [
            _quarantined(digest, row) for digest, row in zip(digests, rows, strict=True) if row[0] is not None
        ]

    async def quarantined_body(self, digest: str) -> Quarantined | None:
        """One of them, with its body."""
        names = ("reason", "first", "last", "seen", "size", "body")
        row = await ask(self._store.client, "HMGET", f"{self._base}:quarantine:{digest}", *names)
        return None if row[0] is None else _quarantined(digest, row)

    async def forget_quarantined(self, digest: str) -> bool:
        """Drop one; whether it was there."""
        await ask(self._store.client, "ZREM", f"{self._base}:quarantine", digest)
        return bool(await ask(self._store.client, "DEL", f"{self._base}:quarantine:{digest}"))


def scored(answer: Any) -> list[tuple[bytes, bytes]]:
    """Members and scores, whichever form the client library gave them."""
    if answer and isinstance(answer[0], (tuple, list)):
        return [(item, str(score).encode()) for item, score in answer]
    return pairs(answer)


def _fields(answer: Any) -> dict[bytes, bytes]:
    return answer if isinstance(answer, dict) else dict(pairs(answer))


def _info(raw: bytes) -> dict[str, Any]:
    lines = (line.split(":", 1) for line in raw.decode().splitlines() if ":" in line)
    return {name: value.strip() for name, value in lines}


def _alert(fingerprint: str, record: bytes) -> Alert:
    """The alert as it is now: the body that was kept, with the status of its record."""
    alert = msgspec.structs.replace(_ALERT.decode(record_body(record)), fingerprint=fingerprint)
    status, _, ends = record.split(b"|", 3)[:3]
    if status == b"F":
        return msgspec.structs.replace(alert, status=AlertStatus.FIRING, ends_at=None)
    return msgspec.structs.replace(alert, status=AlertStatus.RESOLVED, ends_at=from_ms(ends))


def _quarantined(digest: str, row: list[bytes]) -> Quarantined:
    return Quarantined(
        digest=digest,
        reason=row[0].decode(),
        first_seen=from_ms(row[1]).isoformat(),
        last_seen=from_ms(row[2]).isoformat(),
        seen=int(row[3]),
        size=int(row[4]),
        body=row[5] if len(row) > 5 else b"",
    )
