"""The last look before a send: what somebody's answer, a later page or a lost page has made useless is not sent."""

from __future__ import annotations

from stage import MINUTE, START, Play, policy

from responder.incident import facts
from responder.incident.effects import SendMessage
from responder.incident.lastlook import awaits_its_page, overtaken
from responder.incident.message import MessageKind
from responder.incident.policy import AcknowledgementPolicy
from responder.incident.reach import OnCall
from responder.incident.severity import LEVELS, Level

SOLO = {Level.PRIMARY: "ana"}


def messages(play: Play) -> list[SendMessage]:
    return [effect for _, effect in play.effects if isinstance(effect, SendMessage)]


def looks(play: Play) -> list[str]:
    """Why each message asked for so far would not be sent now; nothing where it would."""
    return [overtaken(effect, play.incident) for effect in messages(play)]


def test_a_page_is_sent_while_it_is_wanted() -> None:
    assert looks(Play()) == [""]


def test_s2_of_the_rounds_that_a_dead_channel_kept_only_the_last_is_sent() -> None:
    """S2: after an outage everything that had gathered went out singly."""
    play = Play(rules=policy(contacts=SOLO))
    play.until(45)
    assert looks(play) == ["", *["a later one takes its place"] * 2, ""]  # a first page is never skipped


def test_a_later_round_that_failed_takes_nothings_place() -> None:
    play = Play(rules=policy(contacts=SOLO))
    play.until(30)
    play.failed()
    assert looks(play)[1] == ""


def test_another_channel_and_another_person_keep_their_pages() -> None:
    play = Play(rules=policy(channels=("chat", "mail")))
    play.until(60)
    kept = {(e.contact, e.channel) for e in messages(play) if not overtaken(e, play.incident)}
    assert kept == {(who, over) for who in ("dbteam", "platform", "cto") for over in ("chat", "mail")}


def test_l19_the_page_of_an_earlier_level_is_not_overtaken_by_a_later_level_of_the_same_round() -> None:
    """L19: both levels reach the one person."""
    play = Play(on_call=OnCall(people={"dbteam": ("ana",), "platform": ("ana",)}))
    play.until(5)
    assert looks(play) == ["", ""]


def test_who_has_acknowledged_for_themselves_is_not_paged_any_more_and_the_others_are() -> None:
    play = Play(rules=policy(everybody=LEVELS), on_call=OnCall(people={"dbteam": ("ana", "ben")}))
    play.at(1, facts.AcknowledgedBy(at=START + MINUTE, by="ana"))
    assert looks(play)[:2] == ["ana has acknowledged", ""]


def test_a_reminder_is_of_no_use_once_somebody_is_at_work() -> None:
    play = Play(rules=policy(standing=AcknowledgementPolicy(remind_after=10 * MINUTE)))
    play.delivered()
    play.at(1, facts.AcknowledgedBy(at=START + MINUTE, by="dbteam"))
    play.until(11)
    reminder = messages(play)[-1]
    assert overtaken(reminder, play.incident) == ""
    play.at(12, facts.NoteAdded(at=START + 12 * MINUTE, by="dbteam", note="on it"))
    assert overtaken(reminder, play.incident) == "somebody is at work on it"


def test_an_earlier_reminder_is_overtaken_by_the_next() -> None:
    play = Play(rules=policy(standing=AcknowledgementPolicy(remind_after=10 * MINUTE)))
    play.delivered()
    play.at(1, facts.AcknowledgedBy(at=START + MINUTE, by="dbteam"))
    play.until(21)
    reminders = [e for e in messages(play) if e.kind is MessageKind.REMINDER]
    assert [overtaken(e, play.incident) for e in reminders] == ["a later one takes its place", ""]


def test_what_follows_a_page_waits_for_its_end_and_is_dropped_where_it_never_arrived() -> None:
    play = Play()
    play.clear().at(1)
    update = messages(play)[-1]
    assert update.kind is MessageKind.UPDATE
    assert awaits_its_page(update, play.incident)
    page = play.incident.pages[0]
    dropped = facts.MessageDropped(
        at=play.now, effect=page.id, page=page.id, kind=MessageKind.PAGE, reason="the incident is monitoring"
    )
    play.at(1, dropped)
    assert not awaits_its_page(update, play.incident)
    assert overtaken(update, play.incident) == "its page never arrived"


def test_what_follows_a_page_that_arrived_is_sent() -> None:
    play = Play()
    play.delivered()
    play.clear().at(1)
    update = messages(play)[-1]
    assert (overtaken(update, play.incident), awaits_its_page(update, play.incident)) == ("", False)
