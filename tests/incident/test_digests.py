"""What a digest does to the incident that carries it and to those that are told with it: nothing is lost between the two."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stage import MINUTE, START, Play, after, kinds, plan, policy

from responder.incident.advance import advance
from responder.incident.around import list_line, mark_of
from responder.incident.decision import Reason
from responder.incident.digest_facts import CarrierGone, DigestBegan, FoldedEnded, IncidentFolded
from responder.incident.draft import Outside
from responder.incident.effects import LeaveDigest, SendMessage, Spread
from responder.incident.facts import (
    AcknowledgedBy,
    EscalatedBy,
    Fact,
    MessageDelivered,
    MessageWaits,
    ResolvedBy,
    SnoozedBy,
)
from responder.incident.hold import Hold, HoldKind
from responder.incident.lastlook import overtaken
from responder.incident.message import MessageKind
from responder.incident.policy import AcknowledgementPolicy
from responder.incident.reach import OnCall
from responder.incident.severity import Level, Severity
from responder.incident.state import Acknowledged, Incident, Monitoring, PageStatus, Triggered
from responder.paging.compose import Words, compose

CARRIER = "c" * 16
PLANS = dict.fromkeys(Severity, plan("chat"))


def told(play: Play, carrier: str = CARRIER) -> None:
    """Every page of the last decision was told in a digest."""
    facts = [
        MessageDelivered(at=play.now, effect=e.id, page=e.page, kind=e.kind, attempt=1, told_in=carrier)
        for e in play.decisions[-1].effects
        if isinstance(e, SendMessage)
    ]
    play.at(play.minute, *facts)


def folded(rules: AcknowledgementPolicy | None = None) -> Play:
    """An incident that was told in a digest."""
    play = Play(Severity.P3, rules=policy(standing=rules) if rules else None)
    told(play)
    return play


def carrying(count: int = 3) -> Play:
    """An incident whose page is a digest."""
    play = Play(Severity.P3)
    (page,) = [one for one in play.decisions[-1].effects if isinstance(one, SendMessage)]
    delivered = MessageDelivered(at=START, effect=page.id, page=page.page, kind=page.kind, attempt=1)
    play.at(0, DigestBegan(at=START, contact="dbteam", why="more than 3 incidents"), delivered)
    for number in range(1, count + 1):
        play.at(0, one_more(number))
    return play


def one_more(number: int, minute: float = 0, severity: Severity = Severity.P3) -> IncidentFolded:
    return IncidentFolded(
        at=START + minute * MINUTE, incident=f"{number:016x}", contact="dbteam", line=f"P3 api: {number}",
        service="api", severity=severity, count=number,
    )  # fmt: skip


def spreads(play: Play) -> list[Spread]:
    return [one for decision in play.decisions for one in decision.effects if isinstance(one, Spread)]


def leaves(play: Play) -> list[LeaveDigest]:
    return [one for decision in play.decisions for one in decision.effects if isinstance(one, LeaveDigest)]


def test_what_was_told_counts_as_paged_and_is_followed_by_nothing_of_its_own() -> None:
    play = folded()
    assert play.incident.first_paged_at == START
    assert play.decisions[-1].entries[-1].text == (
        f"page to dbteam (primary) over chat told in the digest of incident {CARRIER}"
    )
    sent = len(play.effects)
    play.clear().at(5)
    play.until(60)
    assert [one for _, one in play.effects[sent:] if isinstance(one, SendMessage)] == []
    assert [one.carrier for one in leaves(play)] == [CARRIER]


def test_its_levels_go_on_by_their_times() -> None:
    play = folded()
    play.until(80)
    assert play.dialogue[-1] == (80.0, "page secondary platform chat")


def test_what_follows_a_page_that_a_digest_told_is_not_sent() -> None:
    play = folded()
    (page,) = play.incident.pages
    (asked,) = [one for _, one in play.effects if isinstance(one, SendMessage)]
    update = msgspec.structs.replace(asked, id="f" * 16, kind=MessageKind.UPDATE)
    assert overtaken(update, play.incident) == f"its page was told in the digest of incident {CARRIER}"
    assert page.told_in == CARRIER


def test_the_digest_over_and_nobody_took_it_it_is_paged_anew_at_once() -> None:
    play = folded()
    decision = play.at(3, CarrierGone(at=START + 3 * MINUTE, carrier=CARRIER))
    assert kinds(decision.effects) == ["page primary dbteam chat"]
    first, second = play.incident.pages
    assert (first.status, first.told_in, second.status) == (PageStatus.DROPPED, CARRIER, PageStatus.PENDING)
    assert Reason.CARRIER_GONE in play.reasons()
    assert leaves(play) == []  # whoever is gone need not hear of it


@pytest.mark.parametrize("every", [1, 7, 79, 81, 999])
def test_however_many_digests_come_and_go_each_level_is_reached_when_it_is_due(every: int) -> None:
    """What is told by one digest after another is paged anew each time; the levels come by their own times."""
    play, number = Play(Severity.P3), 0
    _tell_all(play, number)
    for minute in range(1, 250):
        play.until(minute)
        if minute % every == 0:
            play.at(minute, CarrierGone(at=play.now, carrier=f"{number:016x}"))
            number += 1
        _tell_all(play, number)
    assert _first_reached(play) == {Level.PRIMARY: 0, Level.SECONDARY: 80, Level.EXECUTIVE: 240}
    assert play.incident.respond_by == START + 240 * MINUTE
    standing = [page for page in play.incident.pages if page.status is PageStatus.DELIVERED]
    assert {(page.level, page.told_in) for page in standing} == {(level, f"{number:016x}") for level in Level}


def _tell_all(play: Play, number: int) -> None:
    """Every page that waits is told in a digest."""
    facts = [
        MessageDelivered(
            at=play.now, effect=p.id, page=p.id, kind=MessageKind.PAGE, attempt=1, told_in=f"{number:016x}"
        )
        for p in play.incident.pages
        if p.status is PageStatus.PENDING
    ]
    play.at(play.minute, *facts)


def _first_reached(play: Play) -> dict[Level, float]:
    first: dict[Level, float] = {}
    for minute, effect in play.effects:
        if isinstance(effect, SendMessage) and effect.kind in (MessageKind.PAGE, MessageKind.REMINDER):
            first.setdefault(effect.level, minute)
    return first


def test_whoever_was_rung_by_itself_is_not_rung_anew_when_the_digest_of_another_is_over() -> None:
    play = folded()
    play.until(80)
    play.delivered()
    decision = play.at(90, CarrierGone(at=START + 90 * MINUTE, carrier=CARRIER))
    assert kinds(decision.effects) == ["page primary dbteam chat"]


def test_in_a_later_round_those_whom_a_digest_told_are_paged_anew_as_well() -> None:
    play = folded()
    for minute in (80, 240):
        play.until(minute)
        told(play)
    play.until(480)
    _tell_all(play, 7)
    assert play.incident.episode.round == 2
    decision = play.at(481, CarrierGone(at=START + 481 * MINUTE, carrier=CARRIER))
    assert kinds(decision.effects) == ["reminder primary dbteam chat", "reminder secondary platform chat"]


def test_what_was_told_after_that_by_the_same_one_stands() -> None:
    play = folded()
    play.at(3, CarrierGone(at=START + 3 * MINUTE, carrier=CARRIER))
    play.at(4)
    page = play.incident.pages[-1]
    later = MessageDelivered(
        at=START + 4 * MINUTE, effect=page.id, page=page.id, kind=MessageKind.PAGE, attempt=1, told_in=CARRIER
    )
    assert kinds(play.at(4, later).effects) == []
    assert play.incident.pages[-1].status is PageStatus.DELIVERED


def test_what_is_told_only_after_the_digest_was_over_is_paged_anew() -> None:
    play = Play(Severity.P3)
    (page,) = play.incident.pages
    play.at(3, CarrierGone(at=START + 3 * MINUTE, carrier=CARRIER))
    assert len(play.incident.pages) == 1  # it may still ring
    late = MessageDelivered(
        at=START + 2 * MINUTE, effect=page.id, page=page.id, kind=MessageKind.PAGE, attempt=1, told_in=CARRIER
    )
    assert kinds(play.at(3, late).effects) == ["page primary dbteam chat"]


def test_while_it_is_held_back_it_waits_and_then_is_paged() -> None:
    play = folded()
    play.holds = (Hold(kind=HoldKind.MAINTENANCE, by="w", text="w"),)
    decision = play.at(3, CarrierGone(at=START + 3 * MINUTE, carrier=CARRIER))
    assert kinds(decision.effects) == []
    play.holds = ()
    assert "page primary dbteam chat" in kinds(play.at(4).effects)


def test_it_is_acknowledged_with_the_digest_but_only_in_the_episode_that_was_told() -> None:
    fact = AcknowledgedBy(at=START, by="ana", via="the digest", digest=CARRIER, episode=1)
    play = folded()
    play.at(1, fact)
    assert isinstance(play.incident.state, Acknowledged)
    assert (play.incident.acknowledged_by, play.incident.state.digest) == ("ana", CARRIER)
    assert leaves(play) == []
    again = play.at(1, fact)
    assert again.entries == ()
    play = folded()
    play.fire(Severity.P1).at(1)
    play.at(1, fact)
    assert isinstance(play.incident.state, Triggered)


def test_nobody_takes_with_a_digest_what_no_digest_has_told_of() -> None:
    play = Play(Severity.P3)
    (page,) = play.incident.pages
    fact = AcknowledgedBy(at=START + MINUTE, by="ana", digest=CARRIER, episode=1)
    play.at(1, fact)
    assert isinstance(play.incident.state, Triggered)  # its page still waits for the digest's to arrive
    late = MessageDelivered(
        at=START, effect=page.id, page=page.id, kind=MessageKind.PAGE, attempt=1, told_in=CARRIER
    )
    assert kinds(play.at(1, late).effects) == ["page primary dbteam chat"]
    play = Play(Severity.P3)
    (page,) = play.incident.pages
    play.at(1, msgspec.structs.replace(late, effect=page.id, page=page.id), fact)
    assert isinstance(play.incident.state, Acknowledged)  # it was told just before


def test_what_a_person_wanted_another_level_to_see_is_not_taken_with_a_digest() -> None:
    play = folded()
    play.at(1, EscalatedBy(at=START + MINUTE, by="ana"))
    play.delivered(1)
    decision = play.at(2, AcknowledgedBy(at=START + 2 * MINUTE, by="ben", digest=CARRIER, episode=1))
    assert isinstance(play.incident.state, Triggered)
    assert kinds(decision.effects) == ["page primary dbteam chat"]


def test_what_was_quiet_for_a_moment_when_its_digest_was_taken_is_not_left_to_it_when_it_flaps() -> None:
    play = folded()
    for minute in (1, 2, 3):
        play.clear().at(minute)
        play.fire(Severity.P3).at(minute + 0.5)
        told(play)
    number = play.incident.episode.number
    play.clear()
    play.at(4, AcknowledgedBy(at=START + 4 * MINUTE, by="ana", digest=CARRIER, episode=number))
    assert isinstance(play.incident.state, Monitoring)
    play.fire(Severity.P3)
    assert "page primary dbteam chat" in kinds(play.at(4.5).effects)


def test_a_digest_that_is_snoozed_is_snoozed_as_one() -> None:
    until = START + 60 * MINUTE
    play = carrying()
    play.at(1, SnoozedBy(at=START + MINUTE, by="ana", until=until))
    (spread,) = spreads(play)
    assert (spread.by, spread.snoozed_until) == ("ana", until)
    play = folded()
    play.at(1, AcknowledgedBy(at=START + MINUTE, by="ana", digest=CARRIER, episode=1, snoozed_until=until))
    assert isinstance(play.incident.state, Acknowledged)
    assert "page primary dbteam chat" in kinds(play.at(60).effects)


def test_where_each_of_a_level_has_to_answer_a_digest_is_not_enough() -> None:
    play = Play(
        Severity.P3,
        rules=policy(everybody=(Level.PRIMARY,)),
        on_call=OnCall(people={"dbteam": ("ana", "ben")}, plans=dict.fromkeys(("ana", "ben"), PLANS)),
    )
    told(play)
    decision = play.at(1, AcknowledgedBy(at=START + MINUTE, by="ana", digest=CARRIER, episode=1))
    assert isinstance(play.incident.state, Triggered)
    assert kinds(decision.effects) == ["page primary ben chat"]


def test_who_took_a_digest_is_reminded_of_each_that_is_open_and_it_lapses_as_ever() -> None:
    """One reminder stands for all of them, which is settled when it is sent: any of them may be over by then."""
    standing = AcknowledgementPolicy(remind_after=10 * MINUTE, lapse_after=60 * MINUTE)
    play = folded(standing)
    play.at(1, AcknowledgedBy(at=START + MINUTE, by="dbteam", digest=CARRIER, episode=1))
    play.until(12)
    assert [what for _, what in play.dialogue if what.startswith("reminder")] == [
        "reminder primary dbteam chat"
    ]
    (asked,) = [e for e in play.decisions[-1].effects if isinstance(e, SendMessage)]
    stood_for = MessageDelivered(
        at=play.now, effect=asked.id, page=asked.page, kind=asked.kind, attempt=1, told_in=CARRIER
    )
    assert play.at(12, stood_for).entries[-1].text == (
        f"reminder to dbteam (primary) over chat not sent: the reminder of incident {CARRIER} stands for it"
    )
    play.until(62)
    assert isinstance(play.incident.state, Triggered)  # it lapses as ever


def test_a_page_that_waits_for_a_digest_is_not_slow() -> None:
    play = Play(Severity.P3, rules=policy(channels=("chat", "mail")))
    (page,) = play.incident.pages
    play.at(0, MessageWaits(at=START, page=page.id, kind=MessageKind.PAGE, until=START + MINUTE))
    play.until(1.4)
    assert [what for _, what in play.dialogue] == ["page primary dbteam chat"]
    play.until(1.6)
    assert [what for _, what in play.dialogue][1:] == ["page primary dbteam mail"]
    assert any(
        "waits for the next digest, until 03:01:00" in e.text for d in play.decisions for e in d.entries
    )


def test_a_later_channel_comes_in_its_time_whatever_was_told() -> None:
    play = Play(Severity.P3, rules=policy(channels=("chat", after(2, "phone"))))
    told(play)
    play.until(2)
    assert play.dialogue[-1] == (2.0, "page primary dbteam phone")


def test_a_carrier_tells_once_a_minute_how_many_there_are() -> None:
    play = carrying(3)
    play.until(1)
    assert [what for _, what in play.dialogue][-1] == "update primary dbteam chat"
    play.at(1.2, one_more(4, 1.2))
    play.at(1.3, one_more(5, 1.3), FoldedEnded(at=START, incident="1" * 16, over=2))
    play.until(2.5)
    updates = [e for _, e in play.effects if isinstance(e, SendMessage) and e.kind is MessageKind.UPDATE]
    assert [one.text for one in updates] == [
        "Digest: 3 more incidents of 1 service; newest: P3 api: 3",
        "Digest: 5 more incidents of 1 service, 2 of them over or paged by themselves; newest: P3 api: 5",
    ]
    lines = [e.text for d in play.decisions for e in d.entries if e.reason is Reason.FOLDED]
    assert lines[-1] == "1 more is told with this one's page; 5 in all"


def test_what_is_told_with_it_once_more_is_no_news() -> None:
    play = carrying(3)
    play.until(1)
    again = [msgspec.structs.replace(one_more(number, 2), count=3) for number in (1, 2, 3)]  # their reminders
    play.at(2, *again)
    play.until(30)
    updates = [e for _, e in play.effects if isinstance(e, SendMessage) and e.kind is MessageKind.UPDATE]
    assert len(updates) == 1
    play.at(31, msgspec.structs.replace(again[0], at=play.now, over=0))  # it had left, and is back
    play.until(60)
    updates = [e for _, e in play.effects if isinstance(e, SendMessage) and e.kind is MessageKind.UPDATE]
    assert len(updates) == 2


def test_what_is_told_to_somebody_else_as_well_is_no_news_either() -> None:
    play = carrying(3)
    play.until(1)
    play.at(2, *(msgspec.structs.replace(one_more(n, 2), count=3, contact="platform") for n in (1, 2, 3)))
    play.until(30)
    updates = [e for _, e in play.effects if isinstance(e, SendMessage) and e.kind is MessageKind.UPDATE]
    assert len(updates) == 1


def _both() -> Play:
    """An incident that rang two people, and became the digest of one of them."""
    on_call = OnCall(people={"dbteam": ("ana", "ben")}, plans=dict.fromkeys(("ana", "ben"), PLANS))
    play = Play(Severity.P3, on_call=on_call)
    play.delivered(0)
    play.at(0.5, DigestBegan(at=play.now + 0.5 * MINUTE, contact="ana", why="more than 3 incidents for ana"))
    return play


def test_whoever_is_told_by_a_page_that_said_nothing_of_a_digest_hears_so_at_once() -> None:
    play = _both()
    fold = msgspec.structs.replace(one_more(1, 0.6), contact="ana")
    assert kinds(play.at(0.6, fold).effects) == []  # hers says so
    decision = play.at(0.7, msgspec.structs.replace(fold, contact="ben"))
    assert kinds(decision.effects) == ["update primary ben chat"]
    assert kinds(play.at(0.8, msgspec.structs.replace(one_more(2, 0.8), contact="ben")).effects) == []


def test_a_page_says_digest_only_to_those_for_whom_it_is_one_and_says_why_only_to_whom_it_concerns() -> None:
    play = _both()
    words = Words(attempt=1, sent_at=play.now, external_url="http://localhost")
    ana, ben = (
        next(e for _, e in play.effects if isinstance(e, SendMessage) and e.contact == name)
        for name in ("ana", "ben")
    )
    assert "DIGEST: more than 3 incidents for ana. What else" in compose(play.incident, ana, words).summary
    assert "DIGEST" not in compose(play.incident, ben, words).summary
    play.at(0.6, msgspec.structs.replace(one_more(1, 0.6), contact="ana"))
    assert "(more than 3 incidents for ana)" in compose(play.incident, ana, words).summary
    to_ben = compose(play.incident, ben, words).summary
    assert "DIGEST: 1 more incident of 1 service, the worst P3. None of them" in to_ben
    assert "for ana" not in to_ben


def test_its_news_says_what_they_are_by_kind_and_what_tells_them_apart() -> None:
    play = carrying(0)
    for number in range(1, 47):
        kind = "StormA" if number < 45 else "StormB"
        fold = msgspec.structs.replace(one_more(number), count=46, kind=kind, alike=44 if number < 45 else 2)
        play.at(0, msgspec.structs.replace(fold, mark=f"c{number}" if number < 45 else ""))
    play.until(1)
    (update,) = [e for _, e in play.effects if isinstance(e, SendMessage) and e.kind is MessageKind.UPDATE]
    assert update.text == (
        "Digest: 46 more incidents of 1 service: 44 of StormA: c1, c2, c3 and 41 more; 2 of StormB; newest: P3 api: 46"
    )


def test_the_line_of_an_incident_says_what_tells_it_apart_from_others_of_its_title() -> None:
    group = (("alertname", "Same"), ("cluster", "c7"), ("limit", "100"), ("shard", "9"))
    mark = mark_of(group, "PostgresTooManyConnections: 97 of 100")
    assert mark == "c7/9"
    assert list_line(Severity.P3, "api", "x" * 200, mark).endswith("… [c7/9]")
    assert len(list_line(Severity.P3, "api", "x" * 200, "y" * 40)) <= 90


def test_what_it_keeps_of_them_is_bounded() -> None:
    play = carrying(0)
    for number in range(1, 200):
        play.at(0, one_more(number))
    digest = play.incident.digest
    assert digest is not None
    assert (digest.count, len(digest.newest), digest.newest[0].line) == (199, 20, "P3 api: 199")


def test_whatever_ends_it_is_spread_once_with_who_took_it() -> None:
    play = carrying()
    play.at(5, AcknowledgedBy(at=START + 5 * MINUTE, by="ana"))
    assert [(one.by, one.at) for one in spreads(play)] == [("ana", START + 5 * MINUTE)]
    play.clear().at(6)
    assert len(spreads(play)) == 1
    play = carrying()
    play.clear().at(5)
    play.at(6)
    assert [one.by for one in spreads(play)] == [""]
    play = carrying()
    play.at(5, ResolvedBy(at=START + 5 * MINUTE, by="ana"))
    assert [one.by for one in spreads(play)] == [""]
    play = carrying()
    play.holds = (Hold(kind=HoldKind.MAINTENANCE, by="w", text="w"),)
    play.at(5)
    assert [one.by for one in spreads(play)] == [""]


def test_what_was_folded_in_the_last_moment_is_told_as_well() -> None:
    play = carrying()
    play.at(5, AcknowledgedBy(at=START + 5 * MINUTE, by="ana"))
    play.at(5, one_more(4, 5))
    assert [one.by for one in spreads(play)] == ["ana", "ana"]
    play = Play(Severity.P3)
    play.at(1, AcknowledgedBy(at=START + MINUTE, by="ana"))
    play.at(1, DigestBegan(at=START, contact="dbteam", why="w"))  # its page crossed the acknowledgement
    assert [one.by for one in spreads(play)] == ["ana"]


def test_a_carrier_that_is_paged_anew_after_its_digest_was_over_tells_of_nothing_until_something_is_folded_again() -> (
    None
):
    play = carrying()
    play.at(5, AcknowledgedBy(at=START + 5 * MINUTE, by="ana"))
    play.at(6, EscalatedBy(at=START + 6 * MINUTE, by="ana"))
    digest = play.incident.digest
    assert digest is not None
    assert (digest.ended, digest.untold, digest.count) == (True, False, 3)  # people may look at what it was
    page = next(one for one in play.decisions[-1].effects if isinstance(one, SendMessage))
    words = Words(attempt=1, sent_at=play.now, external_url="http://localhost")
    assert "DIGEST" not in compose(play.incident, page, words).summary
    play.at(7, one_more(1, 7))
    digest = play.incident.digest
    assert digest is not None
    assert (digest.ended, digest.count, len(digest.newest), digest.began_at) == (
        False, 1, 1, START + 7 * MINUTE,
    )  # fmt: skip
    assert play.decisions[-1].entries[-1].text == "1 more is told with this one's page; 1 in all"
    assert "DIGEST: 1 more incident of 1 service" in compose(play.incident, page, words).summary


def test_a_carrier_that_is_paged_anew_or_further_goes_on_carrying() -> None:
    play = carrying()
    play.fire(Severity.P1).at(5)
    play.at(6, EscalatedBy(at=START + 6 * MINUTE, by="ana"))
    play.until(30)
    assert spreads(play) == []
    assert play.incident.digest is not None
    assert not play.incident.digest.ended


FACTS = ("told", "late", "gone", "ack", "own", "resolve", "fire", "clear", "p1", "hold", "free", "wait")


@settings(max_examples=200)
@given(st.lists(st.sampled_from(FACTS), max_size=25))
def test_an_incident_is_never_left_to_a_digest_that_it_knows_to_be_over(moves: list[str]) -> None:
    play = Play(Severity.P3)
    for number, move in enumerate(moves, start=1):
        minute = number * 0.5
        at = START + minute * MINUTE
        facts: list[Fact] = []
        pending = [page for page in play.incident.pages if page.settled_at is None]
        match move:
            case "told" | "late":
                when = at if move == "told" else at - timedelta(seconds=40)
                facts = [
                    MessageDelivered(
                        at=when, effect=p.id, page=p.id, kind=MessageKind.PAGE, attempt=1, told_in=CARRIER
                    )
                    for p in pending
                ]
            case "gone":
                facts = [CarrierGone(at=at, carrier=CARRIER)]
            case "ack":
                episode = play.incident.episode.number
                facts = [AcknowledgedBy(at=at, by="ana", digest=CARRIER, episode=episode)]
            case "own":
                facts = [AcknowledgedBy(at=at, by="ben")]
            case "resolve":
                facts = [ResolvedBy(at=at, by="ben")]
            case "fire":
                play.fire(Severity.P3)
            case "p1":
                play.fire(Severity.P1)
            case "clear":
                play.clear()
            case "hold":
                play.holds = (Hold(kind=HoldKind.MAINTENANCE, by="w", text="w"),)
            case "free":
                play.holds = ()
        play.at(minute, *facts)
        check(play.incident)
        # Level-triggered: looked at again with nothing new, nothing changes.
        still = advance(play.incident, play.totals, (), play.now, outside=Outside(holds=play.holds))
        assert kinds(still.effects) == []
        assert still.incident.episode == play.incident.episode


def check(incident: Incident) -> None:
    if not incident.is_paged:
        return
    for page in incident.pages:
        gone = incident.carriers_gone.get(page.told_in)
        if (
            page.episode == incident.episode.number
            and page.told_in
            and page.status is PageStatus.DELIVERED
            and gone is not None
        ):
            assert page.settled_at is not None
            assert page.settled_at > gone
