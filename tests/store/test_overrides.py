"""Overrides and swaps in the store: once each, bounded, in the order in which they were made, gone when long past."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from clocks import TurnedClock
from shifts import override, swap

from responder.oncall.schedule import Change
from responder.store import overrides as module
from responder.store.connection import close, connect
from responder.store.errors import StoreError
from responder.store.overrides import Overrides, id_of
from responder.store.shelf import KEPT_FOR
from responder.store.store import Store

HOUR = timedelta(hours=1)


async def made(store: Store, change: Change, *, minute: int = 0, name: str = "dbteam") -> Change:
    whole = msgspec.structs.replace(
        change, schedule=name, by="ana", made_at=await store.now() + timedelta(minutes=minute)
    )
    return msgspec.structs.replace(whole, id=id_of(whole))


async def test_changes_come_back_as_they_were_made_and_in_that_order(store: Store) -> None:
    now = await store.now()
    overrides = Overrides(store)
    later = await made(store, override(now, now + HOUR, "ana", "ben"), minute=5)
    first = await made(store, swap(now, now + HOUR, "ana", "ben"), name="web")
    assert [await overrides.put(one) for one in (later, first)] == ["ok", "ok"]
    assert await overrides.all() == (first, later)


async def test_the_same_change_sent_twice_is_kept_once(store: Store) -> None:
    now = await store.now()
    overrides = Overrides(store)
    one = await made(store, override(now, now + HOUR, "ana"))
    again = await made(store, override(now, now + HOUR, "ana"), minute=1)
    other = await made(store, override(now, now + HOUR, "an", "a"))
    assert one.id == again.id != other.id
    assert [await overrides.put(change) for change in (one, again, other)] == ["ok", "known", "ok"]
    assert len(await overrides.all()) == 2


async def test_a_change_can_be_taken_back_once(store: Store) -> None:
    now = await store.now()
    one = await made(store, override(now, now + HOUR, "ana"))
    await Overrides(store).put(one)
    assert await Overrides(store).drop(one.id)
    assert not await Overrides(store).drop(one.id)
    assert await Overrides(store).all() == ()


async def test_more_than_the_bound_are_refused_and_past_ones_make_room(
    store: Store, turned: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    now = await store.now()
    overrides = Overrides(store)
    for number in range(3):
        await overrides.put(await made(store, override(now, now + (number + 1) * HOUR, "ana")))
    one_more = await made(store, override(now, now + 9 * HOUR, "ana"))
    assert await overrides.put(one_more) == "full"
    turned.turn(hours=KEPT_FOR.days * 24 + 1.5)
    assert await overrides.put(one_more) == "ok"
    assert sorted((one.end - now) // HOUR for one in await overrides.all()) == [2, 3, 9]


async def test_all_of_them_expire_with_the_last_one(store: Store) -> None:
    now = await store.now()
    overrides = Overrides(store)
    await overrides.put(await made(store, override(now, now + 10 * HOUR, "ana")))
    await overrides.put(await made(store, override(now, now + HOUR, "ana")))
    left = await store.client.pttl(f"{store.base}:overrides")
    assert abs(timedelta(milliseconds=left) - KEPT_FOR - 10 * HOUR) < timedelta(minutes=1)


async def test_what_a_newer_version_wrote_is_left_out_and_hides_nothing(store: Store) -> None:
    now = await store.now()
    one = await made(store, override(now, now + HOUR, "ana"))
    await Overrides(store).put(one)
    await store.client.hset(f"{store.base}:overrides", "x", b'99999999999999|{"type":"sabbatical"}')
    assert await Overrides(store).all() == (one,)


async def test_a_store_that_is_away_is_a_store_error() -> None:
    away = Store(connect("redis://127.0.0.1:9/0"), "main")
    with pytest.raises(StoreError):
        await Overrides(away).all()
    await close(away.client)
