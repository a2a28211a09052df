"""Windows, dependencies and nights on the real store, with two replicas that come and go."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from clocks import TurnedClock
from held import Held, alert, incidents, paged, rules_of, settled
from world import World

from responder.incident.decision import Reason
from responder.incident.facts import AcknowledgedBy
from responder.incident.hold import HoldKind
from responder.rules.compile import Compiled
from responder.rules.maintenance import WindowSpec
from responder.store.reading import Reader
from responder.store.store import Store
from responder.store.windows import id_of

HOUR = timedelta(hours=1)
GRAPH = """
services:
  api: {depends_on: [database]}
  dashboards: {depends_on: [api]}
"""

Make = Callable[..., Awaitable[tuple[Held, Held]]]


@pytest.fixture
def world() -> World:
    return World(random.Random(1))


@pytest.fixture
async def two(store: Store, world: World, tmp_path: Path) -> AsyncIterator[Make]:
    """Two replicas on these rules, started."""
    made: list[Held] = []

    async def make(text: str = "", **timing: timedelta) -> tuple[Held, Held]:
        rules = rules_of(tmp_path, text, **timing)
        made.extend(Held(store, world, rules) for _ in range(2))
        for one in made:
            await one.start()
        return made[0], made[1]

    yield make
    for one in made:
        await one.die()


def rules_from(tmp_path: Path, text: str) -> Compiled:
    return rules_of(tmp_path / "other", text)


async def spec(store: Store, begins: timedelta, ends: timedelta, *match: str, note: str = "") -> WindowSpec:
    now = await store.now()
    made = WindowSpec(
        name="move", match=match or ('service="database"',), start=now + begins, end=now + ends, by="ana",
        made_at=now, note=note,
    )  # fmt: skip
    return msgspec.structs.replace(made, id=id_of(made))


async def timeline(store: Store, service: str) -> list[tuple[Reason, str]]:
    incident = (await incidents(store))[service]
    return [(entry.reason, entry.text) for entry in await Reader(store).timeline(incident.id)]


async def test_e4_what_still_fires_at_the_end_of_a_window_pages_within_one_tick(
    store: Store, world: World, turned: TurnedClock, two: Make
) -> None:
    first, second = await two()
    await first.keeper.make(await spec(store, -HOUR, HOUR))
    await settled(first, second)
    await second.fire(alert("Down", "database", "P1"))
    await settled(first, second)
    turned.turn(minutes=59)
    await settled(first, second)
    assert paged(world) == []
    turned.turn(seconds=61)
    await settled(first, second)
    assert paged(world) == ["dbteam primary"]


async def test_e6_a_window_that_begins_takes_in_what_is_open_already_and_gives_it_back_when_it_is_ended(
    store: Store, world: World, turned: TurnedClock, two: Make
) -> None:
    first, second = await two()
    await first.fire(alert("Down", "database", "P1"), alert("Slow", "api", "P1"))
    await settled(first, second)
    assert sorted(paged(world)) == ["backend primary", "dbteam primary"]
    window = await spec(store, timedelta(0), 4 * HOUR)
    await first.keeper.make(window)
    await settled(first, second)
    found = await incidents(store)
    assert [one.kind for one in found["database"].holds] == [HoldKind.MAINTENANCE]
    assert found["api"].holds == ()
    turned.turn(minutes=16)
    await settled(first, second)
    assert [one for one in paged(world) if one.startswith("dbteam")] == ["dbteam primary"]
    assert await second.keeper.end(window.id)  # on the other replica
    await settled(first, second)
    assert [one for one in paged(world) if one.startswith("dbteam")] == ["dbteam primary"] * 2
    assert (await incidents(store))["database"].holds == ()


async def test_e5_pages_that_wait_to_be_sent_are_fenced_off_by_a_window_that_begins(
    store: Store, world: World, turned: TurnedClock, two: Make
) -> None:
    first, second = await two()
    world.down.add("chat")
    await first.fire(alert("Down", "database", "P1"))
    await settled(first, second)
    await second.keeper.make(await spec(store, timedelta(0), HOUR))
    await settled(first, second)
    world.down.clear()
    turned.turn(minutes=10)
    await settled(first, second)
    assert paged(world) == []
    assert any("held back (maintenance): move" in text for _, text in await timeline(store, "database"))
    turned.turn(minutes=51)
    await settled(first, second)
    assert paged(world) == ["dbteam primary"]


async def test_no_alert_stays_suppressed_by_a_window_that_is_over_whatever_was_restarted(
    store: Store, world: World, turned: TurnedClock, two: Make
) -> None:
    first, second = await two()
    await first.keeper.make(await spec(store, -HOUR, HOUR))
    await first.fire(alert("Down", "database", "P1"))
    await settled(first, second)
    for one in (first, second):
        await one.die()
    turned.turn(hours=3)
    await first.start()
    await settled(first)
    assert paged(world)[0] == "dbteam primary"


async def test_a_window_that_went_while_everything_was_down_holds_nothing(
    store: Store, world: World, turned: TurnedClock, two: Make, tmp_path: Path
) -> None:
    text = "maintenance: [{name: m, match: ['service=\"database\"'], from: 2020-01-01T00:00Z, to: 2020-01-02T00:00Z}]"
    now = await store.now()
    text = text.replace("2020-01-01T00:00Z", f"{now - HOUR:%FT%TZ}").replace(
        "2020-01-02T00:00Z", f"{now + 9 * HOUR:%FT%TZ}"
    )
    first, second = await two(text)
    await first.fire(alert("Down", "database", "P1"))
    await settled(first, second)
    assert paged(world) == []
    for one in (first, second):
        await one.die()
        one.rules = rules_from(tmp_path, "")
    turned.turn(minutes=1)
    await second.start()
    await settled(second)
    assert paged(world) == ["dbteam primary"]


async def test_a_window_of_the_rule_files_that_a_reload_brings_or_takes_is_heeded_at_once(
    store: Store, world: World, two: Make, tmp_path: Path
) -> None:
    first, second = await two()
    await first.fire(alert("Down", "database", "P1"))
    await settled(first, second)
    now = await store.now()
    text = f"maintenance: [{{name: m, match: ['service=\"database\"'], from: {now - HOUR:%FT%TZ}, to: {now + HOUR:%FT%TZ}}}]"
    plain = first.rules
    first.rules = second.rules = rules_from(tmp_path, text)
    await settled(first, second)
    assert (await incidents(store))["database"].holds[0].by == "m"
    first.rules = second.rules = plain
    await settled(first, second)
    assert (await incidents(store))["database"].holds == ()
    assert paged(world) == ["dbteam primary"] * 2


async def test_e12_the_beginning_and_the_end_are_told_once_to_the_primaries_concerned(
    store: Store, world: World, turned: TurnedClock, two: Make
) -> None:
    first, second = await two()
    await first.keeper.make(
        await spec(store, timedelta(minutes=5), HOUR, 'service=~"api|database"', note="moving")
    )
    await settled(first, second)
    assert [*first.notices, *second.notices] == []
    turned.turn(minutes=6)
    await settled(first, second)
    begun = sorted([*first.notices, *second.notices], key=lambda one: one.contact)
    assert [(one.contact, one.title) for one in begun] == [
        ("backend", "Maintenance move has begun"), ("dbteam", "Maintenance move has begun"),
    ]  # fmt: skip
    assert 'Nobody is paged for service=~"api|database" until ' in begun[0].text
    assert begun[0].text.endswith(" Services: api. moving, set by ana")
    for one in (first, second):
        await one.die()
        one.notices.clear()
        await one.start()
    await settled(first, second)
    assert [*first.notices, *second.notices] == []  # told before the restart
    turned.turn(hours=1)
    await settled(first, second)
    over = sorted([*first.notices, *second.notices], key=lambda one: one.contact)
    assert [(one.contact, one.title) for one in over] == [
        ("backend", "Maintenance move is over"), ("dbteam", "Maintenance move is over"),
    ]  # fmt: skip
    assert (
        over[0].text
        == "It has ended. What still fires is paged now, except for what something else holds back. Services: api."
    )


async def test_an_end_before_its_time_and_an_end_that_was_slept_through_are_told_as_well(
    store: Store, turned: TurnedClock, two: Make
) -> None:
    first, second = await two()
    window = await spec(store, timedelta(0), HOUR)
    await first.keeper.make(window)
    await settled(first, second)
    await second.keeper.end(window.id)
    await settled(first, second)
    told = [*first.notices, *second.notices]
    assert [one.title for one in told] == ["Maintenance move has begun", "Maintenance move is over"]
    rest = "What still fires is paged now, except for what something else holds back"
    assert told[1].text == f"It has ended before its time. {rest}. Services: database."
    await first.keeper.make(await spec(store, timedelta(minutes=1), HOUR))
    turned.turn(minutes=2)
    await settled(first, second)
    for one in (first, second):
        one.notices.clear()
        await one.die()
    turned.turn(hours=5)
    await first.start()
    await settled(first)
    assert [one.title for one in first.notices] == ["Maintenance move is over"]


async def test_the_end_of_a_window_does_not_promise_a_page_where_another_one_still_runs(
    store: Store, world: World, turned: TurnedClock, two: Make
) -> None:
    first, second = await two()
    other = msgspec.structs.replace(await spec(store, timedelta(0), 5 * HOUR), name="disks", id="d" * 16)
    elsewhere = await spec(store, timedelta(0), 5 * HOUR, 'service="api"')
    window = await spec(store, timedelta(0), HOUR)
    for one in (window, other, elsewhere):
        await first.keeper.make(one)
    await first.fire(alert("Down", "database", "P1"))
    await settled(first, second)
    turned.turn(hours=1)
    await settled(first, second)
    assert paged(world) == []
    (over,) = [one for one in (*first.notices, *second.notices) if one.title == "Maintenance move is over"]
    assert (
        "is paged now, except for what something else holds back. Services: database. Still running: disks until 20"
        in over.text
    )
    assert "move" not in over.text


async def test_a_window_that_goes_on_longer_is_told_of_once_more_and_has_one_end(
    store: Store, turned: TurnedClock, two: Make
) -> None:
    first, second = await two()
    await first.keeper.make(await spec(store, timedelta(0), HOUR))
    await settled(first, second)
    made = await second.keeper.make(await spec(store, timedelta(0), 60 * HOUR))
    assert made.outcome == "extended"
    await settled(first, second)
    until = f"{await store.now() + 60 * HOUR:%Y-%m-%d %H:}"
    assert until in [*first.notices, *second.notices][-1].text
    turned.turn(hours=50)  # the first end is long forgotten
    await first.keeper.make(
        msgspec.structs.replace(await spec(store, timedelta(0), HOUR), by="ben", id="b" * 16)
    )
    await settled(first, second)
    turned.turn(hours=12)
    await settled(first, second)
    titles = sorted(one.title for one in (*first.notices, *second.notices))
    assert titles == sorted(
        [
            f"Maintenance move {what}"
            for what in ("has begun", "goes on longer", "is over", "has begun", "is over")
        ]
    )


async def test_a_window_that_comes_again_is_told_of_each_time(
    store: Store, turned: TurnedClock, two: Make
) -> None:
    now = await store.now()
    starts = (now + timedelta(minutes=10)).astimezone(UTC)
    text = (
        "maintenance: [{name: nightly, match: ['service=\"database\"'], timezone: UTC, every: FREQ=DAILY, lasts: 30m, "
        f"starts: {starts:%FT%R}}}]"
    )
    first, second = await two(text)
    for _ in range(2 * 24 * 3):
        turned.turn(minutes=20)
        await settled(first, second)
    titles = [one.title for one in (*first.notices, *second.notices)]
    assert titles.count("Maintenance nightly has begun") == 2
    assert titles.count("Maintenance nightly is over") == 2


async def test_a_replica_that_has_not_heard_of_a_window_does_not_undo_what_the_other_one_did(
    store: Store, world: World, two: Make, turned: TurnedClock
) -> None:
    first, second = await two()
    await first.keeper.make(await spec(store, timedelta(0), HOUR))
    await first.fire(alert("Down", "database", "P1"))
    for _ in range(50):  # the second one only decides, and does not look
        await first.engine.poll()
        await second.engine.poll()
    incident = next(iter((await incidents(store)).values()))
    turned.turn(seconds=2)
    await second.engine.decide_now(incident.id)
    assert (await incidents(store))["database"].holds != ()
    await settled(first, second)
    assert paged(world) == []


async def test_a_window_holds_an_incident_only_while_it_covers_all_of_it_that_fires(
    store: Store, world: World, turned: TurnedClock, two: Make
) -> None:
    """The rule groups by cluster, not by instance: one incident may hold alerts of several."""
    first, second = await two()
    await first.keeper.make(await spec(store, timedelta(0), 5 * HOUR, 'instance="a"'))
    await settled(first, second)
    one, other = (alert("Down", "database", "P1", instance=name) for name in "ab")
    await first.fire(one)
    await settled(first, second)
    assert paged(world) == []
    await second.fire(other)
    await settled(first, second)
    turned.turn(seconds=6)  # what joins is looked at within seconds
    await settled(first, second)
    assert paged(world) == ["dbteam primary"]
    await second.resolve(other)
    await settled(first, second)
    turned.turn(seconds=6)
    await settled(first, second)
    turned.turn(minutes=10)
    await settled(first, second)
    assert (await incidents(store))["database"].holds != ()
    assert paged(world) == ["dbteam primary"]


async def test_what_a_newer_version_wrote_hides_nothing_and_ends_nothing(store: Store, two: Make) -> None:
    first, second = await two()
    await store.client.hset(f"{store.base}:maintenance", "x", b'99999999999999|{"name":1}')
    await store.client.hset(f"{store.base}:told", "x:begin", b'99999999999999|{"name":1}')
    await store.client.hset(f"{store.base}:outlines", mapping={"#": "7", "x": b'{"severity":"P9"}'})
    await first.keeper.make(await spec(store, timedelta(0), HOUR))
    await settled(first, second)
    assert [window.name for window in first.keeper.known.all] == ["move"]
    for key in ("maintenance", "told"):
        await store.client.pexpire(f"{store.base}:{key}", 60_000)


def night(now: datetime) -> str:
    """Quiet hours that began an hour ago and end in three."""
    start, end = now - HOUR, now + 3 * HOUR
    return f'quiet_hours: {{P3: {{hours: "{start:%H:%M}-{end:%H:%M}", timezone: UTC}}}}'


async def test_l5_a_night_is_waited_for_over_restarts_and_its_morning_is_not_slept_through(
    store: Store, world: World, turned: TurnedClock, two: Make
) -> None:
    first, second = await two(night(await store.now()))
    await first.fire(alert("Slow", "api", "P3"))
    await settled(first, second)
    for _ in range(5):
        for one in (first, second):
            await one.die()
        turned.turn(minutes=30)
        await first.start()
        await second.start()
        await settled(first, second)
    assert paged(world) == []
    turned.turn(minutes=31)
    await settled(first, second)
    assert paged(world) == ["backend primary"]


async def test_in_the_morning_one_page_tells_of_all_that_waited_and_each_counts_as_paged(
    store: Store, world: World, turned: TurnedClock, two: Make
) -> None:
    first, second = await two(night(await store.now()))
    for number in range(6):
        await (first, second)[number % 2].fire(alert(f"Slow{number}", "api", "P3"))
        turned.turn(seconds=3)
        await settled(first, second)
    await first.fire(alert("Other", "database", "P3"))
    await settled(first, second)
    turned.turn(hours=3)
    await settled(first, second)
    turned.turn(seconds=5)
    await settled(first, second)
    assert sorted(paged(world)) == ["backend primary", "dbteam primary"]
    reader = Reader(store)
    found = await reader.snapshots([name for name, _ in await reader.ids("all", "+inf", 50)])
    api = [one for one in found if one.service == "api"]
    assert len(api) == 6
    assert all([page.status for page in one.pages] == ["delivered"] for one in api)
    waited = [one.episode.waited for one in api]
    heads = [one for one in waited if one is not None and one.listed]
    assert len(heads) == 1
    assert len(heads[0].listed) == 5
    # unanswered, each of them goes on by its own times
    turned.turn(minutes=81)
    await settled(first, second)
    assert len([one for one in paged(world) if one == "platform secondary"]) == 7


async def test_where_the_one_page_fails_the_others_are_paged_by_themselves(
    store: Store, world: World, turned: TurnedClock, two: Make
) -> None:
    first, second = await two(night(await store.now()))
    for number in range(3):
        await first.fire(alert(f"Slow{number}", "api", "P3"))
        turned.turn(seconds=3)
        await settled(first, second)
    world.down.add("chat")
    turned.turn(hours=3)
    await settled(first, second)
    for _ in range(8):  # longer than the others wait for it
        turned.turn(seconds=10)
        await settled(first, second)
    world.down.clear()
    for _ in range(4):
        turned.turn(seconds=20)
        await settled(first, second)
    assert paged(world) == ["backend primary"] * 3


async def test_an_attached_service_is_not_paged_is_listed_and_goes_its_own_way_at_the_end(
    store: Store, world: World, turned: TurnedClock, two: Make
) -> None:
    first, second = await two(GRAPH)
    database = alert("Down", "database", "P1")
    await first.fire(database)
    await settled(first, second)
    await second.fire(alert("Slow", "api", "P1"), alert("Empty", "dashboards", "P3"))
    await settled(first, second)
    turned.turn(minutes=14)
    await settled(first, second)
    assert {one.split()[0] for one in paged(world)} == {"dbteam", "platform"}
    found = await incidents(store)
    assert sorted(one.service for one in found["database"].attached) == ["api", "dashboards"]
    assert found["api"].holds[0].by == found["dashboards"].holds[0].by == found["database"].id
    updates = [sent.effect.text for sent in world.sent if sent.effect.kind == "update"]
    assert "More services are affected." in updates
    await first.resolve(database)
    await settled(first, second)
    turned.turn(seconds=2)
    await settled(first, second)
    assert "backend primary" in paged(world)
    # what stands on the api attaches to the api now
    found = await incidents(store)
    assert found["dashboards"].holds[0].by == found["api"].id
    assert found["database"].attached == ()
    assert [one.service for one in found["api"].attached] == ["dashboards"]
    reasons = [reason for reason, _ in await timeline(store, "database")]
    assert reasons.count(Reason.ATTACHED) == 2
    assert reasons.count(Reason.DETACHED) == 2


@pytest.mark.parametrize("first_to_fire", ["database", "api"])
async def test_in_whichever_order_they_arrive_on_whichever_replica_one_of_them_is_paged(
    store: Store, world: World, turned: TurnedClock, two: Make, first_to_fire: str
) -> None:
    one, other = await two(GRAPH)
    services = ["database", "api"] if first_to_fire == "database" else ["api", "database"]
    await one.fire(alert("A", services[0], "P2"))
    await settled(one, other)
    turned.turn(seconds=10)
    await other.fire(alert("A", services[1], "P2"))
    await settled(one, other)
    turned.turn(seconds=40)
    await settled(one, other)
    assert paged(world) == ["dbteam primary"]


async def test_s4_after_a_restart_an_attached_service_is_not_paged(
    store: Store, world: World, turned: TurnedClock, two: Make
) -> None:
    first, second = await two(GRAPH)
    await first.fire(alert("Down", "database", "P1"))
    await settled(first, second)
    await second.fire(alert("Slow", "api", "P1"))
    await settled(first, second)
    for _ in range(3):
        for one in (first, second):
            await one.die()
        turned.turn(seconds=40)
        await first.start()
        await second.start()
        await settled(first, second)
    assert [one for one in paged(world) if one.startswith("backend")] == []


async def test_an_acknowledged_dependency_still_carries_what_stands_on_it(
    store: Store, world: World, turned: TurnedClock, two: Make
) -> None:
    first, second = await two(GRAPH)
    await first.fire(alert("Down", "database", "P1"))
    await settled(first, second)
    incident = (await incidents(store))["database"]
    await store.record(incident.id, AcknowledgedBy(at=await store.now(), by="dbteam"))
    await settled(first, second)
    await second.fire(alert("Slow", "api", "P1"))
    await settled(first, second)
    turned.turn(minutes=10)
    await settled(first, second)
    assert [one for one in paged(world) if one.startswith("backend")] == []


async def test_l4_what_is_held_down_when_every_replica_is_killed_is_paged_after_the_start(
    store: Store, world: World, turned: TurnedClock, two: Make
) -> None:
    first, second = await two(GRAPH)
    await first.fire(alert("Slow", "api", "P2"))
    await settled(first, second)
    assert paged(world) == []
    for one in (first, second):
        await one.die()
    turned.turn(minutes=5)
    await second.start()
    await settled(second)
    assert paged(world) == ["backend primary"]


async def test_without_a_graph_windows_or_nights_an_incident_is_paged_as_ever(
    store: Store, world: World, two: Make
) -> None:
    first, second = await two()
    await first.fire(alert("Slow", "api", "P2"), alert("Down", "database", "P3"))
    await settled(first, second)
    assert sorted(paged(world)) == ["backend primary", "dbteam primary"]


async def test_outlines_leave_the_store_with_their_incidents(
    store: Store, two: Make, turned: TurnedClock
) -> None:
    first, second = await two()
    slow = alert("Slow", "api", "P2")
    await first.fire(slow)
    await settled(first, second)
    assert await store.client.hlen(f"{store.base}:outlines") == 2
    await first.resolve(slow)
    await settled(first, second)
    assert await store.client.hlen(f"{store.base}:outlines") == 1


async def test_a_drill_is_paged_beside_what_its_service_stands_on_and_neither_hears_of_the_other(
    store: Store, world: World, two: Make
) -> None:
    first, second = await two(GRAPH)
    await first.fire(alert("Down", "database", "P1"))
    await settled(first, second)
    await second.fire(alert("Exercise", "api", "P1", drill="true"), alert("Slow", "api", "P3", drill="true"))
    await settled(first, second)
    assert sorted(paged(world)) == ["backend primary", "backend primary", "dbteam primary"]
    found = await incidents(store)
    assert (found["api"].drill, found["api"].holds) == (True, ())
    assert found["database"].attached == ()
    assert Reason.ATTACHED not in [reason for reason, _ in await timeline(store, "database")]
    assert [one for one in world.sent if one.effect.text] == []


async def test_what_is_in_earnest_is_not_attached_to_a_drill_beneath_it(
    store: Store, world: World, two: Make
) -> None:
    first, second = await two(GRAPH)
    await first.fire(alert("Exercise", "database", "P1", drill="true"))
    await settled(first, second)
    await second.fire(alert("Slow", "api", "P1"))
    await settled(first, second)
    assert sorted(paged(world)) == ["backend primary", "dbteam primary"]
    assert (await incidents(store))["api"].holds == ()
