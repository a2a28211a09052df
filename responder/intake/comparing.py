"""What two looks at Alertmanager's list and at the store's records tell: pure, from values to values.

Nothing follows from one look. A firing that never came, and a resolve that never came, are taken as such when a second
look finds the same, and the alert's record is as it was before the first.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from responder.intake.webhook import epoch_ms
from responder.store.comparison import Record


class Change(StrEnum):
    """What a comparison brought about: a closed set, the label of a metric."""

    MISSED_FIRING = "missed_firing"
    MISSED_RESOLVE = "missed_resolve"
    EXPIRED = "expired"
    MUTED = "muted"
    UNMUTED = "unmuted"
    SILENCE_RETURNED = "silence_returned"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A difference, since a look; ``recorded`` and ``status`` are the record's as it was then (0 and empty for none)."""

    since: datetime
    status: str = ""
    recorded: int = 0
    expired: bool = False

    def same(self, other: Found) -> bool:
        """Whether the record is still the one of the other look."""
        return (self.status, self.recorded) == (other.status, other.recorded)


def unheard(record: Record | None, at: datetime) -> Found | None:
    """Whether an alert that is listed, and not muted, is one that we do not know to fire; ``at`` is before the listing.

    One that fires in an open incident is known, whenever it has begun.
    """
    if record is None:
        return Found(since=at)
    found = Found(since=at, status=record.status, recorded=record.recorded)
    match record.status:
        case "R":
            return found if record.recorded < epoch_ms(at) else None
        case "F":
            return None if record.incident_open else found
        case _:  # a doubt is being settled
            return None


def was_posted(record: Record | None, began: datetime) -> bool:
    """Whether a firing that is listed, and has begun then, is one that a webhook told of, whatever became of it here."""
    return record is not None and epoch_ms(began) <= record.starts


class Sight(msgspec.Struct, frozen=True):
    """When an alert was last listed, and when Alertmanager would have given it up then."""

    at: datetime
    expires_at: datetime


#: Prometheus sends an alert again after a minute, and has Alertmanager keep it for four.
_SENT_AGAIN_WITHIN = timedelta(minutes=2)


def missing(record: Record, sight: Sight | None, at: datetime) -> Found | None:
    """Whether an alert that no peer lists is one that we take to fire; ``sight`` is the last of it.

    It has expired where it was given up so soon after that nobody can have sent it again in between.
    """
    if record.status != "F" or not record.incident_open or record.recorded >= epoch_ms(at):
        return None
    expired = sight is not None and sight.expires_at <= at <= sight.at + _SENT_AGAIN_WITHIN
    return Found(since=at, status=record.status, recorded=record.recorded, expired=expired)


def confirmed(before: Mapping[str, Found], now: Mapping[str, Found]) -> dict[str, Found]:
    """What both looks have found, as the first has seen it."""
    return {name: before[name] for name, found in now.items() if name in before and before[name].same(found)}


def carried(before: Mapping[str, Found], now: Mapping[str, Found]) -> dict[str, Found]:
    """What the next look has to find again: the first sight of each difference stands as long as it is the same."""
    return {
        name: before[name] if name in before and before[name].same(found) else found
        for name, found in now.items()
    }


class Tally(msgspec.Struct, kw_only=True):
    """Of an incident's alerts that fire, as far as we know: how many are listed, and how many of these are muted.

    ``unknown`` counts those that Alertmanager may not know at all, ``silent`` those that it no longer lists. ``skipped``: more
    fires than is listed, and nobody has looked what that is.
    """

    muted: list[str] = msgspec.field(default_factory=list)
    active: int = 0
    unknown: int = 0
    silent: int = 0
    skipped: bool = False

    @property
    def listed(self) -> int:
        """How many are listed."""
        return self.active + len(self.muted)


class Muteness(StrEnum):
    """Whether every alert of an incident that fires is muted."""

    MUTED = "muted"
    ACTIVE = "active"
    UNKNOWN = "unknown"


def muteness(tally: Tally, *, certain: bool) -> Muteness:
    """By what is listed. What is not listed does not count where that is certain; else it leaves things as they are."""
    if tally.active or tally.unknown:
        return Muteness.ACTIVE
    if tally.muted and not tally.skipped and (certain or not tally.silent):
        return Muteness.MUTED
    return Muteness.UNKNOWN


def neglected(tallies: Mapping[str, Tally], firing: Mapping[str, int]) -> list[str]:
    """Incidents of which more fires than is listed, in the order of their ids."""
    return sorted(
        name for name, count in firing.items() if count > (tallies[name].listed if name in tallies else 0)
    )


def turn_of(names: Sequence[str], first: Collection[str], after: str, limit: int) -> tuple[list[str], str]:
    """Whose turn it is of ``names`` (in their order), at most so many; and after whom the next turn begins.

    What stands ``first`` has to be seen twice in a row, and gets half of the turn at most. The others go round.
    """
    if len(names) <= limit:
        return list(names), ""
    chosen = [name for name in names if name in first][: limit // 2]
    begin, had = bisect.bisect_right(names, after), frozenset(chosen)
    for name in (*names[begin:], *names[:begin]):
        if len(chosen) == limit:
            break
        after = name
        if name not in had:
            chosen.append(name)
    return chosen, after
