"""What whoever takes over is told."""

from __future__ import annotations

import msgspec
from stage import MINUTE, START, Play

from responder.incident import facts
from responder.incident.handover import SHOWN, handover
from responder.incident.severity import Severity
from responder.incident.state import Incident


def named(play: Play, number: int) -> Incident:
    return msgspec.structs.replace(play.incident, id=f"{number:016x}")


def several() -> list[Incident]:
    open_, taken, asleep, quiet, over = (Play(), Play(Severity.P2), Play(), Play(), Play())
    for play in (open_, taken, asleep, quiet, over):
        play.delivered()
    taken.at(1, facts.AcknowledgedBy(at=START + MINUTE, by="slack:ben"))
    asleep.at(1, facts.SnoozedBy(at=START + MINUTE, by="ana", until=START + 61 * MINUTE))
    quiet.clear().at(2)
    over.at(1, facts.ResolvedBy(at=START + MINUTE, by="ana"))
    return [named(play, n) for n, play in enumerate((open_, taken, asleep, quiet, over))]


def test_everything_open_is_told_by_where_it_stands() -> None:
    found = handover(several(), "ben")
    kinds = (found.unacknowledged, found.acknowledged, found.snoozed, found.monitoring)
    assert [[int(item.id, 16) for item in kind] for kind in kinds] == [[0], [1], [2], [3]]
    assert found.acknowledged[0].own
    assert not found.snoozed[0].own


def test_the_text_says_who_has_what_and_until_when() -> None:
    what = "database: PostgresTooManyConnections: 97 of 100 connections used"
    since = "since 2026-11-24 03:00 UTC"
    assert handover(several(), "ben").text.split("\n") == [
        "ben, you are on call now. Open:",
        "",
        "Nobody has taken (1):",
        f"- P1 {what} ({0:016x}): {since}, paged primary dbteam; respond by 2026-11-24 03:15 UTC",
        "",
        "Somebody is at work on (1):",
        f"- P2 {what} ({1:016x}): {since}, acknowledged by slack:ben at 2026-11-24 03:01 UTC (yours)",
        "",
        "Snoozed (1):",
        f"- P1 {what} ({2:016x}): {since}, snoozed by ana until 2026-11-24 04:01 UTC",
        "",
        "Quiet, and watched (1):",
        f"- P1 {what} ({3:016x}): {since}, nothing fires; watched until 2026-11-24 03:32 UTC",
    ]


def test_the_worst_is_told_first_and_very_many_are_counted() -> None:
    many = [named(Play(Severity.P3), n) for n in range(SHOWN + 5)] + [named(Play(Severity.P1), 99)]
    found = handover(many, "ana")
    assert found.unacknowledged[0].severity is Severity.P1
    assert len(found.unacknowledged) == SHOWN + 6
    assert found.text.endswith("- and 6 more")
    assert len(found.text) < 20_000


def test_a_quiet_night_is_said_to_be_one() -> None:
    assert handover([], "ana").text == "ana, you are on call now. Nothing is open."


def test_it_is_ready_to_be_written_as_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(handover(several(), "ana")))["person"] == "ana"
