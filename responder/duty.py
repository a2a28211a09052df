"""Who is on call, as this replica knows it: the rules in force, the calendars, and what people changed in the store.

The engine, the web and the metrics ask here. Nothing is fetched while somebody waits: calendars and changes are brought
up to date beside, and an answer is arithmetic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import structlog

from responder.calendars.feeds import CalendarFeeds, CalendarState, Fetch
from responder.calendars.fetch import fetch_offline
from responder.calendars.kept import Copies, LookedAt
from responder.clock import Clock
from responder.incident.severity import LEVELS, Severity
from responder.oncall.readiness import Question, Reach, Row, Trouble, ready, troubles
from responder.oncall.roster import Roster
from responder.oncall.schedule import INSTANT, Change
from responder.oncall.spans import Why
from responder.rules.compile import Compiled
from responder.store.errors import StoreError
from responder.store.overrides import Overrides
from responder.store.shelf import Put

log = structlog.get_logger(__name__)

READY_FOR = timedelta(days=14)
_LOOK_EVERY = 5.0  # seconds; a change made on another replica is known within them
_JUDGE_EVERY = timedelta(minutes=5)
_PREPARE_LIMIT = 10.0  # seconds
_TROUBLES_LOGGED = 20
_OFFLINE_LIMIT = 60.0  # seconds

Ready = Mapping[tuple[str, str], bool]


def rows_of(rules: Compiled) -> tuple[Row, ...]:
    """The matrix, row by row."""
    return tuple(
        Row(service=service, levels=tuple((str(level), row[level]) for level in LEVELS if level in row))
        for service, row in sorted(rules.rows.items())
    )


def judged(
    rules: Compiled, roster: Roster, reach: Reach, start: datetime, length: timedelta
) -> tuple[Trouble, ...]:
    """Everything that would keep a page from finding somebody within that time."""
    severities = tuple(str(severity) for severity in Severity)
    asked = Question(rows=rows_of(rules), start=start, end=start + length, reach=reach, severities=severities)
    return troubles(roster, asked)


def people_behind(roster: Roster, names: Collection[str], at: datetime) -> dict[str, tuple[str, ...]]:
    """The people behind names at a time, nobody in a gap; what is unknown is left out."""
    found = {}
    for name in names:
        span = roster.spans(name, at, at + INSTANT)[0]
        if span.people or span.why is not Why.UNKNOWN:
            found[name] = span.people
    return found


class DutyHooks(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to ask over what a person can be reached, and who hears of what was found (metrics)."""

    reach: Callable[[], Reach]
    ready: Callable[[Ready], object] = lambda _: None
    calendars: Callable[[Mapping[str, float]], object] = lambda _: None
    """By schedule, when its calendar was last confirmed, in seconds since the epoch; 0 for never."""


class Duty:
    """See the module."""

    def __init__(
        self,
        rules: Callable[[], Compiled],
        overrides: Overrides,
        fetch: Fetch,
        copies: Copies,
        hooks: DutyHooks,
    ) -> None:
        self._rules = rules
        self._overrides = overrides
        self._hooks = hooks
        self._feeds = CalendarFeeds(lambda: rules().calendars, fetch, copies, self._forget)
        self._changes: tuple[Change, ...] = ()
        self._known: tuple[Compiled, Roster] | None = None
        self._judged: tuple[Roster, datetime] | None = None
        self._told: frozenset[tuple[str, ...]] = frozenset()
        self._away = False

    def _forget(self) -> None:
        self._known = None

    @property
    def roster(self) -> Roster:
        """Everything that is known now; immutable."""
        rules = self._rules()
        if self._known is None or self._known[0] is not rules:
            roster = rules.roster.with_calendars(self._feeds.calendars()).with_changes(self._changes)
            self._known = (rules, roster)
        return self._known[1]

    @property
    def changes(self) -> tuple[Change, ...]:
        """The overrides and swaps of the store, in the order in which they were made."""
        return self._changes

    def calendars(self) -> tuple[CalendarState, ...]:
        """How it stands with each calendar."""
        return self._feeds.states()

    def who(self, names: Collection[str], at: datetime) -> dict[str, tuple[str, ...]]:
        """The people behind names of the matrix; nobody in a gap.

        A name is left out, and so stands for itself, where its calendar could not be read: rather a page to the team's
        own address than none.
        """
        return people_behind(self.roster, names, at)

    async def prepare(self, now: datetime) -> None:
        """Before the first page: what the store and the disk know; bounded in time."""
        await self.look_again()
        await self._feeds.prepare(now, _PREPARE_LIMIT)

    async def watch(self, clock: Clock) -> None:
        """Keep it up to date; for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feeds.watch(clock), name="calendars")
            group.create_task(self._watch(clock), name="overrides and readiness")

    async def _watch(self, clock: Clock) -> None:
        while True:
            await self.look_again()
            await self._judge(clock.now())
            await clock.sleep(_LOOK_EVERY)

    async def look_again(self) -> None:
        """Read the changes of the store; where it is away, the last known ones hold."""
        try:
            changes = await self._overrides.all()
        except StoreError as error:
            if not self._away:
                log.warning("overrides cannot be read; the last known ones hold", error=str(error))
            self._away = True
            return
        self._away = False
        if changes != self._changes:
            self._changes = changes
            self._forget()

    async def make(self, change: Change) -> Put:
        """Keep a change in the store, and heed it at once; raises ``StoreError`` where the store is away."""
        outcome = await self._overrides.put(change)
        await self.look_again()
        return outcome

    async def take_back(self, change_id: str) -> bool:
        """Take a change out of the store; whether it was there. Raises ``StoreError`` where the store is away."""
        gone = await self._overrides.drop(change_id)
        await self.look_again()
        return gone

    async def _judge(self, now: datetime) -> None:
        """Look two weeks ahead, where something has changed or the last look is a while ago."""
        roster = self.roster
        self._hooks.calendars(
            {one.name: one.confirmed_at.timestamp() if one.confirmed_at else 0.0 for one in self.calendars()}
        )
        if self._judged and self._judged[0] is roster and now - self._judged[1] < _JUDGE_EVERY:
            return
        self._judged = (roster, now)
        rules = self._rules()
        try:
            found = await asyncio.to_thread(judged, rules, roster, self._hooks.reach(), now, READY_FOR)
        except Exception:  # a mistake of ours here must not end the daemon that pages
            log.exception("who will be on call could not be judged")
            return
        self._hooks.ready(ready(rows_of(rules), found))
        self._tell(found)

    def _tell(self, found: Sequence[Trouble]) -> None:
        """Each trouble once, when it is first seen."""
        subjects = frozenset(one.subject for one in found)
        new = [one for one in found if one.subject not in self._told]
        if new:
            lines = [f"{one.start:%FT%RZ} to {one.end:%FT%RZ}: {one.text}" for one in new[:_TROUBLES_LOGGED]]
            log.error("not everybody who will be paged is there", troubles=lines, number=len(new))
        self._told = subjects


async def offline(rules: Compiled, data_dir: Path, now: datetime) -> tuple[Roster, tuple[CalendarState, ...]]:
    """What a command knows without a daemon: the rules, calendars that are files, and the daemon's last good copies."""
    feeds = CalendarFeeds(lambda: rules.calendars, fetch_offline, LookedAt(calendars_in(data_dir)))
    await feeds.prepare(now, _OFFLINE_LIMIT)
    return rules.roster.with_calendars(feeds.calendars()), feeds.states()


def calendars_in(data_dir: Path) -> Path:
    """Where the last good copies of calendars lie."""
    return data_dir / "calendars"
