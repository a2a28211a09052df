"""The people behind a level: three pages for a team of three, one transition, and each with progress of their own."""

from __future__ import annotations

import msgspec
from stage import MINUTE, START, Play, kinds, plan, policy

from responder.incident import facts
from responder.incident.decision import (
    AcknowledgedAfter,
    Decision,
    Escalated,
    Reason,
    ResponseJudged,
    Unreachable,
)
from responder.incident.effects import SendMessage
from responder.incident.escalation.who import PEOPLE_LIMIT
from responder.incident.facts import MessageDelivered, MessageFailed
from responder.incident.message import MessageKind
from responder.incident.reach import OnCall, contact_names, is_by
from responder.incident.severity import LEVELS, Level, Severity

TEAM = OnCall(people={"dbteam": ("ana", "ben", "cas")})
TRANSITIONS = {Reason.LEVEL_FIRST, Reason.LEVEL_DUE, Reason.LEVEL_ASKED, Reason.LEVEL_UNREACHABLE}


def ack(minute: float, by: str = "ana") -> facts.AcknowledgedBy:
    return facts.AcknowledgedBy(at=START + minute * MINUTE, by=by)


def delivered(play: Play, *names: str) -> Decision:
    """Every page to these people that is still on its way arrives."""
    return play.at(
        play.minute,
        *(
            MessageDelivered(at=play.now, effect=p.id, page=p.id, kind=MessageKind.PAGE, attempt=1)
            for p in play.incident.pages
            if p.contact in names and p.status == "pending"
        ),
    )


def failed(play: Play, *names: str) -> Decision:
    """Every page to these people that is still on its way fails for good."""
    return play.at(
        play.minute,
        *(
            MessageFailed(at=play.now, effect=p.id, page=p.id, kind=MessageKind.PAGE, reason="gone")
            for p in play.incident.pages
            if p.contact in names and p.status == "pending"
        ),
    )


def transitions(play: Play) -> list[str]:
    return [e.text for d in play.decisions for e in d.entries if e.reason in TRANSITIONS]


def test_d8_a_team_of_three_is_three_pages_one_transition_and_one_line() -> None:
    """D8: two people on call once logged the escalation twice."""
    play = Play(on_call=TEAM)
    assert play.dialogue == [(0, f"page primary {name} chat") for name in ("ana", "ben", "cas")]
    assert transitions(play) == [
        "the first level is paged at once: primary dbteam: ana over chat; ben over chat; cas over chat"
    ]
    play.delivered()
    play.until(5)
    assert len(transitions(play)) == 2
    assert [one.what for one in play.measured if isinstance(one.what, Escalated)] == [
        Escalated(Level.SECONDARY)
    ]


def test_the_people_of_a_level_are_kept_whoever_is_on_call_later() -> None:
    play = Play(on_call=OnCall(people={"dbteam": ("ana",)}), rules=policy(channels=("chat", "mail")))
    play.on_call = OnCall(people={"dbteam": ("ben",)})
    assert kinds(play.failed().effects) == ["page primary ana mail"]
    play.delivered()
    assert kinds(play.at(1, ack(1)).effects) == ["acknowledged primary ana mail"]


def test_a_new_round_pages_who_is_on_call_by_then() -> None:
    play = Play(rules=policy(contacts={Level.PRIMARY: "dbteam"}), on_call=OnCall(people={"dbteam": ("ana",)}))
    play.delivered()
    play.on_call = OnCall(people={"dbteam": ("ben",)})
    play.until(15)
    assert play.dialogue[-1] == (15, "reminder primary ben chat")
    play.delivered()
    play.on_call = OnCall()  # the schedules cannot be asked: who is known stays
    play.until(30)
    assert play.dialogue[-1] == (30, "reminder primary ben chat")
    play.on_call = OnCall(people={"dbteam": ()})  # nobody is on call: better who was than nobody
    play.until(45)
    assert play.dialogue[-1] == (45, "reminder primary ben chat")


def test_a_new_episode_asks_anew_who_is_on_call() -> None:
    play = Play(Severity.P3, on_call=OnCall(people={"dbteam": ("ana",)}))
    play.delivered()
    play.on_call = OnCall(people={"dbteam": ("ben",)})
    assert kinds(play.fire(Severity.P1).at(1).effects) == ["page primary ben chat"]


def test_each_person_has_progress_of_their_own() -> None:
    play = Play(on_call=TEAM, rules=policy(channels=("phone", "chat")))
    delivered(play, "ana")
    decision = failed(play, "ben")
    assert kinds(decision.effects) == ["page primary ben chat"]
    play.until(0.5)
    assert play.dialogue[-1] == (0.5, "page primary cas chat")


def test_people_have_plans_of_their_own_copied_when_they_are_reached() -> None:
    plans = {"ana": dict.fromkeys(Severity, plan("phone", "mail"))}
    play = Play(on_call=OnCall(people={"dbteam": ("ana",)}, plans=plans))
    assert play.dialogue == [(0, "page primary ana phone")]
    play.on_call = OnCall(
        people={"dbteam": ("ana",)}, plans={"ana": dict.fromkeys(Severity, plan("phone", "pigeon"))}
    )
    assert kinds(play.failed().effects) == ["page primary ana mail"]


def test_somebody_of_whom_nothing_is_known_is_reached_over_the_rows_channels() -> None:
    play = Play(on_call=OnCall(people={"dbteam": ("stranger",)}), rules=policy(channels=("phone",)))
    assert play.dialogue == [(0, "page primary stranger phone")]


def test_l12_a_level_that_resolves_to_nobody_falls_to_the_next_at_once_and_says_so() -> None:
    """L12: a level nobody could be reached on fell through in silence."""
    play = Play(on_call=OnCall(people={"dbteam": ()}))
    assert play.dialogue == [(0, "page secondary platform chat")]
    assert Reason.NOBODY_ON_CALL in play.reasons()
    assert Reason.LEVEL_UNREACHABLE in play.reasons()
    assert Unreachable(Level.PRIMARY) in [one.what for one in play.measured]


def test_l12_one_unreachable_person_is_named_and_the_others_of_the_level_stay_paged() -> None:
    """L12: who could not be reached is said."""
    plans = {"ben": dict.fromkeys(Severity, plan())}
    play = Play(on_call=OnCall(people={"dbteam": ("ana", "ben")}, plans=plans))
    play.delivered()
    texts = [e.text for d in play.decisions for e in d.entries if e.reason is Reason.PERSON_UNREACHABLE]
    assert texts == ["ben (primary) could not be reached: there is no channel"]
    play.until(4.9)
    assert play.dialogue == [(0, "page primary ana chat")]


def test_l10_the_next_level_is_paged_at_once_when_the_last_of_a_team_has_failed() -> None:
    """L10: a step was marked done whatever became of the send."""
    play = Play(on_call=TEAM)
    assert failed(play, "ana", "ben").effects == ()
    assert kinds(failed(play, "cas").effects) == ["page secondary platform chat"]
    assert Unreachable(Level.PRIMARY) in [one.what for one in play.measured]


def test_where_nobody_is_on_call_at_all_the_whole_row_is_asked_again() -> None:
    nobody = OnCall(people={"dbteam": (), "platform": (), "cto": ()})
    play = Play(on_call=nobody)
    assert Reason.NOBODY_REACHABLE in play.reasons()
    play.on_call = OnCall(people={"dbteam": ("ana",), "platform": (), "cto": ()})
    play.until(5)
    assert play.dialogue == [(5, "reminder primary ana chat")]


def test_l19_who_was_paged_on_an_earlier_level_is_paged_on_a_later_one_too() -> None:
    """L19: somebody who was a participant already was not paged again."""
    play = Play(on_call=OnCall(people={"dbteam": ("ana",), "platform": ("ana", "dan")}))
    play.delivered()
    play.until(5)
    assert play.dialogue[1:] == [(5, "page secondary ana chat"), (5, "page secondary dan chat")]
    assert len({effect.id for _, effect in play.effects}) == 3


def test_a_name_twice_on_a_level_is_one_person() -> None:
    play = Play(on_call=OnCall(people={"dbteam": ("ana", "ben", "ana")}))
    assert len(play.dialogue) == 2


def test_a_level_of_very_many_is_cut_and_says_so() -> None:
    many = tuple(f"p{number}" for number in range(PEOPLE_LIMIT + 7))
    play = Play(on_call=OnCall(people={"dbteam": many}))
    assert len(play.dialogue) == PEOPLE_LIMIT
    assert "7 beyond the bound, who are not paged" in transitions(play)[0]


def test_a_large_team_with_many_channels_is_followed_to_the_end_within_bounds() -> None:
    many = tuple(f"p{number}" for number in range(PEOPLE_LIMIT))
    play = Play(on_call=OnCall(people={"dbteam": many}), rules=policy(channels=("a", "b", "c")))
    for _ in range(3):
        failed(play, *many)
    asked = [effect.id for _, effect in play.effects if isinstance(effect, SendMessage)]
    assert len(asked) == len(set(asked)) == 3 * PEOPLE_LIMIT + 1
    assert play.dialogue[-1] == (0, "page secondary platform a")


# Everybody


def team(*levels: Level, people: tuple[str, ...] = ("ana", "ben", "cas")) -> Play:
    play = Play(
        rules=policy(everybody=levels or LEVELS, channels=("chat",)),
        on_call=OnCall(people={"dbteam": people}),
    )
    play.delivered()
    return play


def test_where_everybody_has_to_acknowledge_it_is_acknowledged_when_all_have() -> None:
    play = team()
    for minute, name in ((1, "ana"), (2, "ben")):
        play.at(minute, ack(minute, name))
        assert play.incident.state_name == "triggered"
    decision = play.at(3, ack(3, "cas"))
    assert (play.incident.state_name, play.incident.acknowledged_by) == ("acknowledged", "ana, ben, cas")
    assert kinds(decision.effects) == [f"acknowledged primary {n} chat" for n in ("ana", "ben", "cas")]
    play.until(60)
    assert not [line for _, line in play.dialogue if "secondary" in line]


def test_each_acknowledgement_is_told_and_ends_only_that_persons_pages() -> None:
    play = Play(
        rules=policy(everybody=LEVELS, channels=("phone", "chat")),
        on_call=OnCall(people={"dbteam": ("ana", "ben")}),
    )
    decision = play.at(0.2, ack(0.2, "ana"))
    assert kinds(decision.effects) == ["update primary ana phone", "update primary ben phone"]
    update = decision.effects[0]
    assert isinstance(update, SendMessage)
    assert update.text == "Acknowledged by ana; still to come: ben."
    assert Reason.ACKNOWLEDGED_IN_PART in decision.why
    play.until(1)
    assert [line for _, line in play.dialogue if line.startswith("page")] == [
        "page primary ana phone", "page primary ben phone", "page primary ben chat",
    ]  # fmt: skip


def test_the_response_counts_from_the_first_acknowledgement() -> None:
    play = team()
    play.at(14, ack(14, "ana"))
    play.until(16)
    play.at(16, ack(16, "ben"), ack(16, "cas"))
    whats = [one.what for one in play.measured]
    assert [w for w in whats if isinstance(w, ResponseJudged)] == [ResponseJudged(met=True)]
    assert [w for w in whats if isinstance(w, AcknowledgedAfter)] == [AcknowledgedAfter(840.0)]


def test_the_next_level_is_paged_while_somebody_is_missing_and_answers_for_the_incident() -> None:
    play = team()
    play.at(1, ack(1, "ana"))
    play.until(5)
    assert play.dialogue[-1] == (5, "page secondary platform chat")
    play.delivered()
    play.at(6, ack(6, "platform"))
    assert (play.incident.state_name, play.incident.acknowledged_by) == ("acknowledged", "platform")


def test_who_is_not_of_the_level_takes_it_for_all() -> None:
    play = team()
    play.at(1, ack(1, "ana"))
    play.at(2, ack(2, "the boss"))
    assert (play.incident.state_name, play.incident.acknowledged_by) == ("acknowledged", "the boss")


def test_acknowledging_twice_for_oneself_takes_it_for_nobody_else() -> None:
    play = team()
    play.at(1, ack(1, "ana"))
    decision = play.at(2, ack(2, "slack:Ana"))
    assert play.incident.state_name == "triggered"
    assert decision.effects == ()


def test_who_cannot_be_reached_is_not_waited_for() -> None:
    play = Play(rules=policy(everybody=LEVELS), on_call=OnCall(people={"dbteam": ("ana", "ben", "cas")}))
    delivered(play, "ana", "ben")
    play.at(1, ack(1, "ana"), ack(1, "ben"))
    assert play.incident.state_name == "triggered"
    failed(play, "cas")
    assert (play.incident.state_name, play.incident.acknowledged_by) == ("acknowledged", "ana, ben")
    play.until(60)
    assert not [line for _, line in play.dialogue if "secondary" in line]


def test_who_has_acknowledged_is_not_paged_on_a_later_level_of_the_same_episode() -> None:
    play = Play(
        rules=policy(everybody=LEVELS),
        on_call=OnCall(people={"dbteam": ("ana", "ben"), "platform": ("ana",), "cto": ("eve",)}),
    )
    play.delivered()
    play.at(1, ack(1, "ana"))
    play.until(5)
    assert play.incident.state_name == "triggered"  # ben is missing still
    assert [line for _, line in play.dialogue if line.startswith("page secondary")] == []
    assert "has acknowledged already" in transitions(play)[-1]
    play.until(15)
    assert play.dialogue[-1] == (15, "page executive eve chat")


def test_only_the_levels_that_say_so_wait_for_everybody() -> None:
    play = team(Level.SECONDARY)
    play.at(1, ack(1, "ben"))
    assert play.incident.state_name == "acknowledged"


def test_later_rounds_page_only_who_is_missing() -> None:
    play = Play(
        rules=policy(contacts={Level.PRIMARY: "dbteam"}, everybody=LEVELS),
        on_call=OnCall(people={"dbteam": ("ana", "ben")}),
    )
    play.delivered()
    play.at(1, ack(1, "ana"))
    play.until(15)
    assert [line for _, line in play.dialogue if line.startswith("reminder")] == ["reminder primary ben chat"]


def test_a_new_episode_asks_everybody_again() -> None:
    play = team()
    for minute, name in ((1, "ana"), (2, "ben"), (3, "cas")):
        play.at(minute, ack(minute, name))
    decision = play.at(4, facts.EscalatedBy(at=START + 4 * MINUTE, by="ana"))
    assert kinds(decision.effects) == ["page secondary platform chat"]
    play.delivered()
    play.clear().at(5)
    assert kinds(play.fire(Severity.P1).at(6).effects) == [
        f"page primary {name} chat" for name in ("ana", "ben", "cas")
    ]


def test_a_snooze_takes_it_for_all() -> None:
    play = team()
    play.at(1, facts.SnoozedBy(at=START + MINUTE, by="ana", until=START + 31 * MINUTE))
    assert play.incident.state_name == "acknowledged"


def test_signatures_name_contacts() -> None:
    assert contact_names("slack:ana") == ("slack:ana", "ana")
    assert contact_names("ana (token ci)") == ("ana (token ci)", "ana")
    assert is_by("team:db", "team:db")
    assert not is_by("slack:anabel", "ana")
    assert not is_by("", "ana")


def test_what_is_kept_of_people_is_small() -> None:
    play = Play(on_call=TEAM)
    plain = len(msgspec.json.encode(Play().incident))
    assert len(msgspec.json.encode(play.incident)) - plain < 1_200
