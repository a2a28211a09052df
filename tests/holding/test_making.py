"""What becomes of windows that people ask for: how many there may be, how long past ones are listed, and one asked for twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from clocks import TurnedClock

from responder.holding.making import MakeOutcome, TooLongError, planned
from responder.oncall.rrule import Rule
from responder.rules.maintenance import Repeat, WindowSpec, compiled
from responder.store.connection import ask
from responder.store.shelf import Asking
from responder.store.store import Store
from responder.store.windows import KEPT_FOR, Windows, id_of

HOUR = timedelta(hours=1)
NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


def spec(start: datetime, end: datetime | None, **more: Any) -> WindowSpec:
    plain = {"name": "move", "match": ('service="database"',), "by": "ana", "made_at": start, **more}
    made = WindowSpec(start=start if end else None, end=end, **plain)
    return msgspec.structs.replace(made, id=id_of(made))


async def listed(store: Store) -> list[str]:
    raw = await ask(store.client, "HVALS", f"{store.base}:maintenance")
    return [one.id for one, _ in Windows(store).read(raw, await store.now())]


async def test_only_windows_that_can_still_hold_something_back_count(
    store: Store, turned: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("responder.store.windows.KEPT", 2)
    now, windows = await store.now(), Windows(store)
    specs = [spec(now, now + (number + 1) * HOUR) for number in range(4)]
    outcomes = [(await windows.put(one)).outcome for one in (*specs[:3], specs[0])]
    assert outcomes == ["ok", "ok", "full", "known"]
    assert await windows.drop(specs[1].id)
    assert not await windows.drop(specs[1].id)
    assert (await windows.put(specs[2])).outcome == "ok"
    turned.turn(minutes=61)
    assert (await windows.put(specs[3])).outcome == "ok", "the first one is over"
    assert (await windows.put(specs[1])).outcome == "full"


async def test_what_comes_again_and_has_come_for_the_last_time_does_not_count(
    store: Store, turned: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("responder.store.windows.KEPT", 1)
    now, windows = await store.now(), Windows(store)
    starts = now.replace(tzinfo=None, microsecond=0)
    twice = Repeat(starts=starts, every=str(Rule.from_text("FREQ=DAILY;COUNT=2")), lasts=HOUR, timezone="UTC")
    assert (await windows.put(spec(now, None, repeat=twice))).outcome == "ok"
    assert (await windows.put(spec(now, now + 99 * HOUR))).outcome == "full"
    turned.turn(hours=26)
    assert (await windows.put(spec(now, now + 99 * HOUR))).outcome == "ok"


async def test_past_windows_are_listed_for_a_week_and_no_more_of_them_than_of_the_others(
    store: Store, turned: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("responder.store.windows.KEPT", 3)
    windows, made = Windows(store), []
    for _ in range(5):
        now = await store.now()
        made.append(spec(now, now + HOUR))
        await windows.put(made[-1])
        turned.turn(hours=2)
    last_four = [one.id for one in made[1:]]  # three were over when the last was made
    assert await listed(store) == last_four
    turned.turn(hours=KEPT_FOR / HOUR - 3.5)
    assert await listed(store) == [one.id for one in made[-2:]], "nobody has to make one for that"


async def test_a_request_that_is_sent_again_under_its_key_finds_the_window_that_it_made(store: Store) -> None:
    now, windows = await store.now(), Windows(store)
    asking = Asking(key="a" * 64, digest="b" * 64)
    first = await windows.put(spec(now, now + HOUR), asking=asking)
    assert first.outcome == "ok"
    again = await windows.put(spec(now + timedelta(seconds=9), now + 2 * HOUR), asking=asking)
    assert (again.outcome, again.id) == ("repeat", first.id)
    assert await listed(store) == [first.id]
    other = await windows.put(spec(now, now + 3 * HOUR), asking=Asking(key="a" * 64, digest="c" * 64))
    assert other.outcome == "reused"
    assert await listed(store) == [first.id]


async def test_a_window_that_was_ended_meanwhile_is_not_made_to_last_longer(store: Store) -> None:
    now, windows = await store.now(), Windows(store)
    one = spec(now, now + HOUR)
    await windows.put(one)
    longer = msgspec.structs.replace(one, end=now + 2 * HOUR)
    await windows.drop(one.id)
    assert (await windows.put(longer, instead_of=one.end)).outcome == "changed"
    assert await listed(store) == []
    await windows.put(longer)
    assert (await windows.put(one, instead_of=one.end)).outcome == "changed", "it was made longer"


def plan(new: WindowSpec, *known: WindowSpec) -> tuple[str, str, float, float]:
    found = planned(new, [(one, compiled(one)) for one in known], NOW)
    assert found.spec.start is not None
    assert found.spec.end is not None
    ids = {one.id: "there" for one in known}
    start, end = (round((at - NOW) / HOUR, 2) for at in (found.spec.start, found.spec.end))
    return found.outcome, ids.get(found.spec.id, "new"), start, end


def test_whoever_asks_again_for_what_overlaps_has_one_window_that_is_as_long_as_both() -> None:
    running = spec(NOW - HOUR, NOW + HOUR)
    assert plan(spec(NOW, NOW + 2 * HOUR), running) == (MakeOutcome.EXTENDED, "there", -1, 2)
    assert plan(spec(NOW, NOW + HOUR / 2), running) == (MakeOutcome.KNOWN, "there", -1, 1)
    assert plan(spec(NOW + HOUR, NOW + 2 * HOUR), running) == (MakeOutcome.EXTENDED, "there", -1, 2)
    assert plan(spec(NOW - 3 * HOUR, NOW + HOUR / 2), running) == (MakeOutcome.KNOWN, "there", -1, 1)
    later = spec(NOW + 5 * HOUR, NOW + 6 * HOUR)
    assert plan(spec(NOW + 4 * HOUR, NOW + 5.5 * HOUR), later) == (MakeOutcome.EXTENDED, "there", 4, 6)
    assert plan(spec(NOW, NOW + HOUR), later)[:2] == (MakeOutcome.MADE, "new")


def test_another_name_author_or_matcher_is_another_window_and_one_that_is_over_is_none() -> None:
    running = spec(NOW - HOUR, NOW + HOUR, match=('a="b"', 'c="d"'))
    longer = NOW + 2 * HOUR
    assert plan(spec(NOW, longer, match=('c="d"', 'a="b"')), running)[0] == MakeOutcome.EXTENDED
    for more in ({"name": "disks"}, {"by": "ben"}, {"match": ('a="b"',)}):
        assert plan(spec(NOW, longer, **{"match": running.match, **more}), running)[0] == MakeOutcome.MADE
    over = spec(NOW - 2 * HOUR, NOW - HOUR)
    assert plan(spec(NOW - HOUR, longer), over)[0] == MakeOutcome.MADE


def test_a_window_is_not_made_longer_than_one_may_be() -> None:
    running = spec(NOW - HOUR, NOW + 20 * 24 * HOUR)
    with pytest.raises(TooLongError, match="together they would be longer than 31d"):
        plan(spec(NOW + 20 * 24 * HOUR, NOW + 40 * 24 * HOUR), running)
