"""Storms on the real store, by a clock that is turned by hand: who is paged, what is told together, and what becomes of it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from clocks import TurnedClock
from stage import after
from storm import BOUNDS, BundledWorld, Storm
from storm_simulation import StormSimulation
from world import OneRow

from responder.incident.digest import present
from responder.incident.facts import SnoozedBy
from responder.incident.message import MessageKind, Wanted
from responder.incident.policy import AcknowledgementPolicy
from responder.incident.severity import Level, Severity
from responder.incident.state import Acknowledged, PageStatus, Triggered
from responder.paging import bundles
from responder.store.digests import FoldedLists
from responder.store.store import Store


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no store that is away."""
    monkeypatch.setattr(bundles, "ASK_LIMIT", 5.0)


@pytest.fixture
async def storm(store: Store, turned: TurnedClock) -> AsyncIterator[Storm]:
    async with Storm(store, turned, BundledWorld(random.Random(1)), OneRow(("chat", "mail"))) as found:
        yield found


async def test_what_is_folded_is_told_once_and_hears_nothing_by_itself(storm: Storm) -> None:
    await storm.fire(*range(10))
    await storm.soon()
    assert len(storm.rung()) == 4
    carrier = next(one for one in await storm.incidents() if one.digest is not None)
    assert carrier.digest is not None
    assert (carrier.digest.count, carrier.digest.services) == (6, ("database",))
    folded = [one for one in await storm.incidents() if one.pages[0].told_in]
    assert {one.pages[0].told_in for one in folded} == {carrier.id}
    before = len(storm.world.sent)
    gone = [int(one.title.rsplit(" ", 1)[1]) for one in folded[:2]]
    await storm.resolve(*gone)
    await storm.soon()
    assert [sent for sent in storm.world.sent[before:] if sent.effect.incident != carrier.id] == []
    carrier = next(one for one in await storm.incidents() if one.digest is not None)
    assert carrier.digest is not None
    assert carrier.digest.over == 2
    await storm.after(seconds=60)
    (update,) = [one for one in storm.world.sent[before:] if one.effect.incident == carrier.id]
    assert (
        update.effect.text
        == "Digest: 6 more incidents of 1 service, 2 of them over or paged by themselves: 6 of P3 Same; newest: "
        + (carrier.digest.newest[0].line)
    )


async def test_an_acknowledged_digest_pages_no_further_level_and_reminds_once(storm: Storm) -> None:
    await storm.fire(*range(10))
    await storm.soon()
    carrier = next(one for one in await storm.incidents() if one.digest is not None)
    await storm.acknowledge(carrier.id)
    states = [one.state for one in await storm.incidents()]
    assert sum(isinstance(state, Acknowledged) for state in states) == 7
    assert sum(isinstance(state, Acknowledged) and state.digest == carrier.id for state in states) == 6
    rang_alone = set(storm.rung()) - {carrier.id}
    await storm.after(minutes=81)
    assert set(storm.rung("platform")) == rang_alone


STANDING = AcknowledgementPolicy(remind_after=timedelta(minutes=10), lapse_after=timedelta(minutes=60))


@pytest.mark.parametrize("carrier_is_over", [False, True])
async def test_one_reminder_stands_for_all_that_was_taken_with_a_digest_even_when_its_incident_is_over(
    store: Store, turned: TurnedClock, *, carrier_is_over: bool
) -> None:
    world = BundledWorld(random.Random(1))
    async with Storm(store, turned, world, OneRow(("chat",), standing=STANDING)) as storm:
        await storm.fire(*range(10))
        await storm.soon()
        carrier = next(one for one in await storm.incidents() if one.digest is not None)
        await storm.acknowledge(carrier.id)
        if carrier_is_over:
            await storm.resolve(int(carrier.title.rsplit(" ", 1)[1]))
        taken = {one.id for one in await storm.incidents() if isinstance(one.state, Acknowledged)}
        for number in (1, 2):
            before = len(world.sent)
            await storm.after(minutes=10)
            for _ in range(2):
                await storm.soon()
            reminded = [
                sent.effect for sent in world.sent[before:] if sent.effect.wanted is Wanted.ACKNOWLEDGED
            ]
            assert len(reminded) == 1
            assert reminded[0].incident in taken
            asked = [
                page
                for one in await storm.incidents()
                for page in one.pages
                if page.wanted is Wanted.ACKNOWLEDGED
            ]
            assert len(asked) == number * len(taken)
            assert sum(not page.told_in for page in asked) == number


async def test_where_the_reminder_that_stood_for_others_does_not_arrive_another_one_does(
    store: Store, turned: TurnedClock
) -> None:
    world = BundledWorld(random.Random(1))
    async with Storm(store, turned, world, OneRow(("chat", "mail"), standing=STANDING)) as storm:
        await storm.fire(*range(10))
        await storm.soon()
        carrier = next(one for one in await storm.incidents() if one.digest is not None)
        await storm.acknowledge(carrier.id)
        world.down = {"chat"}
        before = len(world.sent)
        await storm.after(minutes=10)
        for _ in range(20):
            await storm.after(seconds=5)
        reminded = [sent.effect for sent in world.sent[before:] if sent.effect.wanted is Wanted.ACKNOWLEDGED]
        assert [one.channel for one in reminded] == ["mail"]


async def test_a_digest_whose_page_never_arrives_is_followed_by_another_one(storm: Storm) -> None:
    storm.world.away = {"dbteam"}
    await storm.fire(*range(8))
    await storm.after(seconds=31)
    await storm.soon()
    assert storm.rung() == []
    storm.world.away = set()
    for _ in range(20):
        await storm.after(seconds=10)
    found = await storm.incidents()
    assert all(any(page.status is PageStatus.DELIVERED for page in one.pages) for one in found)
    assert len(storm.rung()) <= BOUNDS.after + 3
    assert {one.id for one in found if any(page.told_in for page in one.pages)} | set(storm.rung()) == {
        one.id for one in found
    }


async def test_a_digest_whose_news_does_not_get_through_tells_of_nothing_more(storm: Storm) -> None:
    await storm.fire(*range(10))
    await storm.soon()
    carrier = next(one for one in await storm.incidents() if one.digest is not None)
    storm.world.down = {"chat"}
    await storm.after(minutes=1)  # its first news
    await storm.fire(*range(20, 25))
    for _ in range(12):
        await storm.after(seconds=10)
    late = [await storm.numbered(number) for number in range(20, 25)]
    assert carrier.id not in {page.told_in for one in late for page in one.pages}
    assert [
        sent.effect.channel for sent in storm.world.sent if sent.effect.incident in {one.id for one in late}
    ]
    assert all(any(page.status is PageStatus.DELIVERED for page in one.pages) for one in late)
    storm.world.down = set()
    await storm.after(minutes=1)
    carrier = next(one for one in await storm.incidents() if one.id == carrier.id)
    assert not any(page.mute for page in carrier.pages)


async def test_a_later_channel_is_folded_as_well(store: Store, turned: TurnedClock) -> None:
    world = BundledWorld(random.Random(1))
    async with Storm(store, turned, world, OneRow(("chat", after(2, "phone")))) as storm:
        await storm.fire(*range(10))
        await storm.soon()
        await storm.after(minutes=2)
        await storm.soon()
        phone = [sent.effect for sent in world.sent if sent.effect.channel == "phone"]
        rang = [effect.incident for effect in phone if effect.kind is MessageKind.PAGE]
        assert sorted(rang) == sorted(storm.rung())
        assert len(rang) == 4
        assert all(
            page.status is PageStatus.DELIVERED for one in await storm.incidents() for page in one.pages
        )


async def test_two_people_of_a_level_each_get_a_digest(store: Store, turned: TurnedClock) -> None:
    world = BundledWorld(random.Random(1))
    world.on_call = lambda names, _: {name: ("ana", "ben") if name == "dbteam" else (name,) for name in names}
    rows = OneRow(("chat",))
    async with Storm(store, turned, world, rows) as storm:
        await storm.fire(*range(12))
        await storm.soon()
        for _ in range(8):
            await storm.soon()
        assert 4 <= len(storm.rung("ana")) <= 5
        assert 4 <= len(storm.rung("ben")) <= 5
        carriers = [one for one in await storm.incidents() if one.digest is not None]
        most = max(
            carriers, key=lambda one: one.digest.count if one.digest else 0
        )  # one tells one of them only
        await storm.acknowledge(most.id)
        taken = [one for one in await storm.incidents() if isinstance(one.state, Acknowledged)]
        assert len(taken) >= 7


async def test_the_next_level_gets_one_page_of_the_digest(storm: Storm) -> None:
    await storm.fire(*range(6))
    await storm.soon()
    await storm.after(minutes=81)  # a third of the response time of a P3
    for _ in range(4):
        await storm.soon()
    assert len(storm.rung("platform")) == 4
    for one in await storm.incidents():
        assert [page.status for page in one.pages if page.level is Level.SECONDARY] == [PageStatus.DELIVERED]


async def test_what_rises_to_p1_is_paged_by_itself_at_once_and_is_not_taken_with_the_digest(
    storm: Storm,
) -> None:
    await storm.fire(*range(10))
    await storm.soon()
    folded = next(one for one in await storm.incidents() if one.pages[0].told_in)
    carrier = folded.pages[0].told_in
    await storm.rise(int(folded.title.rsplit(" ", 1)[1]), Severity.P1)
    assert storm.rung()[-1] == folded.id
    await storm.acknowledge(carrier)
    (risen,) = [one for one in await storm.incidents() if one.id == folded.id]
    assert isinstance(risen.state, Triggered)
    (digest,) = [one.digest for one in await storm.incidents() if one.id == carrier]
    assert digest is not None
    assert digest.over == 1
    assert digest.counted == "6 more incidents of 1 service, 1 of them over or paged by itself"
    (listed,) = [
        one for one in await FoldedLists(storm.store).listed(carrier) if one.left and one.state == "triggered"
    ]
    assert (listed.id, listed.shown) == (folded.id, f"{listed.line} (P1 by now)")


async def test_a_digest_that_ends_unanswered_leaves_nothing_behind(storm: Storm) -> None:
    await storm.fire(*range(10))
    await storm.soon()
    carrier = next(one for one in await storm.incidents() if one.digest is not None)
    await storm.resolve(int(carrier.title.rsplit(" ", 1)[1]))
    await storm.soon()
    waiting = [one for one in await storm.incidents() if one.episode.anew]
    assert len(waiting) == 6
    assert all(one.pages[-1].waits_until is not None for one in waiting)  # the next digest comes in its turn
    await storm.after(minutes=1)
    for _ in range(3):
        await storm.soon()
    assert len(storm.rung()) == 5
    assert sum(bool(one.pages[-1].told_in) for one in await storm.incidents()) == 5


async def test_a_digest_that_is_snoozed_pages_anew_what_still_fires_when_the_time_is_over(
    storm: Storm,
) -> None:
    await storm.fire(*range(10))
    await storm.soon()
    carrier = next(one for one in await storm.incidents() if one.digest is not None)
    now = await storm.store.now()
    await storm.store.record(carrier.id, SnoozedBy(at=now, by="ana", until=now + timedelta(minutes=10)))
    await storm.settled()
    taken = {one.id for one in await storm.incidents() if isinstance(one.state, Acknowledged)}
    assert len(taken) == 7
    await storm.after(minutes=10, seconds=1)
    for _ in range(3):
        await storm.after(minutes=1, seconds=1)
        await storm.soon()
    again = [one for one in await storm.incidents() if one.id in taken]
    assert all(isinstance(one.state, Triggered) for one in again)
    assert all(one.pages[-1].status is PageStatus.DELIVERED for one in again)


async def test_a_carrier_that_fires_again_tells_only_of_what_is_told_with_it_since(storm: Storm) -> None:
    await storm.fire(*range(10))
    await storm.soon()
    carrier = next(one for one in await storm.incidents() if one.digest is not None)
    number = int(carrier.title.rsplit(" ", 1)[1])
    await storm.resolve(number)
    await storm.after(minutes=1, seconds=1)
    await storm.soon()
    await storm.fire(number)
    await storm.soon()
    carrier = next(one for one in await storm.incidents() if one.id == carrier.id)
    assert present(carrier.digest) is None
    following = next(one for one in await storm.incidents() if present(one.digest) is not None)
    assert following.id != carrier.id


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_nothing_is_left_to_a_digest_that_is_over(
    store: Store, turned: TurnedClock, seed: int
) -> None:
    simulation: Any = StormSimulation(store, turned, seed)
    async with simulation:
        await simulation.run(60)
