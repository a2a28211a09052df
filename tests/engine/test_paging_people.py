"""People on the real store: teams, channels that are down and come back, answers that cross pages, restarts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from running import Running, run, running
from stage import after
from unwritable import Unwritable
from world import OneRow, World, firing, resolving, settle

from responder.engine.outbox import Done
from responder.incident.effects import SendMessage
from responder.incident.facts import AcknowledgedBy, MessageFailed, NoteAdded, ResolvedBy, SnoozedBy
from responder.incident.message import MessageKind, Receipt
from responder.incident.policy import AcknowledgementPolicy
from responder.incident.severity import LEVELS
from responder.incident.state import Page
from responder.store.loaded import Attempt
from responder.store.store import Store, to_ms

__all__ = ["run"]

TEAM = {"dbteam": ("ana", "ben", "cas")}


def team(**people: Sequence[str]) -> Any:
    def who(names: Collection[str], now: datetime) -> Mapping[str, Sequence[str]]:
        return {name: found for name, found in people.items() if name in names}

    return who


def said(run: Running) -> list[str]:
    return [f"{s.effect.kind} {s.effect.contact} {s.effect.channel}" for s in run.world.sent]


async def incident_of(run: Running) -> str:
    [incident] = await run.ids()
    return incident


async def ack(run: Running, by: str) -> None:
    for incident in await run.ids():
        await run.desk.record(incident, AcknowledgedBy(at=await run.store.now(), by=by))
    await settle(run.engine)


async def test_a_team_is_paged_each_once_and_later_messages_follow_them(run: Running) -> None:
    run.world.on_call = team(**TEAM)
    await run.fire(1)
    assert sorted(said(run)) == [f"page {name} chat" for name in ("ana", "ben", "cas")]
    run.world.on_call = team(dbteam=("dan",))
    await ack(run, "ana")
    assert sorted(said(run))[:3] == [f"acknowledged {name} chat" for name in ("ana", "ben", "cas")]


async def test_who_is_on_call_is_asked_with_the_rows_names_and_the_stores_time(run: Running) -> None:
    asked: list[tuple[list[str], datetime]] = []

    def who(names: Collection[str], now: datetime) -> Mapping[str, Sequence[str]]:
        asked.append((list(names), now))
        return {}

    run.world.on_call = who
    run.turned.turn(hours=5)
    await run.fire(1)
    names, at = asked[0]
    assert names == ["cto", "dbteam", "platform"]
    assert abs(at - await run.store.now()) < timedelta(seconds=30)


async def test_schedules_that_cannot_be_asked_fail_no_decision(run: Running) -> None:
    def broken(names: Collection[str], now: datetime) -> Mapping[str, Sequence[str]]:
        raise ZoneInfoError

    class ZoneInfoError(Exception):
        pass

    run.world.on_call = broken
    await run.fire(1)
    assert said(run) == ["page dbteam chat"]
    texts = [entry.text for entry in await run.reader.timeline(await incident_of(run))]
    assert not [text for text in texts if "our own decision failed" in text]


async def test_l8_the_fallback_pages_everybody_who_is_on_call_for_the_first_level_that_has_somebody(
    run: Running,
) -> None:
    """L8: one broken incident must not be a silent one."""
    run.world.on_call = team(dbteam=(), platform=("ana", "ben"))
    await run.fire(1)
    incident = await incident_of(run)
    key = f"{run.store.base}:i:{incident}"
    snapshot = json.loads(await run.store.client.hget(key, "snap"))
    snapshot["policy"]["severities"] = {}  # nothing can be decided about it any more
    await run.store.client.hset(key, "snap", json.dumps(snapshot))
    before = len(run.world.sent)
    await run.store.record(incident, NoteAdded(at=await run.store.now(), by="ana", note="looking"))
    await run.after(seconds=1)
    assert {(s.effect.contact, s.effect.channel) for s in run.world.sent[before:]} == {
        (name, channel) for name in ("ana", "ben") for channel in ("chat", "mail")
    }
    await run.store.client.delete(
        key, f"{run.store.base}:k:{1:032x}", *[f"{key}:{part}" for part in ("t", "m", "in")]
    )


async def test_a_persons_plan_is_copied_when_they_are_reached(store: Store, turned: Any) -> None:
    rules = OneRow(("chat",))
    rules.plans["ana"] = (after(2, "phone"),)
    async with running(store, turned, rules) as run:
        run.world.on_call = team(dbteam=("ana",))
        await run.fire(1)
        rules.plans["ana"] = (after(2, "mail"),)  # a reload changes nothing that is under way
        await run.after(minutes=2)
        assert said(run) == ["page ana phone"]


async def test_l5_a_later_channel_is_paged_on_time_across_a_restart(store: Store, turned: Any) -> None:
    """L5: a wait was lost with the process that waited."""
    world = World(random.Random(1))
    rules = OneRow(("chat", after(2, "phone")))
    async with running(store, turned, rules, world) as run:
        await run.fire(1)
        second = world.replica(store, rules, ("chat", "phone"))
        task = asyncio.create_task(second.run())
        await asyncio.sleep(0)
        turned.turn(minutes=2)
        await settle(second)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert said(run) == ["page dbteam chat", "page dbteam phone"]


async def test_l9_a_provider_that_fails_once_is_tried_again_with_the_same_id(run: Running) -> None:
    """L9: what failed once was set aside for ever."""
    run.world.down = {"chat"}
    await run.fire(1)
    run.world.down = set()
    await run.after(seconds=6)
    assert said(run) == ["page dbteam chat"]
    assert [number for number, _ in run.world.attempts] == [1, 2]
    assert len({effect.id for _, effect in run.world.attempts}) == 1


async def test_an_outcome_that_cannot_be_written_down_is_tried_again_later_and_later_and_holds_nobody_else_up(
    store: Store, turned: Any
) -> None:
    world = Careless(random.Random(1))
    async with running(store, turned, OneRow(("chat",)), world) as run:
        await run.fire(1, 2)
        assert len(world.sent) == 2
        await run.after(seconds=6)  # well before its lease would end
        assert len(world.sent) == 3
        assert len({one.effect.id for one in world.sent}) == 2
        world.careless = False
        await run.after(minutes=2)
        assert {page.status for i in await run.ids() for page in await pages(run, i)} == {"delivered"}


class Careless(World):
    """Its channel hands back a receipt of its own kind for the first page that it sends."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(chance)
        self.careless = True
        self._first = ""

    async def send(self, attempt: Attempt) -> Done:
        done = await super().send(attempt)
        self._first = self._first or attempt.effect.id
        if not self.careless or attempt.effect.id != self._first:
            return done
        receipt = Receipt({"id": Unwritable("x")})
        return Done(facts=tuple(msgspec.structs.replace(fact, receipt=receipt) for fact in done.facts))


async def pages(run: Running, incident: str) -> Sequence[Page]:
    found = await run.reader.snapshot(incident)
    assert found is not None
    return found.pages


async def test_d2_one_persons_dead_channel_repeats_nothing_to_the_others(run: Running) -> None:
    """D2: one failing receiver made the retry send again to the healthy ones."""
    run.world.on_call = team(**TEAM)
    run.world.away = {"ben"}
    await run.fire(1)
    for _ in range(3):
        await run.after(seconds=6)
    run.world.away = set()
    await run.after(seconds=6)
    counts = Counter(s.effect.contact for s in run.world.sent if s.effect.kind is MessageKind.PAGE)
    assert counts == {"ana": 1, "ben": 1, "cas": 1}


async def test_where_the_provider_is_known_to_be_down_the_next_channel_is_tried_at_once(run: Running) -> None:
    run.world.known_down = {"chat"}
    await run.fire(1)
    assert said(run) == ["page dbteam mail"]


async def test_a_report_of_the_provider_pages_over_the_next_channel(run: Running) -> None:
    await run.fire(1)
    incident = await incident_of(run)
    effect = run.world.sent[0].effect
    lost = MessageFailed(
        at=await run.store.now(),
        effect=effect.id,
        page=effect.page,
        kind=effect.kind,
        reason="no such number",
    )
    await run.store.record(incident, lost)
    await run.after(seconds=1)
    assert said(run) == ["page dbteam chat", "page dbteam mail"]


async def test_e2_a_page_that_crosses_an_acknowledgement_is_marked_and_is_the_last(run: Running) -> None:
    """E2: the escalation went on after the acknowledgement; one page on the wire may cross it, and says so."""
    on_wire, go_on = asyncio.Event(), asyncio.Event()

    async def slow(attempt: Attempt) -> Done:
        on_wire.set()
        await go_on.wait()
        return await World.send(run.world, attempt)

    kind = type(run.engine._outbox._performers[SendMessage])
    fast = run.engine._outbox._performers
    start = to_ms(await run.store.now())
    run.engine._outbox._performers = {**fast, SendMessage: kind(perform=slow, limit=timedelta(seconds=10))}
    run.engine.took(await run.store.ingest([firing(1, start)]))
    await on_wire.wait()
    incident = await incident_of(run)
    recorded = asyncio.create_task(
        run.desk.record(incident, AcknowledgedBy(at=await run.store.now(), by="ana"))
    )
    await recorded
    go_on.set()
    await settle(run.engine)
    await run.after(minutes=20)  # every level's time passes
    pages = [s for s in run.world.sent if s.effect.kind in {MessageKind.PAGE, MessageKind.REMINDER}]
    assert len(pages) == 1
    reasons = [entry.reason.name for entry in await run.reader.timeline(incident)]
    assert reasons.count("DELIVERED_LATE") == 1


async def test_each_of_a_level_acknowledges_for_themselves_and_a_queued_page_to_them_is_dropped(
    store: Store, turned: Any
) -> None:
    async with running(store, turned, OneRow(("chat", "mail"), everybody=LEVELS)) as run:
        run.world.on_call = team(dbteam=("ana", "ben"))
        run.world.down = {"chat", "mail"}
        await run.fire(1)
        await ack(run, "slack:ana")
        run.world.down = set()
        await run.after(seconds=7)
        assert "page ana chat" not in said(run)
        assert "page ben chat" in said(run)
        assert ("ana", "ana has acknowledged") in [
            (e.contact, why) for e, why in run.world.dropped if isinstance(e, SendMessage)
        ]
        await ack(run, "ben")
        found = await run.reader.snapshot(await incident_of(run))
        assert found is not None
        assert (found.state_name, found.acknowledged_by) == ("acknowledged", "ana, ben")


async def test_what_follows_a_page_is_sent_after_the_decision_has_its_receipt_and_counts_as_one_attempt(
    run: Running,
) -> None:
    await run.fire(1)
    await ack(run, "ana")
    await run.after(seconds=1)
    assert said(run) == ["page dbteam chat", "acknowledged dbteam chat"]
    assert {number for number, _ in run.world.attempts} == {1}


# Channels that come back


async def fire_many(run: Running, count: int) -> int:
    start = to_ms(await run.store.now())
    for at in range(0, count, 100):
        batch = [firing(n, start) for n in range(at, min(at + 100, count))]
        run.engine.took(await run.store.ingest(batch))
    await settle(run.engine, rounds=5_000)
    return start


async def test_s2_of_many_that_resolved_while_the_channel_was_down_nothing_is_sent(
    run: Running,
) -> None:
    """S2: after a restart every resolved notice went out singly, and what was refused alerted for ever."""
    run.world.down = {"chat", "mail"}
    start = await fire_many(run, 150)
    now = to_ms(await run.store.now())
    run.engine.took(await run.store.ingest([resolving(n, start, now) for n in range(150)]))
    await settle(run.engine, rounds=5_000)
    run.turned.turn(minutes=31)  # the watch is over, too
    await settle(run.engine, rounds=5_000)
    run.world.down = set()
    for _ in range(4):
        run.turned.turn(minutes=1)
        await settle(run.engine, rounds=5_000)
    assert run.world.sent == []
    dropped = Counter(why for _, why in run.world.dropped)
    assert dropped["the incident is resolved"] + dropped["the incident is monitoring"] >= 150  # the pages
    # Who heard nothing of it is not told that it is over, whether that was asked for already or not.
    assert dropped["its page never arrived"] + dropped["the incident is monitoring"] >= 150
    assert (await run.reader.shared())[:2] == ({}, 0)  # nothing open, and no lane waits for ever
    before = len(run.world.decisions)
    run.turned.turn(hours=6)
    await settle(run.engine)
    assert len(run.world.decisions) == before


async def test_s2_of_what_still_matters_each_person_hears_once_of_each_kind(run: Running) -> None:
    """S2: no flood of rounds; the page and the last reminder are sent, the others are dropped and counted."""
    run.world.down = {"chat", "mail"}
    await fire_many(run, 25)
    for _ in range(12):
        await run.after(minutes=5)
    run.world.down = set()
    for _ in range(4):
        await run.after(seconds=65)
    pages = Counter(
        (s.effect.incident, s.effect.contact, s.effect.channel, s.effect.kind)
        for s in run.world.sent
        if s.effect.kind in {MessageKind.PAGE, MessageKind.REMINDER}
    )
    assert len({incident for incident, *_ in pages}) == 25
    assert {contact for _, contact, _, _ in pages} == {"dbteam", "platform", "cto"}
    assert set(pages.values()) == {1}
    assert Counter(why for _, why in run.world.dropped)["a later one takes its place"] >= 25


async def test_s3_what_waited_longer_than_it_is_of_use_is_not_sent_by_who_starts_later(
    store: Store, turned: Any
) -> None:
    """S3: a queue that was restarted sent old messages to people whom they did not concern any more."""
    world = World(random.Random(1))
    async with running(store, turned, OneRow(("chat",)), world) as run:
        await run.fire(1)
        world.down = {"chat"}
        incident = await incident_of(run)
        await run.desk.record(incident, ResolvedBy(at=await store.now(), by="ana"))
        await settle(run.engine)
        turned.turn(hours=7)
        world.down = set()
        later = world.replica(store, OneRow(("chat",)), ("chat",))
        task = asyncio.create_task(later.run())
        await asyncio.sleep(0)
        await settle(later)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert said(run) == ["page dbteam chat"]
        assert [why for _, why in world.dropped] == ["out of date"]


async def test_s3_pages_of_an_earlier_episode_are_not_sent_to_those_of_then(run: Running) -> None:
    """S3."""
    run.world.on_call = team(dbteam=("ana",))
    run.world.down = {"chat", "mail"}
    start = await fire_many(run, 1)
    run.engine.took(await run.store.ingest([resolving(0, start, to_ms(await run.store.now()))]))
    await settle(run.engine)
    run.world.on_call = team(dbteam=("ben",))
    await run.after(minutes=10)
    run.engine.took(await run.store.ingest([firing(0, to_ms(await run.store.now()))]))
    await settle(run.engine)
    run.world.down = set()
    await run.after(seconds=65)
    assert {s.effect.contact for s in run.world.sent} == {"ben"}


# Standing by, and snoozes

STANDING = AcknowledgementPolicy(remind_after=timedelta(minutes=30), lapse_after=timedelta(minutes=45))


async def test_an_acknowledgement_that_nobody_stands_by_is_reminded_of_and_lapses(
    store: Store, turned: Any
) -> None:
    async with running(store, turned, OneRow(("chat",), standing=STANDING)) as run:
        await run.fire(1)
        await ack(run, "dbteam")
        await run.after(minutes=31)
        assert said(run)[-1] == "reminder dbteam chat"
        await run.after(minutes=15)
        assert said(run)[-1] == "page dbteam chat"
        await run.after(minutes=5)
        assert said(run)[-1] == "page platform chat"


async def test_a_reminder_that_waits_for_its_channel_is_dropped_when_the_incident_ends_or_pages_anew(
    store: Store, turned: Any
) -> None:
    async with running(store, turned, OneRow(("chat",), standing=STANDING)) as run:
        await run.fire(1, 2)
        await ack(run, "dbteam")
        run.world.down = {"chat"}
        await run.after(minutes=31)
        first, _ = sorted(await run.ids())
        await run.desk.record(first, ResolvedBy(at=await run.store.now(), by="ana"))
        await run.after(minutes=15)
        run.world.down = set()
        await run.after(seconds=65)
        assert "reminder dbteam chat" not in said(run)
        reasons = Counter(
            why
            for e, why in run.world.dropped
            if isinstance(e, SendMessage) and e.kind is MessageKind.REMINDER
        )
        assert reasons == {"the incident is resolved": 1, "the incident is triggered": 1}


async def test_a_note_while_the_reminder_waits_makes_it_useless(store: Store, turned: Any) -> None:
    async with running(store, turned, OneRow(("chat",), standing=STANDING)) as run:
        await run.fire(1)
        await ack(run, "dbteam")
        run.world.down = {"chat"}
        await run.after(minutes=31)
        now = await run.store.now()
        await run.desk.record(await incident_of(run), NoteAdded(at=now, by="dbteam", note="on it"))
        run.world.down = set()
        await run.after(seconds=6)
        assert "reminder dbteam chat" not in said(run)


async def test_no_page_starts_once_a_snooze_is_on_disk_and_it_pages_anew_at_its_end(run: Running) -> None:
    run.world.down = {"chat", "mail"}
    await run.fire(1)
    now = await run.store.now()
    snooze = SnoozedBy(at=now, by="ana", until=now + timedelta(minutes=30))
    await run.store.record(await incident_of(run), snooze)  # not yet decided
    run.world.down = set()
    await run.after(seconds=30)
    assert [line for line in said(run) if line.startswith("page")] == []
    await run.after(minutes=29)
    assert [line for line in said(run) if line.startswith("page")] == []
    await run.after(minutes=1)
    assert [line for line in said(run) if line.startswith("page")] == ["page dbteam chat"]


@pytest.mark.parametrize("by", ["resolve", "clear"])
async def test_a_snooze_of_what_ends_meanwhile_pages_nobody(run: Running, by: str) -> None:
    start = await fire_many(run, 1)
    incident = await incident_of(run)
    now = await run.store.now()
    await run.desk.record(incident, SnoozedBy(at=now, by="ana", until=now + timedelta(minutes=30)))
    if by == "resolve":
        await run.desk.record(incident, ResolvedBy(at=now, by="ana"))
    else:
        run.engine.took(await run.store.ingest([resolving(0, start, to_ms(now))]))
    await settle(run.engine)
    await run.after(minutes=40)
    assert [line for line in said(run) if line.startswith("page")] == ["page dbteam chat"]
