"""A schedule: layers, then swaps, then overrides. Who is on call at a time, and the list of a stretch of time.

Later layers win over earlier ones, swaps exchange two names in what the layers say, overrides replace everybody; among
overrides the later one wins. All of it is a function of the time alone: nothing is remembered, so a restart cannot lose
it and a year ahead is answered as quickly as now.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

import msgspec

from responder.oncall.layer import Calendar, CalendarLayer, Layer, RotationLayer
from responder.oncall.spans import Span, Why, clip, merged, stack

#: The shortest time that is looked at: who is on call at an instant is the list of the microsecond after it.
INSTANT = timedelta(microseconds=1)


class _Change(msgspec.Struct, frozen=True, kw_only=True):
    """``start`` and ``end`` are instants. A change of the rule files has no ``id``; one of the store says who made it."""

    start: datetime
    end: datetime
    id: str = ""
    schedule: str = ""
    by: str = ""
    note: str = ""
    made_at: datetime | None = None


class Override(_Change, frozen=True, kw_only=True, tag="override"):
    """These people, and nobody else, whatever the layers say."""

    people: tuple[str, ...]


class Swap(_Change, frozen=True, kw_only=True, tag="swap"):
    """Two people take each other's turns."""

    one: str
    other: str

    def exchanged(self, people: tuple[str, ...]) -> tuple[str, ...]:
        """The people with the two exchanged, each once."""
        instead = {self.one: self.other, self.other: self.one}
        return tuple(dict.fromkeys(instead.get(name, name) for name in people))


Change = Override | Swap


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """See the module. ``zone`` is where its wall clock hangs."""

    name: str
    zone: tzinfo
    layers: tuple[RotationLayer | CalendarLayer, ...] = ()
    swaps: tuple[Swap, ...] = ()
    overrides: tuple[Override, ...] = ()

    def people_at(self, at: datetime) -> tuple[str, ...]:
        """The names on call at an instant; none in a gap."""
        return self.spans(at, at + INSTANT)[0].people

    def spans(self, start: datetime, end: datetime) -> tuple[Span, ...]:
        """Who is on call from ``start`` to ``end``, without holes: a gap is a span with no people.

        Raises:
            ValueError: where the end is not after the start.
        """
        if end <= start:
            raise ValueError("the end must come after the start")
        layers: Sequence[Layer] = self.layers
        spans = stack([layer.spans(start, end, self.zone) for layer in layers], start, end)
        for swap in self.swaps:
            if swap.start < end and swap.end > start:
                spans = _swapped(spans, swap)
        overrides = [one for one in self.overrides if one.start < end and one.end > start]
        if not overrides:
            return spans
        return stack([spans, *([_override(one)] for one in overrides)], start, end)

    def names(self) -> tuple[str, ...]:
        """Everybody whom it can name, as far as is known now."""
        layers: Sequence[Layer] = self.layers
        found = [name for layer in layers for name in layer.names()]
        found += [name for one in self.swaps for name in (one.one, one.other)]
        return tuple(dict.fromkeys([*found, *(name for one in self.overrides for name in one.people)]))

    def with_calendar(self, calendar: Calendar | None) -> Schedule:
        """With what its iCalendar file says now."""
        layers = tuple(
            msgspec.structs.replace(layer, calendar=calendar) if isinstance(layer, CalendarLayer) else layer
            for layer in self.layers
        )
        return msgspec.structs.replace(self, layers=layers)

    def with_changes(self, changes: Sequence[Change]) -> Schedule:
        """With these besides its own; the last one wins."""
        return msgspec.structs.replace(
            self,
            swaps=(*self.swaps, *(one for one in changes if isinstance(one, Swap))),
            overrides=(*self.overrides, *(one for one in changes if isinstance(one, Override))),
        )


def _override(one: Override) -> Span:
    return Span(start=one.start, end=one.end, people=one.people, layer=one.note, why=Why.OVERRIDE)


def _swapped(spans: Sequence[Span], swap: Swap) -> tuple[Span, ...]:
    found = []
    for span in spans:
        inside = clip(span, swap.start, swap.end)
        exchanged = swap.exchanged(span.people)
        if inside is None or exchanged == span.people:
            found.append(span)
            continue
        before, after = clip(span, span.start, inside.start), clip(span, inside.end, span.end)
        found += [before] if before else []
        found.append(msgspec.structs.replace(inside, people=exchanged, why=Why.SWAP))
        found += [after] if after else []
    return merged(found)
