"""Why was somebody paged for an alert, and why not: from what is kept, in words."""

from __future__ import annotations

import msgspec
import pytest
from stage import MINUTE, START, Play

from responder.incident.account import Account, AlertHistory, Became, Happened, account
from responder.incident.decision import Entry
from responder.incident.facts import AcknowledgedBy, MessageDelivered, ResolvedBy
from responder.incident.hold import Hold, HoldKind
from responder.incident.message import MessageKind
from responder.incident.reach import OnCall
from responder.incident.severity import Level, Severity
from responder.incident.state import PageStatus
from responder.store.histories import history_of

FP = "0" * 16


def history(*outcomes: tuple[float, Became], repeats: int = 0) -> AlertHistory:
    return AlertHistory(
        fingerprint=FP, status="firing", since=START, heard_at=START, repeats=repeats, incident="1" * 16,
        outcomes=tuple(Happened(at=START + at * MINUTE, became=b, incident="1" * 16) for at, b in outcomes),
    )  # fmt: skip


def told(play: Play, found: AlertHistory | None = None) -> Account:
    timeline = [entry for decision in play.decisions for entry in decision.entries]
    return account(found or history((0, Became.NEW)), play.incident, timeline)


def spared(found: Account) -> dict[str, str]:
    return {f"{one.level} {one.contact}".strip(): one.why for one in found.spared}


def test_who_is_paged_and_when_the_others_would_be() -> None:
    play = Play()
    play.delivered()
    found = told(play)
    assert [(one.level, one.contact, str(one.status)) for one in found.paged] == [
        (Level.PRIMARY, "dbteam", "delivered")
    ]
    assert spared(found) == {
        "secondary platform": "due at 2026-11-24 03:05:00 UTC, unless somebody acknowledges",
        "executive cto": "due at 2026-11-24 03:15:00 UTC, unless somebody acknowledges",
    }
    assert found.suppressed == ()


def test_who_took_it_before_the_others_turn_came() -> None:
    play = Play()
    play.delivered()
    play.at(2, AcknowledgedBy(at=play.now + 2 * MINUTE, by="ana"))
    why = spared(told(play))["secondary platform"]
    assert (
        why == "ana acknowledged at 2026-11-24 03:02:00 UTC, and this level is due at 2026-11-24 03:05:00 UTC"
    )
    play.at(3, ResolvedBy(at=play.now, by="ben"))
    assert spared(told(play))["executive cto"].startswith("it was over at 2026-11-24 03:03:00 UTC, by ben")


def test_that_every_alert_had_resolved() -> None:
    play = Play()
    play.delivered()
    play.clear().at(1)
    assert spared(told(play))["secondary platform"].startswith("every alert had resolved at 2026-11-24 03:01")


def test_what_held_it_back_and_by_whose_configuration() -> None:
    window = Hold(
        kind=HoldKind.MAINTENANCE,
        by="rules/windows.yaml: friday",
        text="the Friday window",
        until=START + 9 * MINUTE,
    )
    play = Play(holds=(window,))
    found = told(play)
    (one,) = found.suppressed
    assert (one.kind, one.by, one.text, one.since, one.until, one.over) == (
        HoldKind.MAINTENANCE, "rules/windows.yaml: friday",
        "maintenance: the Friday window until 2026-11-24 03:09 UTC", START, window.until, False,
    )  # fmt: skip
    assert found.paged == ()
    assert spared(found)["primary dbteam"] == (
        "paging is held back (maintenance): the Friday window until 2026-11-24 03:09 UTC"
    )
    play.holds = ()
    play.at(10)
    (one,) = told(play).suppressed
    assert (one.over, one.by) == (True, "rules/windows.yaml: friday")
    assert one.text == "maintenance: the Friday window until 2026-11-24 03:09 UTC"


def test_that_a_digest_told_of_it_once_for_each_person_however_often_that_stood_for_a_page() -> None:
    play = Play(Severity.P3)
    for minute in (0, 80, 240, 480, 720):
        play.until(minute)
        facts = [
            MessageDelivered(
                at=play.now, effect=p.id, page=p.id, kind=MessageKind.PAGE, attempt=1, told_in="c" * 16
            )
            for p in play.incident.pages
            if p.status is PageStatus.PENDING
        ]
        play.at(minute, *facts)
    assert len(play.incident.pages) == 5
    assert [(one.text.split()[0], one.over) for one in told(play).suppressed] == [
        ("dbteam", False), ("platform", False), ("cto", False),
    ]  # fmt: skip


def test_that_the_list_of_another_page_told_of_it() -> None:
    play = Play(Severity.P3)
    (page,) = play.incident.pages
    fact = MessageDelivered(
        at=play.now, effect=page.id, page=page.id, kind=MessageKind.PAGE, attempt=1, listed_in="c" * 16
    )
    said = play.at(0, fact).entries
    assert f"page to dbteam (primary) over chat told in the list of incident {'c' * 16}" in [
        one.text for one in said
    ]
    (one,) = told(play).paged
    assert (one.status, one.listed_in, one.told_in) == (PageStatus.DELIVERED, "c" * 16, "")
    play.at(2, AcknowledgedBy(at=play.now, by="ana"))  # what follows goes where it looked last
    assert [one.told_in for one in play.incident.pages] == [""]


def test_that_the_first_page_waits_for_findings() -> None:
    assert spared(told(Play(probes=("p",))))["primary dbteam"] == "the first page waits for findings"


def test_that_nobody_was_on_call_or_nothing_reached_them() -> None:
    play = Play(on_call=OnCall(people={"dbteam": ()}))
    assert spared(told(play))["primary dbteam"] == "nobody was on call"
    play = Play()
    play.failed()
    found = told(play)
    assert spared(found)["primary dbteam"] == "every channel failed"
    assert [(one.contact, str(one.status), one.error) for one in found.paged] == [
        ("dbteam", "failed", "gone"), ("platform", "pending", ""),
    ]  # fmt: skip


def test_that_the_matrix_names_nobody() -> None:
    play = Play()
    policy = msgspec.structs.replace(play.incident.policy, contacts={Level.PRIMARY: "dbteam"})
    play.incident = msgspec.structs.replace(play.incident, policy=policy)
    assert spared(told(play))["executive"] == "row database of the matrix names nobody"


def test_that_it_joined_what_somebody_had_already() -> None:
    play = Play()
    play.delivered()
    play.at(2, AcknowledgedBy(at=START + 2 * MINUTE, by="ana"))
    (remark,) = told(play, history((5, Became.NEW))).remarks
    assert "had been acknowledged by ana at 2026-11-24 03:02:00 UTC: nobody was paged anew" in remark
    assert told(play, history((0, Became.NEW))).remarks == ()


def test_that_it_flaps_and_so_pages_nobody_anew() -> None:
    play = Play()
    play.delivered()
    play.incident = msgspec.structs.replace(play.incident, flapping_since=START + 9 * MINUTE)
    flaps = (
        "its incident fires again and again (flapping since 2026-11-24 03:09:00 UTC): it goes on as it was each time, "
        "and nobody is paged anew"
    )
    again = history(*((minute, Became.AGAIN) for minute in range(3, 16, 3)))
    assert told(play, again).remarks == (flaps,)
    other = told(play, history((12, Became.NEW))).remarks
    assert (other[0], "it joined an incident that was open since" in other[1]) == (flaps, True)


def test_that_copies_page_nobody_and_that_the_default_rule_took_it() -> None:
    play = Play()
    play.incident = msgspec.structs.replace(play.incident, rule="default")
    remarks = told(play, history((0, Became.NEW), repeats=7)).remarks
    assert "copies that changed nothing came in 7 minute(s)" in remarks[0]
    assert "the default rule took it" in remarks[1]


def test_that_it_is_an_alert_of_ours_for_which_no_rule_was_asked() -> None:
    play = Play()
    play.incident = msgspec.structs.replace(play.incident, rule="default")
    ours = msgspec.structs.replace(history((0, Became.NEW)), own="our own notice")
    assert told(play, ours).remarks == ("our own notice",)


def test_that_a_drill_of_a_senders_is_one() -> None:
    play = Play()
    play.incident = msgspec.structs.replace(play.incident, drill=True)
    assert "it is a drill" in told(play).remarks[0]


@pytest.mark.parametrize(
    ("labels", "sender", "says"),
    [
        ({"alertname": "ResponderWebhookRejected", "service": "responder"}, "", "our own notice"),
        ({"alertname": "ResponderWebhookRejected"}, "ab12", ""),
        ({"alertname": "HeartbeatMissed", "heartbeat": "backup"}, "", "heartbeat backup came in time"),
        ({"alertname": "HeartbeatMissed"}, "", ""),
        ({"alertname": "Down"}, "", ""),
    ],
)
def test_what_a_sender_named_like_ours_is_none_of_ours(
    labels: dict[str, str], sender: str, says: str
) -> None:
    body = msgspec.json.encode({"labels": labels, **({"sender": sender} if sender else {})})
    own = history_of(FP, b"F|1000|0|1000|2||0000000001000+000000;n1000|" + body).own
    assert (says in own, bool(own)) == (True, bool(says))


def test_that_there_is_no_incident_or_none_any_more() -> None:
    timeline: list[Entry] = []
    gone = account(history((0, Became.NEW)), None, timeline)
    assert gone.remarks == (f"incident {'1' * 16} is no longer kept",)
    unseen = msgspec.structs.replace(history((0, Became.UNSEEN)), incident="")
    assert "nobody was paged for a resolve alone" in account(unseen, None, timeline).remarks[0]
