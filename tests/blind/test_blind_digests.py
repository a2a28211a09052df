"""What was told together before the store went away: taken together from memory, and never left to a digest that is over."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replicas import BOUNDS, PAGES, Bundled, Replica, heard
from stage import MINUTE, START, Play

from responder.engine.blind.gate import MemoryGate
from responder.engine.blind.memory import Memory
from responder.engine.blind.report import report_of, told_here
from responder.engine.blind.together import remembered
from responder.incident.digest_facts import DigestBegan, IncidentFolded
from responder.incident.effects import SendMessage
from responder.incident.facts import AcknowledgedBy, MessageDelivered, PagedBlind, ResolvedBy, Said, SnoozedBy
from responder.incident.severity import Severity
from responder.incident.state import Acknowledged, Incident
from responder.store.digests import Carry, Fold, Ring

CARRIER = f"{0xCA:016x}"
SECOND = timedelta(seconds=1)


def named(play: Play, number: int) -> Incident:
    return msgspec.structs.replace(play.incident, id=f"{number:016x}", key=f"{number:032x}")


def folded(number: int, *, into: str = CARRIER) -> Incident:
    """A P2 whose primary was told in a digest."""
    play = Play(Severity.P2)
    (page,) = [one for _, one in play.effects if isinstance(one, SendMessage)]
    play.at(
        0,
        MessageDelivered(at=START, effect=page.id, page=page.page, kind=page.kind, attempt=1, told_in=into),
    )
    return named(play, number)


def carrying(count: int = 3, until: float = 0) -> Incident:
    """A P2 whose page to its primary is a digest of the incidents 1 to ``count``."""
    play = Play(Severity.P2)
    play.at(0, DigestBegan(at=START, contact="dbteam", why="more than 3 incidents"))
    (page,) = [one for _, one in play.effects if isinstance(one, SendMessage)]
    play.at(0, MessageDelivered(at=START, effect=page.id, page=page.page, kind=page.kind, attempt=1))
    for number in range(1, count + 1):
        one = IncidentFolded(
            at=START, incident=f"{number:016x}", contact="dbteam", line=f"P2 database: {number}",
            service="database", severity=Severity.P2, count=number,
        )  # fmt: skip
        play.at(0, one)
    return named(play.until(until), 0xCA)


def storm() -> Replica:
    """A replica that knew three that were told in a digest, and one that was not, when it lost the store."""
    one = Replica("a")
    for incident in (carrying(), *(folded(number) for number in (1, 2, 3)), folded(4, into="d" * 16)):
        one.memory.known(incident)
    one.memory.begin(START + MINUTE)
    return one


def paged(one: Replica) -> list[tuple[int, str]]:
    return [(int(sent.incident, 16), str(sent.level)) for _, sent in one.sent if sent.kind in PAGES]


@pytest.mark.parametrize(
    "said",
    [
        AcknowledgedBy(at=START + 2 * MINUTE, by="ana", via="link"),
        SnoozedBy(at=START + 2 * MINUTE, by="ana", until=START + 90 * MINUTE),
    ],
)
def test_who_takes_a_digest_takes_what_is_told_with_it_and_nobody_further_is_paged_for_that(
    said: Said,
) -> None:
    one = storm()
    assert one.memory.say(CARRIER, said)
    for minute in range(2, 60):
        one.step(START + minute * MINUTE)
    assert {number for number, _ in paged(one)} == {4}
    for number in (1, 2, 3):
        incident = one.memory.items[f"{number:016x}"].incident
        assert incident is not None
        assert isinstance(incident.state, Acknowledged)
        assert (incident.state.by, incident.state.digest, incident.state.at) == ("ana", CARRIER, said.at)


def test_the_store_hears_what_was_taken_with_a_digest_and_takes_it_once() -> None:
    one = storm()
    said = AcknowledgedBy(at=START + 2 * MINUTE, by="ana", via="link")
    assert one.memory.say(CARRIER, said)
    one.step(START + 2 * MINUTE)
    report = report_of(one.memory.items[f"{1:016x}"], "a", START + 3 * MINUTE)
    assert report is not None
    assert msgspec.json.decode(msgspec.json.encode(report), type=PagedBlind) == report
    play = Play(Severity.P2)
    play.incident = folded(1)
    play.at(3, report)
    play.at(4, *report.answers)  # and once more, from the digest's own incident
    assert isinstance(play.incident.state, Acknowledged)
    assert (play.incident.acknowledged_at, play.incident.state.digest) == (said.at, CARRIER)
    play.until(60)
    assert [text for _, text in play.dialogue if text.startswith("page secondary")] == []


def test_what_was_told_in_a_digest_that_a_person_ends_is_paged_by_itself_at_once() -> None:
    one = storm()
    assert one.memory.say(CARRIER, ResolvedBy(at=START + 2 * MINUTE, by="ana"))
    one.step(START + 2 * MINUTE)
    assert sorted(paged(one)) == [(1, "primary"), (2, "primary"), (3, "primary")]


def test_what_rose_meanwhile_is_not_taken_with_the_digest() -> None:
    one = storm()
    one.memory.hear([heard(9, key=1)], START + 2 * MINUTE)
    one.step(START + 2 * MINUTE)
    assert paged(one) == [(1, "primary")]
    assert one.memory.say(CARRIER, AcknowledgedBy(at=START + 3 * MINUTE, by="ana", via="link"))
    one.step(START + 3 * MINUTE)
    incident = one.memory.items[f"{1:016x}"].incident
    assert incident is not None
    assert incident.state_name == "triggered"


def test_what_is_remembered_of_a_digest_are_its_newest_and_the_states_that_are_known() -> None:
    one = Replica("a")
    for incident in (carrying(25), folded(1), folded(24)):
        one.memory.known(incident)
    found = {int(row.id, 16): row for row in remembered(one.memory.items, CARRIER)}
    assert sorted(found) == [1, *range(6, 26)]
    assert {number: row.state for number, row in found.items() if row.state} == {
        1: "triggered", 24: "triggered",
    }  # fmt: skip
    assert (found[6].line, found[24].line) == ("P2 database: 6", found[1].line)
    assert remembered(one.memory.items, "e" * 16) == []


def known_storm(count: int = 30) -> Bundled:
    """A replica that knew a digest of so many when it lost the store."""
    one = Bundled("a")
    for incident in (carrying(count), *(folded(number) for number in range(1, count + 1))):
        one.memory.known(incident)
    one.memory.begin(START + MINUTE)
    return one


def test_what_was_told_in_a_digest_is_told_to_the_next_levels_with_the_page_of_the_same_incident() -> None:
    one = known_storm()
    for minute in range(1, 70):
        one.step(START + minute * MINUTE)
    assert sorted({level for number, level in paged(one) if number == 0xCA}) == ["executive", "secondary"]
    assert {number for number, _ in paged(one)} == {0xCA}
    report = report_of(one.memory.items[f"{1:016x}"], "a", START + 70 * MINUTE)
    assert report is not None
    assert {page.told_in for page in report.pages} == {CARRIER}
    assert {reach.level for reach in report.reached} == {"primary", "secondary", "executive"}


def test_where_the_digests_own_page_does_not_arrive_another_one_becomes_the_digest() -> None:
    one = known_storm()
    one.deaf = {CARRIER}
    for second in range(0, 12 * 60, 2):
        one.step(START + 20 * MINUTE + second * SECOND)
    rung = {number for number, level in paged(one) if level == "secondary"}
    assert len(rung) == BOUNDS.after  # the lost one counts as well
    told = {item.id for item in one.memory.items.values() if told_here(item)}
    assert len(told) == 30 - len(rung)


def test_what_is_new_is_a_few_pages_and_a_digest_and_a_p1_rings_by_itself() -> None:
    one = Bundled("a")
    one.memory.begin(START)
    one.memory.hear([heard(n, severity=Severity.P2) for n in range(1, 31)], START)
    one.step(START)
    one.memory.hear([heard(99), *(heard(n, severity=Severity.P2) for n in range(31, 41))], START + MINUTE)
    one.step(START + MINUTE)
    rung = paged(one)
    own = BOUNDS.after + BOUNDS.new_kinds + 1
    assert len(rung) == own + 1
    assert [severity for severity in one.severities() if severity is Severity.P1] == [Severity.P1]
    (carrier,) = {carrier for item in one.memory.items.values() for carrier in told_here(item)}
    digest = one.memory.items[carrier].incident
    assert digest is not None
    assert digest.digest is not None
    assert digest.digest.count == 40 - own
    assert one.memory.say(carrier, AcknowledgedBy(at=START + 2 * MINUTE, by="ana", via="link"))
    for minute in range(2, 19):
        one.step(START + minute * MINUTE)
    states = [item.incident.state_name for item in one.memory.items.values() if item.incident is not None]
    assert sorted(states) == ["acknowledged"] * (40 - own + 1) + ["triggered"] * own


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 10, 60, 200, 301]), st.integers(0, 6), st.integers(0, 40)),
        max_size=80,
    )
)
@settings(max_examples=150, deadline=None)
def test_however_it_comes_a_person_is_rung_for_no_more_than_the_bound(
    steps: list[tuple[int, int, int]],
) -> None:
    memory, now, kinds = Memory("a"), START, dict[str, int]()
    gate = MemoryGate(memory, BOUNDS, lambda: now)
    rung = dict[str, datetime]()
    for seconds, kind, number in steps:
        now += seconds * SECOND
        name = f"{number:016x}"
        labels = {"alertname": f"Kind{kinds.setdefault(name, kind)}"}
        incident = msgspec.structs.replace(named(Play(Severity.P2), number), labels=labels)
        memory.known(incident)
        answer = asyncio.run(gate.ask(incident, "ana"))
        if isinstance(answer, Fold):
            assert answer.into in memory.items
            assert answer.into != name
            continue
        assert isinstance(answer, Ring | Carry)
        rung[name] = now
        lately = [one for one, at in rung.items() if at > now - BOUNDS.within]
        assert len(lately) <= BOUNDS.after + BOUNDS.new_kinds + 1


def test_what_only_memory_told_of_is_left_to_the_store_unless_somebody_took_it() -> None:
    one = Bundled("a")
    one.memory.begin(START)
    one.memory.hear([heard(n, severity=Severity.P2) for n in range(1, 11)], START)
    one.step(START)
    (item, *_) = [item for item in one.memory.items.values() if told_here(item)]
    (carrier,) = told_here(item)
    report = report_of(item, "a", START + 3 * MINUTE)
    assert report is not None
    assert (report.pages, report.reached, report.born, report.opened_at) == ((), (), True, START)
    assert one.memory.say(carrier, AcknowledgedBy(at=START + 2 * MINUTE, by="ana", via="link"))
    one.step(START + 2 * MINUTE)
    report = report_of(item, "a", START + 3 * MINUTE)
    assert report is not None
    (answer,) = report.answers
    assert isinstance(answer, AcknowledgedBy)
    assert (answer.by, answer.digest, answer.via) == ("ana", "", f"the digest of incident {carrier}")
    assert [page.told_in for page in report.pages] == [carrier]


def test_one_replica_alone_acts_on_all_that_is_told_together() -> None:
    replicas = [Bundled(name, ["a", "b", "c"]) for name in ("a", "b", "c")]
    for one in replicas:
        for incident in (carrying(30, until=19), *(folded(number) for number in range(1, 31))):
            one.memory.known(incident)
        one.memory.begin(START + 20 * MINUTE)
        for second in range(0, 100, 2):
            one.step(START + 20 * MINUTE + second * SECOND)
    assert sorted(len(paged(one)) for one in replicas) == [0, 0, 1]
