"""Who took it stands by it: reminded after a silence, paged anew after a longer one; and a snooze ends at its time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from stage import MINUTE, START, Play, after, kinds, plan, policy

from responder.incident import facts
from responder.incident.decision import AcknowledgedAfter, Reason, ResponseJudged
from responder.incident.effects import SendMessage
from responder.incident.facts import Fact
from responder.incident.message import MessageKind, Wanted
from responder.incident.moves import MOVES
from responder.incident.outlook import next_step
from responder.incident.policy import AcknowledgementPolicy
from responder.incident.reach import OnCall
from responder.incident.severity import Level, Severity
from responder.incident.state import Acknowledged, StateName

STANDING = AcknowledgementPolicy(remind_after=30 * MINUTE, lapse_after=45 * MINUTE)


def by(kind: type[Fact], minute: float, name: str = "dbteam", **more: object) -> Fact:
    return kind(at=START + minute * MINUTE, by=name, **more)  # type: ignore[arg-type,call-arg]


def taken(
    name: str = "dbteam", standing: AcknowledgementPolicy = STANDING, on_call: OnCall | None = None
) -> Play:
    play = Play(rules=policy(channels=("chat", "mail"), standing=standing), on_call=on_call)
    play.delivered()
    play.at(1, by(facts.AcknowledgedBy, 1, name))
    play.delivered()
    return play


def later(play: Play) -> list[tuple[float, str]]:
    """What was said after the acknowledgement."""
    return [line for line in play.dialogue if line[0] > 1]


def test_an_acknowledgement_of_which_nothing_is_heard_is_reminded_of_and_then_lapses() -> None:
    play = taken()
    play.until(31)
    play.delivered()
    play.until(45.99)
    assert later(play) == [(31, "reminder primary dbteam chat")]
    play.until(46)
    assert later(play)[-1] == (46, "page primary dbteam chat")
    assert (play.incident.state_name, play.incident.episode.number) == ("triggered", 2)
    assert Reason.ACKNOWLEDGEMENT_LAPSED in play.decisions[-1].why
    assert play.incident.acknowledged_by == ""
    assert play.incident.respond_by == START + 61 * MINUTE
    assert "dbteam had acknowledged it" in play.incident.episode.cause


def test_a_lapse_escalates_like_any_other_episode() -> None:
    play = taken()
    play.until(46)
    play.delivered()
    play.until(51)
    assert later(play)[-1] == (51, "page secondary platform chat")


@pytest.mark.parametrize(
    "sign",
    [
        lambda: by(facts.NoteAdded, 20, "ben", note="looking at the pool"),
        lambda: by(facts.AssignedTo, 20, "ben", to="eve"),
        lambda: by(facts.SeveritySet, 20, "ben", severity=Severity.P1),
        lambda: by(facts.AcknowledgedBy, 20, "dbteam"),
    ],
    ids=["note", "assign", "severity", "acknowledgement"],
)
def test_whatever_a_person_does_counts_from_then(sign: object) -> None:
    play = taken()
    play.at(20, sign())  # type: ignore[operator]
    play.until(49.99)
    assert later(play) == []
    play.until(65)
    assert [line for line in later(play) if "update" not in line[1]] == [
        (50, "reminder primary dbteam chat"),
        (50.5, "reminder primary dbteam mail"),
        (65, "page primary dbteam chat"),
    ]


def test_without_a_rule_an_acknowledgement_stands_for_ever() -> None:
    play = taken(standing=AcknowledgementPolicy())
    play.until(600)
    assert later(play) == []


def test_where_it_does_not_lapse_each_span_of_silence_is_reminded_of() -> None:
    play = taken(standing=AcknowledgementPolicy(remind_after=30 * MINUTE))
    for minute in (31, 61, 91):
        play.until(minute)
        play.delivered()
    assert later(play) == [(minute, "reminder primary dbteam chat") for minute in (31, 61, 91)]
    assert len({effect.id for _, effect in play.effects}) == len(play.effects)


def test_a_lapse_without_a_reminder_pages_anew_at_its_time() -> None:
    play = taken(standing=AcknowledgementPolicy(lapse_after=10 * MINUTE))
    play.until(11)
    assert later(play) == [(11, "page primary dbteam chat")]


def test_the_reminder_goes_down_the_persons_channels() -> None:
    play = taken()
    play.until(31)
    assert kinds(play.failed().effects) == ["reminder primary dbteam mail"]
    play.failed()
    assert Reason.PERSON_UNREACHABLE in play.decisions[-1].why


def test_the_reminder_is_wanted_while_it_is_acknowledged() -> None:
    play = taken()
    play.until(31)
    effect = play.decisions[-1].effects[0]
    assert isinstance(effect, SendMessage)
    assert (effect.kind, effect.wanted) == (MessageKind.REMINDER, Wanted.ACKNOWLEDGED)


def test_an_activity_between_its_channels_ends_the_reminder() -> None:
    play = taken()
    play.until(31)
    play.at(31.1, by(facts.NoteAdded, 31.1, note="here"))
    play.until(32)
    assert later(play) == [
        (31, "reminder primary dbteam chat"), (31.1, "acknowledged primary dbteam chat"),
    ]  # fmt: skip


def test_the_reminder_goes_to_who_acknowledged_of_a_team() -> None:
    play = taken("slack:ben", on_call=OnCall(people={"dbteam": ("ana", "ben")}))
    play.until(31)
    assert later(play) == [(31, "reminder primary ben chat")]


def test_a_contact_who_was_not_paged_is_reminded_over_their_own_channels() -> None:
    play = taken("eve", on_call=OnCall(plans={"eve": dict.fromkeys(Severity, plan("phone"))}))
    play.until(31)
    assert later(play) == [(31, "reminder primary eve phone")]


def test_where_the_name_is_no_contact_all_who_were_paged_are_reminded() -> None:
    play = taken("console", on_call=OnCall(people={"dbteam": ("ana", "ben")}))
    play.until(31)
    assert later(play) == [(31, "reminder primary ana chat"), (31, "reminder primary ben chat")]


def test_who_was_reminded_and_is_heard_of_is_asked_no_longer_wherever_they_were_asked() -> None:
    play = taken()
    play.until(31)
    play.delivered()
    decision = play.at(32, by(facts.NoteAdded, 32, "ben", note="looking"))
    assert kinds(decision.effects) == ["acknowledged primary dbteam chat"]
    told = decision.effects[0]
    assert isinstance(told, SendMessage)
    assert (told.text, told.page) == ("ben is at work on it.", play.incident.pages[1].id)
    assert kinds(play.at(33, by(facts.NoteAdded, 33, "ben", note="still")).effects) == []


def test_what_follows_goes_where_the_person_looked_last() -> None:
    play = taken()
    play.until(31)
    play.delivered()
    decision = play.at(32, by(facts.ResolvedBy, 32))
    assert kinds(decision.effects) == ["resolved primary dbteam chat"]
    assert isinstance(decision.effects[0], SendMessage)
    assert decision.effects[0].page == play.incident.pages[1].id


def test_a_reminders_channel_with_a_time_comes_at_it() -> None:
    play = Play(rules=policy(channels=("chat", after(2, "phone")), standing=STANDING))
    play.delivered()
    play.at(1, by(facts.AcknowledgedBy, 1))
    play.until(31)
    play.delivered()
    play.until(33)
    assert play.dialogue[-1] == (33, "reminder primary dbteam phone")


def test_what_comes_next_is_the_lapse() -> None:
    play = taken()
    step = next_step(play.incident)
    assert step is not None
    assert (step.level, step.at) == (Level.PRIMARY, START + 46 * MINUTE)


def test_the_table_of_moves_knows_the_lapse_and_the_snooze() -> None:
    text = MOVES[StateName.ACKNOWLEDGED][StateName.TRIGGERED]
    assert "lapses" in text
    assert "snooze" in text


# Snooze


def snoozed(minutes: float = 30, at: float = 1) -> Play:
    play = Play(rules=policy(standing=STANDING))
    play.delivered()
    until = START + (at + minutes) * MINUTE
    play.at(at, by(facts.SnoozedBy, at, "ana", until=until))
    return play


def test_a_snooze_takes_the_incident_and_pages_anew_at_its_end_if_it_still_fires() -> None:
    play = snoozed()
    assert play.incident.state_name == "acknowledged"
    assert play.incident.acknowledged_by == "ana"
    play.until(30.99)
    assert play.dialogue == [(0, "page primary dbteam chat"), (1, "acknowledged primary dbteam chat")]
    play.until(31)
    assert play.dialogue[-1] == (31, "page primary dbteam chat")
    assert Reason.SNOOZE_OVER in play.decisions[-1].why
    assert play.incident.episode.number == 2


def test_those_who_were_paged_hear_until_when() -> None:
    play = snoozed()
    message = play.decisions[-1].effects[0]
    assert isinstance(message, SendMessage)
    assert message.text == "Snoozed until 2026-11-24 03:31 UTC."


def test_a_snooze_is_an_answer_in_time() -> None:
    whats = [one.what for one in snoozed().measured]
    assert AcknowledgedAfter(60.0) in whats
    assert ResponseJudged(met=True) in whats


def test_neither_reminder_nor_lapse_disturbs_a_snooze() -> None:
    play = snoozed(120)
    play.until(120)
    assert len(play.dialogue) == 2


def test_a_worse_severity_breaks_a_snooze() -> None:
    play = Play(Severity.P3)
    play.at(1, by(facts.SnoozedBy, 1, "ana", until=START + 61 * MINUTE))
    decision = play.fire(Severity.P1).at(2)
    assert kinds(decision.effects) == ["page primary dbteam chat"]
    assert play.incident.state_name == "triggered"


def test_an_alert_that_joins_does_not_break_it_and_waits() -> None:
    play = snoozed()
    assert play.fire(Severity.P1).at(5).effects == ()
    play.until(31)
    assert play.dialogue[-1] == (31, "page primary dbteam chat")


def test_what_resolves_during_a_snooze_is_watched_and_pages_nobody() -> None:
    play = snoozed()
    play.clear().at(10)
    play.until(39)
    assert play.incident.state_name == "monitoring"
    assert [line for _, line in play.dialogue if line.startswith("page")] == ["page primary dbteam chat"]


def test_a_snooze_of_something_that_does_not_fire_simply_ends() -> None:
    play = Play()
    play.delivered()
    play.clear().at(1)
    play.at(2, by(facts.ReopenedBy, 2))
    play.at(3, by(facts.SnoozedBy, 3, "ana", until=START + 13 * MINUTE))
    play.until(13)
    assert play.incident.state_name == "acknowledged"
    assert Reason.SNOOZE_OVER in play.reasons()
    assert isinstance(play.incident.state, Acknowledged)
    assert play.incident.state.snoozed_until is None


def test_a_later_snooze_takes_the_place_of_the_first_and_whoever_has_it_keeps_it() -> None:
    play = snoozed()
    play.at(5, by(facts.SnoozedBy, 5, "ben", until=START + 65 * MINUTE))
    assert play.incident.acknowledged_by == "ana"
    play.until(64.9)
    assert len(play.dialogue) == 2
    play.until(65)
    assert play.dialogue[-1] == (65, "page primary dbteam chat")


def test_an_acknowledgement_during_a_snooze_does_not_end_it() -> None:
    play = snoozed()
    play.at(5, by(facts.AcknowledgedBy, 5, "ben"))
    play.until(31)
    assert play.dialogue[-1] == (31, "page primary dbteam chat")


def test_a_snooze_is_a_day_at_most() -> None:
    play = snoozed(10_000)
    assert isinstance(play.incident.state, Acknowledged)
    assert play.incident.state.snoozed_until == START + MINUTE + timedelta(hours=24)


def test_a_snooze_that_was_decided_after_its_end_pages_at_once() -> None:
    play = Play()
    play.delivered()
    decision = play.at(40, by(facts.SnoozedBy, 1, "ana", until=START + 11 * MINUTE))
    assert kinds(decision.effects) == ["page primary dbteam chat"]


def test_a_person_who_escalates_ends_a_snooze() -> None:
    play = snoozed()
    decision = play.at(5, by(facts.EscalatedBy, 5, "ben"))
    assert kinds(decision.effects) == ["page secondary platform chat"]
    play.until(31)
    assert play.incident.episode.number == 2
