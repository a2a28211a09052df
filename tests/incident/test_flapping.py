"""What fires again and again is one incident, and is not paged anew each time; it is not forgotten either."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from stage import MINUTE, START, Play

from responder.incident import facts
from responder.incident.decision import Reason
from responder.incident.effects import SendMessage
from responder.incident.hold import Hold, HoldKind
from responder.incident.severity import Severity
from responder.incident.state import Acknowledged, Incident, Monitoring, StateName, Triggered

ANA = facts.AcknowledgedBy(at=START, by="ana")


def pages(play: Play) -> list[tuple[float, str]]:
    return [(minute, text) for minute, text in play.dialogue if text.startswith(("page ", "reminder"))]


def flap(play: Play, times: int, *, every: float = 3.0) -> Play:
    """It is quiet after one minute of each stretch, and fires again at the next one."""
    for _ in range(times):
        play.clear()
        play.until(play.minute + 1).at(play.minute + 1)
        play.fire(play.severity)
        play.until(play.minute + every - 1).at(play.minute + every - 1)
    return play


def test_s7_from_the_fourth_time_in_a_quarter_of_an_hour_on_nobody_is_paged_anew() -> None:
    play = flap(Play(), 20)
    primary = [minute for minute, text in pages(play) if text.startswith("page primary")]
    assert primary == [0, 3, 6]
    assert play.incident.flapping_since == START + 9 * MINUTE
    notes = [entry.text for one in play.decisions for entry in one.entries if entry.reason is Reason.FLAPPING]
    assert notes[:2] == [
        "flapping: 4 times in 9m; not paged anew", "flapping: 5 times in 12m; not paged anew",
    ]  # fmt: skip
    assert len(notes) == 18


def test_those_who_were_paged_are_told_once_that_it_flaps() -> None:
    play = flap(Play(), 3)
    play.delivered()
    flap(play, 10)
    told = [
        (minute, effect.text) for minute, effect in play.effects
        if isinstance(effect, SendMessage) and "lapping" in effect.text
    ]  # fmt: skip
    assert told == [(9, "Flapping: 4 times in 9m. It is not paged anew each time.")]
    quiet = [m for m, e in play.effects if isinstance(e, SendMessage) and "being watched" in e.text and m > 9]
    assert quiet == []  # that all is quiet for a minute is no news while it flaps


def test_nobody_has_it_so_the_escalation_goes_on_while_it_flaps() -> None:
    play = flap(Play(), 20)
    assert [text for _, text in pages(play)][3:6] == [
        "page secondary platform chat", "page executive cto chat", "reminder executive cto chat",
    ]  # fmt: skip


def test_somebody_has_it_so_they_have_it_again_and_nobody_is_told() -> None:
    play = flap(Play(), 2)
    play.at(play.minute + 0.5, ANA)
    before = len(play.effects)
    flap(play, 10)
    assert isinstance(play.incident.state, Acknowledged)
    assert play.incident.acknowledged_by == "ana"
    kinds = {e.kind for _, e in play.effects[before:] if isinstance(e, SendMessage)}
    assert "page" not in kinds
    assert "acknowledged" not in kinds


def test_one_that_rises_while_it_flaps_is_paged_anew() -> None:
    play = flap(Play(Severity.P2), 6, every=2)
    play.clear().at(play.minute + 0.5)
    before = len(pages(play))
    play.fire(Severity.P1).at(play.minute + 0.5)
    assert pages(play)[before:] == [(play.minute, "page primary dbteam chat")]


def test_one_that_fires_again_only_now_and_then_is_paged_each_time() -> None:
    play = flap(Play(), 6, every=20)
    assert [m for m, text in pages(play) if text.startswith("page primary")] == [0, 20, 40, 60, 80, 100, 120]
    assert play.incident.flapping_since is None


def test_what_has_calmed_down_is_paged_anew_and_the_time_line_says_so() -> None:
    play = flap(Play(), 6)
    play.clear().at(play.minute + 0.5)
    play.until(play.minute + 25)
    play.fire(Severity.P1).at(play.minute + 25)
    assert pages(play)[-1] == (play.minute, "page primary dbteam chat")
    assert Reason.FLAPPING_OVER in play.reasons()
    assert play.incident.flapping_since is None


def test_it_is_watched_twice_as_long_after_it_flapped() -> None:
    play = flap(Play(), 6)
    play.clear().at(play.minute + 0.5)
    state = play.incident.state
    assert isinstance(state, Monitoring)
    assert state.until == play.now + 2 * play.incident.policy.monitor_for
    play.until(play.minute + 61)
    assert play.incident.state_name is StateName.RESOLVED


def test_what_was_held_back_the_whole_time_is_paged_when_that_is_over() -> None:
    """Nobody heard of it yet: there is nothing that could go on."""
    window = Hold(kind=HoldKind.MAINTENANCE, by="w", text="w")
    play = flap(Play(holds=(window,)), 6)
    assert pages(play) == []
    play.holds = ()
    play.until(play.minute + 1)
    assert [text for _, text in pages(play)] == ["page primary dbteam chat"]


def test_the_snapshot_stays_small_and_readable_whatever_flaps() -> None:
    play = flap(Play(), 200, every=1.1)
    assert len(play.incident.fires) <= 50
    assert len(msgspec.json.encode(play.incident)) < 40_000
    acknowledged = flap(Play(), 2)
    acknowledged.at(acknowledged.minute + 0.5, ANA)
    acknowledged.clear().at(acknowledged.minute + 0.5)
    again = msgspec.json.decode(msgspec.json.encode(acknowledged.incident), type=Incident)
    assert again.state == acknowledged.incident.state


@given(st.lists(st.floats(0.2, 12), min_size=1, max_size=40), st.booleans())
def test_whatever_its_rhythm_what_fires_for_longer_than_its_time_reaches_every_level(
    rhythm: list[float], firing_at_the_end: bool
) -> None:
    play = Play()
    for number, pause in enumerate(rhythm):
        if number % 2:
            play.fire(Severity.P1)
        else:
            play.clear()
        play.until(play.minute + pause).at(play.minute + pause)
    if not play.incident.totals.firing_now:
        play.fire(Severity.P1).at(play.minute + 0.1)
    play.until(play.minute + 40)
    assert isinstance(play.incident.state, Triggered)
    told = {text.split()[1] for _, text in pages(play)}
    assert told == {"primary", "secondary", "executive"}
