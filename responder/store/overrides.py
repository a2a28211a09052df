"""Overrides and swaps that people make while the daemon runs. Key: ``:overrides`` (:mod:`responder.store.shelf`)."""

from __future__ import annotations

import hashlib

import msgspec

from responder.oncall.schedule import Change, Override
from responder.store.shelf import Put, Shelf, Shelved
from responder.store.store import Store

KEPT = 500  # changes of all schedules together

_CHANGE: msgspec.json.Decoder[Change] = msgspec.json.Decoder(Change)


def id_of(change: Change) -> str:
    """The same change has the same id, so that a request sent twice makes one; 16 hex digits."""
    who = change.people if isinstance(change, Override) else (change.one, change.other)
    parts = [type(change).__name__, change.schedule, change.start.isoformat(), change.end.isoformat(), *who]
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class Overrides:
    """The changes in the store. Every call raises ``StoreError`` where the store is away."""

    def __init__(self, store: Store) -> None:
        self._shelf = Shelf(store, "overrides", _CHANGE)

    async def put(self, change: Change) -> Put:
        """Keep a change under its id; ``full`` where there are too many that are not over."""
        kept = await self._shelf.put(Shelved(id=change.id, ends_at=change.end, value=change), KEPT)
        return kept.outcome

    async def drop(self, change_id: str) -> bool:
        """Take a change out; whether it was there."""
        return await self._shelf.drop(change_id)

    async def all(self) -> tuple[Change, ...]:
        """Every change, in the order in which they were made: where two overlap, the later one wins."""
        return tuple(sorted(await self._shelf.all(), key=_made))


def _made(change: Change) -> tuple[float, str]:
    return change.made_at.timestamp() if change.made_at else 0.0, change.id
