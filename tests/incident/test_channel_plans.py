"""A person's channels: in their order, at their times, and on to the next one when a provider takes its word back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from stage import MINUTE, START, Play, after, kinds, policy

from responder.incident import facts
from responder.incident.decision import Decision, Reason
from responder.incident.facts import MessageDelayed, MessageDelivered, MessageFailed
from responder.incident.message import MessageKind
from responder.incident.severity import Level
from responder.incident.state import PageStatus

SOLO = {Level.PRIMARY: "ana"}


def ack(minute: float, by: str = "ana") -> facts.AcknowledgedBy:
    return facts.AcknowledgedBy(at=START + minute * MINUTE, by=by)


def playing(*channels: object, contacts: dict[Level, str] | None = None) -> Play:
    return Play(rules=policy(channels=channels, contacts=contacts or SOLO))  # type: ignore[arg-type]


def over(play: Play) -> list[tuple[float, str]]:
    """Over which channel ana was paged, and when."""
    return [(minute, line.split()[-1]) for minute, line in play.dialogue if line.startswith("page")]


def undelivered(play: Play, channel: str, reason: str = "no such number") -> Decision:
    """The provider takes back what it said of the page over this channel."""
    page = next(page for page in play.incident.pages if page.channel == channel)
    fact = MessageFailed(at=play.now, effect=page.id, page=page.id, kind=MessageKind.PAGE, reason=reason)
    return play.at(play.minute, fact)


def delayed(play: Play, channel: str, *, failover: bool) -> Decision:
    page = next(page for page in play.incident.pages if page.channel == channel)
    fact = MessageDelayed(
        at=play.now,
        effect=page.id,
        page=page.id,
        kind=MessageKind.PAGE,
        reason="503",
        failover=failover,
    )
    return play.at(play.minute, fact)


def test_a_channel_with_a_time_is_due_then_although_another_has_delivered() -> None:
    play = playing("chat", after(2, "phone"))
    play.delivered()
    play.until(1.99)
    assert over(play) == [(0, "chat")]
    play.until(2)
    assert over(play) == [(0, "chat"), (2, "phone")]
    assert Reason.CHANNEL_DUE in play.decisions[-1].why


def test_an_acknowledgement_ends_the_plan() -> None:
    play = playing("chat", after(2, "phone"))
    play.delivered()
    play.at(1.9, ack(1.9))
    play.until(10)
    assert over(play) == [(0, "chat")]


def test_e3_a_channel_is_never_before_its_time_whatever_wakes_the_incident() -> None:
    """E3: a wait step was ignored."""
    play = playing("chat", after(2, "phone"))
    play.failed()
    for tenth in range(1, 20):
        play.at(tenth / 10)
    assert over(play) == [(0, "chat")]
    assert play.incident.wake_at == START + 2 * MINUTE
    play.at(2)
    assert over(play)[-1] == (2, "phone")


def test_a_plan_that_begins_with_a_time_waits_for_it() -> None:
    play = playing(after(1, "phone"))
    assert over(play) == []
    play.until(1)
    assert over(play) == [(1, "phone")]


def test_channels_behind_one_with_a_time_are_its_fallbacks() -> None:
    play = playing("chat", "mail", after(2, "phone"), "sms")
    play.delivered()
    play.until(2)
    assert over(play) == [(0, "chat"), (2, "phone")]
    play.failed()
    assert over(play)[2:] == [(2, "sms")]


def test_the_fallback_of_a_later_channel_waits_its_half_minute_too() -> None:
    play = playing("chat", after(2, "phone"), "sms")
    play.delivered()
    play.until(2.5)
    assert over(play) == [(0, "chat"), (2, "phone"), (2.5, "sms")]


def test_every_timed_channel_comes_at_its_own_time() -> None:
    play = playing("chat", after(1, "sms"), after(2, "phone"), after(3, "phone"))
    play.until(1)
    play.delivered()
    play.until(14)
    assert over(play) == [(0, "chat"), (1, "sms"), (2, "phone"), (3, "phone")]
    ids = [page.id for page in play.incident.pages]
    assert len(set(ids)) == 4


def test_somebody_is_unreachable_only_when_the_whole_plan_has_failed() -> None:
    play = playing("chat", after(2, "phone"), contacts={Level.PRIMARY: "ana", Level.SECONDARY: "ben"})
    play.failed()
    assert Reason.PERSON_UNREACHABLE not in play.reasons()
    play.until(2)
    play.failed()
    assert Reason.PERSON_UNREACHABLE in play.reasons()
    assert play.dialogue[-1] == (2, "page secondary ben chat")


def test_the_times_count_from_when_the_person_was_reached() -> None:
    play = playing("chat", after(2, "phone"), contacts={Level.PRIMARY: "ana", Level.SECONDARY: "ben"})
    play.delivered()
    play.until(5)
    play.delivered()
    play.until(7)
    assert play.dialogue[-2:] == [(5, "page secondary ben chat"), (7, "page secondary ben phone")]


def test_a_new_round_goes_through_the_plan_again() -> None:
    play = playing("chat", after(2, "phone"))
    play.delivered()
    play.until(2)
    play.delivered()
    play.until(17)
    assert play.dialogue[2:] == [(15, "reminder primary ana chat"), (17, "reminder primary ana phone")]


def test_l5_a_daemon_that_was_down_over_a_channels_time_makes_up_for_it_at_once() -> None:
    """L5: a wait that was cut off by a restart was never resumed."""
    play = playing("chat", after(2, "phone"))
    play.delivered()
    assert kinds(play.at(9).effects) == ["page primary ana phone"]


# What providers say later


def test_a_page_that_was_accepted_and_is_reported_undelivered_moves_to_the_next_channel() -> None:
    play = playing("sms", "chat")
    play.delivered()
    play.until(1)
    decision = undelivered(play, "sms")
    assert kinds(decision.effects) == ["page primary ana chat"]
    assert Reason.UNDELIVERED in decision.why
    assert [page.status for page in play.incident.pages] == [PageStatus.FAILED, PageStatus.PENDING]


def test_the_next_level_is_paged_at_once_when_the_last_channel_is_reported_undelivered() -> None:
    play = playing("sms", contacts={Level.PRIMARY: "ana", Level.SECONDARY: "ben"})
    play.delivered()
    play.until(1)
    assert kinds(undelivered(play, "sms").effects) == ["page secondary ben sms"]


def test_a_report_that_comes_twice_changes_nothing_more() -> None:
    play = playing("sms", "chat")
    play.delivered()
    undelivered(play, "sms")
    assert undelivered(play, "sms").effects == ()


def test_a_report_after_the_acknowledgement_pages_nobody() -> None:
    play = playing("sms", "chat")
    play.delivered()
    play.at(1, ack(1))
    assert undelivered(play, "sms").effects == ()


def test_another_channel_that_delivered_makes_the_report_harmless() -> None:
    play = playing("sms", "chat", "mail")
    play.until(0.5)  # sms is slow: chat joins it
    for page in list(play.incident.pages):
        fact = MessageDelivered(at=play.now, effect=page.id, page=page.id, kind=MessageKind.PAGE, attempt=1)
        play.at(play.minute, fact)
    assert undelivered(play, "sms").effects == ()


def test_l9_a_failure_that_will_pass_is_waited_for_half_a_minute() -> None:
    """L9: what failed once was never tried again; it is retried, and joined by the next channel."""
    play = playing("chat", "mail")
    assert delayed(play, "chat", failover=False).effects == ()
    play.until(0.5)
    assert over(play) == [(0, "chat"), (0.5, "mail")]


def test_where_the_provider_is_known_to_be_down_the_next_channel_is_tried_at_once() -> None:
    play = playing("chat", "mail")
    decision = delayed(play, "chat", failover=True)
    assert kinds(decision.effects) == ["page primary ana mail"]
    assert Reason.CHANNEL_DOWN in decision.why
    play.until(1)
    assert over(play) == [(0, "chat"), (0, "mail")]  # and the first goes on by itself


@pytest.mark.parametrize("failover", [False, True])
def test_the_last_channel_is_simply_tried_again(failover: bool) -> None:
    play = playing("chat")
    assert delayed(play, "chat", failover=failover).effects == ()
    assert Reason.PERSON_UNREACHABLE not in play.reasons()


def test_d7_a_page_its_acknowledgement_and_its_end_are_three_messages_however_close_they_are() -> None:
    """D7: a debounce keyed too widely swallowed the acknowledgement after the page."""
    play = playing("chat")
    play.delivered()
    play.at(0.001, ack(0.001))
    play.at(0.002, facts.ResolvedBy(at=START + timedelta(seconds=0.12), by="ana"))
    assert [line for _, line in play.dialogue] == [
        "page primary ana chat",
        "acknowledged primary ana chat",
        "resolved primary ana chat",
    ]
    assert len({effect.id for _, effect in play.effects}) == 3


def test_what_a_snapshot_keeps_of_pages_is_bounded_and_the_first_person_still_hears_the_end() -> None:
    play = playing("chat", contacts={Level.PRIMARY: "ana", Level.SECONDARY: "ben"})
    play.delivered()
    for minute in range(5, 1_400):
        play.until(minute)
        if play.decisions[-1].effects:
            play.delivered()
    assert len(play.incident.pages) <= 41
    decision = play.at(1_400, facts.ResolvedBy(at=START + 1_400 * MINUTE, by="ana"))
    assert kinds(decision.effects) == ["resolved primary ana chat", "resolved secondary ben chat"]
