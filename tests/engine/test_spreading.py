"""What became of a digest is told to all that is in it, on the real store, whatever happens while that is under way."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import msgspec
import pytest
from bundle_gate import Gate, incident
from clocks import TurnedClock

from responder.engine.outbox import Done
from responder.engine.spreading import Spreader
from responder.incident.digest_facts import CarrierGone
from responder.incident.effects import Spread
from responder.incident.facts import AcknowledgedBy, Fact
from responder.store.digests import Digests, Due, Fold, Waiting
from responder.store.loaded import Attempt
from responder.store.store import Recorded, Store

CARRIER, FOLDED = f"{4:016x}", f"{5:016x}"
_FACT: msgspec.json.Decoder[Fact] = msgspec.json.Decoder(Fact)


@pytest.fixture
async def gate(store: Store) -> Gate:
    """Somebody's digest, into which one incident was folded."""
    gate = Gate(store)
    await gate.many(*range(1, 6))
    return gate


async def spread(gate: Gate, by: str = "", *, digests: Digests | None = None, late: float = 0) -> Done:
    now = await gate.store.now()
    effect = Spread(
        id="e", lane="l", incident=CARRIER, urgent=False, episode=1, requested_at=now, by=by, at=now if by else None
    )  # fmt: skip
    attempt = Attempt(lane="l", token="t", effect=effect, now=now - timedelta(seconds=late))
    return await Spreader(gate.store, digests or gate.digests, lambda *_: None).spread(attempt)


async def heard(gate: Gate, number: int = 5) -> list[Fact]:
    key = f"{gate.store.base}:i:{number:016x}:in"
    return [_FACT.decode(one) for one in await gate.store.client.lrange(key, 0, -1)]


async def test_who_took_it_took_all_of_it_and_nobody_is_told_twice(gate: Gate) -> None:
    await gate.is_in(4, "acknowledged")
    await spread(gate, "ana")
    await spread(gate, "ana")
    (taken,) = await heard(gate)
    assert isinstance(taken, AcknowledgedBy)
    assert (taken.by, taken.digest, taken.episode) == ("ana", CARRIER, 1)


async def test_what_was_folded_again_since_the_attempt_began_hears_that_it_is_over_after_that(
    gate: Gate, turned: TurnedClock
) -> None:
    turned.turn(seconds=3)
    folded = await gate.ask(5)
    assert isinstance(folded, Fold)
    await gate.is_in(4, "resolved")
    await spread(gate, late=3)
    (gone,) = await heard(gate)
    assert isinstance(gone, CarrierGone)
    assert gone.at >= folded.at


async def test_who_took_it_before_it_began_anew_took_nothing_of_what_was_folded_since(gate: Gate) -> None:
    await gate.is_in(4, "resolved", episode=2)
    await spread(gate, "ana")
    assert [type(one) for one in await heard(gate)] == [CarrierGone]


class Meanwhile(Digests):
    """Something happens between the look and the telling."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(gate.store, gate.digests.bounds)
        self.gate = gate

    async def told(self, incident_id: str, folded: Collection[Waiting]) -> None:
        await self.gate.is_in(4)
        answer = await self.gate.digests.ask(incident(5), "ana")
        assert isinstance(answer, Fold)
        await self.gate.is_in(4, "acknowledged")
        await super().told(incident_id, folded)


async def test_what_is_folded_again_while_the_others_are_told_is_told_what_becomes_of_that(
    gate: Gate, turned: TurnedClock
) -> None:
    await gate.is_in(4, "resolved")
    turned.turn(seconds=1)
    found = await gate.digests.due(CARRIER, 100)
    await Meanwhile(gate).told(CARRIER, found.folded)
    assert [one.id for one in (await gate.digests.due(CARRIER, 100)).folded] == [FOLDED]


class Behind(Digests):
    """Sees the folded one as it was a moment before."""

    async def due(self, incident_id: str, limit: int) -> Due:
        found = await super().due(incident_id, limit)
        return msgspec.structs.replace(
            found, folded=tuple(msgspec.structs.replace(one, state="triggered") for one in found.folded)
        )


async def test_what_has_just_gone_quiet_cannot_be_taken_and_is_told_that_the_digest_is_over(
    gate: Gate,
) -> None:
    await gate.is_in(4, "acknowledged")
    await gate.is_in(5, "monitoring")
    await spread(gate, "ana", digests=Behind(gate.store, gate.digests.bounds))
    assert [type(one) for one in await heard(gate)] == [CarrierGone]


async def test_one_that_is_full_is_told_later_and_the_others_now(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gate.many(6, 7)
    await gate.is_in(4, "resolved")
    real = gate.store.record

    async def record(name: str, fact: Fact, **more: str) -> Recorded:
        return Recorded("full") if name == FOLDED else await real(name, fact, **more)

    monkeypatch.setattr(gate.store, "record", record)
    for _ in range(50):
        done = await spread(gate)
        if len((await gate.digests.due(CARRIER, 100)).folded) == 1:
            break
    assert done.retry_in is not None
    assert [len(await heard(gate, number)) for number in (5, 6, 7)] == [0, 1, 1]
    monkeypatch.undo()
    assert (await spread(gate)).retry_in is None
    assert len(await heard(gate)) == 1
