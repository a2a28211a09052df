"""Who is on call, as a replica knows it: rules, calendars and the store's changes together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from feed import FeedServer, calendar, event, feed_server
from shifts import override

from responder.calendars.fetch import fetch
from responder.calendars.kept import Copies
from responder.catalogue import catalogue
from responder.clock import SystemClock
from responder.duty import Duty, DutyHooks, calendars_in, offline
from responder.incident.severity import Severity
from responder.oncall.schedule import Override
from responder.oncall.spans import Why
from responder.paging.base import CHANNELS, Channel, ChannelTools
from responder.paging.reach import reach_of
from responder.rules.compile import Compiled, Timing
from responder.rules.load import Surroundings, load
from responder.store.connection import close, connect
from responder.store.overrides import Overrides, id_of
from responder.store.store import Store

HOUR = timedelta(hours=1)
RULES = """
escalation: {{database: {{primary: dbteam, secondary: cto}}, platform: {{primary: cto}}}}
contacts: {{ana: {{email: ana@x.example}}, ben: {{}}, cto: {{email: cto@x.example}}, dbteam: {{}}}}
schedules: {{dbteam: {schedule}}}
"""
ANA = "{timezone: UTC, rotation: [ana]}"


def compiled(folder: Path, schedule: str = ANA) -> Compiled:
    folder.mkdir(exist_ok=True)
    (folder / "rules.yaml").write_text(RULES.format(schedule=schedule))
    found = load([str(folder)], Surroundings(catalogue=catalogue()))
    assert found.raw is not None, found.problems
    return Compiled(found.raw, Timing(channels=("mail",)))


class Seen:
    """What the metrics would show."""

    def __init__(self) -> None:
        self.ready: list[Mapping[tuple[str, str], bool]] = []
        self.calendars: Mapping[str, float] = {}

    def set_calendars(self, found: Mapping[str, float]) -> None:
        self.calendars = found


Make = Callable[..., Duty]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as found:
        yield found


@pytest.fixture
def channels(session: aiohttp.ClientSession) -> dict[str, Channel]:
    tools = ChannelTools(session=session, clock=SystemClock(), external_url="http://localhost")
    kind = CHANNELS.discover("responder.paging")["email"]
    settings = msgspec.convert({"host": "localhost", "from": "r@x.example"}, kind.Settings)
    return {"mail": kind("mail", settings, tools)}


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def make(
    store: Store, session: aiohttp.ClientSession, channels: dict[str, Channel], seen: Seen, tmp_path: Path
) -> Make:
    def made(rules: Compiled, *, at: Store = store) -> Duty:
        hooks = DutyHooks(
            reach=lambda: reach_of(rules, channels), ready=seen.ready.append, calendars=seen.set_calendars
        )
        copies = Copies(calendars_in(tmp_path / "data"))
        return Duty(lambda: rules, Overrides(at), partial(fetch, session), copies, hooks)

    return made


async def standing_in(store: Store, *people: str) -> Override:
    now = await store.now()
    whole = msgspec.structs.replace(override(now - HOUR, now + HOUR, *people), schedule="dbteam", made_at=now)
    return msgspec.structs.replace(whole, id=id_of(whole))


async def test_an_override_of_the_store_holds_at_once_here_and_soon_on_every_replica(
    store: Store, make: Make, tmp_path: Path
) -> None:
    here, there = make(compiled(tmp_path / "rules")), make(compiled(tmp_path / "rules"))
    now = await store.now()
    await here.prepare(now)
    await there.prepare(now)
    change = await standing_in(store, "ben")
    assert here.who(["dbteam", "cto"], now) == {"dbteam": ("ana",), "cto": ("cto",)}
    assert await here.make(change) == "ok"
    assert here.who(["dbteam"], now) == {"dbteam": ("ben",)}
    assert here.who(["dbteam"], now + 2 * HOUR) == {"dbteam": ("ana",)}
    await there.look_again()
    assert there.who(["dbteam"], now) == {"dbteam": ("ben",)}
    assert await there.take_back(change.id)
    assert there.who(["dbteam"], now) == {"dbteam": ("ana",)}


async def test_a_gap_is_nobody_and_a_calendar_that_was_never_read_leaves_the_name_itself(
    store: Store, make: Make, tmp_path: Path
) -> None:
    gap = make(
        compiled(tmp_path / "a", "{timezone: UTC, rotation: [ana], handoff: '09:00', start: 2099-01-01}")
    )
    unknown = make(compiled(tmp_path / "b", "{timezone: UTC, ical: {url: 'http://127.0.0.1:9/x.ics'}}"))
    now = await store.now()
    await gap.prepare(now)
    await unknown.prepare(now)
    assert gap.who(["dbteam"], now) == {"dbteam": ()}
    assert unknown.who(["dbteam", "cto"], now) == {"cto": ("cto",)}


async def test_while_the_store_is_away_the_last_known_changes_hold(
    store: Store, make: Make, tmp_path: Path
) -> None:
    away = Store(connect("redis://127.0.0.1:9/0"), "main")
    duty = make(compiled(tmp_path / "rules"), at=away)
    now = await store.now()
    await duty.prepare(now)
    assert duty.who(["dbteam"], now) == {"dbteam": ("ana",)}
    await close(away.client)


async def test_readiness_is_looked_at_when_something_changes_and_not_at_every_turn(
    store: Store, make: Make, seen: Seen, tmp_path: Path
) -> None:
    duty = make(compiled(tmp_path / "rules"))
    now = await store.now()
    await duty.prepare(now)
    await duty._judge(now)
    assert seen.ready[-1] == {
        ("database", "primary"): True, ("database", "secondary"): True, ("platform", "primary"): True,
    }  # fmt: skip
    await duty._judge(now + timedelta(minutes=1))
    assert len(seen.ready) == 1
    await duty.make(await standing_in(store, "ben"))  # who has no mail address
    await duty._judge(now + timedelta(minutes=1))
    assert seen.ready[-1]["database", "primary"] is False
    await duty._judge(now + timedelta(minutes=7))
    assert len(seen.ready) == 3


async def test_it_is_kept_up_to_date_beside(store: Store, make: Make, seen: Seen, tmp_path: Path) -> None:
    class Clock:
        def now(self) -> datetime:
            return now

        async def sleep(self, _seconds: float) -> None:
            await asyncio.sleep(0.01)

    now = await store.now()
    async with feed_server() as server:
        today = now.strftime("%Y%m%d")
        tomorrow = (now + timedelta(days=1)).strftime("%Y%m%d")
        server.body = calendar(event(f"VALUE=DATE:{today}", f"VALUE=DATE:{tomorrow}", "Ana Reyes"))
        schedule = f"{{timezone: UTC, ical: {{url: '{server.url}', people: {{Ana Reyes: ana}}}}}}"
        duty = make(compiled(tmp_path / "rules", schedule))
        watching = asyncio.create_task(duty.watch(Clock()))
        async with asyncio.timeout(60):
            while duty.who(["dbteam"], now) != {"dbteam": ("ana",)} or not seen.ready:
                await asyncio.sleep(0.02)
            await Overrides(store).put(await standing_in(store, "ben"))
            while duty.who(["dbteam"], now) != {"dbteam": ("ben",)}:
                await asyncio.sleep(0.02)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        assert seen.calendars == {"dbteam": pytest.approx(now.timestamp(), abs=1)}


async def test_a_command_reads_the_daemons_last_good_copy_and_leaves_it_alone(
    store: Store, make: Make, tmp_path: Path
) -> None:
    now = await store.now()
    async with feed_server() as server:
        rules = await _read_once(server, make, tmp_path, now)
        asked = len(server.asked)
        kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "data" / "calendars").iterdir()}
        roster, states = await offline(rules, tmp_path / "data", now)
        assert roster.people("dbteam", now) == ("ana",)
        assert states[0].confirmed_at == now
        assert len(server.asked) == asked
        assert {p: p.stat().st_mtime_ns for p in (tmp_path / "data" / "calendars").iterdir()} == kept
        nothing, states = await offline(rules, tmp_path / "elsewhere", now)
        assert "a daemon is asked with --url" in states[0].problem
        assert nothing.spans("dbteam", now, now + HOUR)[0].why is Why.UNKNOWN
        assert not (tmp_path / "elsewhere").exists()


async def _read_once(server: FeedServer, make: Make, tmp_path: Path, now: datetime) -> Compiled:
    start, end = ((now + days * timedelta(days=1)).strftime("%Y%m%d") for days in (-1, 2))
    server.body = calendar(event(f"VALUE=DATE:{start}", f"VALUE=DATE:{end}", "Ana Reyes"))
    schedule = f"{{timezone: UTC, ical: {{url: '{server.url}', people: {{Ana Reyes: ana}}}}}}"
    rules = compiled(tmp_path / "rules", schedule)
    await make(rules).prepare(now)
    return rules


def test_l12_who_has_no_address_for_any_channel_is_reached_over_none(
    channels: dict[str, Channel], tmp_path: Path
) -> None:
    reach: Any = reach_of(compiled(tmp_path / "rules"), channels)
    assert [reach(name, Severity.P1, "") for name in ("ana", "ben", "nobody")] == [("mail",), (), ()]


def test_who_has_no_entry_of_their_own_is_reached_where_the_name_they_stand_for_is(
    channels: dict[str, Channel], tmp_path: Path
) -> None:
    """The short form of a rotation over a contact, whose people stand nowhere else."""
    (tmp_path / "rules.yaml").write_text(
        """
escalation: {database: {primary: dbteam}, platform: {primary: dbteam}}
contacts:
  dbteam: {email: db@example.com, channels: {P1: [mail]}}
schedules:
  dbteam: {timezone: Asia/Manila, rotation: [ana, ben], handoff: "Mon 09:00", overrides: []}
"""
    )
    found = load([str(tmp_path)], Surroundings(catalogue=catalogue(), channels=("log", "mail")))
    assert found.raw is not None, found.problems
    rules = Compiled(found.raw, Timing(channels=("log", "mail")))
    assert [str(step) for step in rules.channels_of("ana", Severity.P1, "dbteam")] == ["mail"]
    contact = rules.contact("ana", "dbteam")
    assert (contact.name, contact.addresses) == ("ana", {"email": "db@example.com"})
    assert reach_of(rules, channels)("ana", "P1", "dbteam") == ("mail",)
