"""The calendars of the rules in force: fetched in turn, kept when they cannot be fetched, never in the way of a page."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from responder.calendars.expand import expand
from responder.calendars.fetch import Fetched, Version
from responder.calendars.kept import Copies, Copy
from responder.calendars.parse import CalendarError, Occurrences
from responder.calendars.source import CalendarSource
from responder.clock import Clock
from responder.oncall.calendar import Event, calendar_of
from responder.oncall.layer import Calendar

log = structlog.get_logger(__name__)

#: What is known of a calendar: from this long ago to this far ahead, worked out anew every day.
BEHIND, AHEAD = timedelta(days=35), timedelta(days=400)
WORKED_OUT_EVERY = timedelta(days=1)
_LOOK_EVERY = 5.0  # seconds; a reload of the rules is noticed within them
_AT_ONCE = 4
_AGAIN_AFTER = timedelta(minutes=1)
_FILE_EVERY = timedelta(seconds=30)
#: A copy on the disk says since when it is the present one, give or take this.
_SAVED_EVERY = timedelta(minutes=10)

Fetch = Callable[[CalendarSource, Version], Awaitable[Fetched | None]]
Read = Callable[[bytes, datetime, datetime], Awaitable[Occurrences]]


class CalendarState(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with one calendar.

    ``confirmed_at`` is when it was last read, or found to be unchanged. ``failing_since`` and ``problem`` are set while
    it cannot be: then what was confirmed last is in force. ``strangers`` are titles of events that name nobody we know.
    """

    name: str
    confirmed_at: datetime | None = None
    failing_since: datetime | None = None
    problem: str = ""
    warning: str = ""
    strangers: tuple[str, ...] = ()


class _Feed(msgspec.Struct, kw_only=True):
    """What is known of one source; changed only by the refresh that runs for it."""

    source: CalendarSource
    due: datetime
    copy: Copy | None = None
    saved_at: datetime | None = None
    events: tuple[Event, ...] = ()
    worked_out_at: datetime | None = None
    calendar: Calendar | None = None
    refused: tuple[bytes, str] = (b"", "")
    """Digest of the last body that could not be read, and why: it will not be better the next time."""
    failing_since: datetime | None = None
    problem: str = ""
    warning: str = ""


class CalendarFeeds:
    """See the module. ``on_change`` is called whenever a calendar says something else than before."""

    def __init__(
        self,
        sources: Callable[[], Mapping[str, CalendarSource]],
        fetch: Fetch,
        copies: Copies,
        on_change: Callable[[], object] = lambda: None,
        read: Read = expand,
    ) -> None:
        self._sources = sources
        self._fetch = fetch
        self._copies = copies
        self._on_change = on_change
        self._read = read
        self._feeds: dict[str, _Feed] = {}

    def calendars(self) -> dict[str, Calendar | None]:
        """What each calendar says, by schedule; ``None`` for one that was never read."""
        return {name: feed.calendar for name, feed in self._feeds.items()}

    def states(self) -> tuple[CalendarState, ...]:
        """How it stands with each, by name."""
        return tuple(
            CalendarState(
                name=name,
                confirmed_at=feed.copy.confirmed_at if feed.copy else None,
                failing_since=feed.failing_since,
                problem=feed.problem,
                warning=feed.warning,
                strangers=feed.calendar.strangers if feed.calendar else (),
            )
            for name, feed in sorted(self._feeds.items())
        )

    async def prepare(self, now: datetime, limit: float) -> None:
        """Before the first page: the copies of the disk, else the feeds themselves, within a time limit."""
        try:
            async with asyncio.timeout(limit):
                await self._take_sources(now)
                await self._copies.prune(self._sources())
                await self._each(list(self._feeds), lambda name: self._recover(name, now))
                unknown = [name for name, feed in self._feeds.items() if feed.calendar is None]
                await self._each(unknown, lambda name: self.refresh(name, now))
        except TimeoutError:
            log.warning("not every calendar could be read before the start", limit=limit)

    async def watch(self, clock: Clock) -> None:
        """Take in changed rules and refresh what is due; for ever."""
        while True:
            now = clock.now()
            await self._take_sources(now)
            due = [name for name, feed in self._feeds.items() if feed.due <= now]
            await self._each(due, lambda name: self.refresh(name, clock.now()))
            await clock.sleep(_LOOK_EVERY)

    async def _each(self, names: Sequence[str], work: Callable[[str], Awaitable[None]]) -> None:
        """A few at once; what goes wrong with one holds up neither the others nor the daemon."""
        seats = asyncio.Semaphore(_AT_ONCE)

        async def seated(name: str) -> None:
            async with seats:
                try:
                    await work(name)
                except Exception:  # a mistake of ours: the calendar stays as it was, and is tried again
                    log.exception("calendar not refreshed", schedule=name)

        await asyncio.gather(*(seated(name) for name in names))

    async def _take_sources(self, now: datetime) -> None:
        """Forget what the rules no longer name, begin with what they name anew."""
        sources = self._sources()
        changed = self._feeds.keys() != sources.keys()
        for name in self._feeds.keys() - sources.keys():
            del self._feeds[name]
        known_otherwise = []
        for name, source in sources.items():
            feed = self._feeds.get(name)
            if feed is None or feed.source.origin != source.origin:
                self._feeds[name] = _Feed(source=source, due=now)
                changed = True
            elif feed.source is not source:
                feed.source = source
                known_otherwise.append(name)
        if changed:
            self._on_change()
        await self._each(known_otherwise, lambda name: self._take_people(name, now))

    async def _take_people(self, name: str, now: datetime) -> None:
        """The same events, with the people of changed rules."""
        try:
            await self._arrange(name, self._feeds[name])
        except CalendarError as error:
            self._failed(name, self._feeds[name], str(error), now)

    async def refresh(self, name: str, now: datetime) -> None:
        """Fetch one calendar; where that fails, what was there stays, and it is said since when."""
        feed = self._feeds[name]
        await self._recover(name, now)
        try:
            await self._fetch_anew(name, feed, now)
        except CalendarError as error:
            self._failed(name, feed, str(error), now)
            feed.due = now + min(_AGAIN_AFTER, feed.source.refresh)
            return
        if feed.failing_since is not None:
            log.info("the calendar can be read again", schedule=name)
        feed.failing_since, feed.problem = None, ""
        # To look at a file costs nothing.
        feed.due = now + (min(_FILE_EVERY, feed.source.refresh) if feed.source.file else feed.source.refresh)

    async def _recover(self, name: str, now: datetime) -> None:
        """The copy of the disk, where nothing is known yet."""
        feed = self._feeds[name]
        if feed.copy is not None or (kept := await self._copies.load(name, feed.source)) is None:
            return
        try:
            await self._work_out(name, feed, kept, now)
        except CalendarError as error:
            log.warning("the kept calendar cannot be read", schedule=name, reason=str(error))
        else:
            feed.copy, feed.saved_at = kept, kept.confirmed_at

    async def _fetch_anew(self, name: str, feed: _Feed, now: datetime) -> None:
        fetched = await self._fetch(feed.source, feed.copy.version if feed.copy else Version())
        if fetched is not None:
            copy = Copy(body=fetched.body, version=fetched.version, confirmed_at=now)
            await self._take_body(name, feed, copy, now)
        elif feed.copy is None:
            raise CalendarError("it says that nothing has changed, but nothing is known")
        else:
            copy = msgspec.structs.replace(feed.copy, confirmed_at=now)
            if feed.worked_out_at is None or now - feed.worked_out_at >= WORKED_OUT_EVERY:
                await self._work_out(name, feed, copy, now)
        feed.copy = copy
        if fetched is not None or feed.saved_at is None or now - feed.saved_at >= _SAVED_EVERY:
            await self._copies.save(name, feed.source, copy)
            feed.saved_at = now

    async def _take_body(self, name: str, feed: _Feed, copy: Copy, now: datetime) -> None:
        digest = hashlib.blake2b(copy.body, digest_size=16).digest()
        if digest == feed.refused[0]:
            raise CalendarError(feed.refused[1])
        try:
            await self._work_out(name, feed, copy, now)
        except CalendarError as error:
            feed.refused = (digest, str(error))
            raise
        feed.refused = (b"", "")

    async def _work_out(self, name: str, feed: _Feed, copy: Copy, now: datetime) -> None:
        found = await self._read(copy.body, now - BEHIND, now + AHEAD)
        before = (feed.events, feed.worked_out_at)
        feed.events, feed.worked_out_at = found.events, now
        try:
            await self._arrange(name, feed)
        except CalendarError:
            feed.events, feed.worked_out_at = before
            raise
        if found.warning and found.warning != feed.warning:
            log.warning("the calendar is not read in full", schedule=name, reason=found.warning)
        feed.warning = found.warning

    async def _arrange(self, name: str, feed: _Feed) -> None:
        """Make a calendar of the events, with the people whom the rules know now."""
        if feed.worked_out_at is None:
            return
        known = (feed.worked_out_at - BEHIND, feed.worked_out_at + AHEAD)
        try:
            calendar = await asyncio.to_thread(
                calendar_of, feed.events, feed.source.who, feed.source.zone, known, "calendar"
            )
        except ValueError as error:
            raise CalendarError(str(error)) from None
        if calendar.strangers and (feed.calendar is None or feed.calendar.strangers != calendar.strangers):
            log.warning("events name nobody we know", schedule=name, titles=list(calendar.strangers))
        feed.calendar = calendar
        self._on_change()

    def _failed(self, name: str, feed: _Feed, problem: str, now: datetime) -> None:
        since = feed.copy.confirmed_at.isoformat() if feed.copy else "never"
        if feed.failing_since is None or feed.problem != problem:
            log.error("calendar not refreshed", schedule=name, reason=problem, as_of=since)
        feed.failing_since = feed.failing_since or now
        feed.problem = problem
