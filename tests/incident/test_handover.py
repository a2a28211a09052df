"""What whoever takes over has to know: open, unacknowledged, held back and until when, watched, done to targets."""

from __future__ import annotations

import msgspec
from stage import MINUTE, START, Play

from responder.incident import facts
from responder.incident.action import ActionRun, RunKind, RunStatus
from responder.incident.facts import AcknowledgedBy
from responder.incident.handover import SHOWN, handover
from responder.incident.hold import Hold, HoldKind


def test_each_open_incident_is_listed_under_how_it_stands() -> None:
    triggered, acknowledged, watched, held, over = (Play() for _ in range(5))
    acknowledged.at(1, AcknowledgedBy(at=START + MINUTE, by="ana"))
    watched.clear().at(1)
    held.holds = (
        Hold(kind=HoldKind.SILENCE, by="ben", text="deploying, by ben", until=START + 90 * MINUTE),
        Hold(kind=HoldKind.INHIBITION, by="a", text="the node is down"),
    )
    held.at(1)
    over.at(1, facts.ResolvedBy(at=START + MINUTE, by="ana"))
    found = handover([one.incident for one in (watched, acknowledged, triggered, held, over)], "ana")
    counts = {
        kind: len(getattr(found, kind))
        for kind in ("unacknowledged", "held", "acknowledged", "snoozed", "monitoring")
    }
    assert counts == {"unacknowledged": 1, "held": 1, "acknowledged": 1, "snoozed": 0, "monitoring": 1}
    assert "silence (deploying, by ben) until 2026-11-24 04:30 UTC" in found.text
    assert "inhibition (the node is down) with no end known" in found.text
    assert found.acknowledged[0].own
    assert found.text.index("Nobody has taken") < found.text.index("Somebody is at work on")


def test_what_was_done_to_a_target_is_told_with_its_time() -> None:
    run = ActionRun(
        id="1", name="restart-pgbouncer", kind=RunKind.PERFORM, episode=1, by="ana", via="api",
        requested_at=START, status=RunStatus.EFFECTIVE, performed_at=START + MINUTE,
    )  # fmt: skip
    incident = msgspec.structs.replace(Play().incident, actions=(run,))
    assert "restart-pgbouncer done at 2026-11-24 03:01 UTC (effective)" in handover([incident], "ana").text


def test_nothing_open_is_said_so_and_many_are_counted() -> None:
    assert handover([], "ana").text == "ana, you are on call now. Nothing is open."
    many = [msgspec.structs.replace(Play().incident, id=f"{n:016x}") for n in range(SHOWN + 5)]
    assert "- and 5 more" in handover(many, "ana").text
