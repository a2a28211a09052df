"""One replica's work: lanes, leases, last looks, and an incident on which our own code fails."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import timedelta
from typing import Any

import msgspec
from running import Running, run
from waiting import eventually
from world import OneRow, World, firing, resolving, settle

from responder.engine.desk import IncidentFilter, Outcome
from responder.engine.engine import Engine
from responder.engine.outbox import Done, Performer
from responder.incident.effects import RunAction, SendMessage
from responder.incident.facts import AcknowledgedBy, NoteAdded, ReopenedBy, ResolvedBy
from responder.incident.message import MessageKind
from responder.incident.severity import Level, Severity
from responder.store.loaded import Attempt
from responder.store.store import Store, to_ms

__all__ = ["run"]


async def test_l8_an_incident_on_which_our_own_code_fails_pages_by_the_fallback_and_hurts_no_other(
    run: Running,
) -> None:
    await run.fire(1, 2)
    broken, healthy = sorted(await run.ids())
    key = f"{run.store.base}:i:{broken}"
    snapshot = json.loads(await run.store.client.hget(key, "snap"))
    snapshot["policy"]["severities"] = {}  # nothing can be decided about it any more
    await run.store.client.hset(key, "snap", json.dumps(snapshot))
    before = len(run.world.sent)
    await run.after(minutes=5, seconds=1)
    of = {
        one: [s.effect.level for s in run.world.sent[before:] if s.effect.incident == one]
        for one in (broken, healthy)
    }
    assert of[healthy] == [Level.SECONDARY]
    assert of[broken][:1] == [Level.PRIMARY]
    texts = [entry.text for entry in await run.reader.timeline(broken)]
    assert any("our own decision failed" in text for text in texts)
    # It is tried again with growing pauses, not in a loop.
    tries = len(texts)
    await run.after(seconds=1)
    assert len(await run.reader.timeline(broken)) <= tries + 1
    await run.store.client.delete(key, f"{run.store.base}:k:{1:032x}", f"{run.store.base}:k:{2:032x}")
    for part in ("t", "m", "in"):
        await run.store.client.delete(f"{key}:{part}")


async def test_a_damaged_snapshot_is_rebuilt_from_how_it_began(run: Running) -> None:
    await run.fire(1)
    [incident] = await run.ids()
    await run.store.client.hset(f"{run.store.base}:i:{incident}", "snap", "{damaged")
    await run.after(minutes=6)
    rebuilt = await run.reader.snapshot(incident)
    assert rebuilt is not None
    assert rebuilt.state_name == "triggered"


async def test_l1_a_job_whose_worker_died_is_taken_over_within_half_a_minute_and_the_others_go_on(
    run: Running,
) -> None:
    hanging = asyncio.Event()
    first: list[str] = []

    async def die(attempt: Attempt) -> Done:
        if not first:
            first.append(attempt.effect.id)
            await hanging.wait()
        return await World.send(run.world, attempt)

    run.engine._outbox._performers = {
        **run.engine._outbox._performers,
        SendMessage: type(run.engine._outbox._performers[SendMessage])(
            perform=die, limit=timedelta(seconds=10)
        ),
    }
    start = to_ms(await run.store.now())
    run.engine.took(await run.store.ingest([firing(n, start) for n in range(5)]))

    async def others() -> bool:
        await run.engine.poll()
        return len(run.world.sent) >= 4

    assert await eventually(others)
    assert first[0] not in [sent.effect.id for sent in run.world.sent]
    hanging.set()
    await settle(run.engine)
    assert first[0] in [sent.effect.id for sent in run.world.sent]


async def test_no_page_starts_once_an_acknowledgement_is_on_disk(run: Running) -> None:
    """E2: an escalation went on after the acknowledgement."""
    run.world.down = {"chat", "mail"}
    await run.fire(1)
    [incident] = await run.ids()
    await run.store.record(incident, AcknowledgedBy(at=await run.store.now(), by="ana"))  # not yet decided
    run.world.down = set()
    await run.after(seconds=30)
    await run.after(seconds=1)  # the lane was put off a moment, for the decision to come first
    assert [said for said in run.said() if said.startswith(("page", "reminder"))] == []
    texts = [entry.text for entry in await run.reader.timeline(incident)]
    assert any("the incident is acknowledged" in text for text in texts)


async def test_a_page_comes_before_its_update_and_both_before_resolved(run: Running) -> None:
    run.world.down = {"chat", "mail"}
    await run.fire(1)
    now = to_ms(await run.store.now())
    run.world.down = {"mail"}
    await run.after(seconds=6)
    run.engine.took(await run.store.ingest([resolving(1, now - 1_000, now + 1)]))
    await settle(run.engine)
    await run.after(minutes=31)
    assert run.said() == ["page primary", "update primary", "resolved primary"]


async def test_a_channel_that_is_down_holds_up_no_other_channel(run: Running) -> None:
    run.world.down = {"chat"}
    await run.fire(*range(20))
    await run.after(seconds=31)  # the first channel's patience is over: the next is tried as well
    told = {sent.effect.incident for sent in run.world.sent if sent.effect.channel == "mail"}
    assert len(told) == 20


async def test_d8_one_transition_is_one_line_of_the_time_line_however_many_are_told(run: Running) -> None:
    """D8: two people on call once logged the escalation twice."""
    await run.fire(1)
    await run.after(minutes=5)
    [incident] = await run.ids()
    await run.desk.record(incident, AcknowledgedBy(at=await run.store.now(), by="ana"))
    texts = [entry.reason.name for entry in await run.reader.timeline(incident)]
    assert texts.count("ACKNOWLEDGED") == 1
    assert texts.count("LEVEL_DUE") == 1


async def test_an_incident_of_ten_thousand_alerts_costs_a_decision_no_more_than_a_small_one(
    run: Running,
) -> None:
    start = to_ms(await run.store.now())
    for at in range(0, 10_000, 2_000):
        await run.store.ingest([firing(n, start, key="ab" * 16) for n in range(at, at + 2_000)])
    await run.after(seconds=1)
    [incident] = await run.ids()
    raw = await run.store.client.hget(f"{run.store.base}:i:{incident}", "snap")
    assert len(raw) < 10_000
    detail = await run.desk.incident(incident, alerts=50)
    assert detail is not None
    assert (detail.alerts_total, len(detail.alerts)) == (10_000, 50)
    assert detail.incident.totals.firing_now == 10_000
    assert len([s for s in run.said() if s.startswith("page")]) == 1


async def test_facts_beyond_one_batch_are_all_taken(run: Running) -> None:
    await run.fire(1)
    [incident] = await run.ids()
    now = await run.store.now()
    for number in range(700):
        await run.store.record(incident, NoteAdded(at=now, by="ana", note=f"n{number}"))
    await settle(run.engine)
    texts = [entry.text for entry in await run.reader.timeline(incident)]
    assert {f"n{number}" for number in range(700)} <= set(texts)


async def test_people_get_the_present_state_where_it_is_too_late_and_404_where_there_is_nothing(
    run: Running,
) -> None:
    await run.fire(1)
    [incident] = await run.ids()
    now = await run.store.now()
    assert (await run.desk.record(incident, ResolvedBy(at=now, by="ana"))).outcome is Outcome.DONE
    refused = await run.desk.record(incident, AcknowledgedBy(at=now, by="ana"))
    assert refused.outcome is Outcome.REFUSED
    assert refused.incident is not None
    assert refused.incident.state_name == "resolved"
    assert (await run.desk.record("f" * 16, NoteAdded(at=now, by="a", note="x"))).outcome is Outcome.UNKNOWN


async def test_a_resolved_incident_is_reopened_unless_another_has_taken_its_place(run: Running) -> None:
    await run.fire(1)
    [first] = await run.ids()
    now = await run.store.now()
    await run.desk.record(first, ResolvedBy(at=now, by="ana"))
    assert (await run.desk.record(first, ReopenedBy(at=now, by="ana"))).outcome is Outcome.DONE
    await run.desk.record(first, ResolvedBy(at=now, by="ana"))
    await run.fire(1)  # it still fires: what a person closed opens anew
    assert len(await run.ids()) == 2
    assert (await run.desk.record(first, ReopenedBy(at=now, by="ana"))).outcome is Outcome.REFUSED


async def test_updates_that_help_nobody_any_more_are_dropped_and_counted(run: Running) -> None:
    """S3: a restarted queue sent old mail again."""
    dropped: list[str] = []
    outbox = run.engine._outbox
    outbox._hooks = msgspec.structs.replace(outbox._hooks, dropped=lambda _, why: dropped.append(why))
    await run.fire(1)
    run.world.down = {"chat"}
    now = to_ms(await run.store.now())
    run.engine.took(await run.store.ingest([resolving(1, now - 1_000, now + 1)]))
    await settle(run.engine)
    await run.after(minutes=11)
    run.world.down = set()
    await run.after(minutes=1)
    assert "out of date" in dropped
    assert MessageKind.UPDATE not in [sent.effect.kind for sent in run.world.sent]


async def test_the_list_can_be_filtered_by_state_service_and_severity(run: Running) -> None:
    await run.fire(1, severity=Severity.P1)
    await run.fire(2, severity=Severity.P3)
    found = await run.desk.incidents(
        IncidentFilter(severities=frozenset({Severity.P3})), limit=10, cursor=None
    )
    assert [one.severity for one in found.incidents] == [Severity.P3]
    none = await run.desk.incidents(IncidentFilter(services=frozenset({"other"})), limit=10, cursor=None)
    assert none.incidents == ()


async def test_l7_l11_a_crash_between_deciding_sending_and_crossing_off_sends_the_same_id_again(
    store: Store, turned: Any
) -> None:
    """D5: marked as sent before the call it is lost, after it it is doubled; so the double carries the same id."""
    world = World(random.Random(1))
    start = to_ms(await store.now())
    await store.ingest([firing(1, start)])
    dying = world.replica(store)
    reached = asyncio.Event()

    async def send_and_die(attempt: Attempt) -> Done:
        await World.send(world, attempt)  # the provider has it
        reached.set()
        await asyncio.Event().wait()  # and we never hear of it
        return Done()

    kind = type(dying._outbox._performers[SendMessage])
    dying._outbox._performers = {SendMessage: kind(perform=send_and_die, limit=timedelta(seconds=60))}
    task = asyncio.create_task(dying.run())
    await reached.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    survivor = world.replica(store)
    task = asyncio.create_task(survivor.run())
    await asyncio.sleep(0)
    turned.turn(seconds=66)  # the dead one's lease is over
    await settle(survivor)
    pages = [sent.effect.id for sent in world.sent if sent.effect.kind is MessageKind.PAGE]
    assert len(pages) == 2
    assert len(set(pages)) == 1
    turned.turn(minutes=5)
    await settle(survivor)
    assert Level.SECONDARY in [sent.effect.level for sent in world.sent]
    run = Running(store, world, survivor, turned)
    await run.finish()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_d9_repeats_and_resolves_open_no_second_incident(run: Running) -> None:
    start = to_ms(await run.store.now())
    await run.fire(1)
    for _ in range(5):
        run.engine.took(await run.store.ingest([firing(1, start)]))
        run.engine.took(await run.store.ingest([resolving(7, start - 1_000, start)]))
        await settle(run.engine)
    assert len(await run.ids()) == 1
    assert run.said() == ["page primary"]


async def test_e11_what_came_due_while_nobody_ran_is_paged_at_once_when_somebody_runs(
    store: Store, turned: Any
) -> None:
    world = World(random.Random(1))
    await store.ingest([firing(1, to_ms(await store.now()))])
    turned.turn(hours=1)
    engine = world.replica(store)
    task = asyncio.create_task(engine.run())
    await asyncio.sleep(0)
    await settle(engine)
    assert sorted(sent.effect.level for sent in world.sent) == sorted(Level)  # three lanes, side by side
    run = Running(store, world, engine, turned)
    await run.finish()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_l1_a_page_that_a_dead_replica_had_begun_is_not_kept_for_the_time_that_an_action_may_take(
    store: Store, turned: Any
) -> None:
    world = World(random.Random(1))
    await store.ingest([firing(1, to_ms(await store.now()))])
    hangs = asyncio.Event()

    async def hang(_: Attempt) -> Done:
        hangs.set()
        await asyncio.Event().wait()
        return Done()

    def replica(send: Any) -> Engine:
        performers = {
            **world.performers(store),
            SendMessage: Performer(perform=send, limit=timedelta(seconds=10)),
            RunAction: Performer(perform=world.triage, limit=timedelta(seconds=100)),
        }
        return Engine(store, OneRow, performers, queues={"chat": 4})

    dying = asyncio.create_task(replica(hang).run())
    await hangs.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    survivor = replica(world.send)
    task = asyncio.create_task(survivor.run())
    await asyncio.sleep(0)
    turned.turn(seconds=16)
    await settle(survivor)
    assert [sent.effect.kind for sent in world.sent] == [MessageKind.PAGE]
    await Running(store, world, survivor, turned).finish()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
