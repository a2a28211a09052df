"""The audit in the store. Keys: ``:audit``, a list, oldest first, bounded; ``:audit:head``, the newest entry's hash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog

from responder.incident.audit import AuditEntry, AuditPage, Line, UnreadableEntry, sealed
from responder.store.connection import ask
from responder.store.errors import AuditChangedError, StoreBusyError
from responder.store.store import Store
from responder.text import one_line

log = structlog.get_logger(__name__)

#: Who verifies the chain counts on this: a list that has lost its beginning and is shorter had entries taken out.
ENTRIES_KEPT = 20_000
PAGE = 500
_TRIES = 20
_PATIENCE = 5.0  # seconds that an entry waits for the others of this replica
_SHOWN = 120  # of a line that cannot be read
_ENTRY = msgspec.json.Decoder(AuditEntry)


class Audit:
    """Appends to the chain, and reads it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = f"{store.base}:audit"
        # One of each replica at a time: else whoever comes late loses to the others again and again.
        self._turn = asyncio.Lock()

    async def append(self, entry: AuditEntry) -> AuditEntry:
        """Add an entry behind the newest; durable when it returns, and told to the log with its hash.

        Raises:
            AuditChangedError: where the list and the newest hash do not fit; the log has the entry then.
            StoreError: where it could not be written: then nothing may be done that it would have told of.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._turn.acquire()
        except TimeoutError:
            raise StoreBusyError("too many want to write into the audit; try again") from None
        try:
            return await self._append(entry)
        finally:
            self._turn.release()

    async def _append(self, entry: AuditEntry) -> AuditEntry:
        newest = await ask(self._store.client, "LINDEX", self._key, -1)
        for _ in range(_TRIES):
            link = _behind(newest, entry)
            if link is None:
                break
            answer = await self._store.run(
                "audit", link.before, link.hash, msgspec.json.encode(link), ENTRIES_KEPT
            )
            if answer[0] == b"ok":
                _tell(log.info, "audit", link)
                return link
            # Whoever else writes moves the newest entry too; where it is the same, nobody of ours wrote the hash.
            if answer[1] == newest:
                break
            newest = answer[1]
        else:
            raise StoreBusyError("the audit is being written by other replicas; try again")
        _tell(log.error, "not in the audit, which was changed from outside", entry)
        raise AuditChangedError

    async def page(self, *, after: int = 0) -> AuditPage:
        """What follows the entry with the number ``after``, oldest first, at most ``PAGE`` lines. Raises ``StoreError``."""
        at, total, head, raw = await self._store.run("audited", after, PAGE)
        lines = _lines(raw, int(at), after)
        last = int(at) + len(lines) == int(total) or lines[-1].number <= after
        return AuditPage(
            line=int(at) + 1,
            entries=tuple(one for one in lines if isinstance(one, AuditEntry)),
            unreadable=tuple(one for one in lines if isinstance(one, UnreadableEntry)),
            keeps=ENTRIES_KEPT,
            head=head.decode() if last else None,
            next=None if last else lines[-1].number,
        )


def _tell(say: Callable[..., Any], event: str, entry: AuditEntry) -> None:
    """To the log. An entry that stands in no chain has neither number nor hash."""
    sealed_as = {"number": entry.number, "hash": entry.hash} if entry.hash else {"text": entry.text}
    say(
        event, **sealed_as, what=entry.event, by=entry.by, incident=entry.incident, action=entry.action,
        target=entry.target, object=entry.object,
    )  # fmt: skip


def _behind(newest: bytes | None, entry: AuditEntry) -> AuditEntry | None:
    """The entry as the next behind the newest; ``None`` where that cannot be read."""
    if newest is None:
        return sealed(msgspec.structs.replace(entry, number=1), "")
    last = _entry(newest)
    return sealed(msgspec.structs.replace(entry, number=last.number + 1), last.hash) if last else None


def _lines(raw: Sequence[bytes], at: int, after: int) -> list[Line]:
    """The lines from the place ``at`` on. What cannot be read has the number that follows from the line before it."""
    found: list[Line] = []
    read = [_entry(line) for line in raw]
    number = next((one.number - place for place, one in enumerate(read) if one is not None), after + 1) - 1
    for place, (line, entry) in enumerate(zip(raw, read, strict=True)):
        number = entry.number if entry is not None else number + 1
        begins = one_line(line[:_SHOWN].decode(errors="replace"), _SHOWN)
        found.append(entry or UnreadableEntry(line=at + place + 1, number=number, text=begins))
    return found


def _entry(line: bytes) -> AuditEntry | None:
    try:
        return _ENTRY.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
