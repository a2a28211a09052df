"""What a comparison with Alertmanager reads and keeps, and the two writes that only it makes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from world import firing, resolving

from responder.incident.facts import Compared
from responder.store.comparison import GONE_AT_MOST, NAMES_KEPT, Comparison
from responder.store.store import AlertWrite, Store, StoreOptions, from_ms, to_ms

FP = f"{1:016x}"


def gone(number: int, recorded: int, since: int) -> AlertWrite:
    return (f"{number:016x}", "X", recorded, since, 4, "", "", "")


def still(number: int) -> AlertWrite:
    return (f"{number:016x}", "K", 0, 0, 4, "", "", "")


async def recorded(store: Store, number: int = 1) -> int:
    name = f"{number:016x}"
    return (await Comparison(store).records([name]))[name].recorded


async def test_a_record_is_read_without_its_body_however_long_that_is(store: Store) -> None:
    now = to_ms(await store.now())
    write = firing(1, now - 5_000)
    body = write[7][:-1] + f',"more":"{"x" * 100_000}","sender":"00112233445566aa"}}'
    await store.ingest([(*write[:7], body)])
    found = await Comparison(store).records([FP, "f" * 16])
    assert list(found) == [FP]
    one = found[FP]
    assert (one.status, one.starts, one.ends, one.sender) == ("F", now - 5_000, 0, "00112233445566aa")
    assert one.incident_open
    assert one.recorded >= now
    assert one.ttl > StoreOptions().firing_ttl - timedelta(minutes=1)
    await store.ingest([resolving(2, now, now + 1)])
    unknown = (await Comparison(store).records([f"{2:016x}"]))[f"{2:016x}"]
    assert (unknown.status, unknown.incident, unknown.incident_open, unknown.sender) == ("R", "", False, "")


async def test_a_sender_in_the_middle_of_a_body_is_none(store: Store) -> None:
    """Only what stands at the very end was written by us."""
    write = firing(1, 1_000)
    label = write[7].replace('"Alert1"', '"\\"sender\\":\\"00112233445566aa\\"}"')
    await store.ingest([(*write[:7], label)])
    assert (await Comparison(store).records([FP]))[FP].sender == ""


async def test_it_is_resolved_only_where_its_record_is_still_the_one_that_was_seen(store: Store) -> None:
    now = to_ms(await store.now())
    await store.ingest([firing(1, now)])
    seen = await recorded(store)
    assert (await store.ingest([gone(1, seen - 1, now)])).outcomes == "d"
    assert (await store.ingest([gone(1, seen, now + 10)])).outcomes == "r"
    record = (await Comparison(store).records([FP]))[FP]
    assert (record.status, record.ends) == ("R", now + 10)
    assert (await store.ingest([gone(1, seen, now + 20)])).outcomes == "d"
    assert (await store.ingest([gone(3, 0, now)])).outcomes == "d", "nothing is known of it"
    assert (await store.ingest([resolving(1, now, now + 5)])).outcomes == "d", (
        "its own resolve, which comes late"
    )


async def test_the_reason_stands_in_the_inbox_of_each_incident_that_changes_in_the_same_step(
    store: Store,
) -> None:
    now = await store.now()
    await store.ingest([firing(1, to_ms(now)), firing(2, to_ms(now))])
    why = Compared(at=now, text="alerts fire no more")
    await store.ingest([gone(1, await recorded(store), to_ms(now)), gone(2, 1, to_ms(now))], why)
    found = await Comparison(store).records([FP, f"{2:016x}"])
    inboxes = [
        await store.client.lrange(f"{store.base}:i:{one.incident}:in", 0, -1) for one in found.values()
    ]
    assert inboxes == [[msgspec.json.encode(why)], []]
    loaded = await store.claim(found[FP].incident, store.token())
    assert loaded is not None
    assert (loaded.facts, loaded.totals.firing_now) == ((why,), 0)


async def test_what_is_still_listed_is_heard_of_and_kept_and_nothing_else_changes(
    store: Store, turned: Any
) -> None:
    await store.ingest([firing(1, to_ms(await store.now()))])
    (before,) = await Comparison(store).open_incidents()
    await store.client.pexpire(f"{store.base}:a:{FP}", 60_000)
    turned.turn(hours=2)
    assert (await store.ingest([still(1), still(9)])).changed == ()
    (after,) = await Comparison(store).open_incidents()
    assert after.heard_at - before.heard_at >= timedelta(hours=2)
    assert (after.firing, after.fired, after.state) == (1, 1, "new")
    assert (await Comparison(store).records([FP]))[FP].ttl > timedelta(days=13)
    await store.ingest([gone(1, await recorded(store), to_ms(await store.now()))])
    assert (await store.ingest([still(1)])).outcomes == "d"
    assert (await Comparison(store).records([FP]))[FP].status == "R"


async def test_thousands_of_records_incidents_and_members_are_read_in_pages(store: Store) -> None:
    now = to_ms(await store.now())
    book = Comparison(store)
    await store.ingest([firing(number, now) for number in range(2_100)])
    assert len(await book.open_incidents()) == 2_100
    assert len(await book.records([f"{number:016x}" for number in range(2_500)])) == 2_100
    await store.ingest([firing(number, now, key="ee" * 16) for number in range(3_000, 5_500)])
    (record,) = (await book.records([f"{3_000:016x}"])).values()
    members = [name async for page in book.members(record.incident) for name in page]
    assert len(set(members)) == 2_500


async def test_one_holder_of_the_lease_at_a_time(store: Store) -> None:
    one, other = Comparison(store), Comparison(store)
    span = timedelta(seconds=30)
    assert (await one.lease(span), await other.lease(span), await one.lease(span)) == (True, False, True)
    await other.let_go()
    assert not await other.lease(span), "it was not its own"
    await one.let_go()
    assert await other.lease(span)
    assert 0 < await store.client.pttl(f"{store.base}:am:lease") <= 30_000


async def test_what_was_learned_is_bounded(store: Store) -> None:
    book = Comparison(store)
    await book.meet("receivers", ["a", "b"], "m")
    await book.meet("receivers", ["c"], "another mark")
    assert await book.names("receivers", "m") == {"a", "b"}
    await book.meet("receivers", [f"r{number}" for number in range(NAMES_KEPT)], "m")
    assert len(await book.names("receivers", "m")) == NAMES_KEPT
    now = await store.now()
    await book.bury([f"s{number}" for number in range(GONE_AT_MOST + 500)], now)
    assert len(await book.gone()) == GONE_AT_MOST
    await book.bury(["new"], now + timedelta(days=200))
    assert list(await book.gone()) == ["new"], "after half a year nobody brings one back"
    await book.bury(["new"], now + timedelta(days=201))
    assert (await book.gone())["new"] == from_ms(to_ms(now + timedelta(days=200))), (
        "known since the first time"
    )


async def test_a_comparison_is_known_to_every_replica(store: Store) -> None:
    book = Comparison(store)
    assert await book.last_compared() == (None, frozenset())
    now = from_ms(to_ms(await store.now()))
    await book.compared(now, ["a", "b"])
    assert await Comparison(store).last_compared() == (now, frozenset({"a", "b"}))


@pytest.mark.parametrize("text", ['"muted":[{', '\\"muted\\":[{'])
async def test_a_text_that_looks_like_it_mutes_nothing(store: Store, text: str) -> None:
    await store.ingest([firing(1, to_ms(await store.now()))])
    (one,) = await Comparison(store).open_incidents()
    snapshot = msgspec.json.encode({"title": text, "muted": []}).decode()
    await store.client.hset(f"{store.base}:i:{one.id}", "snap", snapshot)
    assert not (await Comparison(store).open_incidents())[0].muted
    await store.client.hset(f"{store.base}:i:{one.id}", "snap", '{"muted":[{"kind":"silence"}]}')
    assert (await Comparison(store).open_incidents())[0].muted
