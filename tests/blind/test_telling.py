"""What a blind replica did counts as done: no page comes twice, no level after an acknowledgement, a repeat changes nothing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from replicas import Replica, heard
from running import Running, run
from stage import MINUTE, START, Play
from unwritable import Unwritable
from world import firing, settle

from responder.engine.blind.item import Heard
from responder.engine.blind.report import report_of, writes_of
from responder.engine.blind.telling import tell
from responder.incident.around import Around, Outline
from responder.incident.decision import FirstPaged, Reason
from responder.incident.effects import SendMessage
from responder.incident.facts import AcknowledgedBy, NoteAdded, PagedBlind, ResolvedBy
from responder.incident.hold import Hold, HoldKind
from responder.incident.message import Receipt
from responder.incident.severity import Severity
from responder.incident.state import Incident
from responder.paging.compose import Words, compose
from responder.store.roll import Roll
from responder.store.store import Store, to_ms

__all__ = ["run"]

SECOND = timedelta(seconds=1)


def blind(incident: Incident, minutes: list[float], *, say: AcknowledgedBy | None = None) -> PagedBlind:
    """A replica that knows the incident pages what is due at these minutes; what it tells then."""
    one = Replica("replica-a")
    one.memory.known(incident)
    one.memory.begin(START + minutes[0] * MINUTE)
    for minute in minutes:
        one.step(START + minute * MINUTE)
    if say is not None:
        assert one.memory.say(incident.id, say)
        one.step(say.at)
    (item,) = one.memory.to_tell()
    report = report_of(item, "replica-a", START + minutes[-1] * MINUTE)
    assert report is not None
    decoded = msgspec.json.decode(msgspec.json.encode(report), type=PagedBlind)
    assert decoded == report
    return report


def primed() -> Play:
    play = Play()
    play.delivered()
    return play


def test_levels_that_were_paged_blind_are_reached_and_the_next_one_comes_at_its_time() -> None:
    play = primed()
    play.at(9, blind(play.incident, [5, 6]))
    play.until(20)
    assert [said for _, said in play.dialogue] == ["page primary dbteam chat", "page executive cto chat"]
    assert play.dialogue[-1][0] == 15
    assert Reason.PAGED_BLIND in play.reasons()
    texts = [entry.text for decision in play.decisions for entry in decision.entries]
    assert "the store was away, replica-a paged secondary platform over chat: delivered" in texts


def test_an_acknowledgement_that_was_taken_blind_holds_and_is_told_in_the_name_of_its_time() -> None:
    play = primed()
    said = AcknowledgedBy(at=START + 6 * MINUTE, by="ana", via="link")
    report = blind(play.incident, [5], say=said)
    assert report.answers == (said,)
    play.at(9, report)
    play.until(120)
    assert play.incident.state_name == "acknowledged"
    assert play.incident.acknowledged_at == said.at
    pages = [text for _, text in play.dialogue if text.startswith(("page", "reminder"))]
    assert pages == ["page primary dbteam chat"]
    # Those who were paged have heard of it while the store was away, and do not hear it again.
    assert len(report.noticed) == 2
    assert not [text for _, text in play.dialogue if text.startswith("acknowledged")]
    # What follows is named by its number, and no number is given twice.
    assert all(page.updates >= report.updates[page.id] for page in play.incident.pages)


def test_a_report_that_comes_twice_changes_nothing() -> None:
    play = primed()
    report = blind(play.incident, [5])
    play.at(9, report)
    before = play.incident
    decision = play.at(9, report)
    assert (len(decision.effects), len(decision.entries)) == (0, 0)
    assert play.incident.episode == before.episode
    assert play.incident.pages == before.pages


def test_reports_of_two_replicas_that_paged_the_same_are_one() -> None:
    play = primed()
    one = blind(play.incident, [5])
    other = msgspec.structs.replace(one, id="another", replica="replica-b")
    play.at(9, one, other)
    assert [page.level for page in play.incident.pages] == ["primary", "secondary"]
    play.until(14)
    assert len(play.dialogue) == 1


def test_what_was_done_for_an_episode_that_is_over_is_written_down_and_no_more() -> None:
    play = primed()
    report = blind(play.incident, [5])
    play.clear().at(6)
    play.fire(Severity.P1).at(7)  # it fired again: a new episode
    play.at(9, report)
    assert [reach.level for reach in play.incident.episode.reached] == ["primary"]
    assert Reason.PAGED_BLIND in play.reasons()


def test_who_was_paged_blind_in_an_episode_that_is_over_hears_how_it_ends_and_nothing_else() -> None:
    play = primed()
    report = blind(play.incident, [5])
    play.clear().at(6)
    play.fire(Severity.P1).at(7)
    play.at(9, report)
    play.at(10, AcknowledgedBy(at=play.now, by="ana"))
    play.at(11, ResolvedBy(at=play.now, by="ana"))
    after = [text for minute, text in play.dialogue if minute > 9]
    assert after == [
        "acknowledged primary dbteam chat",
        "resolved primary dbteam chat",
        "resolved secondary platform chat",
    ]


@pytest.mark.parametrize("over", [False, True])
def test_who_was_paged_blind_for_what_somebody_had_hears_so_under_the_id_of_the_page(over: bool) -> None:
    _, report = born()
    play = primed()
    play.at(1, AcknowledgedBy(at=play.now, by="ana"))
    if over:
        play.at(2, ResolvedBy(at=play.now, by="ana"))
    before = len(play.effects)
    decision = play.at(3, report)
    told = [
        (effect.kind, effect.known_as)
        for _, effect in play.effects[before:]
        if isinstance(effect, SendMessage)
    ]
    assert told == [("resolved" if over else "acknowledged", report.incident)]
    assert report.incident != play.incident.id
    assert play.at(4, report).effects == ()
    assert decision.incident.state_name == ("resolved" if over else "acknowledged")


def test_a_message_that_follows_a_page_names_the_incident_as_the_page_did() -> None:
    _, report = born()
    play = primed()
    play.at(1, report)
    play.at(2, AcknowledgedBy(at=play.now, by="ana"))
    sent = [effect for minute, effect in play.effects if minute == 2 and isinstance(effect, SendMessage)]
    words = Words(attempt=1, sent_at=play.now, external_url="https://r.example")
    told = [compose(play.incident, effect, words).incident for effect in sent]
    assert [one.id for one in told] == [play.incident.id, report.incident]
    assert {one.url for one in told} == {f"https://r.example/incidents/{play.incident.id}"}


def test_the_number_of_an_episode_that_began_blind_is_given_to_no_later_one() -> None:
    """It fired again and resolved, all of it while the store was away; and later it fires once more."""
    play = primed()
    play.clear().at(1)
    one = Replica("replica-a")
    one.memory.known(play.incident)
    one.memory.begin(START + 2 * MINUTE)
    write = heard(1)
    one.memory.hear([msgspec.structs.replace(write, key=play.incident.key)], START + 2 * MINUTE)
    one.step(START + 2 * MINUTE)
    (item,) = one.memory.to_tell()
    report = report_of(item, "replica-a", START + 3 * MINUTE)
    assert report is not None
    play.fire(Severity.P1).clear().at(4, report)
    assert (play.incident.state_name, play.incident.episode.number) == ("monitoring", 2)
    blind_page = report.pages[0].id
    play.fire(Severity.P1).at(5)
    assert play.incident.episode.number == 3
    asked = [effect.id for _, effect in play.effects]
    assert blind_page not in asked
    assert play.dialogue[-1] == (5, "page primary dbteam chat")


def test_what_was_held_back_and_paged_blind_when_that_was_over_is_not_paged_again() -> None:
    window = Hold(kind=HoldKind.MAINTENANCE, by="w", text="the window", until=START + 3 * MINUTE)
    play = Play(holds=(window,))
    assert play.dialogue == []
    play.holds = ()
    report = blind(play.incident, [3])
    assert [page.level for page in report.pages] == ["primary"]
    play.at(4, report)
    assert play.dialogue == []
    play.until(9)
    assert play.dialogue == [(8, "page secondary platform chat")]


def test_what_waited_for_the_order_of_arrival_and_was_paged_blind_is_not_paged_again() -> None:
    play = Play(Severity.P2, around=Around(as_of=START, hold_down=30 * SECOND))
    assert play.dialogue == []
    report = blind(play.incident, [0.5])
    assert [page.level for page in report.pages] == ["primary"]
    play.at(4, report)
    assert play.dialogue == []
    play.until(21)
    assert play.dialogue == [(20, "page secondary platform chat")]


def test_what_it_was_attached_to_hears_that_it_was_paged_by_itself_meanwhile() -> None:
    beneath = Outline(
        id="b" * 16, service="storage", severity=Severity.P1, title="disk gone", opened_at=START, pages=True
    )
    play = Play(Severity.P2, around=Around(as_of=START, beneath=(beneath,)))
    assert play.dialogue == [(0, "pass on attached")]
    report = blind(play.incident, [3])
    play.around = Around(as_of=START)
    play.at(4, report)
    assert play.dialogue[1:] == [(4, "pass on detached")]


def test_a_page_that_is_still_being_tried_is_left_to_the_store() -> None:
    play = primed()
    one = Replica("replica-a")
    one.memory.known(play.incident)
    one.memory.begin(START + 4 * MINUTE)
    one.down = True
    one.step(START + 5 * MINUTE)
    (item,) = one.memory.to_tell()
    assert report_of(item, "replica-a", START + 6 * MINUTE) is None
    assert item.incident is not None
    said = NoteAdded(at=START, by="ana", note="x")
    assert one.memory.say(item.id, said)
    report = report_of(item, "replica-a", START + 6 * MINUTE)
    assert report is not None
    play.at(6, report)  # the level is due, and the store pages it
    assert play.dialogue[-1] == (6, "page secondary platform chat")


def born(key: int = 1, *, acknowledge: bool = False) -> tuple[Replica, PagedBlind]:
    one = Replica("replica-a")
    now = START + 15 * SECOND
    one.memory.begin(now)
    one.memory.hear([heard(key)], START)
    one.step(now)
    (item,) = one.memory.to_tell()
    if acknowledge:
        assert one.memory.say(item.id, AcknowledgedBy(at=now + MINUTE, by="ana"))
        one.step(now + MINUTE)
    report = report_of(item, "replica-a", now + MINUTE)
    assert report is not None
    return one, report


def test_an_incident_that_opened_in_memory_opens_in_the_store_as_it_was() -> None:
    _, report = born()
    fresh = Play()
    # The first decision of the store comes after the outage.
    late = msgspec.structs.replace(
        fresh.incident, opened_at=START + 10 * MINUTE, pages=(), first_paged_at=None, now=START + 10 * MINUTE,
        episode=msgspec.structs.replace(fresh.incident.episode, reached=(), began_at=START + 10 * MINUTE),
        totals=msgspec.structs.replace(fresh.incident.totals, fired={}, firing={}),
    )  # fmt: skip
    fresh.incident = late
    fresh.effects.clear()
    decision = fresh.at(10, report, opened=True)
    assert fresh.incident.opened_at == START
    assert fresh.incident.respond_by == START + 15 * MINUTE
    assert [text for _, text in fresh.dialogue] == [
        "page secondary platform chat"
    ]  # due at 5, and nobody was told
    assert FirstPaged(15.0) in [one.what for one in decision.measured]


async def test_the_store_takes_a_report_of_a_known_incident_and_does_not_send_its_pages_again(
    run: Running, turned: Any
) -> None:
    """The page is in the outbox, and was sent from memory: what waits there is dropped."""
    run.world.known_down.add("chat")
    await run.fire(1)
    (incident_id,) = await run.ids()
    incident = await run.reader.snapshot(incident_id)
    assert incident is not None
    one = Replica("replica-a")
    one.memory.known(incident)
    one.memory.begin(incident.now)
    one.step(incident.now)
    assert len(one.sent) >= 1
    (item,) = one.memory.to_tell()
    report = report_of(item, "replica-a", incident.now)
    assert report is not None
    before = len(run.world.sent)
    roll = Roll(run.store, "replica-a")
    assert await roll.tell(incident_id, report)
    assert await roll.tell(incident_id, report)  # the answer was lost
    run.world.known_down.clear()
    await run.after(seconds=31)
    await run.after(seconds=1)  # while the report was not decided, no page began
    assert len(run.world.sent) == before
    assert "it was delivered already" in [why for _, why in run.world.dropped]
    entries = await run.reader.timeline(incident_id)
    assert [entry.reason for entry in entries].count(Reason.PAGED_BLIND) == len(report.pages)
    assert not await roll.tell("0" * 16, report)


async def test_the_store_takes_what_opened_in_memory_in_one_step_and_pages_nobody_again(
    run: Running, turned: Any
) -> None:
    now = await run.store.now()
    one = Replica("replica-a")
    one.memory.begin(now)
    one.memory.hear([heard(1)], now)
    one.step(now)
    (item,) = one.memory.to_tell()
    assert one.memory.say(item.id, AcknowledgedBy(at=now, by="ana"))
    one.step(now)
    report = report_of(item, "replica-a", now)
    assert report is not None
    roll = Roll(run.store, "replica-a")
    writes = writes_of(item.members.values())
    assert await roll.bring(item.id, item.key, writes, report) == item.id
    assert await roll.bring(item.id, item.key, writes, report) == item.id  # the answer was lost
    await settle(run.engine)
    await run.after(minutes=60)
    incident = await run.reader.snapshot(item.id)
    assert incident is not None
    assert (incident.state_name, incident.acknowledged_by) == ("acknowledged", "ana")
    assert run.said() == []


async def test_a_report_that_cannot_be_written_down_is_kept_and_the_others_are_written(
    run: Running, turned: Any
) -> None:
    now = await run.store.now()
    one = Replica("replica-a")
    one.memory.begin(now)
    one.memory.hear([heard(1), heard(2)], now)
    one.step(now)
    bad, good = one.memory.to_tell()
    assert bad.incident is not None
    (page,) = bad.incident.pages
    page = msgspec.structs.replace(page, receipt=Receipt({"id": Unwritable("x")}))
    bad.incident = msgspec.structs.replace(bad.incident, pages=(page,))
    for item in (bad, good):
        await tell(Roll(run.store, "replica-a"), one.memory, item, now, alerts=True)
    await settle(run.engine)
    assert await run.ids() == [good.id]
    assert [item.id for item in one.memory.to_tell()] == [bad.id]


@pytest.mark.parametrize("full", [False, True])
async def test_an_incident_that_rose_and_was_paged_for_it_in_memory_has_risen_in_the_store_and_is_paged_no_more(
    run: Running, turned: Any, full: bool
) -> None:
    """Where the store decides again and takes no alerts yet, too; they come later."""
    await run.fire(1, severity=Severity.P2)
    (name,) = await run.ids()
    incident = await run.reader.snapshot(name)
    assert incident is not None
    now = await run.store.now()
    one = Replica("replica-a")
    one.memory.known(incident)
    one.memory.begin(now)
    one.memory.hear([heard(9, key=1)], now)
    one.step(now)
    assert one.levels() == ["primary"]
    (item,) = one.memory.to_tell()
    await tell(Roll(run.store, "replica-a"), one.memory, item, now, alerts=not full)
    await settle(run.engine)
    if full:
        run.engine.took(await run.store.ingest([heard(9, key=1).write]))
        await settle(run.engine)
    await run.after(seconds=30)
    risen = await run.reader.snapshot(name)
    assert risen is not None
    assert (risen.severity, risen.episode.number, risen.totals.firing[Severity.P1]) == (Severity.P1, 2, 1)
    assert run.said() == ["page primary"]
    await run.after(minutes=5)
    assert run.said() == ["page primary", "page secondary"]


async def test_where_the_store_decides_and_has_no_room_for_alerts_it_is_told_that_an_incident_is_worse(
    run: Running, turned: Any
) -> None:
    await run.fire(1, severity=Severity.P2)
    (name,) = await run.ids()
    incident = await run.reader.snapshot(name)
    assert incident is not None
    now = await run.store.now()
    for replica in ("replica-a", "replica-b", "replica-a"):
        one = Replica(replica)
        one.memory.known(incident)
        one.memory.begin(now)
        one.memory.hear([heard(9, key=1)], now)
        one.step(now, alone=False)
        assert one.sent == []
        (item,) = one.memory.risen()
        await Roll(run.store, replica).rise(item.id, item.severity, now)
        one.memory.risen_there(item)
        await settle(run.engine)
    assert run.said() == ["page primary", "page primary"]
    run.engine.took(await run.store.ingest([heard(9, key=1).write]))  # there is room again
    await run.after(minutes=1)
    assert run.said() == ["page primary", "page primary"]


async def test_what_another_replica_was_first_to_open_is_told_there_and_its_name_leads_there(
    run: Running, turned: Any
) -> None:
    _, report = born(acknowledge=True)
    start = to_ms(await run.store.now())
    await run.store.ingest([firing(1, start, Severity.P1)])  # another start: another name
    await settle(run.engine)
    (actual,) = await run.ids()
    roll = Roll(run.store, "replica-a")
    found = await roll.bring("f" * 16, f"{1:032x}", [firing(1, start, Severity.P1)], report)
    assert found == actual != "f" * 16
    assert await roll.actual("f" * 16) == actual
    assert await roll.actual("e" * 16) is None
    await settle(run.engine)
    incident = await run.reader.snapshot(actual)
    assert incident is not None
    assert incident.acknowledged_by == "ana"


_HEARD = [("a", 0), ("a", None), ("a", 20), ("b", 40), ("b", None), ("b", 60)]


@pytest.mark.parametrize("order", list(itertools.permutations(_HEARD))[::60])
@pytest.mark.parametrize("retried", [False, True])
async def test_in_whatever_order_alerts_came_the_id_that_was_paged_is_the_one_in_the_store_or_leads_there(
    run: Running, turned: Any, order: Sequence[tuple[str, int | None]], retried: bool
) -> None:
    now = await run.store.now()
    one = Replica("replica-a")
    one.memory.begin(now)
    for name, seconds in order:
        one.memory.hear([came(name, seconds, now)], now)
        one.step(now)
    (item,) = one.memory.to_tell()
    assert {effect.incident for _, effect in one.sent} == {item.id}
    report = report_of(item, "replica-a", now)
    assert report is not None
    writes = writes_of(item.members.values())
    if retried:  # Alertmanager was faster: another replica has taken what fires by now
        firing_now = [write for write in reversed(writes) if write[1] == "F"]
        await run.store.ingest(firing_now)
        await settle(run.engine)
    roll = Roll(run.store, "replica-a")
    actual = await roll.bring(item.id, item.key, writes, report)
    await settle(run.engine)
    assert await run.ids() == [actual]
    assert actual == (await roll.actual(item.id) or item.id)
    if not retried:
        assert actual == item.id
    await run.finish()
    ended = {
        sent.effect.known_as or sent.effect.incident
        for sent in run.world.sent
        if sent.effect.kind == "resolved"
    }
    assert item.id in ended


def came(name: str, seconds: int | None, now: datetime) -> Heard:
    """An alert that began so long after the first, or has resolved."""
    number, key = ord(name), f"{1:032x}"
    write = firing(number, to_ms(now) + 1_000 * (seconds or 0) - 100_000, Severity.P1, key)
    if seconds is None:
        write = (write[0], "R", write[2], to_ms(now), 4, "", "", "")
    return Heard(fingerprint=write[0], firing=seconds is not None, severity=Severity.P1, key=key, write=write)


async def test_what_resolved_meanwhile_is_written_as_fired_and_resolved(run: Running, turned: Any) -> None:
    now = await run.store.now()
    one = Replica("replica-a")
    one.memory.begin(now)
    one.memory.hear([heard(1)], now)
    one.step(now)
    one.memory.hear([heard(1, fires=False)], now)
    (item,) = one.memory.to_tell()
    report = report_of(item, "replica-a", now)
    assert report is not None
    await Roll(run.store, "replica-a").bring(item.id, item.key, writes_of(item.members.values()), report)
    await settle(run.engine)
    incident = await run.reader.snapshot(item.id)
    assert incident is not None
    assert incident.state_name == "monitoring"


async def test_replicas_see_each_other_and_what_is_open_and_leave(store: Store, turned: Any) -> None:
    one, other = Roll(store, "one"), Roll(store, "other")
    start = to_ms(await store.now())
    opened = (await store.ingest([firing(1, start), firing(2, start, Severity.P3)])).opened
    await one.call("sees", 10)
    found = await other.call("blind", 10)
    assert {name: word.says for name, word in found.replicas.items()} == {"one": "sees", "other": "blind"}
    assert found.open == {opened[0]: 0}  # the urgent one
    await one.leave()
    turned.turn(hours=2)
    assert set((await other.call("sees", 10)).replicas) == {"other"}
    for part in await store.client.keys(f"{store.base}:*"):
        await store.client.delete(part)


@pytest.mark.parametrize("at", [START, START + MINUTE])
def test_answers_stand_after_their_report_among_the_facts(at: datetime) -> None:
    from responder.incident.stages.blind import with_answers

    _, report = born(acknowledge=True)
    note = NoteAdded(at=at, by="ben", note="x")
    assert with_answers([note, report]) == (note, report, report.answers[0])
    assert with_answers([note]) == [note]
