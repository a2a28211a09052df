"""What grows in the store ends, what waits too long is seen, and what nobody can read blocks nothing."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta

import msgspec
import pytest
from conftest import PERMANENT
from running import Running, run
from world import firing, resolving, settle

from responder.engine.outbox import UNREADABLE_FOR
from responder.incident.audit import AuditEntry
from responder.incident.facts import NoteAdded, ResolvedBy
from responder.incident.severity import Severity
from responder.store import audit, reading
from responder.store import store as storing
from responder.store.audit import Audit
from responder.store.connection import ask
from responder.store.reading import Reader
from responder.store.store import Store, to_ms

__all__ = ["run"]

DAY = timedelta(days=1)


async def unknown_effect(run: Running, lane: str) -> bytes:
    """Put before everything in a lane what a newer version would have written there."""
    stored = await ask(run.store.client, "LINDEX", f"{run.store.base}:l:{lane}", 0)
    head, payload = stored.rsplit(b"|", 1)[0], b'{"effect":"carrier_pigeon","to":"ana"}'
    head = re.sub(rb"\|[0-9a-f]+$", b"|" + b"ab" * 8, head)
    made = b"X" + head[1:] + b"|" + payload
    await ask(run.store.client, "LPUSH", f"{run.store.base}:l:{lane}", made)
    return made


async def one_lane(run: Running) -> str:
    """A page that waits, since its channel is down."""
    run.world.down = {"chat", "mail", "phone"}
    await run.fire(1)
    [lane, *_] = await ask(run.store.client, "ZRANGE", f"{run.store.base}:q:chat:u", 0, -1)
    return lane.decode()  # type: ignore[no-any-return]


async def test_s6_an_effect_that_no_version_at_work_knows_blocks_neither_its_lane_nor_its_queue(
    run: Running,
) -> None:
    dropped: Counter[str] = Counter()

    async def unreadable() -> None:
        dropped["here"] += 1

    outbox = run.engine._outbox
    outbox._hooks = msgspec.structs.replace(outbox._hooks, unreadable=unreadable)
    lane = await one_lane(run)
    await unknown_effect(run, lane)
    run.world.down = set()
    await run.fire(2)  # another lane of the same queue
    assert [sent.effect.level for sent in run.world.sent if sent.effect.channel == "chat"] == ["primary"]
    for _ in range(30):  # it is left to a replica that may know it
        await run.after(seconds=31)
        if dropped:
            break
    assert dropped == {"here": 1}
    await run.after(seconds=1)
    assert lane in {sent.effect.lane for sent in run.world.sent}  # the page behind it went out


async def test_s6_what_a_newer_replica_can_read_is_left_to_it_for_a_while(run: Running) -> None:
    lane = await one_lane(run)
    made = await unknown_effect(run, lane)
    await run.after(minutes=1)
    waited = UNREADABLE_FOR - timedelta(minutes=3)
    await run.after(seconds=waited.total_seconds())
    key = f"{run.store.base}:l:{lane}"
    assert await ask(run.store.client, "LINDEX", key, 0) == made
    assert await ask(run.store.client, "LREM", key, 1, made) == 1  # a newer one performs it
    run.world.down = set()
    await run.after(minutes=2)
    assert lane in {sent.effect.lane for sent in run.world.sent}


async def test_s6_what_is_due_and_not_performed_shows_as_a_lag_and_what_is_put_off_does_not(
    run: Running,
) -> None:
    assert (await run.reader.shared()).lag == timedelta(0)
    lane = await one_lane(run)
    assert (await run.reader.shared()).lag == timedelta(0)  # it is tried again later
    due = to_ms(await run.store.now()) - 90_000
    run.engine._lanes["chat"].close()  # nobody works on this queue any more
    await ask(run.store.client, "ZADD", f"{run.store.base}:q:chat:u", due, lane)
    assert timedelta(seconds=90) <= (await run.reader.shared()).lag < timedelta(seconds=120)


async def test_s6_a_closed_incident_leaves_every_index_and_all_of_it_expires(run: Running) -> None:
    await run.fire(1, 2)
    for incident in await run.ids():
        now = await run.store.now()
        await run.desk.record(incident, ResolvedBy(at=now, by="ana"))
    await settle(run.engine)
    kept: dict[str, int] = {}
    async for raw in run.store.client.scan_iter(match=f"{run.store.base}:*", count=1000):
        name = raw.decode().removeprefix(f"{run.store.base}:")
        kept[name] = await run.store.client.pttl(raw)
    retention = storing.ms(run.store.options.retention)
    assert {name for name, left in kept.items() if left == -1 and not name.startswith(PERMANENT)} == set()
    assert all(left <= retention for left in kept.values())
    assert await ask(run.store.client, "ZCARD", f"{run.store.base}:x:closed") == 2
    run.turned.turn(hours=(run.store.options.retention + DAY) / timedelta(hours=1))
    await run.fire(3, severity=Severity.P2)
    [last, *_] = await run.ids()
    await run.desk.record(last, ResolvedBy(at=await run.store.now(), by="ana"))
    await settle(run.engine)
    for index in ("all", "closed"):
        assert await ask(run.store.client, "ZRANGE", f"{run.store.base}:x:{index}", 0, -1) == [last.encode()]


async def test_s6_a_time_line_is_trimmed_and_a_full_inbox_refuses(run: Running) -> None:
    await run.fire(1)
    [incident] = await run.ids()
    notes = storing.TIMELINE_LIMIT + 20
    for number in range(0, notes, 40):
        now = await run.store.now()
        for one in range(number, min(number + 40, notes)):
            await run.store.record(incident, NoteAdded(at=now, by="ana", note=f"note {one}"))
        await run.engine.decide_now(incident)
    timeline = await run.reader.timeline(incident)
    assert len(timeline) == storing.TIMELINE_LIMIT
    assert timeline[-1].text.endswith(f"note {notes - 1}")  # the oldest went
    inbox = f"{run.store.base}:i:{incident}:in"
    await ask(run.store.client, "RPUSH", inbox, *[b"{}"] * storing.INBOX_LIMIT)
    recorded = await run.store.record(incident, NoteAdded(at=await run.store.now(), by="ana", note="more"))
    assert recorded.outcome == "full"
    await ask(run.store.client, "DEL", inbox)


async def test_s6_the_audit_keeps_its_newest_entries_and_the_quarantine_its_newest_bodies(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "ENTRIES_KEPT", 5)
    chain, now = Audit(store), await store.now()
    for number in range(1, 9):
        await chain.append(AuditEntry(number=number, at=now, event="performed", by=f"ana {number}"))
    assert [one.by for one in (await chain.page()).entries] == [f"ana {number}" for number in range(4, 9)]
    reader = Reader(store)
    for number in range(reading.QUARANTINE_KEPT + 5):
        await reader.quarantine(b"%d" % number, "no JSON")
    kept = await reader.quarantined(1_000)
    assert len(kept) == reading.QUARANTINE_KEPT
    async for raw in store.client.scan_iter(match=f"{store.base}:quarantine*", count=1000):
        assert await store.client.pttl(raw) > 0


async def test_s6_the_record_of_an_alert_expires_and_the_longest_history_of_it_is_bounded(
    run: Running,
) -> None:
    start = to_ms(await run.store.now())
    for number in range(60):
        await run.store.ingest([firing(1, start + number * 2_000)])
        await run.store.ingest([resolving(1, start + number * 2_000, start + number * 2_000 + 1_000)])
    await settle(run.engine)
    [raw] = [key async for key in run.store.client.scan_iter(match=f"{run.store.base}:a:*", count=1000)]
    assert 0 < await run.store.client.pttl(raw) <= storing.ms(run.store.options.retention)
    assert await run.store.client.strlen(raw) < 1_500
