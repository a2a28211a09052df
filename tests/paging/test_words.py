"""The words of a page: for whom of the matrix, why anew, and what who has it is asked after a silence."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest
from pages import AT, message
from stage import MINUTE, START, Play, policy

from responder.incident import facts
from responder.incident.effects import SendMessage
from responder.incident.hold import Hold, HoldKind
from responder.incident.policy import AcknowledgementPolicy
from responder.incident.reach import OnCall
from responder.incident.severity import LEVELS, Severity
from responder.paging.compose import Words, compose
from responder.paging.slack_blocks import blocks
from responder.paging.sms_text import sms
from responder.paging.twilio_twiml import spoken

STANDING = AcknowledgementPolicy(remind_after=30 * MINUTE, lapse_after=45 * MINUTE)


def summary(play: Play, number: int = -1) -> list[str]:
    """The words of a message that was asked for, as they would be now."""
    effects = [effect for _, effect in play.effects if isinstance(effect, SendMessage)]
    words = Words(attempt=1, sent_at=play.now, external_url="https://responder.example")
    return compose(play.incident, effects[number], words).summary.split("\n")


def ack(play: Play, minute: float, by: str = "dbteam") -> None:
    play.at(minute, facts.AcknowledgedBy(at=START + minute * MINUTE, by=by))


@pytest.mark.parametrize(
    ("on_call", "everybody", "role"),
    [
        (OnCall(), (), "as primary (dbteam)"),
        (OnCall(people={"dbteam": ("ana",)}), (), "as primary (ana for dbteam)"),
        (
            OnCall(people={"dbteam": ("ana",)}),
            LEVELS,
            "as primary (ana for dbteam; each of the level has to)",
        ),
    ],
)
def test_a_page_says_for_whom_one_is_paged(on_call: OnCall, everybody: tuple[()], role: str) -> None:
    play = Play(rules=policy(everybody=everybody), on_call=on_call)
    assert summary(play)[-1] == f"Acknowledge by 03:15 UTC, {role}"


def test_a_page_of_a_later_episode_says_why() -> None:
    play = Play(rules=policy(standing=STANDING))
    play.delivered()
    ack(play, 1)
    play.until(46)
    assert summary(play)[1] == (
        "Paged anew: dbteam had acknowledged it, and nothing was heard for 45m since 03:01 UTC"
    )


def test_the_reminder_of_an_acknowledgement_says_what_to_do_and_what_happens_else() -> None:
    play = Play(rules=policy(standing=STANDING))
    play.delivered()
    ack(play, 1)
    play.until(31)
    assert summary(play)[-1] == (
        "dbteam has it, and nothing was heard since 03:01 UTC: write a note, or acknowledge once more; "
        "at 03:46 UTC it is paged anew"
    )


def test_a_snooze_is_told_with_its_end() -> None:
    play = Play()
    play.delivered()
    play.at(1, facts.SnoozedBy(at=START + MINUTE, by="ana", until=START + timedelta(hours=2)))
    assert "Snoozed until 2026-11-24 05:00 UTC." in summary(play)
    assert summary(play)[-1] == "Acknowledged by ana: nobody further is paged"


def test_a_page_after_the_promised_time_says_since_when_it_is_late() -> None:
    play = Play()
    play.delivered()
    play.until(15.0)
    assert summary(play)[-1] == "Acknowledge by 03:15 UTC, as executive (cto)"
    play.until(30.5)  # each level again, a response time later
    assert summary(play)[-1] == (
        "Still nobody has answered; it was due at 03:15 UTC, 15m ago. Acknowledge, as executive (cto)"
    )


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (HoldKind.MAINTENANCE, "the maintenance is over"),
        (HoldKind.QUIET_HOURS, "the night of who is paged first is over"),
        (HoldKind.SILENCE, "the silence is over"),
    ],
)
def test_what_was_held_back_from_its_beginning_is_paged_only_now_and_not_anew(
    kind: HoldKind, what: str
) -> None:
    play = Play(holds=(Hold(kind=kind, by="x", text="x"),))
    play.until(5)
    play.holds = ()
    play.at(6)
    assert summary(play)[1] == f"Paged only now: {what} and it still fires"
    play.delivered()
    play.holds = (Hold(kind=kind, by="y", text="y"),)
    play.at(8)
    play.holds = ()
    play.at(9)
    assert summary(play)[1] == f"Paged anew: {what} and it still fires"


def test_what_rises_while_it_is_held_back_is_not_said_to_be_paged_anew() -> None:
    play = Play(Severity.P3, holds=(Hold(kind=HoldKind.MAINTENANCE, by="x", text="x"),))
    play.fire(severity=Severity.P1).at(2)
    lines = [entry.text for one in play.decisions for entry in one.entries]
    assert "P3 rises to P1" in lines
    assert not [line for line in lines if "anew" in line]


@pytest.mark.parametrize(
    ("said", "since"),
    [
        (-30, "since 2026-11-24 02:30:00 UTC, 34m ago"),
        (9, "since 2026-11-24 03:00:00 UTC, 4m ago"),  # a clock that is ahead: when we heard of it
        (None, "since 2026-11-24 03:00:00 UTC, 4m ago"),  # decided by an earlier version
    ],
)
def test_a_page_says_since_when_it_is_broken_and_not_when_we_heard_of_it(
    said: int | None, since: str
) -> None:
    play = Play()
    play.at(4)
    began = START + said * MINUTE if said is not None else None
    totals = msgspec.structs.replace(play.incident.totals, since=began)
    play.incident = msgspec.structs.replace(play.incident, totals=totals)
    assert f"1 alert firing, {since}" in summary(play)
    words = Words(attempt=1, sent_at=play.now, external_url="https://responder.example")
    effect = next(effect for _, effect in play.effects if isinstance(effect, SendMessage))
    page = compose(play.incident, effect, words)
    clock = since[len("since 2026-11-24 ") :][:5]
    assert f"1 firing, since {clock} UTC" in sms(page, "")
    assert f"1 alert firing since {clock} U T C." in spoken(page)
    assert str(int(play.incident.since.timestamp())) in json.dumps(blocks(page))


def test_a_call_names_the_day_where_it_began_long_ago() -> None:
    incident = msgspec.structs.replace(message().incident, began_at=AT - timedelta(days=2))
    assert "5 alerts firing since 22 Nov 03:00 U T C." in spoken(message(incident=incident))


def test_services_are_attached_as_long_as_somebody_is_at_it_and_what_fires_no_more_is_not_said_to_fire() -> (
    None
):
    play = Play(Severity.P1)
    play.delivered()
    play.at(
        1,
        facts.ServiceAttached(at=START + MINUTE, incident="1" * 16, service="api", severity=Severity.P2),
    )
    told = summary(play)
    assert "Attached, and not paged by themselves: api (P2)" in told
    assert [line for line in told if line.startswith("1 alert firing, since 2026-")]
    play.clear().at(2)
    told = summary(play)
    assert not [line for line in told if "Attached" in line]
    assert [line for line in told if line.startswith("nothing fires now; it began 2026-")]
