"""What every replica knows of the others' work: windows, what was told of them, and outlines of open incidents.

Keys: ``:outlines``, a hash of an outline by incident, with the number of its changes under ``#`` (``commit.lua`` writes
them); ``:told``, a hash of what was told, which expires with the last of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
import structlog

from responder.incident.around import Outline
from responder.incident.effects import SendNotice
from responder.store.connection import pairs
from responder.store.store import Store, from_ms, stored_effect, to_ms

log = structlog.get_logger(__name__)

_OUTLINE = msgspec.json.Decoder(Outline)
_PACK = msgspec.msgpack.Encoder()


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One look. ``outlines`` is ``None`` where they are those of the version that was known."""

    now: datetime
    windows: tuple[bytes, ...]
    told: dict[str, bytes]
    version: str
    outlines: dict[str, Outline] | None


class Surroundings:
    """Looks, and tells. Every call raises ``StoreError`` where the store is away."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def look(self, version: str) -> Seen:
        """What is there now, in one round trip; ``version`` is that of the outlines that are known."""
        now, windows, told, found, outlines = await self._store.run(
            "surroundings", self._store.shift(), version
        )
        return Seen(
            now=from_ms(now),
            windows=tuple(windows),
            told={name.decode(): note.partition(b"|")[2] for name, note in pairs(told)},
            version=found.decode(),
            outlines=_outlines(outlines) if isinstance(outlines, list) else None,
        )

    async def announce(
        self, what: str, note: bytes, forget_at: datetime, notices: Sequence[SendNotice]
    ) -> bool:
        """Have people told of something once; whether this call was the one."""
        answer = await self._store.run(
            "announce",
            self._store.shift(), what, note, to_ms(forget_at),
            _PACK.encode([(one.queue, one.lane, one.urgent, stored_effect(one)) for one in notices]),
        )  # fmt: skip
        return bool(answer[0] == 1)


def _outlines(flat: list[bytes]) -> dict[str, Outline]:
    found: dict[str, Outline] = {}
    for field, raw in pairs(flat):
        name = field.decode()
        if name != "#":
            try:
                found[name] = _OUTLINE.decode(raw)
            except msgspec.DecodeError as error:
                log.error("an outline is unreadable; it is left out", incident=name, error=str(error))  # noqa: TRY400 - said in full
    return found
