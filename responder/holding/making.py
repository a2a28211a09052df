"""What becomes of a window that somebody asks for: a new one, or one that is there and goes on longer.

Whoever asks again for what they have asked for wants one window: two of them would go on after the first was ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import msgspec

from responder.durations import format_duration
from responder.incident.maintenance import MaintenanceWindow, Stretch
from responder.rules.maintenance import LONGEST, WindowSpec
from responder.store.shelf import Kept

KnownWindow = tuple[WindowSpec, MaintenanceWindow]


class MakeOutcome(StrEnum):
    """What became of the wish."""

    MADE = "made"
    EXTENDED = "extended"  # one of the same name, matchers and author goes on longer
    KNOWN = "known"  # there is one already that lasts as long
    REPEATED = "repeated"  # the same request came before
    KEY_REUSED = "key reused"  # another request came under this idempotency key
    FULL = "full"


class TooLongError(ValueError):
    """Both together last longer than a window may; the text is for people."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The window that is to be there, and the end of the one that it takes the place of."""

    spec: WindowSpec
    instead_of: datetime | None = None
    outcome: MakeOutcome = MakeOutcome.MADE


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it, and the window's id."""

    outcome: MakeOutcome
    id: str


def planned(spec: WindowSpec, known: Iterable[KnownWindow], now: datetime) -> Plan:
    """What is to be done. Raises :class:`TooLongError`."""
    there = list(known)
    for one, _ in there:
        if one.id == spec.id:
            return Plan(spec=one, instead_of=one.end, outcome=MakeOutcome.KNOWN)
    wish = _stretch(spec)
    for one, _ in there:
        has = _stretch(one)
        if wish is not None and has is not None and _same(one, spec) and _meet(has, wish, now):
            return _joined(one, has, spec, wish, now)
    return Plan(spec=spec)


def _stretch(spec: WindowSpec) -> Stretch | None:
    """Its beginning and end; ``None`` where it comes again."""
    return Stretch(spec.start, spec.end) if spec.start is not None and spec.end is not None else None


def _same(one: WindowSpec, other: WindowSpec) -> bool:
    return (one.name, one.by, sorted(one.match)) == (other.name, other.by, sorted(other.match))


def _meet(one: Stretch, other: Stretch, now: datetime) -> bool:
    """Whether one that is not over overlaps another, or is followed by it without a gap."""
    return one.end > now and one.start <= other.end and other.start <= one.end


def _joined(one: WindowSpec, has: Stretch, other: WindowSpec, wish: Stretch, now: datetime) -> Plan:
    """The one that is there, and as long as both. What has begun keeps its beginning: people were told of it."""
    start = has.start if has.start <= now else min(has.start, wish.start)
    end = max(has.end, wish.end)
    if end - start > LONGEST:
        raise TooLongError(
            f"window {one.id} holds the same back already; together they would be longer than {format_duration(LONGEST)}"
        )
    spec = msgspec.structs.replace(one, start=start, end=end, note=other.note or one.note)
    outcome = MakeOutcome.KNOWN if Stretch(start, end) == has else MakeOutcome.EXTENDED
    return Plan(spec=spec, instead_of=has.end, outcome=outcome)


_BECAME = {
    "full": MakeOutcome.FULL,
    "repeat": MakeOutcome.REPEATED,
    "reused": MakeOutcome.KEY_REUSED,
}


def made(plan: Plan, kept: Kept) -> Made:
    """What became of a plan that was carried out."""
    return Made(outcome=_BECAME.get(kept.outcome, plan.outcome), id=kept.id)
