"""What the core makes of mutes and silences: pages wait while they are true, and not a moment longer."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage import MINUTE, START, Play

from responder.incident import facts
from responder.incident.advance import advance
from responder.incident.decision import Reason
from responder.incident.effects import SendMessage
from responder.incident.hold import Hold, HoldKind, Silence, silence_hold
from responder.incident.lastlook import overtaken
from responder.incident.message import MessageKind
from responder.incident.severity import Severity

INHIBITED = Hold(kind=HoldKind.INHIBITION, by="f" * 16, text="inhibited by the alert NodeDown")


def silenced(play: Play, minutes: float, *, name: str = "5f", fired: int | None = None) -> facts.SilencedBy:
    until = play.now + minutes * MINUTE
    return facts.SilencedBy(at=play.now, by="ana", note="known", silence=name, until=until, fired=fired)


def muted(play: Play, minutes: float | None, *, fired: int | None = None) -> facts.AlertsMuted:
    until = play.now + minutes * MINUTE if minutes is not None else None
    hold = Hold(kind=HoldKind.SILENCE, by="5f by ana", text="silenced by ana: known", until=until)
    return facts.AlertsMuted(at=play.now, by=(hold,), fired=fired)


def pages(play: Play) -> list[float]:
    return [minute for minute, text in play.dialogue if text.startswith(("page", "reminder"))]


def told(play: Play) -> list[str]:
    return [effect.text for _, effect in play.effects if isinstance(effect, SendMessage) and effect.text]


def test_a_silence_holds_at_once_and_fences_off_what_waits_to_be_sent() -> None:
    play = Play()
    (page,) = [effect for _, effect in play.effects if isinstance(effect, SendMessage)]
    play.at(1, silenced(play, 60))
    assert overtaken(page, play.incident) == "held back (silence): silenced by ana: known"
    play.until(59)
    assert pages(play) == [0]
    assert [one.id for one in play.incident.silences] == ["5f"]
    play.until(62)
    assert pages(play) == [0, 60]
    assert play.incident.silences == ()


def test_the_comparison_that_finds_the_same_silence_changes_nothing() -> None:
    play = Play()
    play.at(1, silenced(play, 60))
    hold = silence_hold(Silence(id="5f", by="ana", until=START + 60 * MINUTE, comment="known"))
    assert play.incident.muted == (hold,)
    before = play.incident
    decision = play.at(2, facts.AlertsMuted(at=play.now, by=(hold,), fired=1))
    assert [entry.reason for entry in decision.entries] == []
    assert play.incident.holds == before.holds


@pytest.mark.parametrize("fact", [silenced, muted])
def test_what_was_true_before_an_alert_joined_is_not_true_any_more(fact: object) -> None:
    play = Play()
    play.fire(Severity.P1)
    play.at(1, fact(play, 60, fired=1))  # type: ignore[operator]
    assert (play.incident.muted, play.incident.holds) == ((), ())


def test_an_alert_that_joins_pages_at_once_and_says_why() -> None:
    play = Play()
    play.at(1, muted(play, 60))
    play.fire(Severity.P1).at(5)
    assert pages(play) == [0, 5]
    assert play.incident.episode.cause == "an alert joined that Alertmanager does not mute"


@pytest.mark.parametrize(("severity", "paged"), [(Severity.P2, [0, 5]), (Severity.P3, [0])])
def test_s4_what_was_inhibited_and_is_not_urgent_waits_for_the_comparison(
    severity: Severity, paged: list[float]
) -> None:
    """S4."""
    play = Play(severity)
    play.at(1, facts.AlertsMuted(at=play.now, by=(INHIBITED,)))
    play.fire(severity).at(5)
    assert pages(play) == paged
    play.at(6, facts.AlertsUnmuted(at=play.now))
    assert len(pages(play)) == 2


def test_withdrawing_it_pages_at_once_and_one_of_somebody_elses_stays() -> None:
    play = Play()
    play.at(1, silenced(play, 60))
    play.at(2, facts.UnsilencedBy(at=play.now, by="ben", silences=("5f",)))
    assert pages(play) == [0, 2]
    play.at(3, silenced(play, 60), muted(play, 90))
    play.at(4, facts.UnsilencedBy(at=play.now, by="ben", silences=("another",)))
    assert pages(play) == [0, 2]


def test_whoever_has_acknowledged_it_is_not_paged_when_it_ends() -> None:
    play = Play()
    play.at(1, facts.AcknowledgedBy(at=play.now, by="ana"), silenced(play, 30))
    assert Reason.SILENCED in play.reasons()
    play.until(120)
    assert pages(play) == [0]


def test_a_resolve_ends_what_was_muted() -> None:
    play = Play()
    play.at(1, muted(play, None))
    play.clear().at(2)
    assert (play.incident.state_name, play.incident.muted) == ("monitoring", ())
    play.fire(Severity.P1).at(3)
    assert pages(play) == [0, 3]


def test_the_end_is_announced_ten_minutes_before_once_and_anew_when_it_is_prolonged() -> None:
    play = Play()
    play.delivered()
    play.at(1, silenced(play, 60))
    play.until(49)
    assert told(play) == []
    play.until(51)
    assert told(play) == ["The silence ends at 04:00 UTC, and it still fires."]
    play.at(52, muted(play, 60))
    play.until(100)
    assert len(told(play)) == 1
    play.until(103)
    assert len(told(play)) == 2


def test_nothing_is_announced_of_what_has_ended_or_fires_no_more() -> None:
    play = Play()
    play.delivered()
    play.at(1, silenced(play, 60))
    play.clear().at(20)
    play.until(80)
    assert [text for text in told(play) if "silence" in text] == []


def test_a_silence_that_returned_is_told_loudly_to_everybody_who_was_paged() -> None:
    play = Play()
    play.delivered()
    play.at(1, facts.SilenceReturned(at=play.now, silence="5f", text="it is back"))
    (message,) = [e for _, e in play.effects if isinstance(e, SendMessage) and e.text == "it is back"]
    assert message.kind is MessageKind.REMINDER
    assert play.incident.holds == ()


def test_run_again_on_its_own_answer_it_changes_nothing() -> None:
    play = Play()
    play.at(1, silenced(play, 60))
    first = play.incident
    decision = advance(first, play.totals, (), play.now)
    assert decision.effects == ()
    assert decision.entries == ()
    assert msgspec.structs.replace(decision.incident, wake_at=None) == msgspec.structs.replace(
        first, wake_at=None
    )


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["mute", "mute for ever", "unmute", "silence", "unsilence", "join", "look"]),
            st.integers(1, 40),
        ),
        max_size=12,
    ),
    severity=st.sampled_from([Severity.P1, Severity.P3]),
)
def test_no_mute_outlives_its_cause_and_what_nothing_mutes_is_paged(
    steps: list[tuple[str, int]], severity: Severity
) -> None:
    """Every page that is not sent has a reason that is true at that moment."""
    play, minute = Play(severity), 0.0
    for what, minutes in steps:
        minute += minutes
        play.until(minute)
        play.minute = minute
        match what:
            case "mute":
                news: tuple[facts.Fact, ...] = (muted(play, 15, fired=play.incident.totals.fired_ever),)
            case "mute for ever":
                news = (muted(play, None),)
            case "unmute":
                news = (facts.AlertsUnmuted(at=play.now),)
            case "silence":
                news = (silenced(play, 15),)
            case "unsilence":
                news = (facts.UnsilencedBy(at=play.now, by="ana", silences=("5f",)),)
            case "join":
                play.fire(severity)
                news = ()
            case _:
                news = ()
        play.at(minute, *news)
        for hold in play.incident.holds:
            assert hold in play.incident.muted
            assert hold.until is None or hold.until > play.now
        if what in {"unmute", "join"}:
            assert play.incident.holds == ()
        if not play.incident.holds:
            assert play.incident.episode.reached, "nothing holds it back, so the first level is paged"
    end = play.now + timedelta(hours=2)
    if all(hold.until is not None for hold in play.incident.muted):
        play.until((end - START) / MINUTE)
        assert play.incident.holds == ()
        assert play.incident.episode.reached
