"""What was told together before the store went away: taken together from memory, and never left to a digest that is over."""

from __future__ import annotations

import msgspec
import pytest
from replicas import PAGES, Replica, heard
from stage import MINUTE, START, Play

from responder.engine.blind.together import remembered
from responder.incident.digest_facts import DigestBegan, IncidentFolded
from responder.incident.effects import SendMessage
from responder.incident.facts import AcknowledgedBy, MessageDelivered, PagedBlind, ResolvedBy, Said, SnoozedBy
from responder.incident.severity import Severity
from responder.incident.state import Acknowledged, Incident

CARRIER = f"{0xCA:016x}"


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


def carrying(count: int = 3) -> Incident:
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
    return named(play, 0xCA)


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
    report = one.memory.items[f"{1:016x}"].report("a", START + 3 * MINUTE)
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
