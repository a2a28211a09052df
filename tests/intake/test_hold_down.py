"""What was inhibited waits for the next comparison, and no longer than its span where none is ever made."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from stage import MINUTE, START, Play

from responder.incident.hold import Hold, HoldKind
from responder.incident.severity import Severity
from responder.intake.hold_down import HoldDown


def test_what_was_inhibited_waits_no_longer_than_its_span_though_no_comparison_is_ever_made() -> None:
    inhibited = Hold(kind=HoldKind.INHIBITION, by="x", text="inhibited")
    incident = msgspec.structs.replace(Play(Severity.P3).incident, muted=(inhibited,))
    waits = HoldDown(timedelta(minutes=5))
    (hold,) = waits.holds(incident, START)
    assert hold.until == START + 5 * MINUTE
    assert waits.holds(incident, START + 4 * MINUTE) == (hold,)
    assert waits.holds(incident, START + 5 * MINUTE) == ()
