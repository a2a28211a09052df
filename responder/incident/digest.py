"""A digest: one incident's page that tells a person of many others, and what is acknowledged with it.

Who is in one is decided when a page is sent, by the store (``store/scripts/bundle.lua``); this is what the incident that
carries it keeps of it, and what the store needs to know of the others.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from responder.incident.around import Listed
from responder.incident.digest_facts import IncidentFolded
from responder.incident.severity import Severity

#: Incidents that a digest names, the newest first; the list of all is kept beside it.
NEWEST_SHOWN = 20
_SERVICES_KEPT = 50
_KINDS_KEPT = 20
_KINDS_SHOWN = 3
_MARKS_SHOWN = 3
_CONTACTS_KEPT = 50


class Alike(msgspec.Struct, frozen=True):
    """How many of a digest are of one alert, and what tells the first of them apart."""

    kind: str
    count: int
    marks: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.marks:
            return f"{self.count} of {self.kind}"
        more = f" and {self.count - len(self.marks)} more" if self.count > len(self.marks) else ""
        return f"{self.count} of {self.kind}: {', '.join(self.marks)}{more}"


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """What a carrier keeps of the incidents that were folded into its page.

    ``why`` says what began it, for people. ``count`` is of all, ``over`` of those that have ended, were taken or paged by
    themselves since. ``untold``: who was paged does not know of the newest yet; they were last told at ``told_at``.
    ``ended``: it was taken, or told nobody any more. Paged anew, the incident tells of nothing that was in it.
    """

    began_at: datetime
    why: str = ""
    contacts: tuple[str, ...] = ()
    count: int = 0
    over: int = 0
    newest: tuple[Listed, ...] = ()
    services: tuple[str, ...] = ()
    kinds: tuple[Alike, ...] = ()
    worst: Severity | None = None
    untold: bool = False
    told_at: datetime | None = None
    ended: bool = False

    def with_contact(self, name: str) -> Digest:
        """The same, for one more person."""
        if name in self.contacts:
            return self
        return msgspec.structs.replace(self, contacts=(*self.contacts, name)[-_CONTACTS_KEPT:])

    def with_one(self, one: IncidentFolded) -> Digest:
        """The same with one more incident. One that was in it already is no news."""
        others = tuple(other for other in self.newest if other.incident != one.incident)
        known = self.services if one.service in self.services else (*self.services, one.service)
        return msgspec.structs.replace(
            self,
            count=max(self.count, one.count),
            newest=(Listed(one.incident, one.line), *others)[:NEWEST_SHOWN],
            services=known[-_SERVICES_KEPT:],
            kinds=_with_alike(self.kinds, one),
            worst=min(one.severity, self.worst or one.severity),
            untold=self.untold or one.count > self.count,
        )

    @property
    def counted(self) -> str:
        """How many there are."""
        services = f"{len(self.services)} service{'s' if len(self.services) != 1 else ''}"
        left = min(self.over, self.count)
        gone = f", {left} of them over or paged by {'itself' if left == 1 else 'themselves'}" if left else ""
        return f"{self.count} more incident{'s' if self.count != 1 else ''} of {services}{gone}"

    @property
    def news(self) -> str:
        """What is told of it while it grows."""
        kinds = f": {'; '.join(self.by_kind)}" if self.kinds else ""
        newest = f"; newest: {self.newest[0].line}" if self.newest else ""
        return f"Digest: {self.counted}{kinds}{newest}"

    @property
    def by_kind(self) -> list[str]:
        """What they are, the most frequent first."""
        kinds = sorted(self.kinds, key=lambda one: -one.count)
        more = len(kinds) - _KINDS_SHOWN
        return [*map(str, kinds[:_KINDS_SHOWN]), *([f"and {more} more kinds"] if more > 0 else [])]


def _with_alike(kinds: tuple[Alike, ...], one: IncidentFolded) -> tuple[Alike, ...]:
    if not one.kind:
        return kinds
    known = next((alike for alike in kinds if alike.kind == one.kind), Alike(one.kind, 0))
    marks = known.marks
    if one.mark and one.mark not in marks:
        marks = (*marks, one.mark)[:_MARKS_SHOWN]
    changed = Alike(one.kind, max(known.count, one.alike), marks)
    return (*(alike for alike in kinds if alike.kind != one.kind), changed)[-_KINDS_KEPT:]


def present(digest: Digest | None) -> Digest | None:
    """A digest that tells of something, or is about to; ``None`` where it was over before."""
    return digest if digest is not None and not digest.ended else None
