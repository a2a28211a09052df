"""A service whose dependency is paged already is attached to that incident, and goes its own way as soon as it is not."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from stage import MINUTE, START, Play

from responder.incident import facts
from responder.incident.around import Around, Outline
from responder.incident.decision import Reason
from responder.incident.effects import PassOn, SendMessage
from responder.incident.facts import ServiceAttached, ServiceDetached
from responder.incident.finding import Finding, FindingStatus
from responder.incident.hold import Hold, HoldKind, ended_words
from responder.incident.outline import outline_of
from responder.incident.severity import Severity

SECOND = timedelta(seconds=1)
HOLD_DOWN = timedelta(seconds=30)
BENEATH = Outline(
    id="b" * 16,
    service="storage",
    severity=Severity.P1,
    title="disk gone",
    opened_at=START - MINUTE,
    pages=True,
)
PAGING = Around(as_of=START, beneath=(BENEATH,), hold_down=HOLD_DOWN)
ALONE = Around(as_of=START, hold_down=HOLD_DOWN)


FOUND = Finding(probe="connections", status=FindingStatus.OK, headline="12 of 100")


def around(outline: Outline | None, minute: float) -> Around:
    beneath = (outline,) if outline else ()
    return Around(as_of=START + minute * MINUTE, beneath=beneath, hold_down=HOLD_DOWN)


def pages(play: Play) -> list[tuple[float, str]]:
    return [(minute, text) for minute, text in play.dialogue if text.startswith(("page ", "reminder"))]


def passed(play: Play) -> list[tuple[float, str, str]]:
    return [
        (round(minute, 2), effect.to, type(effect.fact).__name__)
        for minute, effect in play.effects
        if isinstance(effect, PassOn)
    ]


@pytest.mark.parametrize("severity", list(Severity))
def test_what_stands_on_a_service_that_pages_is_attached_and_told_to_it(severity: Severity) -> None:
    play = Play(severity, around=PAGING).until(20)
    assert pages(play) == []
    assert passed(play) == [(0, BENEATH.id, "ServiceAttached")]
    (line,) = [entry.text for one in play.decisions for entry in one.entries if entry.reason is Reason.HELD]
    assert line == (
        "paging is held back (dependency): database depends on storage, which has an incident already (P1 incident "
        "bbbbbbbbbbbbbbbb, paging since 2026-11-24 02:59 UTC)"
    )


def test_it_is_paged_at_once_when_the_dependency_is_over_and_it_still_fires() -> None:
    play = Play(Severity.P2, around=PAGING).until(10)
    play.around = around(None, 10.1)
    play.at(10.2)
    assert pages(play) == [(10.2, "page primary dbteam chat")]
    assert passed(play)[-1] == (10.2, BENEATH.id, "ServiceDetached")
    assert play.incident.respond_by == START + 70.2 * MINUTE


def test_a_worse_one_never_waits_for_what_is_less_severe() -> None:
    play = Play(Severity.P1, around=around(msgspec.structs.replace(BENEATH, severity=Severity.P2), 0))
    assert pages(play) == [(0, "page primary dbteam chat")]


def test_one_that_rises_above_its_dependency_is_paged_in_the_same_decision_and_once() -> None:
    play = Play(Severity.P3, around=around(msgspec.structs.replace(BENEATH, severity=Severity.P2), 0))
    play.fire(Severity.P1).at(3)
    assert pages(play) == [(3, "page primary dbteam chat")]
    assert play.incident.episode.number == 2
    assert play.incident.respond_by == START + 18 * MINUTE


def test_a_dependency_that_is_held_itself_holds_nobody() -> None:
    play = Play(Severity.P1, around=around(msgspec.structs.replace(BENEATH, pages=False), 0))
    assert pages(play) == [(0, "page primary dbteam chat")]


def test_what_is_paged_only_now_does_not_claim_that_a_dependency_is_over_that_may_only_be_held() -> None:
    play = Play(Severity.P2, around=PAGING).until(5)
    play.around = around(msgspec.structs.replace(BENEATH, pages=False), 5)
    play.at(5)
    assert pages(play) == [(5, "page primary dbteam chat")]
    assert play.incident.episode.cause == (
        "the incident of what it depends on is over or held back itself and it still fires"
    )


def test_reasons_that_are_over_together_are_told_together() -> None:
    assert ended_words([HoldKind.SILENCE]) == "the silence is over"
    both = [HoldKind.SILENCE, HoldKind.DEPENDENCY, HoldKind.MAINTENANCE, HoldKind.SILENCE]
    assert ended_words(both) == (
        "the silence and the maintenance are over, and the incident of what it depends on is over or held back itself"
    )


def test_a_dependency_that_somebody_has_carries_on_where_it_is_silenced_afterwards() -> None:
    play = Play(Severity.P1)
    play.delivered()
    play.at(1, facts.AcknowledgedBy(at=play.now, by="ana"))
    play.holds = (Hold(kind=HoldKind.MAINTENANCE, by="move", text="disks"),)
    play.at(2)
    outline = outline_of(play.incident)
    assert outline is not None
    assert outline.pages


def test_for_the_order_of_arrival_a_page_waits_half_a_minute() -> None:
    play = Play(Severity.P2, around=ALONE)
    assert pages(play) == []
    play.until(1)
    assert pages(play) == [(0.5, "page primary dbteam chat")]
    assert play.incident.episode.cause == ""  # a first page is not one anew
    assert play.incident.episode.number == 1
    assert play.incident.respond_by == START + 60.5 * MINUTE
    play.until(21)
    assert pages(play)[1:] == [(20.5, "page secondary platform chat")]
    late = Play(Severity.P2, around=ALONE)
    late.around = around(BENEATH, 0.2)
    late.at(0.3)
    late.until(30)
    assert pages(late) == []
    assert passed(late) == [(0.3, BENEATH.id, "ServiceAttached")]


def test_who_was_paged_while_it_waited_because_somebody_asked_is_not_paged_again_when_the_wait_is_over() -> (
    None
):
    play = Play(Severity.P2, around=ALONE)
    play.at(0.2, facts.EscalatedBy(at=START + 12 * SECOND, by="ana"))
    asked = [(0.2, "page primary dbteam chat"), (0.2, "page secondary platform chat")]
    assert pages(play) == asked
    play.until(61)
    assert pages(play) == [*asked, (60.2, "page executive cto chat")]


def test_what_was_found_while_it_waited_is_in_the_first_page() -> None:
    play = Play(Severity.P2, probes=("connections",), around=ALONE)
    play.at(
        0.1, facts.FindingArrived(at=START, episode=1, finding=FOUND), facts.TriageEnded(at=START, episode=1)
    )
    play.until(1)
    assert pages(play) == [(0.5, "page primary dbteam chat")]
    assert play.incident.findings == {"connections": FOUND}
    assert [text for _, text in play.dialogue if text.startswith("triage")] == ["triage connections"]


def test_a_p1_does_not_wait_for_the_order_of_arrival() -> None:
    assert pages(Play(Severity.P1, around=ALONE)) == [(0, "page primary dbteam chat")]


def test_one_that_becomes_a_p1_while_it_waits_for_that_waits_no_longer() -> None:
    play = Play(Severity.P2, around=ALONE)
    play.fire(Severity.P1).at(0.1)
    assert pages(play) == [(0.1, "page primary dbteam chat")]


def test_without_dependencies_nothing_waits() -> None:
    assert pages(Play(Severity.P2)) == [(0, "page primary dbteam chat")]


def test_who_was_paged_already_is_not_left_alone_when_the_dependency_comes_later() -> None:
    play = Play(Severity.P2, around=ALONE).until(1)
    play.around = PAGING
    play.until(25)
    assert [text for _, text in pages(play)] == ["page primary dbteam chat", "page secondary platform chat"]


def test_the_wait_comes_again_when_it_fires_again() -> None:
    play = Play(Severity.P2, around=ALONE).until(1)
    play.clear().at(2)
    play.around = around(None, 5)
    play.fire(Severity.P2).at(5)
    play.until(6)
    assert pages(play)[-1] == (5.5, "page primary dbteam chat")


def test_a_change_from_one_dependency_to_another_is_told_to_both_and_pages_nobody() -> None:
    other = msgspec.structs.replace(BENEATH, id="c" * 16, service="network")
    play = Play(Severity.P2, around=PAGING).until(3)
    play.around = around(other, 3)
    play.until(10)
    assert pages(play) == []
    assert passed(play)[1:] == [(3.5, BENEATH.id, "ServiceDetached"), (3.5, other.id, "ServiceAttached")]


def test_it_is_detached_when_it_is_acknowledged_or_resolves_while_it_waits() -> None:
    play = Play(Severity.P2, around=PAGING)
    play.at(1, facts.AcknowledgedBy(at=START, by="ana"))
    assert passed(play)[-1] == (1, BENEATH.id, "ServiceDetached")
    quiet = Play(Severity.P2, around=PAGING)
    quiet.clear().at(1)
    assert passed(quiet)[-1] == (1, BENEATH.id, "ServiceDetached")
    assert pages(quiet) == []


def test_s4_a_replica_that_has_not_heard_of_the_dependency_yet_pages_nobody_for_that() -> None:
    """After a start, or where another replica attached it: only what is known to be over is over."""
    play = Play(Severity.P2, around=around(BENEATH, 0))
    play.around = around(None, -0.1)  # a look that is older than the hold
    play.at(0.2)
    assert pages(play) == []
    assert play.incident.wake_at is not None
    assert play.incident.wake_at <= play.now + SECOND
    play.around = around(None, 0.3)
    play.at(0.4)
    assert pages(play) == [(0.4, "page primary dbteam chat")]


def test_a_replica_that_is_cut_off_from_the_others_waits_no_longer_than_half_a_minute() -> None:
    play = Play(Severity.P2, around=around(BENEATH, 0))
    play.around = around(None, -0.1)
    play.at(0.01)
    play.until(5)
    assert 0.3 < pages(play)[0][0] <= 0.5


def test_what_is_known_to_be_over_is_believed_at_once() -> None:
    play = Play(Severity.P2, around=PAGING)
    play.around = Around(as_of=START, hold_down=HOLD_DOWN, over=frozenset({BENEATH.id}))
    play.at(0.01)
    assert pages(play) == [(0.01, "page primary dbteam chat")]


def attached(number: int, minute: float, severity: Severity = Severity.P2) -> ServiceAttached:
    return ServiceAttached(
        at=START + minute * MINUTE, incident=f"{number:016x}", service=f"s{number}", severity=severity
    )


def test_the_dependency_tells_those_who_were_paged_which_services_are_attached() -> None:
    play = Play(Severity.P1)
    play.at(1, attached(1, 1))
    play.at(1.1, attached(2, 1.1), attached(2, 1.1))
    updates = [
        (minute, effect.text) for minute, effect in play.effects
        if isinstance(effect, SendMessage) and effect.kind == "update"
    ]  # fmt: skip
    assert updates == [(1, "More services are affected.")]
    play.until(3)
    times = [m for m, e in play.effects if isinstance(e, SendMessage) and e.kind == "update"]
    assert times == [1, 2]  # the second one a minute after the first
    assert [one.service for one in play.incident.attached] == ["s1", "s2"]
    lines = [entry.text for one in play.decisions for entry in one.entries if entry.reason is Reason.ATTACHED]
    assert lines == [
        "s1 is attached (P2, incident 0000000000000001): not paged by itself",
        "s2 is attached (P2, incident 0000000000000002): not paged by itself",
    ]


def test_a_storm_of_attached_services_costs_a_bounded_snapshot_and_one_update_a_minute() -> None:
    play = Play(Severity.P1)
    for number in range(300):
        play.at(number / 100, attached(number, number / 100))
    play.until(10)
    updates = [m for m, e in play.effects if isinstance(e, SendMessage) and e.kind == "update"]
    assert len(updates) <= 5
    assert len(msgspec.json.encode(play.incident)) < 20_000


def test_what_goes_its_own_way_again_is_taken_off_the_list_and_noted() -> None:
    play = Play(Severity.P1)
    play.at(1, attached(1, 1))
    play.at(2, ServiceDetached(at=START + 2 * MINUTE, incident=f"{1:016x}", service="s1"))
    assert play.incident.attached == ()
    assert play.reasons()[-1] is Reason.DETACHED


def test_nothing_is_attached_to_a_drill_or_to_the_canary() -> None:
    incident = Play(Severity.P1).incident
    assert outline_of(msgspec.structs.replace(incident, drill=True)) is None
    assert outline_of(msgspec.structs.replace(incident, canary=True)) is None


@pytest.mark.parametrize("severity", list(Severity))
def test_a_drill_is_attached_to_nothing_and_nobody_in_earnest_hears_of_it(severity: Severity) -> None:
    play = Play(severity, around=PAGING, drill=True)
    assert pages(play) == [(0, "page primary dbteam chat")]
    assert passed(play) == []
    assert not any(entry.reason is Reason.HELD for one in play.decisions for entry in one.entries)


def test_a_drill_does_not_wait_for_the_order_of_arrival() -> None:
    assert pages(Play(Severity.P2, around=ALONE, drill=True)) == [(0, "page primary dbteam chat")]


def test_a_drill_that_was_attached_before_it_was_known_to_stand_on_nothing_is_let_go_and_paged() -> None:
    play = Play(Severity.P1, around=PAGING)
    play.incident = msgspec.structs.replace(play.incident, drill=True)
    play.around = around(BENEATH, 0.1)
    play.at(0.1)
    play.until(1)
    assert pages(play) == [(0.1, "page primary dbteam chat")]
    assert passed(play)[-1] == (0.1, BENEATH.id, "ServiceDetached")


def test_the_outline_says_that_it_pages_while_it_only_waits_for_the_order_of_arrival() -> None:
    """What stands on it attaches to it then, instead of racing with it."""
    waiting = outline_of(Play(Severity.P2, around=ALONE).incident)
    held = outline_of(Play(Severity.P2, around=PAGING).incident)
    assert waiting is not None
    assert held is not None
    assert (waiting.pages, held.pages) == (True, False)


def test_an_incident_of_which_nobody_could_be_reached_carries_nothing_until_somebody_is() -> None:
    play = Play(Severity.P1)
    for _ in range(3):
        play.failed()
    assert play.incident.episode.nobody
    found = outline_of(play.incident)
    assert found is not None
    assert not found.pages
    play.until(play.minute + 6)
    tried = outline_of(play.incident)
    assert tried is not None
    assert tried.pages
    play.failed()
    play.at(play.minute + 1, facts.AcknowledgedBy(at=play.now, by="ana"))
    taken = outline_of(play.incident)
    assert taken is not None
    assert taken.pages
