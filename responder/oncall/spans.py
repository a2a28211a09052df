"""Stretches of time with who is on call in them, and how several of them become one list without overlaps."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec


class Why(StrEnum):
    """Why somebody is on call, or why nobody is."""

    ALWAYS = "always"  # a name that stands for itself
    ROTATION = "rotation"
    CALENDAR = "calendar"
    SWAP = "swap"
    OVERRIDE = "override"
    NOBODY = "nobody"  # a gap
    UNKNOWN = "unknown"  # a calendar that could not be read, or not so far ahead


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """From ``start`` to just before ``end`` these people are on call; a gap has none. ``layer`` is the one that won."""

    start: datetime
    end: datetime
    people: tuple[str, ...] = ()
    layer: str = ""
    why: Why = Why.NOBODY

    def says_same_as(self, other: Span) -> bool:
        """Whether the two differ in nothing but their times."""
        return (self.people, self.layer, self.why) == (other.people, other.layer, other.why)


def stack(layers: Sequence[Iterable[Span]], start: datetime, end: datetime) -> tuple[Span, ...]:
    """One list for the whole of ``start`` to ``end``; where spans overlap a later layer wins, and holes are gaps."""
    pieces = sorted(
        (
            (cut, rank)
            for rank, spans in enumerate(layers)
            for span in spans
            if (cut := clip(span, start, end))
        ),
        key=lambda piece: piece[0].start,
    )
    edges = sorted({start, end, *(one.start for one, _ in pieces), *(one.end for one, _ in pieces)})
    return merged(_swept(pieces, edges))


def _swept(pieces: Sequence[tuple[Span, int]], edges: Sequence[datetime]) -> Iterator[Span]:
    """For each stretch between two edges the span of the highest rank; among equals the one that begins last."""
    open_now: list[tuple[int, int, Span]] = []
    following = 0
    for begin, finish in itertools.pairwise(edges):
        while following < len(pieces) and pieces[following][0].start <= begin:
            span, rank = pieces[following]
            heapq.heappush(open_now, (-rank, -following, span))
            following += 1
        while open_now and open_now[0][2].end <= begin:
            heapq.heappop(open_now)
        if open_now:
            yield msgspec.structs.replace(open_now[0][2], start=begin, end=finish)
        else:
            yield Span(start=begin, end=finish)


def clip(span: Span, start: datetime, end: datetime) -> Span | None:
    """The part of a span that lies between two times; ``None`` where there is none."""
    begin, finish = max(span.start, start), min(span.end, end)
    if begin >= finish:
        return None
    if (begin, finish) == (span.start, span.end):
        return span
    return msgspec.structs.replace(span, start=begin, end=finish)


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Neighbours that say the same become one."""
    found: list[Span] = []
    for span in spans:
        if found and found[-1].end == span.start and found[-1].says_same_as(span):
            found[-1] = msgspec.structs.replace(found[-1], end=span.end)
        else:
            found.append(span)
    return tuple(found)


def together(start: datetime, end: datetime, members: Sequence[Sequence[Span]]) -> tuple[Span, ...]:
    """Everybody who is on call in any of the lists, each of which covers the whole of ``start`` to ``end``."""
    edges = sorted({start, end, *(span.start for spans in members for span in spans)})
    positions = [0] * len(members)
    found = []
    for begin, finish in itertools.pairwise(edges):
        now = []
        for index, spans in enumerate(members):
            while spans[positions[index]].end <= begin:
                positions[index] += 1
            now.append(spans[positions[index]])
        people = tuple(dict.fromkeys(name for span in now for name in span.people))
        found.append(Span(start=begin, end=finish, people=people, why=_why(people, now)))
    return merged(found)


def _why(people: tuple[str, ...], now: Sequence[Span]) -> Why:
    if people:
        return Why.ALWAYS
    return Why.UNKNOWN if any(span.why is Why.UNKNOWN for span in now) else Why.NOBODY
