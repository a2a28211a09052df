"""Who rings a person and who is told with a digest, on the real store: the bound holds whoever asks, and in whatever order."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from conftest import TurnedClock
from stage import Play

from responder.incident.severity import Severity
from responder.incident.state import Incident
from responder.store import digests
from responder.store.connection import connect
from responder.store.digests import Answer, Bounds, Carry, Digests, Fold, FoldedLists, Ring, Wait
from responder.store.store import Store, StoreOptions

BOUNDS = Bounds(
    after=3, within=timedelta(minutes=5), new_kinds=2, digest_every=timedelta(minutes=1)
)  # fmt: skip
TEMPLATE = Play(Severity.P3).incident


def incident(number: int, kind: str = "Same", severity: Severity = Severity.P3) -> Incident:
    return msgspec.structs.replace(
        TEMPLATE,
        id=f"{number:016x}",
        labels={"alertname": kind},
        severity=severity,
        title=f"number {number}",
    )


class Gate:
    """Asks, and keeps the incidents in the store as the engine would."""

    def __init__(self, store: Store, bounds: Bounds = BOUNDS) -> None:
        self.store, self.digests = store, Digests(store, bounds)

    async def is_in(self, number: int, state: str = "triggered", *, held: bool = False) -> None:
        snapshot = '{"holds":[{"kind":"maintenance"}]}' if held else '{"holds":[]}'
        key = f"{self.store.base}:i:{number:016x}"
        await self.store.client.hset(key, mapping={"st": state, "snap": snapshot})
        await self.store.client.pexpire(key, 600_000)

    async def ask(
        self,
        number: int,
        to: str = "ana",
        kind: str = "Same",
        severity: Severity = Severity.P3,
        **more: Any,
    ) -> Answer:
        if not await self.store.client.exists(f"{self.store.base}:i:{number:016x}"):
            await self.is_in(number)
        return await self.digests.ask(incident(number, kind, severity), to, **more)

    async def listed(self, number: int) -> dict[str, str]:
        return {one.id: one.line for one in await FoldedLists(self.store).all(f"{number:016x}")}

    async def many(self, *numbers: int, **more: Any) -> list[str]:
        return [said(await self.ask(number, **more)) for number in numbers]


def said(answer: Answer) -> str:
    match answer:
        case Ring(new):
            return "new" if new else "ring"
        case Carry():
            return "carry"
        case Wait():
            return "wait"
        case Fold(into=into):
            return f"in {int(into, 16)}"


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
    assert await gate.many(30, kind="Third") == ["in 4"]


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
    assert (found.state, found.paged) == ("triggered", True)
    assert sorted(found.folded) == [(f"{n:016x}", 1, "triggered") for n in (5, 6, 7)]
    await gate.digests.told(carrier, [f"{5:016x}", f"{6:016x}"])
    assert [one[0] for one in (await gate.digests.due(carrier, 100)).folded] == [f"{7:016x}"]
    assert [await gate.digests.leave(f"{n:016x}", carrier) for n in (5, 5, 6)] == [1, 1, 2]
    assert await gate.digests.leave(f"{9:016x}", carrier) is None
    back = await gate.ask(5)
    assert isinstance(back, Fold)
    assert (back.count, back.over) == (3, 1)


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
