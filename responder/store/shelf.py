"""A bounded number of things that people make while the daemon runs, kept by the store so that every replica knows them.

Past ones go a month after their end, and the whole expires with the last.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Generic, Literal, TypeVar

import msgspec
import structlog

from responder.store.connection import ask
from responder.store.store import Store, ms, to_ms

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: Past ones stay for so long: what was true in last week's incident is still asked.
KEPT_FOR = timedelta(days=31)

Put = Literal["ok", "known", "full"]


class Shelf(Generic[T]):
    """Values of one kind by id. Every call raises ``StoreError`` where the store is away."""

    def __init__(self, store: Store, name: str, decoder: msgspec.json.Decoder[T]) -> None:
        self._store = store
        self._name = name
        self._decoder = decoder

    async def put(self, name: str, ends_at: datetime, value: T, limit: int) -> Put:
        """Keep a value under its id; ``full`` where there are ``limit`` already, and nothing was kept."""
        answer = await self._store.run(
            "shelve",
            self._store.shift(), self._name, name, to_ms(ends_at), msgspec.json.encode(value), ms(KEPT_FOR), limit,
        )  # fmt: skip
        outcome: Put = answer[0].decode()
        return outcome

    async def drop(self, name: str) -> bool:
        """Take one out; whether it was there."""
        answer = await self._store.run("shelve", self._store.shift(), self._name, name, 0, "", 0, 0)
        return bool(answer[0] == b"ok")

    async def all(self) -> list[T]:
        """Every value, in no order."""
        return self.read(await ask(self._store.client, "HVALS", f"{self._store.base}:{self._name}"))

    def read(self, raw: Iterable[bytes]) -> list[T]:
        """The values as they lie on the shelf; what a newer version wrote is left out."""
        found = []
        for one in raw:
            try:
                found.append(self._decoder.decode(one.partition(b"|")[2]))
            except msgspec.DecodeError as error:
                log.error("unreadable; it is left out", shelf=self._name, error=str(error))  # noqa: TRY400 - said in full
        return found
