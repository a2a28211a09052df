"""What comes again: the times that a rule names, from a beginning on the wall.

Any period is found by a division, so that no rule can be written that takes long: none is walked from its beginning, and
one that never happens is found out within a bounded number of periods.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo

import msgspec

from responder.oncall.notation import DAY, FIRST_YEAR, LAST_YEAR, WEEK
from responder.oncall.rrule import Frequency, Rule
from responder.oncall.wall import local

#: How far the next time is looked for: what comes on each 29th of February is found, also over a year without one.
_AHEAD = timedelta(days=9 * 366)
_PERIODS = _AHEAD.days + 2
_FAR_END = date(LAST_YEAR, 1, 1).toordinal()


class Recurrence(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that begins at a time of the wall: that is its first time, where the rule names it at all.

    ``last``: nothing comes after it, by ``UNTIL`` or ``COUNT``.
    """

    rule: Rule
    starts: datetime
    last: datetime | None = None

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The times of the wall from ``start`` to just before ``end``, in order."""
        stop = end if self.last is None else min(end, self.last + timedelta(microseconds=1))
        first = max(self._period_of(start.date()) - 1, 0)
        for number in range(first, first + _PERIODS):
            if self._begins(number) > stop.date():
                return
            yield from (one for one in self._times(number) if start <= one < stop)

    def following(self, after: datetime) -> datetime | None:
        """The first time later than ``after``; ``None`` where there is none, or none within nine years."""
        begin = max(after + timedelta(microseconds=1), self.starts)
        return next(self.between(begin, begin + _AHEAD), None)

    def first(self) -> datetime | None:
        """The very first time; ``None`` where the rule names none."""
        return self.following(self.starts - timedelta(microseconds=1))

    def nth(self, count: int) -> datetime:
        """The ``count``-th time; the last one that is found, where there are not so many."""
        found = self.starts
        for number in range(_PERIODS):
            for one in self._times(number):
                found, count = one, count - 1
                if not count:
                    return found
        return found

    def _times(self, number: int) -> list[datetime]:
        """The times within a period, from the beginning of the whole on."""
        begin = self._begins(number)
        if not FIRST_YEAR <= begin.year < LAST_YEAR:
            return []
        days = self._named(begin)
        if self.rule.positions:
            size, places = len(days), [one if one < 0 else one - 1 for one in self.rule.positions]
            days = [days[one] for one in sorted({one % size for one in places if -size <= one < size})]
        times = [datetime.combine(day, self.starts.time()) for day in days]
        return [one for one in times if one >= self.starts]

    def _period_of(self, day: date) -> int:
        """The number of the period that a day lies in, or of the one before the pause that it lies in."""
        origin, rule = self.starts.date(), self.rule
        match rule.frequency:
            case Frequency.DAILY:
                passed = (day - origin) // DAY
            case Frequency.WEEKLY:
                passed = (self._week_of(day) - self._week_of(origin)) // WEEK
            case Frequency.MONTHLY:
                passed = (day.year - origin.year) * 12 + day.month - origin.month
            case Frequency.YEARLY:
                passed = day.year - origin.year
        return passed // rule.interval

    def _begins(self, number: int) -> date:
        """The first day of a period."""
        origin, passed = self.starts.date(), number * self.rule.interval
        match self.rule.frequency:
            case Frequency.DAILY:
                return _later(origin, passed)
            case Frequency.WEEKLY:
                return _later(self._week_of(origin), 7 * passed)
            case Frequency.MONTHLY:
                months = origin.year * 12 + origin.month - 1 + passed
                return date(min(months // 12, LAST_YEAR), months % 12 + 1, 1)
            case Frequency.YEARLY:
                return date(min(origin.year + passed, LAST_YEAR), 1, 1)

    def _week_of(self, day: date) -> date:
        return day - (day.weekday() - self.rule.week_start) % 7 * DAY

    def _named(self, begin: date) -> list[date]:
        """The days of a period that the rule names, in order."""
        rule = self.rule
        days = [day for day in self._days_of(begin) if not rule.months or day.month in rule.months]
        if rule.month_days:
            days = [day for day in days if _is_month_day(day, rule.month_days)]
        if rule.days:
            return [day for day in days if self._is_day(day)]
        if rule.month_days or rule.frequency is Frequency.DAILY:
            return days
        return [day for day in days if self._is_like_the_first(day)]

    def _days_of(self, begin: date) -> list[date]:
        match self.rule.frequency:
            case Frequency.DAILY:
                return [begin]
            case Frequency.WEEKLY:
                return [begin + number * DAY for number in range(7)]
            case Frequency.MONTHLY:
                return [begin + number * DAY for number in range(_days_in(begin))]
            case Frequency.YEARLY:
                return [begin + number * DAY for number in range(365 + calendar.isleap(begin.year))]

    def _is_day(self, day: date) -> bool:
        return any(
            day.weekday() == one.weekday and (not one.number or one.number in self._places(day))
            for one in self.rule.days
        )

    def _places(self, day: date) -> tuple[int, int]:
        """The how-manieth of its weekday a day is, from the beginning and from the end of its month or year."""
        if self.rule.frequency is Frequency.YEARLY and not self.rule.months:
            before, behind = day - date(day.year, 1, 1), date(day.year, 12, 31) - day
        else:
            before, behind = (day.day - 1) * DAY, (_days_in(day) - day.day) * DAY
        return before // WEEK + 1, -(behind // WEEK) - 1

    def _is_like_the_first(self, day: date) -> bool:
        """Without ``BYDAY`` and ``BYMONTHDAY`` the day is the beginning's."""
        origin = self.starts.date()
        match self.rule.frequency:
            case Frequency.WEEKLY:
                return day.weekday() == origin.weekday()
            case Frequency.YEARLY if not self.rule.months:
                return (day.month, day.day) == (origin.month, origin.day)
            case _:
                return day.day == origin.day


def recurrence(rule: Rule, starts: datetime, zone: tzinfo) -> Recurrence:
    """The times of a rule that begins at a time of the zone's wall."""
    last = rule.until
    if last is not None and last.tzinfo is not None:
        last = local(last, zone)
    found = Recurrence(rule=rule, starts=starts, last=last)
    return found if rule.count is None else msgspec.structs.replace(found, last=found.nth(rule.count))


def _later(day: date, days: int) -> date:
    """So many days later, and no later than all that is looked at."""
    return date.fromordinal(min(day.toordinal() + days, _FAR_END))


def _days_in(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _is_month_day(day: date, wanted: tuple[int, ...]) -> bool:
    return day.day in wanted or day.day - _days_in(day) - 1 in wanted
