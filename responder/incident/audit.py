"""The audit of actions: each entry carries the hash of the one before.

No line can be changed, taken out or put in unseen. The hash of an entry is SHA-256 over its JSON with sorted keys, without the hash itself and with the hash of the entry
before. Whoever knows the newest hash (it stands in the log of every action) knows that all before it is as it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime

import msgspec


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to an action: who wanted what, what was done, what came of it. ``at`` in UTC."""

    number: int
    at: datetime
    event: str
    by: str
    incident: str = ""
    run: str = ""
    action: str = ""
    target: str = ""
    object: str = ""
    text: str = ""
    before: str = ""
    hash: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at the chain found. ``broken_at`` is the number of the first entry that does not fit."""

    entries: int
    first: int
    head: str
    broken_at: int | None = None
    text: str = ""


def sealed(entry: AuditEntry, before: str) -> AuditEntry:
    """The entry as a link of the chain, behind the one with the hash ``before`` (empty for the first)."""
    linked = msgspec.structs.replace(entry, before=before, hash="")
    return msgspec.structs.replace(linked, hash=_hash(linked))


def _hash(entry: AuditEntry) -> str:
    plain = {name: value for name, value in msgspec.to_builtins(entry).items() if name != "hash"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def verify(entries: Iterable[AuditEntry], head: str = "") -> Verdict:
    """Walk the chain, oldest first; ``head`` is the newest hash as it is known from elsewhere.

    The oldest entry that is kept is believed as it stands: what was before it has been dropped for its age.
    """
    count, first, last = 0, 0, None
    for entry in entries:
        count += 1
        first = first or entry.number
        broken = _broken(entry, last)
        if broken:
            return Verdict(entries=count, first=first, head=entry.hash, broken_at=entry.number, text=broken)
        last = entry
    newest = last.hash if last is not None else ""
    if head and head != newest:
        number = last.number + 1 if last is not None else 1
        return Verdict(
            entries=count,
            first=first,
            head=newest,
            broken_at=number,
            text="the newest entry is not the one expected",
        )
    return Verdict(entries=count, first=first, head=newest, text="every entry follows from the one before")


def _broken(entry: AuditEntry, last: AuditEntry | None) -> str:
    if _hash(entry) != entry.hash:
        return "its content does not fit its hash"
    if last is not None and entry.before != last.hash:
        return "it does not follow the entry before it"
    if last is not None and entry.number != last.number + 1:
        return f"entry {last.number + 1} is missing before it"
    return ""
