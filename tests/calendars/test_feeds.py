"""Feeds that are away, lie, redirect or grow: the last good copy stays, and it is said since when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from feed import FeedServer, calendar, event, feed_server, source
from shifts import at

from responder.calendars import fetch as fetch_module
from responder.calendars.expand import expand
from responder.calendars.feeds import AHEAD, CalendarFeeds
from responder.calendars.fetch import fetch
from responder.calendars.kept import Copies
from responder.calendars.parse import Occurrences
from responder.calendars.source import CalendarSource

NOW = at("2025-06-01 12:00")
LATER = NOW + timedelta(hours=1)
ANA = calendar(event("20250601T000000Z", "20250602T000000Z", "Ana"))
BEN = calendar(event("20250601T000000Z", "20250602T000000Z", "Ben"))


class Bench:
    """Feeds over one folder; ``sources`` may be changed as a reload would."""

    def __init__(self, session: aiohttp.ClientSession, folder: Path, **sources: CalendarSource) -> None:
        self.sources = dict(sources)
        self.changes = 0
        self.readings = 0
        self.feeds = CalendarFeeds(
            lambda: self.sources,
            partial(fetch, session),
            Copies(folder),
            on_change=self._changed,
            read=self._read,
        )

    async def _read(self, raw: bytes, start: datetime, end: datetime) -> Occurrences:
        self.readings += 1
        return await expand(raw, start, end)

    def _changed(self) -> None:
        self.changes += 1

    def people(self, name: str = "team") -> list[tuple[str, ...]]:
        found = self.feeds.calendars()[name]
        return [span.people for span in found.spans] if found else []

    @property
    def problem(self) -> str:
        return self.feeds.states()[0].problem


@asynccontextmanager
async def bench(folder: Path, **sources: CalendarSource) -> AsyncIterator[Bench]:
    async with aiohttp.ClientSession() as session:
        yield Bench(session, folder, **sources)


@pytest.fixture
async def server() -> AsyncIterator[FeedServer]:
    async with feed_server() as found:
        found.body = ANA
        yield found


async def test_a_feed_is_read_before_the_first_page(server: FeedServer, tmp_path: Path) -> None:
    async with bench(tmp_path, team=source(url=server.url)) as one:
        await one.feeds.prepare(NOW, 10)
        assert one.people() == [("ana",)]
        state = one.feeds.states()[0]
        assert (state.confirmed_at, state.failing_since, state.problem) == (NOW, None, "")
        assert one.changes


@pytest.mark.parametrize("trouble", ["500", "404", "html", "cut", "big", "gone", "hang"])
async def test_whatever_happens_to_a_feed_its_last_good_copy_stays_and_it_is_said_since_when(
    server: FeedServer, tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_module, "LIMIT", 0.5)
    async with bench(tmp_path, team=source(url=server.url)) as one:
        await one.feeds.prepare(NOW, 10)
        says = {
            "500": "it answers 500", "404": "it answers 404", "html": "a login page", "cut": "breaks off",
            "big": "over 1024 KiB", "gone": "cannot reach the calendar: Connection refused", "hang": "no answer within 0.5 s",
        }[trouble]  # fmt: skip
        if trouble.isdigit():
            server.status = int(trouble)
        elif trouble == "hang":
            server.hang = True
        elif trouble == "gone":
            one.sources["team"] = source(url="http://127.0.0.1:9/token-4711/team.ics")
            one.feeds._feeds["team"].source = one.sources["team"]
        else:
            server.body = {"html": b"<html>", "cut": BEN[:-9], "big": b"x" * 2_000_000}[trouble]
        for hours in (1, 2):
            await one.feeds.refresh("team", NOW + timedelta(hours=hours))
        assert says in one.problem
        assert "4711" not in one.problem
        assert one.people() == [("ana",)]
        state = one.feeds.states()[0]
        assert (state.confirmed_at, state.failing_since) == (NOW, LATER)


async def test_a_feed_that_comes_back_is_taken_and_no_longer_complained_of(
    server: FeedServer, tmp_path: Path
) -> None:
    async with bench(tmp_path, team=source(url=server.url)) as one:
        await one.feeds.prepare(NOW, 10)
        server.status = 503
        await one.feeds.refresh("team", LATER)
        server.status, server.body = 200, BEN
        await one.feeds.refresh("team", LATER + timedelta(minutes=1))
        assert one.people() == [("ben",)]
        assert one.problem == ""


async def test_what_has_not_changed_is_not_sent_nor_read_again(server: FeedServer, tmp_path: Path) -> None:
    server.etag, server.modified = '"v1"', "Sun, 01 Jun 2025 10:00:00 GMT"
    async with bench(tmp_path, team=source(url=server.url)) as one:
        await one.feeds.prepare(NOW, 10)
        changes = one.changes
        await one.feeds.refresh("team", LATER)
        assert server.asked[-1]["If-None-Match"] == '"v1"'
        assert server.asked[-1]["If-Modified-Since"] == server.modified
        assert one.feeds.states()[0].confirmed_at == LATER
        assert one.changes == changes
        # A day later what lies ahead is worked out anew, from the copy that is there.
        await one.feeds.refresh("team", NOW + timedelta(days=2))
        known = one.feeds.calendars()["team"]
        assert known is not None
        assert known.end == NOW + timedelta(days=2) + AHEAD


async def test_a_daemon_that_starts_while_the_feed_is_away_knows_who_is_on_call(
    server: FeedServer, tmp_path: Path
) -> None:
    async with bench(tmp_path, team=source(url=server.url)) as one:
        await one.feeds.prepare(NOW, 10)
    server.status = 503
    async with bench(tmp_path, team=source(url=server.url)) as again:
        await again.feeds.prepare(LATER, 10)
        assert again.people() == [("ana",)]
        await again.feeds.refresh("team", LATER)
        state = again.feeds.states()[0]
        assert (state.confirmed_at, state.problem) == (NOW, "it answers 503")


async def test_a_kept_copy_is_private_whole_and_dropped_with_its_schedule(
    server: FeedServer, tmp_path: Path
) -> None:
    folder = tmp_path / "calendars"
    async with bench(folder, team=source(url=server.url)) as one:
        await one.feeds.prepare(NOW, 10)
    (kept,) = folder.iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    assert b"4711" not in kept.read_bytes()
    (folder / "left-over.new").write_bytes(b"half")
    async with bench(folder) as other:
        await other.feeds.prepare(NOW, 10)
    assert list(folder.iterdir()) == []


async def test_a_damaged_copy_is_no_obstacle(server: FeedServer, tmp_path: Path) -> None:
    async with bench(tmp_path, team=source(url=server.url)) as one:
        await one.feeds.prepare(NOW, 10)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(b"\x00garbage")
    async with bench(tmp_path, team=source(url=server.url)) as again:
        await again.feeds.prepare(NOW, 10)
        assert again.people() == [("ana",)]


async def test_a_disk_that_takes_nothing_does_not_keep_the_calendar_out_of_memory(
    server: FeedServer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    async with bench(tmp_path / "file" / "calendars", team=source(url=server.url)) as one:
        await one.feeds.prepare(NOW, 10)
        assert one.people() == [("ana",)]


async def test_redirects_are_followed_on_the_same_host_only(server: FeedServer, tmp_path: Path) -> None:
    async with bench(tmp_path, team=source(url=server.url)) as one:
        server.location = "/moved.ics"
        await one.feeds.prepare(NOW, 10)
        assert one.people() == [("ana",)]
        server.location = server.url.replace("127.0.0.1", "localhost").replace("team", "moved")
        await one.feeds.refresh("team", LATER)
        assert "redirects to another host" in one.problem
        server.location = "/round/and/round.ics"
        await one.feeds.refresh("team", LATER)
        assert "redirects more than 3 times" in one.problem
        server.location = "file:///etc/passwd"
        await one.feeds.refresh("team", LATER)
        assert "redirects to another host" in one.problem


async def test_a_body_that_could_not_be_read_is_not_read_again_until_it_changes(
    server: FeedServer, tmp_path: Path
) -> None:
    server.body = calendar(event("20250601T000000Z", "20250602T000000Z", "x", "RRULE:FREQ=SECONDLY"))
    async with bench(tmp_path, team=source(url=server.url)) as one:
        for minute in range(5):
            await one.feeds.prepare(NOW + timedelta(minutes=minute), 10)
        assert (len(server.asked), one.readings) == (5, 1)
        assert "repeats too often" in one.problem
        server.body = ANA
        await one.feeds.refresh("team", LATER)
        assert one.people() == [("ana",)]


async def test_a_file_is_taken_as_soon_as_it_changes_and_kept_when_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "team.ics"
    file.write_bytes(ANA)
    async with bench(tmp_path / "kept", team=source(file=str(file))) as one:
        await one.feeds.prepare(NOW, 10)
        assert one.people() == [("ana",)]
        file.write_bytes(BEN + b"\r\n")
        await one.feeds.refresh("team", LATER)
        assert one.people() == [("ben",)]
        file.unlink()
        await one.feeds.refresh("team", LATER)
        assert one.people() == [("ben",)]
        assert one.problem == "cannot read team.ics: No such file or directory"


async def test_a_reload_brings_new_people_new_feeds_and_forgets_old_ones(
    server: FeedServer, tmp_path: Path
) -> None:
    class Clock:
        def __init__(self) -> None:
            self.slept = asyncio.Event()

        def now(self) -> object:
            return LATER

        async def sleep(self, seconds: float) -> None:
            self.slept.set()
            await asyncio.sleep(3600)

    async with bench(tmp_path, team=source(url=server.url)) as one:
        await one.feeds.prepare(NOW, 10)
        asked = len(server.asked)
        one.sources = {"team": source(url=server.url, Ana="another-ana"), "more": source(url=server.url)}
        clock = Clock()
        watching = asyncio.create_task(one.feeds.watch(clock))  # type: ignore[arg-type]
        async with asyncio.timeout(30):
            await clock.slept.wait()
        watching.cancel()
        assert one.people() == [("another-ana",)]
        assert one.people("more") == [("ana",)]
        assert len(server.asked) > asked
        one.sources = {}
        await one.feeds.prepare(LATER, 10)
        assert one.feeds.calendars() == {}


async def test_one_feed_that_hangs_holds_up_neither_the_others_nor_the_start(
    server: FeedServer, tmp_path: Path
) -> None:
    server.hang = True
    async with feed_server() as good:
        good.body = ANA
        async with bench(tmp_path, bad=source(url=server.url), good=source(url=good.url)) as one:
            async with asyncio.timeout(30):
                await one.feeds.prepare(NOW, 2)
            assert one.people("good") == [("ana",)]
            assert one.feeds.calendars()["bad"] is None


async def test_too_many_events_at_one_time_are_a_problem_not_a_calendar(
    server: FeedServer, tmp_path: Path
) -> None:
    server.body = calendar(
        *(event("20250601T000000Z", "20250602T000000Z", "Ana", uid=str(n)) for n in range(200))
    )
    async with bench(tmp_path, team=source(url=server.url)) as one:
        await one.feeds.prepare(NOW, 10)
        assert "more than 100 events are at the same time" in one.problem
        assert one.people() == []
