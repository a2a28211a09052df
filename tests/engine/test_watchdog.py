"""Each state that cannot be, made by hand on the real store, found, mended, counted and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from daemon import alert, webhook_body
from house import House, Replica, house

from responder.engine.watchdog import EVERY, SAYS, Watchdog
from responder.incident.facts import ResolvedBy
from responder.store import mending
from responder.store.mending import INCIDENTS_AT_ONCE, Finding, Kind, Mender
from responder.store.store import Store, to_ms


class Walk:
    """A watchdog that is walked by hand, and what it said."""

    def __init__(self, home: House, replica: Replica) -> None:
        self.home, self.replica = home, replica
        self.counted: Counter[Kind] = Counter()
        self.told: list[Kind] = []
        self.client, self.base = home.store.client, home.store.base
        self.dog = Watchdog(
            Mender(home.store), replica.signs, replica.engine, count=self._count, tell=self._tell
        )

    def _count(self, kind: Kind, number: int) -> None:
        self.counted[kind] += number

    async def _tell(self, kind: Kind, text: str) -> None:
        self.told.append(kind)
        await self.replica.intake.notices.tell("ResponderWatchdogRepair", text, {"kind": str(kind)})

    async def steps(self, count: int = 3) -> None:
        for _ in range(count):
            self.home.turned.turn(seconds=EVERY.total_seconds())
            await self.dog.once()
        await self.home.settle()

    async def fire(self, number: int = 1) -> str:
        """An incident; its id."""
        await self.replica.take(webhook_body(alert(number)))
        await self.home.settle()
        return (await self.replica.listed())[-1].id

    def key(self, *parts: str) -> str:
        return ":".join((self.base, *parts))

    async def do(self, *command: Any) -> Any:
        return await self.client.execute_command(*command)

    async def wakes_at(self, incident: str) -> float | None:
        for index in ("u", "n"):
            found = await self.do("ZSCORE", self.key("w", index), incident)
            if found is not None:
                return float(found)
        return None


@pytest.fixture
async def walk(store: Store, turned: Any, tmp_path: Path) -> AsyncIterator[Walk]:
    async with house(store, turned, tmp_path) as home:
        yield Walk(home, await home.replica())


def said(walk: Walk, kind: Kind, number: int = 1) -> None:
    """It was found, counted as often as it was there, and told once."""
    assert walk.counted == {kind: number}
    assert walk.told == [kind]


async def test_it_finds_nothing_where_nothing_is_wrong(walk: Walk) -> None:
    for number in range(1, 8):
        await walk.fire(number)
    walk.home.world.down = {"chat"}
    for minutes in (1, 4, 6, 30, 60):
        await walk.home.after(minutes=minutes)
        await walk.steps(2)
    assert walk.counted == {}


async def test_an_open_incident_in_no_index_of_what_wakes_is_woken(walk: Walk) -> None:
    incident = await walk.fire()
    await walk.do("ZREM", walk.key("w", "u"), incident)
    await walk.home.after(minutes=6)
    assert walk.home.pages() == ["primary dbteam"]  # nobody would ever have been told again
    await walk.steps()
    said(walk, Kind.NO_WAKE)
    assert {"primary dbteam", "secondary platform"} <= set(walk.home.pages())
    titles = [one.title for one in await walk.replica.listed() if one.service == "responder"]
    assert len(titles) == 1
    assert "open incidents were in no index of what is to be woken" in titles[0]


async def test_an_open_incident_without_a_next_step_is_woken(walk: Walk) -> None:
    incident = await walk.fire()
    await walk.do("HSET", walk.key("i", incident), "wk", "0")
    await walk.steps()
    said(walk, Kind.NO_NEXT_STEP)


async def test_one_that_would_be_woken_later_than_it_asked_for_is_woken_on_time(walk: Walk) -> None:
    incident = await walk.fire()
    asked_for = await walk.wakes_at(incident)
    await walk.do("ZADD", walk.key("w", "u"), to_ms(await walk.home.store.now()) + 86_400_000, incident)
    await walk.steps()
    said(walk, Kind.WAKES_LATE)
    assert await walk.wakes_at(incident) == asked_for


async def test_a_lease_that_would_never_end_is_ended(walk: Walk) -> None:
    incident = await walk.fire()
    far = to_ms(await walk.home.store.now()) + 86_400_000
    await walk.do("HSET", walk.key("i", incident), "lt", "a dead replica", "lu", str(far))
    await walk.home.after(minutes=6)
    assert walk.home.pages() == ["primary dbteam"]
    await walk.steps()
    assert walk.counted[Kind.LEASE] == 1
    assert "secondary platform" in walk.home.pages()


async def test_what_stays_overdue_is_woken_once_more_and_counts_only_where_it_lasts(walk: Walk) -> None:
    incident = await walk.fire()
    await walk.replica.fall_asleep()  # nobody works
    walk.home.turned.turn(minutes=10)
    await walk.dog.once()
    assert walk.counted == {}
    walk.home.turned.turn(seconds=10)
    await walk.dog.once()
    said(walk, Kind.OVERDUE)
    again = await walk.home.replica()
    await walk.home.settle()
    assert incident in [one.id for one in await again.listed()]


async def test_a_mark_of_an_acknowledgement_that_does_not_exist_is_taken_away(walk: Walk) -> None:
    incident = await walk.fire()
    await walk.do("HSET", walk.key("i", incident), "mark", "999")
    await walk.home.after(minutes=6)
    assert walk.home.pages() == ["primary dbteam"]  # no page starts over an acknowledgement on disk
    await walk.steps()
    said(walk, Kind.MARK)
    await walk.home.after(seconds=1)
    assert "secondary platform" in walk.home.pages()


async def test_a_listed_incident_that_does_not_exist_is_taken_out(walk: Walk) -> None:
    await walk.do("ZADD", walk.key("x", "open"), 1, "f" * 16)
    await walk.do("ZADD", walk.key("x", "all"), 1, "f" * 16)
    await walk.steps()
    said(walk, Kind.NO_INCIDENT)
    assert await walk.do("ZCARD", walk.key("x", "open")) == 1  # the one that tells of it
    assert await walk.do("ZSCORE", walk.key("x", "all"), "f" * 16) is None


async def test_a_closed_incident_among_the_open_ones_is_taken_out_and_expires(walk: Walk) -> None:
    incident = await walk.fire()
    await walk.replica.desk.record(incident, ResolvedBy(at=await walk.home.store.now(), by="ana"))
    await walk.home.settle()
    await walk.do("ZADD", walk.key("x", "open"), 1, incident)
    await walk.do("ZREM", walk.key("x", "closed"), incident)
    await walk.do("PERSIST", walk.key("i", incident))
    await walk.steps()
    said(walk, Kind.CLOSED_LISTED)
    assert await walk.do("ZSCORE", walk.key("x", "closed"), incident) is not None
    assert await walk.do("TTL", walk.key("i", incident)) > 0


async def test_an_open_incident_that_its_key_does_not_find_gets_it_back(walk: Walk) -> None:
    incident = await walk.fire()
    key = (await walk.replica.listed())[0].key
    await walk.do("DEL", walk.key("k", key))
    await walk.steps()
    said(walk, Kind.KEY_LOST)
    assert await walk.do("GET", walk.key("k", key)) == incident.encode()


@pytest.mark.parametrize("closed", [True, False])
async def test_a_key_that_points_nowhere_is_dropped(walk: Walk, *, closed: bool) -> None:
    target = "f" * 16
    if closed:
        target = await walk.fire()
        await walk.replica.desk.record(target, ResolvedBy(at=await walk.home.store.now(), by="ana"))
    await walk.do("SET", walk.key("k", "ab" * 16), target)
    await walk.steps()
    said(walk, Kind.KEY_NOWHERE)
    assert await walk.do("EXISTS", walk.key("k", "ab" * 16)) == 0


async def test_not_even_before_that_does_a_key_that_points_nowhere_swallow_an_alert(walk: Walk) -> None:
    key = walk.replica.rules.match(alert(1)["labels"]).key
    await walk.do("SET", walk.key("k", key), "f" * 16)
    await walk.fire()
    assert walk.home.pages() == ["primary dbteam"]


async def test_effects_that_no_index_names_are_performed(walk: Walk) -> None:
    walk.home.world.down = {"chat"}
    await walk.fire()
    [lane] = await walk.do("ZRANGE", walk.key("q", "chat", "u"), 0, -1)
    await walk.do("ZREM", walk.key("q", "chat", "u"), lane)
    walk.home.world.down = set()
    await walk.home.after(minutes=1)
    assert walk.home.pages() == []  # a page that nobody would ever have sent
    await walk.steps()
    said(walk, Kind.LANE_LOST)
    assert "primary dbteam" in walk.home.pages()


async def test_a_lane_without_effects_leaves_the_index(walk: Walk) -> None:
    await walk.replica.fall_asleep()
    await walk.do("SADD", walk.key("queues"), "chat")
    await walk.do("ZADD", walk.key("q", "chat", "n"), 1, "ab" * 8)
    walk.home.turned.turn(seconds=10)
    await walk.dog.once()
    assert walk.counted == {Kind.LANE_EMPTY: 1}
    assert await walk.do("ZCARD", walk.key("q", "chat", "n")) == 0


async def test_an_effect_that_was_put_off_for_too_long_is_performed(walk: Walk) -> None:
    walk.home.world.down = {"chat"}
    await walk.fire()
    [lane] = await walk.do("ZRANGE", walk.key("q", "chat", "u"), 0, -1)
    await walk.do("ZADD", walk.key("q", "chat", "u"), to_ms(await walk.home.store.now()) + 86_400_000, lane)
    walk.home.world.down = set()
    await walk.home.after(minutes=2)
    assert walk.home.pages() == []
    await walk.steps()
    said(walk, Kind.LANE_LATE)
    assert "primary dbteam" in walk.home.pages()


async def test_an_effect_that_has_outlived_its_use_is_offered_again_to_be_dropped(walk: Walk) -> None:
    await walk.fire()
    head = await _expired_update(walk)
    assert head
    await walk.replica.fall_asleep()
    walk.home.turned.turn(minutes=30)
    await walk.dog.once()
    assert Kind.EFFECT_OLD not in walk.counted
    walk.home.turned.turn(seconds=10)
    await walk.dog.once()
    assert walk.counted[Kind.EFFECT_OLD] == 1
    await walk.home.replica()
    await walk.home.settle()


async def _expired_update(walk: Walk) -> Any:
    """An update that waits behind a channel that is down."""
    walk.home.world.down = {"chat"}
    now = await walk.home.store.now()
    ended = (now + timedelta(seconds=1)).isoformat()
    one = {**alert(1, status="resolved", started="2026-11-24T03:00:00Z"), "endsAt": ended}
    await walk.replica.take(webhook_body(one))
    await walk.home.after(seconds=6)
    [lane] = await walk.do("ZRANGE", walk.key("q", "chat", "u"), 0, -1)
    return await walk.do("LINDEX", walk.key("l", lane.decode()), 0)


async def test_counts_that_are_wrong_are_counted_anew(walk: Walk) -> None:
    await walk.fire(1)
    await walk.fire(2)
    right = await walk.replica.reader.shared()
    await walk.do("HINCRBY", walk.key("gauge"), "database|P1|triggered", 5)
    await walk.do("HSET", walk.key("gauge"), "database|P4|monitoring", 3)
    await walk.do("HSET", walk.key("gauge"), "gone|P4|monitoring", 0)
    walk.home.turned.turn(seconds=10)
    await walk.dog.once()
    assert walk.counted == {Kind.GAUGE: 3}
    counts, *_ = await walk.replica.reader.shared()
    assert {labels: count for labels, count in counts.items() if labels[0] != "responder"} == right[0]


async def test_the_same_finding_many_times_pages_once(walk: Walk) -> None:
    for number in range(1, 6):
        incident = await walk.fire(number)
        await walk.do("ZREM", walk.key("w", "u"), incident)
    await walk.steps()
    said(walk, Kind.NO_WAKE, 5)
    incident = await walk.fire(9)
    await walk.do("ZREM", walk.key("w", "u"), incident)
    await walk.steps()
    own = [one for one in await walk.replica.listed() if one.service == "responder"]
    assert len(own) == 1
    assert walk.counted == {Kind.NO_WAKE: 6}


async def test_it_goes_round_a_few_at_a_time_and_forgets_none(
    walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mending, "INCIDENTS_AT_ONCE", 3)
    for number in range(1, 9):
        await walk.fire(number)
    ids = [one.id for one in await walk.replica.listed()]
    await walk.do("ZREM", walk.key("w", "u"), *ids)
    mender = Mender(walk.home.store)
    steps = []
    for _ in range(3):
        complete, found = await mender.incidents()
        steps.append((complete, [one.what for one in found if one.kind is Kind.NO_WAKE]))
    assert [len(found) for _, found in steps] == [3, 3, 2]
    assert [complete for complete, _ in steps] == [False, False, True]
    assert sorted(one for _, found in steps for one in found) == sorted(ids)
    assert INCIDENTS_AT_ONCE == 200


async def test_two_replicas_share_the_work(walk: Walk) -> None:
    other = Walk(walk.home, await walk.home.replica())
    incident = await walk.fire()
    await walk.do("ZREM", walk.key("w", "u"), incident)
    for _ in range(4):
        walk.home.turned.turn(seconds=10)
        await walk.dog.once()
        await other.dog.once()
        assert await walk.do("ZCARD", walk.key("turns")) == 1
    assert walk.counted + other.counted == Counter({Kind.NO_WAKE: 1})


async def test_when_it_last_ran_is_known_to_all(walk: Walk) -> None:
    assert (await walk.replica.signs.vitals()).watchdog_at is None
    await walk.steps(1)
    at = (await walk.replica.signs.vitals()).watchdog_at
    assert at is not None
    assert abs(at - await walk.home.store.now()) < timedelta(seconds=5)


def test_every_kind_has_words() -> None:
    assert set(SAYS) == set(Kind)


async def _calls(walk: Walk) -> int:
    """How many commands the server has run so far, those inside of scripts too."""
    stats = await walk.client.info("commandstats")
    return sum(one["calls"] for one in stats.values())


async def _step(walk: Walk) -> int:
    """One step; how many commands it took."""
    before = await _calls(walk)
    walk.home.turned.turn(seconds=EVERY.total_seconds())
    await walk.dog.once()
    return await _calls(walk) - before


async def test_l6_a_step_costs_what_is_open_and_no_more_than_its_share_of_it(
    walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mending, "INCIDENTS_AT_ONCE", 10)
    monkeypatch.setattr(
        mending, "RECOUNT_LIMIT", 0
    )  # what is open is counted in one step, if it is not too much
    monkeypatch.setattr(mending, "KEYS_AT_ONCE", 10)
    for number in range(1, 11):
        await walk.fire(number)
    share = max([await _step(walk) for _ in range(4)])
    for number in range(11, 61):
        await walk.fire(number)
    # Six times as much is open: a step looks at as much as before, and comes round later.
    assert max([await _step(walk) for _ in range(8)]) < share * 1.5
    for number in range(1, 61):  # what is over costs nothing
        incident = (await walk.replica.listed())[number - 1].id
        await walk.replica.desk.record(incident, ResolvedBy(at=await walk.home.store.now(), by="ana"))
    await walk.home.settle()
    assert max([await _step(walk) for _ in range(8)]) < share
    assert walk.counted == {}


async def test_l6_a_watchdog_that_does_not_come_to_its_end_has_not_run(
    walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alarm of its own is ``ResponderWatchdogStopped``, which looks at this time and nothing else."""
    await walk.steps(1)
    ran = (await walk.replica.signs.vitals()).watchdog_at

    async def broken(_self: Mender) -> list[Finding]:
        raise LookupError("a mistake of ours")

    with monkeypatch.context() as broke:
        broke.setattr(Mender, "keys", broken)
        for _ in range(12):
            walk.home.turned.turn(seconds=EVERY.total_seconds())
            with pytest.raises(LookupError):
                await walk.dog.once()
    vitals = await walk.replica.signs.vitals()
    assert ran is not None
    assert vitals.watchdog_at == ran
    assert vitals.now - ran > timedelta(seconds=100)
    await walk.steps(1)
    ran_again = (await walk.replica.signs.vitals()).watchdog_at
    assert ran_again is not None
    assert ran_again > ran


async def test_l6_an_effect_that_it_cannot_read_does_not_stop_it(walk: Walk) -> None:
    walk.home.world.down = {"chat"}
    await walk.fire()
    [lane] = await walk.do("ZRANGE", walk.key("q", "chat", "u"), 0, -1)
    head = await walk.do("LINDEX", walk.key("l", lane.decode()), 0)
    await walk.do("LSET", walk.key("l", lane.decode()), 0, head.rsplit(b"|", 1)[0] + b'|{"effect":"pigeon"}')
    await walk.steps(2)
    assert (await walk.replica.signs.vitals()).watchdog_at is not None
    await walk.do("LSET", walk.key("l", lane.decode()), 0, head)
