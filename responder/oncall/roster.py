"""Every name of the matrix and who it stands for: a person, a team, a schedule, or one of these inside another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from responder.oncall.layer import Calendar
from responder.oncall.schedule import INSTANT, Change, Schedule
from responder.oncall.spans import Span, Why, merged, together

#: Teams in schedules in teams: deeper than this is a mistake, and is not followed.
DEPTH = 8


class Roster:
    """Immutable. A name that is neither a team nor a schedule stands for itself."""

    def __init__(
        self,
        schedules: Mapping[str, Schedule] | None = None,
        teams: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.schedules = dict(schedules or {})
        self.teams = dict(teams or {})

    def people(self, name: str, at: datetime) -> tuple[str, ...]:
        """Who a name stands for at an instant, each once, in the order in which they are written; none in a gap."""
        return self.spans(name, at, at + INSTANT)[0].people

    def spans(self, name: str, start: datetime, end: datetime) -> tuple[Span, ...]:
        """Who a name stands for from ``start`` to ``end``, without holes.

        Raises:
            ValueError: where the end is not after the start.
        """
        return self._spans(name, start, end, ())

    def _spans(self, name: str, start: datetime, end: datetime, trail: tuple[str, ...]) -> tuple[Span, ...]:
        if name in trail or len(trail) > DEPTH:
            return (Span(start=start, end=end),)  # a circle: nobody, and `check` says so
        within = (*trail, name)
        if name in self.schedules:
            spans = self.schedules[name].spans(start, end)
            return merged(part for span in spans for part in self._persons(span, within))
        if name in self.teams:
            return self._members(self.teams[name], start, end, within)
        return (Span(start=start, end=end, people=(name,), why=Why.ALWAYS),)

    def _members(
        self, names: Sequence[str], start: datetime, end: datetime, within: tuple[str, ...]
    ) -> tuple[Span, ...]:
        return together(start, end, [self._spans(name, start, end, within) for name in names])

    def _persons(self, span: Span, within: tuple[str, ...]) -> Iterator[Span]:
        """A schedule's span, with teams and further schedules in it resolved to people."""
        if not any(self.stands_for_others(name) for name in span.people):
            yield span
            return
        for part in self._members(span.people, span.start, span.end, within):
            why = span.why if part.people else part.why
            yield msgspec.structs.replace(part, layer=span.layer, why=why)

    def stands_for_others(self, name: str) -> bool:
        """Whether a name is a team or a schedule."""
        return name in self.schedules or name in self.teams

    def parts(self, name: str) -> tuple[str, ...]:
        """What a name is made of, one step down; nothing for a person."""
        if name in self.schedules:
            return self.schedules[name].names()
        return self.teams.get(name, ())

    def everybody(self, name: str) -> tuple[str, ...]:
        """Every person whom a name can stand for at some time, as far as is known now."""
        found: dict[str, None] = {}
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            one = waiting.pop()
            if one in seen:
                continue
            seen.add(one)
            if self.stands_for_others(one):
                waiting += reversed(self.parts(one))
            else:
                found[one] = None
        return tuple(found)

    def circle(self, name: str) -> tuple[str, ...]:
        """The way from a name back to itself, where there is one."""
        return self._circle(name, (name,), set())

    def _circle(self, name: str, way: tuple[str, ...], seen: set[str]) -> tuple[str, ...]:
        for part in self.parts(way[-1]):
            if part == name:
                return (*way, part)
            if part not in seen:
                seen.add(part)
                if found := self._circle(name, (*way, part), seen):
                    return found
        return ()

    def with_calendars(self, calendars: Mapping[str, Calendar | None]) -> Roster:
        """With what the iCalendar files say now, by schedule."""
        known = {
            name: one.with_calendar(calendars[name]) if name in calendars else one
            for name, one in self.schedules.items()
        }
        return Roster(known, self.teams)

    def with_changes(self, changes: Sequence[Change]) -> Roster:
        """With overrides and swaps besides those of the files; the last one wins. What names no schedule is left out."""
        by_schedule: dict[str, list[Change]] = {}
        for one in changes:
            by_schedule.setdefault(one.schedule, []).append(one)
        changed = {
            name: one.with_changes(by_schedule[name]) if name in by_schedule else one
            for name, one in self.schedules.items()
        }
        return Roster(changed, self.teams)
