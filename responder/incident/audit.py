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


class UnreadableEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the audit that is no entry.

    ``line`` is its place in the list, from 1; ``number`` what an entry there would have; ``text`` how it begins.
    """

    line: int
    number: int
    text: str


Line = AuditEntry | UnreadableEntry


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the audit, oldest first; entries exactly as they were hashed, and apart from them what cannot be read.

    ``line`` is the place of the first in the list, from 1; ``next`` the ``after`` of what follows. ``keeps``: so many
    are kept, and the oldest beyond them dropped. ``head``, with the last page only, is the newest hash as the store
    has it beside the list.
    """

    line: int
    entries: tuple[AuditEntry, ...]
    unreadable: tuple[UnreadableEntry, ...]
    keeps: int
    head: str | None
    next: int | None

    def lines(self) -> list[Line]:
        """All of it, in its order."""
        found: list[Line] = list(self.entries)
        for one in self.unreadable:
            found.insert(one.line - self.line, one)
        return found


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the chain beside its entries.

    ``hash`` is that of an entry as somebody wrote it down, empty where nobody did. ``newest`` is the newest as the
    store has it beside the list, and ``keeps`` how many entries it keeps; ``None`` where the store was not asked.
    """

    hash: str = ""
    newest: str | None = None
    keeps: int | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at the chain found. ``broken_at`` is the number of the first entry that does not fit or is missing.

    ``sound``: it is whole as far as that can be told, and holds the hash that was asked for.
    """

    entries: int
    first: int
    head: str
    sound: bool
    broken_at: int | None = None
    text: str = ""


def sealed(entry: AuditEntry, before: str) -> AuditEntry:
    """The entry as a link of the chain, behind the one with the hash ``before`` (empty for the first)."""
    linked = msgspec.structs.replace(entry, before=before, hash="")
    return msgspec.structs.replace(linked, hash=_hash(linked))


def _hash(entry: AuditEntry) -> str:
    plain = {name: value for name, value in msgspec.to_builtins(entry).items() if name != "hash"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def verify(lines: Iterable[Line], elsewhere: Elsewhere | None = None) -> Verdict:
    """Walk the chain, oldest first, and hold it against what is known ``elsewhere``.

    The oldest entry is believed where so many are kept that those before it have been dropped for their age.
    """
    walk = _Walk()
    for line in lines:
        if broken := walk.over(line):
            return walk.verdict(line.number, broken)
    elsewhere = elsewhere or Elsewhere()
    return _missing(walk, elsewhere) or _found(walk, elsewhere.hash)


class _Walk:
    """How far a walk has come."""

    def __init__(self) -> None:
        self.count = 0
        self.first: AuditEntry | None = None
        self.last: AuditEntry | None = None
        self.numbers: dict[str, int] = {}

    def over(self, line: Line) -> str:
        """Go over a line; why it does not fit, empty where it does."""
        self.count += 1
        if isinstance(line, UnreadableEntry):
            return f"line {line.line} of the audit cannot be read"
        self.first = self.first or line
        if broken := _broken(line, self.last):
            return broken
        self.last = line
        self.numbers[line.hash] = line.number
        return ""

    @property
    def following(self) -> int:
        """The number of the entry that would come next."""
        return self.last.number + 1 if self.last is not None else 1

    def verdict(self, broken_at: int | None, text: str, *, sound: bool = False) -> Verdict:
        """What was found."""
        return Verdict(
            entries=self.count,
            first=self.first.number if self.first is not None else 0,
            head=self.last.hash if self.last is not None else "",
            sound=sound,
            broken_at=broken_at,
            text=text,
        )


def _broken(entry: AuditEntry, last: AuditEntry | None) -> str:
    if _hash(entry) != entry.hash:
        return "its content does not fit its hash"
    if last is not None and entry.before != last.hash:
        return "it does not follow the entry before it"
    if last is not None and entry.number != last.number + 1:
        return f"entry {last.number + 1} is missing before it"
    return ""


def _missing(walk: _Walk, elsewhere: Elsewhere) -> Verdict | None:
    """Entries that were taken out at the end or at the beginning; ``None`` where none were."""
    first, last = walk.first, walk.last
    if elsewhere.newest is not None and elsewhere.newest != (last.hash if last is not None else ""):
        if not elsewhere.newest:
            why = "the store's own note of the newest hash is gone, and entries are there"
        elif last is None:
            why = "no entry is there, and the store has the hash of a newest one: all were taken out"
        else:
            why = "the store has another newest hash: entries were taken out behind this, or it was written anew"
        return walk.verdict(walk.following, why)
    if first is None or first.number == 1:
        return None
    if first.number < 1:
        return walk.verdict(first.number, "the first entry has the number 1")
    if elsewhere.keeps is not None and walk.count < elsewhere.keeps:
        why = f"entries up to this one were taken out: none is dropped before there are {elsewhere.keeps:,}"
        return walk.verdict(first.number - 1, why)
    return None


def _found(walk: _Walk, wanted: str) -> Verdict:
    """Whether the chain, which is whole, holds the hash that somebody wrote down."""
    first, last = walk.first, walk.last
    whole = "every entry follows from the one before" if last is not None else "nothing was written down yet"
    if not wanted:
        return walk.verdict(None, whole, sound=True)
    if first is not None and last is not None:
        if (number := walk.numbers.get(wanted)) is not None:
            behind = last.number - number
            place = f", with {behind:,} behind it" if behind else ", the newest"
            return walk.verdict(None, f"{whole}; your hash is that of entry {number}{place}", sound=True)
        if wanted == first.before:
            why = f"{whole}; your hash is that of the entry just before the oldest that is kept"
            return walk.verdict(None, why, sound=True)
        if first.number > 1:
            why = (
                f"none of the entries that are kept has your hash: it is older than entry {first.number}, which is the "
                "oldest, or the chain was made anew"
            )
            return walk.verdict(None, why)
    why = (
        "no entry has your hash, and none was dropped yet: entries were taken out, or the chain was made anew"
    )
    return walk.verdict(walk.following, why)
