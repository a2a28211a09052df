"""What is not urgent waits for the morning of who would be paged, and comes as one list; what is urgent never waits."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import pytest
from stage import MINUTE, START, Play, policy

from responder.incident import facts
from responder.incident.around import Around, Listed, Morning, Outline
from responder.incident.decision import Reason
from responder.incident.effects import SendMessage
from responder.incident.hold import Hold, HoldKind
from responder.incident.night import LIST_SIZE
from responder.incident.outline import outline_of
from responder.incident.policy import AcknowledgementPolicy
from responder.incident.reach import OnCall
from responder.incident.severity import Level, Severity

MORNING = START + 300 * MINUTE  # 08:00
NOT_URGENT = (Severity.P3, Severity.P4)


def asleep(*names: str, until: datetime = MORNING) -> Around:
    return Around(asleep={name: dict.fromkeys(NOT_URGENT, until) for name in names})


def pages(play: Play) -> list[tuple[float, str]]:
    return [(minute, text) for minute, text in play.dialogue if text.startswith(("page ", "reminder"))]


def at_night(severity: Severity, *names: str, on_call: OnCall | None = None) -> Play:
    return Play(severity, around=asleep(*(names or ("dbteam",))), on_call=on_call)


def wake_up(play: Play) -> Play:
    """The morning comes: nobody sleeps any more."""
    play.until(299.9)
    play.around = Around()
    return play.until(300)


@pytest.mark.parametrize("severity", NOT_URGENT)
def test_what_is_not_urgent_waits_for_the_morning(severity: Severity) -> None:
    play = at_night(severity).until(299)
    assert pages(play) == []
    (line,) = [entry.text for one in play.decisions for entry in one.entries if entry.reason is Reason.HELD]
    assert line == (
        f"paging is held back (quiet hours): {severity} waits for the morning of dbteam until 2026-11-24 08:00 UTC"
    )
    assert pages(wake_up(play)) == [(300, "page primary dbteam chat")]


@pytest.mark.parametrize("severity", [Severity.P1, Severity.P2])
def test_what_is_urgent_never_waits(severity: Severity) -> None:
    assert pages(at_night(severity)) == [(0, "page primary dbteam chat")]


@pytest.mark.parametrize("severity", [Severity.P1, Severity.P2])
def test_one_that_becomes_urgent_in_the_night_is_paged_in_the_same_decision(severity: Severity) -> None:
    play = at_night(Severity.P3).until(100)
    play.fire(severity).at(100.1)
    assert pages(play) == [(100.1, "page primary dbteam chat")]
    assert play.incident.episode.number == 2
    assert play.incident.respond_by == play.now + play.incident.promise.respond_within
    by_hand = at_night(Severity.P4).until(100)
    by_hand.at(100.1, facts.SeveritySet(at=START, by="ana", severity=severity))
    assert pages(by_hand) == [(100.1, "page primary dbteam chat")]


def test_one_that_rises_but_is_still_not_urgent_goes_on_waiting() -> None:
    play = at_night(Severity.P4).until(100)
    play.fire(Severity.P3).at(100.1)
    assert pages(play) == []
    assert pages(wake_up(play)) == [(300, "page primary dbteam chat")]


def test_the_response_time_begins_in_the_morning() -> None:
    play = wake_up(at_night(Severity.P3))
    assert play.incident.respond_by == MORNING + 240 * MINUTE
    assert not [one for one in play.measured if type(one.what).__name__ == "ResponseJudged"]


def test_the_levels_after_the_first_follow_their_times_from_the_morning_on() -> None:
    play = wake_up(at_night(Severity.P3, "dbteam", "platform", "cto")).until(300 + 240)
    assert pages(play) == [
        (300, "page primary dbteam chat"),
        (380, "page secondary platform chat"),
        (540, "page executive cto chat"),
    ]


def test_somebody_of_the_first_level_who_is_awake_is_paged_and_the_others_in_their_morning() -> None:
    both = OnCall(people={"dbteam": ("ana", "ben")}, plans=policy().channels)
    play = Play(Severity.P3, around=asleep("ana"), on_call=both)
    assert pages(play) == [(0, "page primary ben chat")]
    (line,) = [
        entry.text for one in play.decisions for entry in one.entries if entry.reason is Reason.LEVEL_FIRST
    ]
    assert "ana over chat from 2026-11-24 08:00 UTC on (quiet hours)" in line
    play.until(60)
    play.at(61, facts.AcknowledgedBy(at=START, by="ben"))
    assert pages(wake_up(play)) == [(0, "page primary ben chat")]


def test_a_later_level_that_sleeps_is_paged_in_its_morning() -> None:
    play = Play(Severity.P3, around=asleep("platform"))
    play.until(299)
    assert pages(play) == [(0, "page primary dbteam chat"), (240, "page executive cto chat")]
    play.around = Around()
    play.until(300)
    assert pages(play)[-1] == (300, "page secondary platform chat")


def test_a_person_who_asks_for_the_next_level_wakes_it() -> None:
    play = Play(Severity.P3, around=asleep("platform"))
    play.at(10, facts.EscalatedBy(at=START, by="dbteam"))
    assert pages(play)[-1] == (10, "page secondary platform chat")


def test_when_evening_comes_an_unanswered_incident_stops_and_is_paged_again_in_the_morning() -> None:
    play = Play(Severity.P3).until(60)
    play.around = asleep("dbteam", "platform", "cto", until=START + 840 * MINUTE)
    play.until(839.9)
    assert pages(play) == [(0, "page primary dbteam chat")]
    play.around = Around()
    play.until(841)
    assert pages(play)[-1] == (840, "page primary dbteam chat")


def test_whoever_has_it_is_not_reminded_at_night() -> None:
    standing = AcknowledgementPolicy(remind_after=60 * MINUTE)
    play = Play(Severity.P3, rules=policy(standing=standing))
    play.at(1, facts.AcknowledgedBy(at=START + MINUTE, by="dbteam"))
    play.around = asleep("dbteam")
    play.until(299)
    assert [text for _, text in pages(play)] == ["page primary dbteam chat"]
    play.around = Around()
    play.until(359)
    assert pages(play)[1:] == [(300, "reminder primary dbteam chat")]


def test_where_the_night_of_who_is_on_call_ends_by_a_change_of_shift_it_is_paged_then() -> None:
    play = Play(Severity.P3, around=asleep("ana"), on_call=OnCall(people={"dbteam": ("ana",)}))
    play.until(120)
    play.on_call = OnCall(people={"dbteam": ("ben",)}, plans=policy().channels)
    play.until(121)
    assert pages(play) == [(120.5, "page primary ben chat")]


def outline(number: int, severity: Severity = Severity.P3, **more: object) -> Outline:
    values: dict[str, object] = {
        "id": f"{number:016x}", "service": f"s{number}", "severity": severity, "title": f"title {number}",
        "opened_at": START + number * MINUTE, "morning": Morning("dbteam", MORNING), "only": True,
    }  # fmt: skip
    return Outline(**{**values, **more})  # type: ignore[arg-type]


def beside(*others: Outline) -> Around:
    return Around(beside=others)


def morning_with(*others: Outline, severity: Severity = Severity.P3) -> Play:
    play = at_night(severity).until(299.9)
    play.around = beside(*others)
    return play.until(300)


def test_in_the_morning_the_worst_and_oldest_is_paged_and_tells_of_the_others() -> None:
    play = morning_with(outline(2), outline(1), outline(3, Severity.P4))
    assert pages(play) == [(300, "page primary dbteam chat")]
    waited = play.incident.episode.waited
    assert waited is not None
    assert waited.listed == (
        Listed(f"{1:016x}", "P3 s1: title 1"),
        Listed(f"{2:016x}", "P3 s2: title 2"),
        Listed(f"{3:016x}", "P4 s3: title 3"),
    )
    assert waited.listed_in == ""


def test_the_others_count_as_paged_with_that_one() -> None:
    first = outline(0, opened_at=START - MINUTE)
    play = morning_with(first, outline(2))
    (page,) = [effect for _, effect in play.effects if isinstance(effect, SendMessage)]
    assert page.listed_in == first.id
    assert Reason.LISTED in play.reasons()
    play.until(380)
    later = [effect for _, effect in play.effects if isinstance(effect, SendMessage)][-1]
    assert (later.level, later.listed_in) == (Level.SECONDARY, "")


def test_every_replica_chooses_the_same_one_also_when_some_have_been_paged_already() -> None:
    first = outline(0, opened_at=START - MINUTE)
    gone_on = msgspec.structs.replace(first, pages=True)
    assert morning_with(gone_on).incident.episode.waited == morning_with(first).incident.episode.waited


@pytest.mark.parametrize(
    "other",
    [
        outline(0, opened_at=START - MINUTE, only=False),  # something else holds it as well
        outline(0, opened_at=START - MINUTE, morning=Morning("dbteam", MORNING + MINUTE)),
        outline(0, opened_at=START - MINUTE, morning=Morning("web", MORNING)),
        outline(0, opened_at=START - MINUTE, morning=None),
    ],
)
def test_only_those_of_the_same_morning_that_wait_for_nothing_else_share_a_page(other: Outline) -> None:
    waited = morning_with(other).incident.episode.waited
    assert waited is not None
    assert (waited.listed, waited.listed_in) == ((), "")


def test_a_long_list_is_cut_into_pages_that_can_be_read() -> None:
    others = [outline(number) for number in range(1, 50)]
    play = morning_with(*others)
    waited = play.incident.episode.waited
    assert waited is not None
    assert len(waited.listed) == LIST_SIZE - 1
    late = at_night(Severity.P3)
    late.incident = msgspec.structs.replace(late.incident, opened_at=START + 20.5 * MINUTE)
    late.until(299.9)
    late.around = beside(*others)
    late.until(300)
    waited = late.incident.episode.waited
    assert waited is not None
    assert waited.listed_in == ""  # the 21st heads the second page
    assert [one.incident for one in waited.listed] == [one.id for one in others[20:39]]


def test_a_window_that_ends_after_the_morning_holds_until_its_own_end() -> None:
    window = Hold(kind=HoldKind.MAINTENANCE, by="w", text="w", until=MORNING + 30 * MINUTE)
    play = Play(Severity.P3, around=asleep("dbteam"), holds=(window,)).until(299.9)
    play.around = Around()
    play.until(400)
    assert pages(play)[0] == (330, "page primary dbteam chat")


def test_the_outline_says_whose_morning_it_waits_for_and_forgets_it_once_answered() -> None:
    play = at_night(Severity.P3)
    before = outline_of(play.incident)
    assert before is not None
    assert (before.morning, before.only, before.pages) == (Morning("dbteam", MORNING), True, False)
    wake_up(play)
    after = outline_of(play.incident)
    assert after is not None
    assert (after.morning, after.only, after.pages) == (Morning("dbteam", MORNING), True, True)
    play.at(301, facts.AcknowledgedBy(at=START + timedelta(minutes=301), by="dbteam"))
    answered = outline_of(play.incident)
    assert answered is not None
    assert answered.morning is None


def test_a_drill_is_told_with_nobody_elses_list_in_the_morning_and_tells_of_nobody() -> None:
    play = Play(Severity.P3, around=asleep("dbteam"), drill=True).until(299.9)
    assert outline_of(play.incident) is None
    real = outline_of(at_night(Severity.P3).incident)
    assert real is not None
    play.around = Around(beside=(msgspec.structs.replace(real, id="b" * 16),))
    play.until(300)
    assert pages(play) == [(300, "page primary dbteam chat")]
    waited = play.incident.episode.waited
    assert waited is not None
    assert (waited.listed, waited.listed_in) == ((), "")
