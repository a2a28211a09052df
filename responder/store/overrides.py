"""Overrides and swaps that people make while the daemon runs: kept by the store, so that every replica knows them.

Key: ``:overrides``, a hash of changes by id; past ones go a month after their end, and the whole expires with the last.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Literal

import msgspec
import structlog

from responder.oncall.schedule import Change, Override
from responder.store.connection import ask
from responder.store.store import Store, ms, to_ms

log = structlog.get_logger(__name__)

KEPT = 500  # changes of all schedules together
#: Past changes stay for so long: who was on call in last week's incident is still asked.
KEPT_FOR = timedelta(days=31)

_CHANGE: msgspec.json.Decoder[Change] = msgspec.json.Decoder(Change)

Put = Literal["ok", "known", "full"]


def id_of(change: Change) -> str:
    """The same change has the same id, so that a request sent twice makes one; 16 hex digits."""
    who = change.people if isinstance(change, Override) else (change.one, change.other)
    parts = [type(change).__name__, change.schedule, change.start.isoformat(), change.end.isoformat(), *who]
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class Overrides:
    """The changes in the store. Every call raises ``StoreError`` where the store is away."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, change: Change) -> Put:
        """Keep a change under its id; ``full`` where there are too many, and nothing was kept."""
        answer = await self._store.run(
            "override",
            self._store.shift(), change.id, to_ms(change.end), msgspec.json.encode(change), ms(KEPT_FOR), KEPT,
        )  # fmt: skip
        outcome: Put = answer[0].decode()
        return outcome

    async def drop(self, change_id: str) -> bool:
        """Take a change out; whether it was there."""
        answer = await self._store.run("override", self._store.shift(), change_id, 0, "", 0, 0)
        return bool(answer[0] == b"ok")

    async def all(self) -> tuple[Change, ...]:
        """Every change, in the order in which they were made: where two overlap, the later one wins."""
        raw = await ask(self._store.client, "HVALS", f"{self._store.base}:overrides")
        found = [change for one in raw if (change := _decoded(one)) is not None]
        return tuple(sorted(found, key=_made))


def _decoded(raw: bytes) -> Change | None:
    try:
        return _CHANGE.decode(raw.partition(b"|")[2])
    except msgspec.DecodeError as error:
        log.error("a change of a schedule is unreadable; it is left out", error=str(error))  # noqa: TRY400 - said in full
        return None


def _made(change: Change) -> tuple[float, str]:
    return change.made_at.timestamp() if change.made_at else 0.0, change.id
