"""What is a duplicate, a late copy, a re-fire and a doubt: measured behaviour of Alertmanager, on the real store."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import msgspec
import pytest

from responder.alerts import NO_BEGINNING
from responder.incident.opening import Opening
from responder.incident.severity import Severity
from responder.store.loaded import Loaded
from responder.store.store import AlertWrite, Store, from_ms, to_ms

OPENING = msgspec.json.encode(
    Opening(rule="r", service="api", service_label="api", severity=Severity.P2)
).decode()
FP = "91b82ebe814a7f8f"


def firing(starts: int, *, fp: str = FP, severity: int = 2, key: str = "aa11") -> AlertWrite:
    return (fp, "F", starts, 0, severity, key, OPENING, '{"x":1}')


def resolved(starts: int, ends: int, *, fp: str = FP) -> AlertWrite:
    return (fp, "R", starts, ends, 4, "", "", "")


async def outcomes(store: Store, *alerts: AlertWrite) -> str:
    return (await store.ingest(alerts)).outcomes


async def now(store: Store) -> int:
    return to_ms(await store.now())


async def only_incident(store: Store) -> Loaded:
    ids = await store.client.zrange(f"{store.base}:x:open", 0, -1)
    assert len(ids) == 1
    loaded = await store.claim(ids[0].decode(), store.token())
    assert loaded is not None
    return loaded


async def test_a_first_firing_is_new_and_its_repeats_are_duplicates(store: Store) -> None:
    start = await now(store)
    assert await outcomes(store, firing(start)) == "n"
    assert await outcomes(store, firing(start), firing(start)) == "dd"
    assert (await only_incident(store)).totals.fired[Severity.P2] == 1


async def test_an_ha_pair_that_moves_starts_at_backwards_makes_no_second_firing(store: Store) -> None:
    start = await now(store)
    assert await outcomes(store, firing(start - 1_000)) == "n"
    assert await outcomes(store, firing(start - 16_000)) == "d"


async def test_an_incident_knows_since_when_it_is_broken_from_whichever_alert_began_first(
    store: Store,
) -> None:
    async def since() -> datetime | None:
        (incident,) = await store.client.zrange(f"{store.base}:x:open", 0, -1)
        loaded = await store.claim(incident.decode(), "me")
        assert loaded is not None
        return loaded.totals.since

    start = await now(store)
    await outcomes(store, firing(0, fp="0" * 16), firing(to_ms(NO_BEGINNING), fp="1" * 16))
    assert await since() is None
    await outcomes(store, firing(start - 60_000), firing(start + 60_000, fp="2" * 16))
    assert await since() == from_ms(start - 60_000)
    await outcomes(store, firing(start - 30_000, fp="3" * 16))
    assert await since() == from_ms(start - 60_000)
    await outcomes(store, firing(start - 90_000, fp="4" * 16))
    assert await since() == from_ms(start - 90_000)


async def test_fire_resolve_fire_with_the_identical_triple_is_a_re_fire_once_the_doubt_is_over(
    store: Store, turned: Any
) -> None:
    start = await now(store)
    await outcomes(store, firing(start - 60_000))
    assert await outcomes(store, resolved(start - 60_000, start - 1_000)) == "r"
    turned.turn(minutes=6)
    assert await outcomes(store, firing(start - 60_000)) == "a"
    assert (await only_incident(store)).totals.firing_now == 1


async def test_a_firing_soon_after_its_resolve_and_not_newer_than_it_is_a_doubt(store: Store) -> None:
    start = await now(store)
    await outcomes(store, firing(start - 60_000), resolved(start - 60_000, start - 1_000))
    assert await outcomes(store, firing(start - 60_000)) == "q"
    loaded = await only_incident(store)
    assert (loaded.totals.doubts, loaded.totals.firing_now) == (1, 0)


async def test_a_doubt_that_comes_a_second_time_is_a_re_fire(store: Store) -> None:
    start = await now(store)
    await outcomes(store, firing(start - 60_000), resolved(start - 60_000, start - 1_000))
    assert await outcomes(store, firing(start - 60_000), firing(start - 60_000)) == "qa"
    assert (await only_incident(store)).totals.firing_now == 1


async def test_a_doubt_settled_as_a_late_copy_fires_nothing(store: Store) -> None:
    start = await now(store)
    await outcomes(
        store, firing(start - 60_000), resolved(start - 60_000, start - 1_000), firing(start - 60_000)
    )
    assert await outcomes(store, (FP, "L", 0, 0, 4, "", "", "")) == "l"
    assert (await only_incident(store)).totals.firing_now == 0


async def test_a_doubt_settled_as_real_fires_in_its_incident_with_its_own_severity(store: Store) -> None:
    start = await now(store)
    await outcomes(
        store, firing(start - 60_000), resolved(start - 60_000, start - 1_000), firing(start - 60_000)
    )
    assert await outcomes(store, (FP, "S", 0, 0, 4, "", "", "")) == "a"
    assert (await only_incident(store)).totals.firing == {
        Severity.P1: 0, Severity.P2: 1, Severity.P3: 0, Severity.P4: 0,
    }  # fmt: skip


async def test_a_firing_newer_than_the_resolve_is_a_re_fire_at_once(store: Store) -> None:
    start = await now(store)
    await outcomes(store, firing(start - 60_000), resolved(start - 60_000, start - 30_000))
    assert await outcomes(store, firing(start - 10_000)) == "a"


async def test_a_firing_that_began_after_the_present_one_was_recorded_is_a_resolve_that_was_never_sent(
    store: Store, turned: Any
) -> None:
    start = await now(store)
    await outcomes(store, firing(start))
    turned.turn(hours=1)
    assert await outcomes(store, firing(start + 1_800_000)) == "a"
    totals = (await only_incident(store)).totals
    assert (totals.firing_now, totals.fired[Severity.P2], totals.resolved) == (1, 2, 1)


async def test_a_sender_whose_clock_runs_ahead_still_repeats_as_duplicates(store: Store) -> None:
    ahead = await now(store) + 600_000
    assert await outcomes(store, firing(ahead)) == "n"
    assert await outcomes(store, firing(ahead)) == "d"


async def test_a_resolve_that_ended_before_the_firing_began_is_late(store: Store) -> None:
    start = await now(store)
    await outcomes(store, firing(start))
    assert await outcomes(store, resolved(start - 90_000, start - 60_000)) == "l"
    assert (await only_incident(store)).totals.firing_now == 1


async def test_a_resolve_that_was_taken_already_is_a_duplicate_even_after_a_re_fire(store: Store) -> None:
    start = await now(store)
    await outcomes(
        store, firing(start - 60_000), resolved(start - 60_000, start - 30_000), firing(start - 10_000)
    )
    assert await outcomes(store, resolved(start - 60_000, start - 30_000)) == "d"
    assert (await only_incident(store)).totals.firing_now == 1


async def test_a_resolve_is_paired_by_fingerprint_not_by_starts_at(store: Store) -> None:
    start = await now(store)
    await outcomes(store, firing(start - 1_000))
    assert await outcomes(store, resolved(start - 16_000, start)) == "r"


async def test_s8_a_resolve_never_seen_firing_opens_nothing(store: Store) -> None:
    start = await now(store)
    assert await outcomes(store, resolved(start - 60_000, start)) == "u"
    assert await store.client.zcard(f"{store.base}:x:all") == 0


async def test_d3_concurrent_firing_and_resolve_end_resolved_whatever_their_order(store: Store) -> None:
    start = await now(store)
    for index in range(20):
        fp = f"{index:016x}"
        await asyncio.gather(
            *(store.ingest([firing(start - 60_000, fp=fp)]) for _ in range(3)),
            *(store.ingest([resolved(start - 60_000, start - 1, fp=fp)]) for _ in range(3)),
        )
    loaded = await only_incident(store)
    doubtful = await store.client.scard(f"{store.base}:i:{loaded.id}:d")
    assert loaded.totals.firing_now <= 20  # a late copy is a doubt or, seen twice, a re-fire; never negative
    assert loaded.totals.firing_now >= 0
    assert doubtful + loaded.totals.firing_now <= 20


async def test_d1_three_replicas_posting_one_group_make_one_firing(store: Store) -> None:
    start = await now(store)
    group = [firing(start, fp=f"{i:016x}") for i in range(50)]
    results = await asyncio.gather(*(store.ingest(group) for _ in range(3)))
    letters = "".join(taken.outcomes for taken in results)
    assert (letters.count("n"), letters.count("d")) == (50, 100)


async def test_s1_two_hundred_identical_bodies_are_one_incident(store: Store) -> None:
    start = await now(store)
    for _ in range(200):
        await store.ingest([firing(start)])
    assert (await only_incident(store)).totals.fired[Severity.P2] == 1


async def test_d10_equal_text_with_different_labels_is_two_alerts(store: Store) -> None:
    start = await now(store)
    assert await outcomes(store, firing(start, fp="0" * 16), firing(start, fp="1" * 16)) == "nn"


async def test_an_open_incident_takes_what_fires_under_its_key_and_a_firing_alert_stays_with_it(
    store: Store,
) -> None:
    start = await now(store)
    await store.ingest([firing(start)])
    # The rules have changed meanwhile: the repeat comes with another key, and nothing moves.
    assert await outcomes(store, firing(start, key="bb22")) == "d"
    assert await store.client.zcard(f"{store.base}:x:open") == 1


async def test_a_full_store_refuses_alerts_before_anything_is_written(store: Store) -> None:
    from responder.store.errors import StoreFullError

    start = await now(store)
    await store.ingest([firing(start)])
    limit = await store.client.config_get("maxmemory")
    try:
        await store.client.config_set("maxmemory", "1")
        with pytest.raises(StoreFullError):
            await store.ingest([firing(start, fp="2" * 16)])
        # Deciding, performing and acknowledging go on.
        assert (await only_incident(store)).totals.firing_now == 1
    finally:
        await store.client.config_set("maxmemory", limit["maxmemory"] if "maxmemory" in limit else "0")


async def test_an_alert_that_expires_in_the_store_is_taken_as_new(store: Store) -> None:
    start = await now(store)
    await store.ingest([firing(start)])
    await store.client.delete(f"{store.base}:a:{FP}")
    assert await outcomes(store, firing(start)) == "n"
