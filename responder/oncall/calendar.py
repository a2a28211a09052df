"""What an iCalendar file's events mean: who is on call when. The events were read elsewhere; this is arithmetic."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo

import msgspec

from responder.oncall.layer import Calendar
from responder.oncall.spans import Span, Why, clip, merged
from responder.oncall.wall import instant

#: More events than this at one time are no on-call calendar, and would cost the square of their number.
OVERLAP_LIMIT = 100
_STRANGERS_KEPT = 20


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One occurrence. A time without zone (an all-day or a floating event) is one of the schedule's wall.

    ``attendees`` are pairs of a displayed name and an address, both possibly empty.
    """

    start: datetime
    end: datetime
    summary: str = ""
    attendees: tuple[tuple[str, str], ...] = ()


class Acquaintances:
    """Which people the texts of a calendar mean.

    ``written`` are the names that the rule files give (``people``): found as an attendee's name or address, as the whole
    summary, or as whole words in it. ``known`` are contacts by name and by mail address: found as an attendee or as the
    whole summary only, since a contact's name may be an ordinary word.
    """

    def __init__(self, written: Mapping[str, str], known: Mapping[str, str]) -> None:
        self._written = {text.casefold().strip(): name for text, name in written.items()}
        self._exact = {text.casefold().strip(): name for text, name in known.items()} | self._written
        longest_first = sorted((text for text in self._written if text), key=len, reverse=True)
        alternatives = "|".join(re.escape(text) for text in longest_first)
        self._words = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)") if alternatives else None

    def people(self, event: Event) -> tuple[str, ...]:
        """Whom an event names: its attendees where we know any of them, else its summary."""
        attending = [
            self._exact[text]
            for pair in event.attendees
            if (text := next((one for one in map(_plain, reversed(pair)) if one in self._exact), None))
        ]
        if attending:
            return tuple(dict.fromkeys(attending))
        summary = _plain(event.summary)
        if summary in self._exact:
            return (self._exact[summary],)
        found = self._words.findall(summary) if self._words else []
        return tuple(dict.fromkeys(self._written[text] for text in found))


def _plain(text: str) -> str:
    return text.casefold().strip()


def calendar_of(
    events: Sequence[Event],
    who: Acquaintances,
    zone: tzinfo,
    known: tuple[datetime, datetime],
    name: str = "",
) -> Calendar:
    """The calendar that these events make between two times; events at the same time put all their people on call.

    Raises:
        ValueError: where more than :data:`OVERLAP_LIMIT` events are at the same time.
    """
    start, end = known
    strangers: dict[str, None] = {}
    pieces = []
    for event in events:
        people = who.people(event)
        if not people:
            strangers[event.summary] = None
            continue
        whole = Span(
            start=_at(event.start, zone),
            end=_at(event.end, zone),
            people=people,
            layer=name,
            why=Why.CALENDAR,
        )
        if cut := clip(whole, start, end):
            pieces.append(cut)
    return Calendar(start=start, end=end, spans=_flat(pieces), strangers=tuple(strangers)[:_STRANGERS_KEPT])


def _at(time: datetime, zone: tzinfo) -> datetime:
    return time.astimezone(UTC) if time.tzinfo is not None else instant(time, zone)


def _flat(pieces: Sequence[Span]) -> tuple[Span, ...]:
    """Without overlaps: whoever is named by any event of a time is on call then."""
    waiting = sorted(pieces, key=lambda span: span.start)
    edges = sorted({edge for span in pieces for edge in (span.start, span.end)})
    active: list[Span] = []
    found = []
    following = 0
    for begin, finish in itertools.pairwise(edges):
        active = [span for span in active if span.end > begin]
        while following < len(waiting) and waiting[following].start <= begin:
            active.append(waiting[following])
            following += 1
        if len(active) > OVERLAP_LIMIT:
            raise ValueError(
                f"more than {OVERLAP_LIMIT} events are at the same time ({begin:%Y-%m-%d %H:%M} UTC)"
            )
        if active:
            people = tuple(dict.fromkeys(name for span in active for name in span.people))
            found.append(msgspec.structs.replace(active[0], start=begin, end=finish, people=people))
    return merged(found)
