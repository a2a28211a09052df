"""The audit in the store. Keys: ``:audit``, a list, oldest first, bounded; ``:audit:head``, the newest entry's hash."""

from __future__ import annotations

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
_SHOWN = 120  # of a line that cannot be read
_ENTRY = msgspec.json.Decoder(AuditEntry)


class Audit:
    """Appends to the chain, and reads it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = f"{store.base}:audit"

    async def append(self, entry: AuditEntry) -> AuditEntry:
        """Add an entry behind the newest; durable when it returns, and told to the log with its hash.

        Raises:
            AuditChangedError: where the list and the newest hash do not fit; the log has the entry then.
            StoreError: where it could not be written: then nothing may be done that it would have told of.
        """
        before: list[bytes | None] = []
        for _ in range(_TRIES):
            raw = await ask(self._store.client, "LINDEX", self._key, -1)
            newest = _entry(raw) if raw is not None else None
            # Others who write move the newest entry; where it stays, and is not the one of the hash, nobody of ours wrote.
            if raw in before or (raw is not None and newest is None):
                _tell(log.error, "not in the audit, which was changed from outside", entry)
                raise AuditChangedError
            link = await self._add(entry, newest)
            if link is not None:
                _tell(log.info, "audit", link)
                return link
            before = [raw]
        raise StoreBusyError("the audit is being written by others; try again")

    async def _add(self, entry: AuditEntry, newest: AuditEntry | None) -> AuditEntry | None:
        """The entry behind the newest; ``None`` where that is not the newest any more."""
        number, before = (newest.number + 1, newest.hash) if newest is not None else (1, "")
        link = sealed(msgspec.structs.replace(entry, number=number), before)
        answer = await self._store.run("audit", before, link.hash, msgspec.json.encode(link), ENTRIES_KEPT)
        return link if answer[0] == b"ok" else None

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
