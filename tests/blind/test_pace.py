"""How many pages a minute leave from memory: those that were told otherwise take no place."""

from __future__ import annotations

from responder.incident.sight import Pace


def test_what_was_not_needed_is_given_back_and_the_rest_waits_its_minute() -> None:
    pace = Pace(3)
    for second in range(100):
        assert pace.take(float(second)) == 0
        pace.give_back()
    assert [pace.take(100.0) for _ in range(3)] == [0, 0, 0]
    assert pace.take(101.0) == 59
    assert pace.take(160.0) == 0
    Pace(3).give_back()
