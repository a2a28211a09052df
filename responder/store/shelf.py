"""A bounded number of things that people make while the daemon runs, kept by the store so that every replica knows them.

Only what is not over counts against the bound. Past ones stay for a while, as many of them again, and the whole expires with
the last.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Generic, Literal, TypeVar

import msgspec
import structlog

from responder.store.connection import ask
from responder.store.store import IDEMPOTENCY_TTL, Store, ms, to_ms

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: Past ones stay for so long: what was true in last week's incident is still asked.
KEPT_FOR = timedelta(days=31)

Put = Literal["ok", "known", "full", "changed", "repeat", "reused"]
#: Nothing is remembered of who asked.
_UNASKED = ("", "", 0)


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """The idempotency key that a request came under, and the digest that makes it the same as another one."""

    key: str
    digest: str


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a value, and the id that it, or what stood for it before, is kept under.

    ``known``: it was there, and is as given now. ``full``: nothing was kept. ``changed``: what was to be replaced has
    another end by now, or is gone. ``repeat``: the same request came before, and nothing was changed. ``reused``: another
    request came under this idempotency key.
    """

    outcome: Put
    id: str


class Shelved(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A value, its id, and when it is over."""

    id: str
    ends_at: datetime
    value: T


class Shelf(Generic[T]):
    """Values of one kind by id. Every call raises ``StoreError`` where the store is away."""

    def __init__(
        self, store: Store, name: str, decoder: msgspec.json.Decoder[T], *, kept_for: timedelta = KEPT_FOR
    ) -> None:
        """``kept_for``: how long past ones stay."""
        self._store = store
        self._name = name
        self._decoder = decoder
        self._kept_for = kept_for

    async def put(
        self, one: Shelved[T], limit: int, *, instead_of: datetime | None = None, asking: Asking | None = None
    ) -> Kept:
        """Keep a value under its id; ``full`` where there are ``limit`` already that are not over.

        ``instead_of``: only in place of one under this id that ends then.
        """
        asked = (asking.key, asking.digest, ms(IDEMPOTENCY_TTL)) if asking else _UNASKED
        answer = await self._store.run(
            "shelve",
            self._store.shift(), self._name, one.id, to_ms(one.ends_at), msgspec.json.encode(one.value),
            ms(self._kept_for), limit, to_ms(instead_of) if instead_of else "", *asked,
        )  # fmt: skip
        return Kept(outcome=answer[0].decode(), id=answer[1].decode() if len(answer) > 1 else one.id)

    async def drop(self, name: str) -> bool:
        """Take one out; whether it was there."""
        answer = await self._store.run(
            "shelve", self._store.shift(), self._name, name, 0, "", 0, 0, "", *_UNASKED
        )
        return bool(answer[0] == b"ok")

    async def all(self) -> list[T]:
        """Every value, in no order."""
        return self.read(await ask(self._store.client, "HVALS", f"{self._store.base}:{self._name}"))

    def read(self, raw: Iterable[bytes], now: datetime | None = None) -> list[T]:
        """The values as they lie on the shelf; what a newer version wrote is left out, and what is over too long ``now``."""
        found = []
        oldest = to_ms(now - self._kept_for) if now is not None else 0
        for one in raw:
            end, _, value = one.partition(b"|")
            try:
                if int(end) >= oldest:
                    found.append(self._decoder.decode(value))
            except ValueError as error:  # msgspec's are such
                log.error("unreadable; it is left out", shelf=self._name, error=str(error))  # noqa: TRY400 - said in full
        return found
