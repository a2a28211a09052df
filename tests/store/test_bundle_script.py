"""Who rings a person and who is told with a digest, on the real store: the bound holds whoever asks, and in whatever order."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from bundle_gate import BOUNDS, Gate, said
from clocks import TurnedClock

from responder.incident.severity import Severity
from responder.store import digests
from responder.store.connection import connect
from responder.store.digests import Fold, Wait
from responder.store.store import Store, StoreOptions


@pytest.fixture
def gate(store: Store) -> Gate:
    return Gate(store)


async def test_the_first_few_ring_the_next_one_carries_and_the_rest_is_told_with_it(gate: Gate) -> None:
    assert await gate.many(*range(1, 8)) == ["ring", "ring", "ring", "carry", "in 4", "in 4", "in 4"]
    answer = await gate.ask(8)
    assert isinstance(answer, Fold)
    assert (answer.count, answer.line) == (4, "P3 database: number 8")
    assert answer.carries_for is not None
    assert await gate.listed(4) == {f"{n:016x}": f"P3 database: number {n}" for n in (5, 6, 7, 8)}


async def test_what_rings_goes_on_ringing_and_what_is_told_stays_told(gate: Gate) -> None:
    await gate.many(*range(1, 7))
    assert await gate.many(1, 4, 5, 6, 2) == ["ring", "carry", "in 4", "in 4", "ring"]


async def test_each_person_has_a_count_of_their_own(gate: Gate) -> None:
    await gate.many(*range(1, 5))
    assert await gate.many(10, to="ben") == ["ring"]


async def test_a_new_kind_breaks_through_and_so_does_what_has_become_worse_but_not_without_end(
    gate: Gate,
) -> None:
    await gate.many(*range(1, 6))
    assert await gate.many(5, severity=Severity.P2) == ["new"]
    assert await gate.many(20, kind="Other") == ["new"]
    assert await gate.many(21, 22, kind="Other") == ["in 4", "in 4"]
    assert await gate.many(30, 40, kind="Third") == ["new", "in 4"]
    assert await gate.many(50, kind="Fourth") == ["in 4"]


@pytest.mark.parametrize(
    ("state", "held"), [("acknowledged", False), ("resolved", False), ("triggered", True)]
)
async def test_nothing_is_folded_into_what_nobody_is_paged_for_and_the_next_digest_waits_for_its_turn(
    gate: Gate, turned: TurnedClock, state: str, held: bool
) -> None:
    await gate.many(*range(1, 6))
    await gate.is_in(4, state, held=held)
    answer = await gate.ask(5)
    assert isinstance(answer, Wait)
    assert timedelta(seconds=50) < answer.how_long <= timedelta(minutes=1)
    turned.turn(minutes=1, seconds=1)
    assert await gate.many(5, 6, 7) == ["carry", "in 5", "in 5"]


async def test_a_new_kind_does_not_wait_for_the_next_digest_either(gate: Gate, turned: TurnedClock) -> None:
    await gate.many(*range(1, 6))
    await gate.is_in(4, "acknowledged")
    assert await gate.many(20, 21, kind="Other") == ["new", "wait"]
    assert await gate.many(22, kind="Third") == ["new"]
    assert await gate.many(23, kind="Fourth") == ["wait"]  # no more than two of them
    turned.turn(minutes=1, seconds=1)
    assert await gate.many(21, 23) == ["carry", "in 21"]


async def test_a_storm_is_over_when_nothing_of_it_came_for_a_while(gate: Gate, turned: TurnedClock) -> None:
    await gate.many(*range(1, 6))
    turned.turn(minutes=4)
    assert await gate.many(6) == ["in 4"]
    turned.turn(minutes=6)
    assert await gate.many(7, 8, 9) == ["ring", "ring", "ring"]


async def test_another_person_is_told_with_the_same_page_where_it_rang_them_too(gate: Gate) -> None:
    await gate.many(*range(1, 7))
    assert await gate.many(4, to="ben") == ["ring"]
    assert await gate.many(5, 6, to="ben") == ["in 4", "in 4"]
    answer = await gate.ask(5, to="cy")
    assert isinstance(answer, Fold)
    assert answer.carries_for is None
    assert await gate.many(5, to="cy", deaf=[f"{4:016x}"]) == ["ring"]


async def test_a_page_that_did_not_arrive_tells_nobody_and_the_next_one_carries_at_once(gate: Gate) -> None:
    await gate.many(*range(1, 7))
    lost = [f"{4:016x}"]
    assert await gate.many(5, deaf=lost, never_rang=True) == ["carry"]
    assert await gate.many(6, deaf=lost) == ["in 5"]
    assert await gate.many(6, 8) == ["in 5", "in 5"]
    assert f"{5:016x}" not in await gate.listed(4)


async def test_a_digest_that_never_arrived_delays_no_other_whatever_else_is_asked_first(gate: Gate) -> None:
    await gate.many(*range(1, 6))
    await gate.many(*range(11, 15), to="ben")
    assert await gate.many(20, to="ben") == ["in 14"]
    lost, others = f"{4:016x}", f"{14:016x}"
    assert await gate.many(20, deaf=[lost], never_rang=True) == ["in 14"]
    assert await gate.many(20, deaf=[lost, others]) == ["carry"]


async def test_a_digest_that_is_full_is_followed_by_another(
    gate: Gate, turned: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "FOLDED_LIMIT", 2)
    assert await gate.many(*range(1, 8)) == ["ring", "ring", "ring", "carry", "in 4", "in 4", "wait"]
    turned.turn(minutes=1, seconds=1)
    assert await gate.many(7, 8) == ["carry", "in 7"]


async def test_who_was_told_is_named_until_they_know_and_who_has_left_is_counted_once(gate: Gate) -> None:
    await gate.many(*range(1, 8))
    carrier = f"{4:016x}"
    found = await gate.digests.due(carrier, 100)
    assert (found.paged, found.episode) == (True, 1)
    folded = sorted(found.folded, key=lambda one: one.id)
    assert [(int(one.id, 16), one.episode, one.state) for one in folded] == [
        (n, 1, "triggered") for n in (5, 6, 7)
    ]
    await gate.digests.told(carrier, folded[:2])
    assert [one.id for one in (await gate.digests.due(carrier, 100)).folded] == [f"{7:016x}"]
    assert [await gate.digests.leave(f"{n:016x}", carrier) for n in (5, 5, 6)] == [1, 1, 2]
    assert await gate.digests.leave(f"{9:016x}", carrier) is None
    back = await gate.ask(5)
    assert isinstance(back, Fold)
    assert (back.count, back.over, back.alike) == (3, 1, 3)


async def test_five_hundred_at_once_over_two_replicas_ring_no_more_than_the_bound(
    store: Store, store_url: str, store_name: str, turned: TurnedClock
) -> None:
    other = connect(store_url)
    gates = [Gate(store), Gate(Store(other, store_name, StoreOptions(), shift=turned))]
    try:
        for number in range(1, 501):
            await gates[0].is_in(number)
        seats = asyncio.Semaphore(30)  # who waits for a connection for seconds is refused one

        async def ask(number: int) -> str:
            async with seats:
                return said(await gates[number % 2].ask(number, kind=f"Kind{number % 9}", to="ana"))

        answers = await asyncio.gather(*(ask(number) for number in range(1, 501)))
    finally:
        await other.aclose()
    rang = [one for one in answers if not one.startswith("in ")]
    assert rang.count("carry") == 1
    assert rang.count("ring") == BOUNDS.after
    assert rang.count("new") == BOUNDS.new_kinds
    assert len(rang) == BOUNDS.after + BOUNDS.new_kinds + 1
    (carrier,) = {one for one in answers if one.startswith("in ")}
    assert len(await gates[0].listed(int(carrier[3:]))) == 500 - len(rang)


async def test_what_is_worse_is_not_told_with_a_digest_of_less_and_its_new_kinds_are_its_own(
    gate: Gate,
) -> None:
    await gate.many(*range(1, 5), severity=Severity.P4)
    assert await gate.many(5, severity=Severity.P4, kind="B") == ["new"]
    assert await gate.many(6, severity=Severity.P4, kind="C") == ["new"]
    assert await gate.many(7, severity=Severity.P4, kind="D") == ["in 4"]
    assert await gate.many(11, severity=Severity.P2, kind="E") == ["new"]
    assert await gate.many(12, severity=Severity.P2, kind="F") == ["new"]
    assert await gate.many(13, 14, 15, severity=Severity.P2, kind="F") == ["carry", "in 13", "in 13"]
    assert await gate.many(16, severity=Severity.P4, kind="D") == ["in 4"]  # each has a digest of its own


async def test_what_is_less_severe_is_told_with_a_worse_digest_where_it_has_none(gate: Gate) -> None:
    await gate.many(*range(1, 6), severity=Severity.P2)
    assert await gate.many(6, 7, 8, severity=Severity.P4) == ["new", "in 4", "in 4"]
    assert await gate.many(8, severity=Severity.P4, unfit=[f"{4:016x}"]) == ["wait"]
    assert await gate.many(9, severity=Severity.P4) == ["in 4"]  # it tells others still


@pytest.mark.parametrize("state", ["acknowledged", "resolved"])
async def test_what_rings_just_when_its_digest_is_over_still_hears_what_became_of_that(
    gate: Gate, state: str
) -> None:
    await gate.many(*range(1, 6))
    await gate.is_in(4, state)
    assert await gate.many(5, kind="Other") == ["new"]
    assert [one.id for one in (await gate.digests.due(f"{4:016x}", 100)).folded] == [f"{5:016x}"]


async def test_what_was_in_a_digest_that_is_over_is_not_counted_in_the_next_one_of_the_same_incident(
    gate: Gate,
) -> None:
    await gate.many(*range(1, 8))
    carrier = f"{4:016x}"
    await gate.is_in(4, "acknowledged")
    await gate.digests.leave(f"{6:016x}", carrier)
    await gate.digests.told(carrier, (await gate.digests.due(carrier, 100)).folded)
    assert len(await gate.listed(4)) == 3  # people may look at what it was
    await gate.is_in(4, episode=2)
    answer = await gate.ask(8)
    assert isinstance(answer, Fold)
    assert (answer.into, answer.count, answer.over) == (carrier, 1, None)
    assert await gate.listed(4) == {f"{8:016x}": "P3 database: number 8"}


async def test_a_digest_is_known_for_as_long_as_its_incidents_may_fire_however_soon_closed_ones_are_forgotten(
    store: Store, store_name: str, turned: TurnedClock
) -> None:
    soon = StoreOptions(retention=timedelta(minutes=5))
    gate = Gate(Store(store.client, store_name, soon, shift=turned))
    await gate.many(*range(1, 6))
    folded = f"{store.base}:folded:{4:016x}"
    for key in (folded, f"{folded}:due", f"{store.base}:told_in:{5:016x}"):
        assert await store.client.pttl(key) > timedelta(days=29) / timedelta(milliseconds=1)
