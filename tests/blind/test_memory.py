"""What a replica pages from memory: what is new and what is due, never what somebody has, and each once."""

from __future__ import annotations

import itertools
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replicas import PAGES, Replica, heard
from stage import MINUTE, START, Play

from responder.engine.blind import kept
from responder.engine.blind.item import ANSWERS_KEPT, MEMBERS_KEPT, born_id
from responder.engine.blind.memory import STRAY_KEPT
from responder.engine.blind.report import report_of
from responder.engine.blind.turns import STAND_IN
from responder.incident.facts import AcknowledgedBy, MessageDelivered, NoteAdded, ResolvedBy
from responder.incident.severity import Severity
from responder.incident.sight import turn
from responder.incident.state import Incident, Resolved
from responder.store.store import to_ms

SECOND = timedelta(seconds=1)


def known(number: int = 1, **more: object) -> Incident:
    """An open P1 whose primary was paged at the start, as the store knows it."""
    play = Play()
    play.delivered()
    return msgspec.structs.replace(play.incident, id=f"{number:016x}", key=f"{number:032x}", **more)


def acknowledged(number: int = 1) -> Incident:
    play = Play()
    play.delivered()
    play.at(1, AcknowledgedBy(at=play.now, by="ana"))
    return msgspec.structs.replace(play.incident, id=f"{number:016x}", key=f"{number:032x}")


def watched(number: int = 1) -> Incident:
    play = Play()
    play.delivered()
    play.clear().at(1)
    return msgspec.structs.replace(play.incident, id=f"{number:016x}", key=f"{number:032x}")


def test_a_new_key_is_paged_once_however_often_it_comes_and_its_levels_follow() -> None:
    one = Replica("a")
    one.memory.begin(START)
    for second in range(60):
        one.memory.hear([heard(1)], START + second * SECOND)
        one.step(START + second * SECOND)
    assert one.levels() == ["primary"]
    for minute in range(1, 16):
        one.memory.hear([heard(1)], START + minute * MINUTE)
        one.step(START + minute * MINUTE)
    assert one.levels() == ["primary", "secondary", "executive"]


def test_what_is_paged_from_memory_is_broken_since_its_first_alert_began() -> None:
    one = Replica("a")
    one.memory.begin(START + MINUTE)
    later = heard(2, key=1)
    later = msgspec.structs.replace(
        later, write=(*later.write[:2], to_ms(START - 5 * MINUTE), *later.write[3:])
    )
    one.memory.hear([heard(1), later], START + MINUTE)
    one.step(START + MINUTE)
    (item,) = one.memory.items.values()
    assert item.incident is not None
    assert (item.incident.opened_at, item.incident.since) == (START + MINUTE, START - 5 * MINUTE)


def test_what_came_before_blind_mode_began_is_paged_when_it_begins_and_nothing_before() -> None:
    one = Replica("a")
    one.memory.hear([heard(1)], START)
    one.step(START + 10 * SECOND)
    assert one.levels() == []
    one.memory.begin(START + 15 * SECOND)
    one.step(START + 15 * SECOND)
    assert one.levels() == ["primary"]


def test_p3_and_p4_and_resolves_page_nobody() -> None:
    one = Replica("a")
    one.memory.begin(START)
    one.memory.hear(
        [heard(1, severity=Severity.P3), heard(2, severity=Severity.P4), heard(3, fires=False)], START
    )
    one.step(START + MINUTE)
    assert one.sent == []
    assert one.memory.items == {}


def test_due_levels_of_known_incidents_are_paged_and_those_of_acknowledged_ones_never() -> None:
    one = Replica("a")
    one.memory.known(known(1))
    one.memory.known(acknowledged(2))
    one.memory.begin(START + 2 * MINUTE)
    for minute in range(2, 120):
        one.memory.hear([heard(1), heard(2)], START + minute * MINUTE)
        one.step(START + minute * MINUTE)
    assert {effect.incident for _, effect in one.sent} == {f"{1:016x}"}
    assert one.levels()[:3] == ["secondary", "executive", "executive"]


def test_a_page_that_nobody_is_known_to_have_sent_is_sent_under_its_own_id() -> None:
    play = Play()
    page = play.incident.pages[0]
    one = Replica("a")
    one.memory.known(play.incident)
    one.memory.begin(START + 15 * SECOND)
    one.step(START + 15 * SECOND)
    assert [effect.id for _, effect in one.sent] == [page.id]


def test_a_page_that_this_replica_has_sent_itself_is_not_sent_again() -> None:
    play = Play()
    one = Replica("a")
    effect = one.memory
    one.memory.known(play.incident)
    sent = play.delivered().incident.pages[0]
    done = MessageDelivered(at=START, effect=sent.id, page=sent.id, kind=PAGES[0], attempt=1)
    effect.delivered([done])
    one.memory.begin(START + 15 * SECOND)
    one.step(START + 15 * SECOND)
    assert one.sent == []
    (item,) = one.memory.to_tell()
    report = report_of(item, "a", START + MINUTE)
    assert report is not None
    assert [(page.id, str(page.status)) for page in report.pages] == [(sent.id, "delivered")]


def test_after_an_acknowledgement_no_further_level_is_paged_and_those_who_were_hear_of_it() -> None:
    one = Replica("a")
    one.memory.begin(START)
    one.memory.hear([heard(1)], START)
    one.step(START)
    (incident,) = one.memory.incidents()
    assert one.memory.say(incident.id, AcknowledgedBy(at=START + MINUTE, by="ana", via="link"))
    for minute in range(1, 60):
        one.step(START + minute * MINUTE)
    assert one.levels() == ["primary"]
    assert [str(effect.kind) for _, effect in one.sent] == ["page", "acknowledged"]
    assert (
        one.memory.say(incident.id, AcknowledgedBy(at=START + MINUTE, by="ben")) is True
    )  # it says who has it
    assert one.memory.say("0" * 16, AcknowledgedBy(at=START, by="ana")) is None


def test_who_takes_what_another_replica_has_paged_is_heeded_by_the_one_that_stands_in() -> None:
    one = Replica("a", ["b", "c", "d"])
    one.memory.begin(START)
    one.memory.hear([heard(number) for number in range(20)], START)
    one.step(START)
    waiting = [item for item in one.memory.items.values() if item.incident is None]
    assert waiting
    paged = len(one.sent)
    for item in waiting:
        assert one.memory.say(item.id, AcknowledgedBy(at=START, by="ana"))
        one.step(START)
        report = report_of(item, "a", START + MINUTE)
        assert report is not None
        assert report.answers[-1].by == "ana"
    one.step(START + 10 * MINUTE)
    assert {effect.incident for _, effect in one.sent[paged:]}.isdisjoint(item.id for item in waiting)


def test_people_may_say_other_things_too_and_what_the_state_does_not_take_is_refused() -> None:
    one = Replica("a")
    one.memory.begin(START)
    one.memory.hear([heard(1)], START)
    one.step(START)
    (incident,) = one.memory.incidents()
    assert one.memory.say(incident.id, NoteAdded(at=START, by="ana", note="looking"))
    assert one.memory.say(incident.id, ResolvedBy(at=START, by="ana"))
    one.step(START + SECOND)
    assert one.memory.say(incident.id, AcknowledgedBy(at=START, by="ana")) is False
    for minute in range(60):
        one.step(START + minute * MINUTE)
    assert one.levels() == ["primary"]


def test_what_has_resolved_meanwhile_is_escalated_no_further_until_it_fires_again() -> None:
    one = Replica("a")
    one.memory.known(known(1))
    one.memory.begin(START)
    one.memory.hear([heard(2), heard(1, fires=False)], START)
    one.step(START)
    one.memory.hear([heard(2, fires=False)], START + MINUTE)
    for minute in range(1, 10):
        one.step(START + minute * MINUTE)
    assert one.levels() == ["primary"]
    one.memory.hear([heard(2), heard(1)], START + 10 * MINUTE)
    one.step(START + 10 * MINUTE)
    assert sorted(one.levels()) == ["primary", "secondary", "secondary"]


def test_what_fires_again_while_it_was_watched_is_paged_anew() -> None:
    one = Replica("a")
    one.memory.known(watched(1))
    one.memory.begin(START + 2 * MINUTE)
    one.memory.hear([heard(1)], START + 3 * MINUTE)
    one.step(START + 3 * MINUTE)
    one.step(START + 4 * MINUTE)
    assert one.levels() == ["primary"]
    (item,) = one.memory.to_tell()
    report = report_of(item, "a", START + 5 * MINUTE)
    assert report is not None
    assert (report.episode, report.born) == (2, True)


def less_bad(*, taken: bool = False) -> Incident:
    """An open P2 whose primary was paged at the start."""
    play = Play(Severity.P2)
    play.delivered()
    if taken:
        play.at(1, AcknowledgedBy(at=play.now, by="ana"))
    return msgspec.structs.replace(play.incident, id=f"{1:016x}", key=f"{1:032x}")


@pytest.mark.parametrize("taken", [False, True])
def test_a_p1_that_joins_a_known_p2_is_paged_at_once_and_once(taken: bool) -> None:
    one = Replica("a")
    one.memory.known(less_bad(taken=taken))
    one.memory.begin(START + 2 * MINUTE)
    one.memory.hear([heard(8, key=1, severity=Severity.P2)], START + 2 * MINUTE)
    one.step(START + 2 * MINUTE)
    assert one.levels() == []
    for second in range(0, 240, 10):
        one.memory.hear([heard(9, key=1), heard(8, key=1, severity=Severity.P2)], START + 3 * MINUTE)
        one.step(START + 3 * MINUTE + second * SECOND)
    assert one.levels() == ["primary"]
    assert one.sent[0][0] == START + 3 * MINUTE
    (incident,) = one.memory.incidents()
    assert (incident.severity, incident.state_name) == (Severity.P1, "triggered")
    one.memory.hear([heard(10, key=1)], START + 7 * MINUTE)
    one.step(START + 8 * MINUTE)  # and its levels follow as those of a P1
    assert one.levels() == ["primary", "secondary"]
    one.memory.hear([heard(9, key=1, fires=False)], START + 9 * MINUTE)
    (item,) = one.memory.to_tell()
    assert (len(item.members), item.quiet) == (1, False)


def test_what_makes_an_incident_worse_is_remembered_until_the_store_has_decided_about_it() -> None:
    one, seen = Replica("a"), less_bad()
    one.memory.known(seen)
    one.memory.hear([heard(9, key=1)], START + MINUTE)
    one.memory.known(msgspec.structs.replace(seen, now=START + 2 * MINUTE))
    one.memory.begin(START + 3 * MINUTE)
    assert [item.id for item in one.memory.risen()] == [seen.id]
    one.memory.known(msgspec.structs.replace(seen, severity=Severity.P1, now=START + 2 * MINUTE))
    assert one.memory.risen() == []
    assert one.memory.kept.bytes == 0


def test_a_p1_that_somebody_has_judged_to_be_less_is_not_paged_for_firing_still() -> None:
    judged = msgspec.structs.replace(known(1), severity=Severity.P2)
    one = Replica("a")
    one.memory.known(judged)
    one.memory.begin(START + 2 * MINUTE)
    one.memory.hear([heard(1)], START + 2 * MINUTE)
    one.step(START + 3 * MINUTE)
    assert one.levels() == []


def test_a_p1_that_joins_what_was_paged_from_memory_as_a_p2_is_paged_at_once_and_once() -> None:
    one = Replica("a")
    one.memory.begin(START)
    for number in range(MEMBERS_KEPT):
        one.memory.hear([heard(number, key=1, severity=Severity.P2)], START)
        one.step(START)
    assert one.levels() == ["primary"]
    for minute in (3, 4, 5):
        one.memory.hear([heard(99, key=1)], START + minute * MINUTE)
        one.step(START + minute * MINUTE)
    assert one.levels() == ["primary", "primary"]
    assert len({effect.id for _, effect in one.sent}) == 2


def test_a_rise_waits_for_its_replica_as_a_new_key_does() -> None:
    names = ["a", "b"]
    replicas = [Replica(name, names) for name in names]
    for one in replicas:
        one.memory.known(less_bad())
        one.memory.begin(START + MINUTE)
        one.memory.hear([heard(9, key=1)], START + 10 * MINUTE)
        one.step(START + 10 * MINUTE)
    assert sorted(len(one.sent) for one in replicas) == [0, 1]
    for one in replicas:
        one.step(START + 10 * MINUTE + STAND_IN)
    assert {one.sent[0][1].id for one in replicas} == {replicas[0].sent[0][1].id}


def test_where_the_store_still_decides_only_new_keys_are_paged_from_memory() -> None:
    one = Replica("a")
    one.memory.known(known(1))
    one.memory.begin(START)
    one.memory.hear([heard(2)], START)
    for minute in range(4):
        one.step(START + minute * MINUTE, alone=False)
    assert [effect.incident for _, effect in one.sent] == [born_id(f"{2:032x}", heard(2).write)]


def test_replicas_share_the_keys_and_the_next_one_stands_in_for_one_that_is_gone() -> None:
    names = ["a", "b", "c"]
    replicas = {name: Replica(name, names) for name in names}
    for one in replicas.values():
        one.memory.begin(START)
        one.memory.hear([heard(n) for n in range(60)], START)
        one.step(START)
    paged = [page for one in replicas.values() for page in one.pages()]
    assert len(paged) == len(set(paged)) == 60
    assert all(10 < len(one.sent) < 30 for one in replicas.values())
    for one in replicas.values():
        one.step(START + STAND_IN - SECOND)
    assert sum(len(one.sent) for one in replicas.values()) == 60
    del replicas["a"]  # what was its turn is the next one's now
    again = [one.sent[:] for one in replicas.values()]
    for one in replicas.values():
        one.step(START + STAND_IN)
    assert sum(len(one.sent) for one in replicas.values()) > sum(len(sent) for sent in again)


def test_a_page_is_named_alike_by_every_replica_that_sends_it() -> None:
    pages = set()
    for name in ("a", "b"):
        one = Replica(name)
        one.memory.begin(START)
        one.memory.hear([heard(1)], START + SECOND)
        one.step(START + SECOND)
        pages |= {effect.id for _, effect in one.sent}
    assert len(pages) == 1


def test_what_fires_again_after_its_incident_was_over_is_another_incident_with_pages_of_its_own() -> None:
    write = heard(1).write
    name = born_id(f"{1:032x}", write)
    over = msgspec.structs.replace(known(1), id=name)
    one, other = Replica("a"), Replica("b")
    for replica in (one, other):
        replica.memory.known(over)
    closed = Resolved(at=START + MINUTE, by="ana")
    one.memory.known(msgspec.structs.replace(over, state=closed, now=START + MINUTE))
    other.memory.only([], START + MINUTE)  # another replica has closed it
    pages = []
    for replica in (one, other):
        replica.memory.begin(START + 2 * MINUTE)
        replica.memory.hear([heard(1)], START + 2 * MINUTE)
        replica.step(START + 2 * MINUTE)
        pages += [(effect.incident, effect.id) for _, effect in replica.sent]
    assert len(pages) == 2
    assert len(set(pages)) == 1
    assert pages[0][0] != name
    assert pages[0][1] not in {page.id for page in over.pages}


def test_memory_is_bounded_and_keeps_what_matters_most() -> None:
    one = Replica("a")
    for number in range(kept.INCIDENTS_KEPT):
        one.memory.known(known(number, severity=Severity.P2))
    one.memory.known(acknowledged(kept.INCIDENTS_KEPT))  # there is no room for what somebody has
    assert f"{kept.INCIDENTS_KEPT:016x}" not in one.memory.items
    one.memory.begin(START)
    one.memory.hear([heard(number) for number in range(kept.INCIDENTS_KEPT, kept.INCIDENTS_KEPT + 20)], START)
    assert len(one.memory.items) == kept.INCIDENTS_KEPT
    assert sum(item.severity is Severity.P1 for item in one.memory.items.values()) == 20


def test_alerts_answers_and_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Replica("a")
    one.memory.begin(START)
    one.memory.hear([heard(number, key=1) for number in range(MEMBERS_KEPT * 3)], START)
    (item,) = one.memory.items.values()
    assert len(item.members) == MEMBERS_KEPT
    one.step(START)
    notes = [
        one.memory.say(item.id, NoteAdded(at=START, by="ana", note="x")) for _ in range(ANSWERS_KEPT + 5)
    ]
    assert notes.count(True) == ANSWERS_KEPT
    assert all(one.memory.stray("0" * 16, NoteAdded(at=START, by="ana")) for _ in range(STRAY_KEPT))
    assert not one.memory.stray("0" * 16, NoteAdded(at=START, by="ana"))
    monkeypatch.setattr(kept, "BYTES_KEPT", one.memory.kept.bytes)
    one.memory.hear([heard(7, key=7)], START)
    assert one.memory.items[born_id(f"{7:032x}", heard(7).write)].members == {}


def test_an_older_look_at_the_store_does_not_overwrite_what_is_known() -> None:
    one = Replica("a")
    newer, older = acknowledged(1), known(1)
    one.memory.known(newer)
    one.memory.known(older)
    assert one.memory.items[newer.id].incident == newer
    one.memory.only([], START)  # a look from before it was decided
    assert newer.id in one.memory.items
    one.memory.only([], START + 5 * MINUTE)
    assert newer.id not in one.memory.items


@given(key=st.text(max_size=20), names=st.sets(st.text(min_size=1, max_size=5), min_size=1, max_size=6))
def test_every_replica_has_one_place_of_its_own_for_each_key(key: str, names: set[str]) -> None:
    assert sorted(turn(key, name, names) for name in names) == list(range(len(names)))


Story = list[tuple[str, int, int]]
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hear", "hear", "resolve", "acknowledge", "wait", "wait", "channel"]),
        st.integers(0, 7),
        st.integers(1, 400),
    ),
    min_size=5,
    max_size=60,
)


@settings(max_examples=150)
@given(story=_STEPS, replicas=st.integers(1, 3))
def test_whatever_happens_nobody_is_paged_twice_for_the_same_or_for_what_somebody_has(
    story: Story, replicas: int
) -> None:
    names = [f"replica-{n}" for n in range(replicas)]
    group = [Replica(name, names) for name in names]
    taken: dict[tuple[str, str], float] = {}
    for one in group:
        for number, state in zip(range(4), itertools.cycle([known, acknowledged, watched]), strict=False):
            one.memory.known(state(number))
        one.memory.begin(START + MINUTE)
    clock = 60.0
    for what, number, seconds in story:
        now = START + clock * SECOND
        for one in group:
            play(one, what, number, now, taken)
            one.step(now)
        clock += seconds if what == "wait" else 1
    for one in group:
        check(one, taken)


def play(one: Replica, what: str, number: int, now: object, taken: dict[tuple[str, str], float]) -> None:
    at = now
    assert isinstance(at, type(START))
    if what in ("hear", "resolve"):
        one.memory.hear([heard(number, fires=what == "hear")], at)
    elif what == "channel":
        one.down = not one.down
    elif what == "acknowledge":
        for incident in one.memory.incidents():
            if incident.key == f"{number:032x}" and one.memory.say(
                incident.id, AcknowledgedBy(at=at, by="ana")
            ):
                taken.setdefault((one.memory.me, incident.id), at.timestamp())


def check(one: Replica, taken: dict[tuple[str, str], float]) -> None:
    asked = [(at, effect) for at, effect in one.sent if effect.kind in PAGES]
    ids = [effect.id for _, effect in asked]
    assert len(ids) == len(set(ids)), "the same page twice"
    had = {f"{n:016x}" for n in range(4) if n % 3 == 1}
    for at, effect in asked:
        assert effect.incident not in had, "paged for what somebody had"
        since = taken.get((one.memory.me, effect.incident))
        assert since is None or at.timestamp() <= since, "paged after the acknowledgement"
    assert len(one.memory.items) <= kept.INCIDENTS_KEPT
