"""What the record of an alert keeps of what happened to it: on real changes only, within a bound, and through an upgrade."""

from __future__ import annotations

from typing import Any

import pytest
from test_ingest import FP, firing, now, outcomes, resolved

from responder.incident.account import Became
from responder.store.histories import Histories, history_of
from responder.store.loaded import record_body
from responder.store.store import Store, to_ms


async def close_incident(store: Store) -> None:
    for incident in await store.client.zrange(f"{store.base}:x:open", 0, -1):
        await store.client.hset(f"{store.base}:i:{incident.decode()}", "st", "resolved")
        await store.client.expire(f"{store.base}:i:{incident.decode()}", 60)
        await store.client.expire(f"{store.base}:i:{incident.decode()}:m", 60)
    await store.client.delete(f"{store.base}:k:aa11")


async def became(store: Store) -> list[str]:
    history = await Histories(store).of(FP)
    assert history is not None
    return [one.became.name for one in history.outcomes]


async def raw(store: Store) -> bytes:
    found: bytes = await store.client.get(f"{store.base}:a:{FP}")
    return found


async def test_each_change_is_kept_with_its_time_and_a_copy_is_counted_once_a_minute(
    store: Store, turned: Any
) -> None:
    start = await now(store)
    await outcomes(store, firing(start))
    for _ in range(5):
        await outcomes(store, firing(start))  # within a minute: nothing is written
    history = await Histories(store).of(FP)
    assert history is not None
    assert ([one.became for one in history.outcomes], history.repeats) == ([Became.NEW], 0)
    for _ in range(3):
        turned.turn(minutes=2)
        await outcomes(store, firing(start))
        await outcomes(store, firing(start))
    history = await Histories(store).of(FP)
    assert history is not None
    assert history.repeats == 3
    assert history.heard_at is not None
    assert (history.heard_at - history.outcomes[0].at).total_seconds() == pytest.approx(360, abs=5)
    assert history.status == "firing"


async def test_copies_within_a_minute_write_nothing_at_all(store: Store) -> None:
    start = await now(store)
    await outcomes(store, firing(start))
    before = (await store.client.info("persistence"))["aof_current_size"]
    record = await raw(store)
    for _ in range(20):
        await outcomes(store, firing(start))
    assert await raw(store) == record
    assert (await store.client.info("persistence"))["aof_current_size"] == before


async def test_resolves_late_copies_doubts_and_re_fires_are_told_apart(store: Store, turned: Any) -> None:
    start = await now(store)
    await outcomes(store, firing(start - 60_000))
    assert await outcomes(store, resolved(start - 120_000, start - 90_000)) == "l"
    assert await outcomes(store, resolved(start - 120_000, start - 80_000)) == "l"  # and once more
    await outcomes(store, resolved(start - 60_000, start - 1_000))
    assert await outcomes(store, firing(start - 60_000)) == "q"
    assert await became(store) == ["NEW", "LATE", "RESOLVED", "DOUBTFUL"]
    assert await outcomes(store, firing(start - 60_000)) == "a"
    assert (await became(store))[-1] == "AGAIN"


async def test_a_late_copy_changes_nothing_else_of_the_record(store: Store, turned: Any) -> None:
    start = await now(store)
    await outcomes(store, firing(start))
    before = (await raw(store)).split(b"|")
    turned.turn(minutes=1)
    assert await outcomes(store, resolved(start - 9_000, start - 5_000)) == "l"
    after = (await raw(store)).split(b"|")
    assert before[:6] == after[:6]
    assert before[7:] == after[7:]


async def test_a_resolve_of_what_was_never_seen_firing_is_kept_too(store: Store) -> None:
    start = await now(store)
    assert await outcomes(store, resolved(start - 9_000, start - 5_000)) == "u"
    history = await Histories(store).of(FP)
    assert history is not None
    assert (history.status, history.incident, history.labels) == ("resolved", "", {})
    assert [one.became for one in history.outcomes] == [Became.UNSEEN]


async def test_it_is_resolved_since_its_end_and_fires_since_its_beginning(store: Store) -> None:
    start = await now(store) - 60_000
    for sent, status, since in (
        (firing(start), "firing", start),
        (resolved(start, start + 20_000), "resolved", start + 20_000),
        (firing(start + 30_000), "firing", start + 30_000),
    ):
        await outcomes(store, sent)
        history = await Histories(store).of(FP)
        assert history is not None
        assert (history.status, to_ms(history.since)) == (status, since)


async def test_an_outcome_names_the_incident_that_it_was_about(store: Store, turned: Any) -> None:
    start = await now(store)
    await outcomes(store, firing(start))
    (first,) = [i.decode() for i in await store.client.zrange(f"{store.base}:x:open", 0, -1)]
    await outcomes(store, resolved(start, start + 1_000))
    await close_incident(store)  # the next firing opens another
    turned.turn(hours=1)
    later = await now(store)
    await outcomes(store, firing(later))
    await outcomes(store, resolved(later, later + 1_000))
    history = await Histories(store).of(FP)
    assert history is not None
    assert [one.became.name for one in history.outcomes] == ["NEW", "RESOLVED", "AGAIN", "RESOLVED"]
    assert [one.incident for one in history.outcomes] == [first, first, history.incident, history.incident]
    assert history.incident != first


async def test_a_history_is_bounded_however_often_an_alert_flaps(store: Store, turned: Any) -> None:
    sizes = set()
    for number in range(40):
        turned.turn(minutes=10)
        start = await now(store)
        await outcomes(store, firing(start))
        if number % 3 == 0:  # each time in another incident
            await close_incident(store)
        await outcomes(store, resolved(start, start + 1_000))
        sizes.add(len((await raw(store)).split(b"|")[6]))
    assert max(sizes) <= 280
    history = await Histories(store).of(FP)
    assert history is not None
    assert len(history.outcomes) == 8


@pytest.mark.parametrize(
    "body", [b'{"labels":{"a":"b|c"},"status":"firing","startsAt":"2026-01-01T00:00:00Z"}', b""]
)
async def test_a_record_of_an_earlier_version_is_read_and_goes_on(store: Store, body: bytes) -> None:
    start = await now(store)
    old = b"F|%d|0|%d|2|%s|%s" % (start, start, b"" if not body else b"00ff", body)
    assert record_body(old) == body
    history = history_of(FP, old)
    assert (history.outcomes, history.repeats) == ((), 0)
    if not body:
        return
    await outcomes(store, firing(start, fp="0" * 16))
    incident = (await store.client.zrange(f"{store.base}:x:open", 0, -1))[0]
    await store.client.set(f"{store.base}:a:{FP}", old.replace(b"00ff", incident), px=60_000)
    assert await outcomes(store, firing(start)) == "d"
    assert await outcomes(store, resolved(start, start + 1_000)) == "r"
    assert record_body(await raw(store)) == body
    assert await became(store) == ["RESOLVED"]
