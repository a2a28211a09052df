"""Whether a page would find somebody: for each service and level over a stretch of time, and what is wrong if not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from responder.oncall.roster import Roster
from responder.oncall.spans import Span, Why, together


class Kind(StrEnum):
    """What can be wrong."""

    GAP = "gap"  # nobody is on call
    UNKNOWN = "unknown"  # the calendar could not be read, or not so far ahead
    ALONE = "alone"  # one person is on call at every level
    UNREACHABLE = "unreachable"  # a person whom no channel reaches


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the matrix: pairs of a level and a name, in the order in which they are paged."""

    service: str
    levels: tuple[tuple[str, str], ...]


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong from ``start`` to ``end``; ``level`` is empty where it concerns them all."""

    start: datetime
    end: datetime
    service: str
    level: str
    name: str
    kind: Kind
    text: str

    @property
    def subject(self) -> tuple[str, str, str, Kind, str]:
        """What it is about, without the times."""
        return self.service, self.level, self.name, self.kind, self.text


#: A person, a severity and the name that they stand for -> the channels that could reach them.
Reach = Callable[[str, str, str], Sequence[str]]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: these rows, from ``start`` to ``end``, over what ``reach`` says, for pages of ``severities``."""

    rows: tuple[Row, ...]
    start: datetime
    end: datetime
    reach: Reach
    severities: tuple[str, ...]


def troubles(roster: Roster, asked: Question) -> tuple[Trouble, ...]:
    """Everything that is wrong, by date; what goes on without a break is one trouble."""
    seen: dict[str, tuple[Span, ...]] = {}
    found = []
    for row in asked.rows:
        for _, name in row.levels:
            if name not in seen:
                seen[name] = roster.spans(name, asked.start, asked.end)
        found += _joined(
            one for level, name in row.levels for one in _of_level(row, level, name, seen[name], asked)
        )
        found += _joined(_alone(row, [seen[name] for _, name in row.levels], asked))
    return tuple(sorted(found, key=lambda one: (one.start, *one.subject)))


def ready(rows: Iterable[Row], found: Iterable[Trouble]) -> dict[tuple[str, str], bool]:
    """For each service and level, whether nothing is wrong with it."""
    wrong = {(one.service, one.level) for one in found}
    return {
        (row.service, level): (row.service, level) not in wrong and (row.service, "") not in wrong
        for row in rows
        for level, _ in row.levels
    }


def _of_level(row: Row, level: str, name: str, spans: Sequence[Span], asked: Question) -> Iterator[Trouble]:
    for span in spans:
        if not span.people:
            unknown = span.why is Why.UNKNOWN
            text = f"nobody knows who is on call for {name}" if unknown else f"nobody is on call for {name}"
            yield _trouble(row, level, name, span, Kind.UNKNOWN if unknown else Kind.GAP, text)
        for person in span.people:
            deaf = [severity for severity in asked.severities if not asked.reach(person, severity, name)]
            if deaf:
                text = f"{person} cannot be reached over any channel for {', '.join(deaf)}"
                yield _trouble(row, level, name, span, Kind.UNREACHABLE, text)


def _alone(row: Row, levels: Sequence[Sequence[Span]], asked: Question) -> Iterator[Trouble]:
    """Where there is somebody at every level, and it is one and the same: nobody is left to escalate to."""
    if len(levels) < 2:
        return
    # A gap is told as one; here it counts as somebody else.
    filled = [
        [msgspec.structs.replace(span, people=span.people or ("",)) for span in spans] for spans in levels
    ]
    for span in together(asked.start, asked.end, filled):
        if len(span.people) == 1 and span.people != ("",):
            text = f"{span.people[0]} is on call at every level"
            yield _trouble(row, "", "", span, Kind.ALONE, text)


def _trouble(row: Row, level: str, name: str, span: Span, kind: Kind, text: str) -> Trouble:
    return Trouble(
        start=span.start, end=span.end, service=row.service, level=level, name=name, kind=kind, text=text
    )


def _joined(found: Iterable[Trouble]) -> list[Trouble]:
    """Neighbours about the same thing become one."""
    last: dict[tuple[str, str, str, Kind, str], int] = {}
    kept: list[Trouble] = []
    for one in found:
        index = last.get(one.subject)
        if index is not None and kept[index].end == one.start:
            kept[index] = msgspec.structs.replace(kept[index], end=one.end)
            continue
        last[one.subject] = len(kept)
        kept.append(one)
    return kept
