"""Silences, inhibition and time intervals of Alertmanager's: what they hold back, until when, and what they do not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fake_alertmanager import FakeAlertmanager
from mirror import MINUTE, Mirror, compiled, mirrored, moment
from peers import hanging
from structlog.testing import capture_logs

from responder.incident import facts
from responder.incident.hold import HoldKind
from responder.intake.silence_desk import Asker
from responder.store.store import Store

HOUR = timedelta(hours=1)
DB = {"alertname": "TooManyConnections", "service": "database", "cluster": "a", "severity": "critical"}
MINOR = {**DB, "severity": "warning"}


@pytest.fixture(params=["0.25.0", "0.28.0"])
async def pair(turned: Any, request: pytest.FixtureRequest) -> AsyncIterator[list[FakeAlertmanager]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                FakeAlertmanager(lambda: moment(turned), version=request.param).running()
            )
            for _ in range(2)
        ]


def keep(pair: list[FakeAlertmanager], labels: Mapping[str, str] | None = None, **more: str) -> None:
    """It fires at both, for long."""
    labels = {**(labels or {}), **more}
    for peer in pair:
        peer.fire(labels, keep=24 * HOUR)


async def both_told(
    mirror: Mirror, pair: list[FakeAlertmanager], labels: Mapping[str, str] | None = None, **more: str
) -> None:
    """It fires at both, and a webhook tells of it."""
    labels = {**(labels or {}), **more}
    keep(pair, labels)
    name = next(one for one, alert in pair[0].alerts.items() if alert["labels"] == labels)
    await mirror.webhook(mirror.alert(labels, since=pair[0].alerts[name]["startsAt"]))


def silence(pair: list[FakeAlertmanager], span: timedelta, **labels: str) -> str:
    """Made over one of them; the other hears of it."""
    made = pair[0].silence(span, **labels)
    pair[1].hears(pair[0])
    return made


async def test_a_silence_is_told_once_with_author_comment_and_end(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await both_told(mirror, pair, DB)
    made = silence(pair, 2 * HOUR, alertname=DB["alertname"])
    await mirror.look(times=30)
    incident = await mirror.incident()
    (hold,) = incident.holds
    assert (hold.kind, hold.by, hold.text) == (HoldKind.SILENCE, f"{made} by ana", "silenced by ana: known")
    assert mirror.paged() == ["dbteam"]
    assert mirror.changes() == {"muted": 1}
    lines = await mirror.lines(incident)
    assert sum("held back" in line for line in lines) == 1


async def test_e4_when_it_is_over_it_pages_at_that_moment_and_not_at_the_next_look(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """E4."""
    await both_told(mirror, pair, DB)
    silence(pair, HOUR, alertname=DB["alertname"])
    await mirror.look()
    await mirror.wait(HOUR - MINUTE)
    assert mirror.paged() == ["dbteam"]
    await mirror.wait(MINUTE, step=timedelta(seconds=5))
    assert mirror.paged() == ["dbteam", "dbteam"]


async def test_a_prolonged_or_shortened_silence_is_followed(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await both_told(mirror, pair, DB)
    made = silence(pair, HOUR, alertname=DB["alertname"])
    await mirror.look()
    for peer in pair:
        peer.silences[made]["endsAt"] = (mirror.clock.now() + 3 * HOUR).isoformat()
    await mirror.wait(MINUTE)
    await mirror.look()
    await mirror.wait(2 * HOUR)
    assert mirror.paged() == ["dbteam"]
    for peer in pair:
        peer.silences[made]["endsAt"] = (mirror.clock.now() + 3 * MINUTE).isoformat()
    await mirror.look()
    await mirror.wait(3 * MINUTE, step=timedelta(seconds=5))
    assert mirror.paged() == ["dbteam", "dbteam"]


async def test_all_its_alerts_must_be_muted_and_it_is_over_when_the_first_is_not(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await both_told(mirror, pair, DB, instance="1")
    await both_told(mirror, pair, DB, instance="2")
    await mirror.wait(MINUTE / 4)
    silence(pair, HOUR, instance="1")
    await mirror.look()
    assert (await mirror.incident()).holds == ()
    silence(pair, 2 * HOUR, instance="2")
    await mirror.wait(MINUTE)
    await mirror.look()
    held = (await mirror.incident()).holds
    assert len({hold.until for hold in held}) == 1
    assert len(held) == 2
    await mirror.wait(HOUR, step=timedelta(seconds=5))
    assert (await mirror.incident()).holds == ()
    assert mirror.paged()[-1] == "dbteam"


async def test_of_several_silences_the_longest_counts(mirror: Mirror, pair: list[FakeAlertmanager]) -> None:
    await both_told(mirror, pair, DB)
    silence(pair, HOUR, alertname=DB["alertname"])
    made = silence(pair, 3 * HOUR, cluster="a")
    await mirror.look()
    assert [hold.by for hold in (await mirror.incident()).holds] == [f"{made} by ana"]
    await mirror.wait(2 * HOUR)
    assert mirror.paged() == ["dbteam"]


async def test_a_silence_that_only_one_of_the_peers_knows_counts_as_their_gossip_would_have_it(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """They are cut off from each other: the latest word on a silence stands."""
    await both_told(mirror, pair, DB)
    made = pair[0].silence(HOUR, cluster="a")
    await mirror.look()
    assert [hold.kind for hold in (await mirror.incident()).holds] == ["silence"]
    pair[1].hears(pair[0])
    await mirror.wait(MINUTE)
    pair[1].expire(made)  # the other one goes on obeying
    await mirror.look()
    assert (await mirror.incident()).holds == ()
    assert mirror.paged() == ["dbteam", "dbteam"]


async def test_a_new_alert_that_is_not_muted_ends_it_at_once(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await both_told(mirror, pair, DB)
    silence(pair, HOUR, alertname=DB["alertname"])
    await mirror.look()
    await both_told(mirror, pair, {**DB, "alertname": "DiskFull"})
    await mirror.wait(timedelta(seconds=6), step=timedelta(seconds=2))
    assert mirror.paged() == ["dbteam", "dbteam"]
    await mirror.look()
    assert (await mirror.incident()).holds == ()


async def test_an_alert_that_joins_between_a_look_and_its_word_is_not_muted_by_that(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await both_told(mirror, pair, DB)
    incident = await mirror.incident()
    silence(pair, HOUR, alertname=DB["alertname"])
    view = await mirror.upstream.peers.view(mirror.clock.now())  # type: ignore[union-attr]
    assert len(view.alerts) == 1
    await both_told(mirror, pair, {**DB, "alertname": "DiskFull"})
    told = facts.AlertsMuted(at=mirror.clock.now(), by=(), fired=incident.totals.fired_ever)
    await mirror.desk.record(incident.id, told)
    assert (await mirror.incident()).muted == ()


async def test_what_is_muted_from_its_first_moment_opens_nothing_and_pages_when_it_is_over(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await mirror.webhook(mirror.alert(alertname="Known", service="api"), sender="")
    silence(pair, HOUR, cluster="a")
    keep(pair, DB)
    await mirror.look(times=3)
    assert len(await mirror.incidents()) == 1
    await mirror.wait(HOUR)
    await mirror.look(times=2)
    assert mirror.paged()[-1] == "dbteam"


async def test_one_that_resolves_while_the_others_stay_silenced_unmutes_nothing(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await both_told(mirror, pair, DB, instance="1")
    await both_told(mirror, pair, DB, instance="2")
    silence(pair, HOUR, cluster="a")
    await mirror.look()
    for peer in pair:
        peer.resolve(next(iter(peer.alerts)))
    for _ in range(4):
        await mirror.wait(MINUTE)
        await mirror.look()
    incident = await mirror.incident()
    assert mirror.paged() == ["dbteam"]
    assert [hold.kind for hold in incident.holds] == ["silence"]
    assert incident.totals.firing_now == 1


async def test_with_a_peer_away_what_is_not_listed_changes_nothing_about_a_silence(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await both_told(mirror, pair, DB, instance="1")
    await both_told(mirror, pair, DB, instance="2")
    silence(pair, 2 * HOUR, cluster="a")
    await mirror.look()
    pair[0].resolve(next(iter(pair[0].alerts)))
    pair[1].instead["/alerts"] = hanging
    await mirror.look(times=3)
    assert [hold.kind for hold in (await mirror.incident()).holds] == ["silence"]
    for peer in pair:
        peer.instead["/status"] = hanging
    await mirror.look(times=2)
    assert [hold.kind for hold in (await mirror.incident()).holds] == ["silence"], "it has an end of its own"


async def test_inhibition_holds_back_and_names_what_inhibits(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await both_told(mirror, pair, DB)
    for peer in pair:
        cause = peer.fire(alertname="NodeDown", cluster="a", receivers=("nobody",), keep=24 * HOUR)
    for peer in pair:
        peer.inhibited[next(iter(peer.alerts))] = cause
    await mirror.look(times=40)
    (hold,) = (await mirror.incidents())[0].holds
    assert (hold.kind, hold.by, hold.text) == (HoldKind.INHIBITION, cause, "inhibited by the alert NodeDown")
    assert mirror.paged().count("dbteam") == 1
    for peer in pair:
        peer.inhibited.clear()
    await mirror.wait(MINUTE)
    await mirror.look()
    assert mirror.paged().count("dbteam") == 2


async def test_an_inhibition_that_nobody_confirms_any_more_does_not_hold_for_ever(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """Every Alertmanager is away: no reason to wait outlives its cause by more than ten minutes."""
    await both_told(mirror, pair, DB)
    for peer in pair:
        peer.inhibited[next(iter(peer.alerts))] = "f" * 16
    await mirror.look(times=3)
    assert [hold.kind for hold in (await mirror.incident()).holds] == ["inhibition"]
    for peer in pair:
        peer.instead["/status"] = hanging
    await mirror.wait(11 * MINUTE)
    assert mirror.paged() == ["dbteam", "dbteam", "platform"][:2]


async def test_a_time_interval_mutes_where_both_say_so(mirror: Mirror, pair: list[FakeAlertmanager]) -> None:
    """Since 0.28 Alertmanager says it; before, nobody can know."""
    await both_told(mirror, pair, DB)
    name = next(iter(pair[0].alerts))
    pair[0].muted[name] = "nights"
    await mirror.look()
    assert (await mirror.incident()).holds == ()
    pair[1].muted[name] = "nights"
    await mirror.wait(MINUTE)
    await mirror.look()
    texts = [hold.text for hold in (await mirror.incident()).holds]
    assert texts == (["muted by Alertmanager's time interval nights"] if pair[0].version >= "0.28" else [])


async def test_s4_what_was_inhibited_and_is_sent_after_a_restart_of_alertmanager_waits_for_the_next_comparison(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """S4: it sends what it inhibits until it has heard of what inhibits it. Only what is not urgent waits."""
    await mirror.webhook(mirror.alert(alertname="Known", service="api"))
    keep(pair, alertname="NodeDown", cluster="a", service="nodes")
    keep(pair, MINOR)
    keep(pair, {**DB, "cluster": "b"})
    cause, minor, major = pair[0].alerts
    for peer in pair:
        peer.inhibited |= {minor: cause, major: cause}
    await mirror.look()
    for peer in pair:
        peer.restart()
    keep(pair, MINOR)
    keep(pair, {**DB, "cluster": "b"})
    for peer in pair:
        peer.inhibited.clear()
    paged = len(mirror.paged())
    await mirror.webhook(mirror.alert(MINOR), mirror.alert({**DB, "cluster": "b"}))
    assert mirror.paged()[paged:] == ["dbteam"], "the urgent one"
    held = [one for one in await mirror.incidents() if one.holds]
    assert [one.severity for one in held] == ["P3"]
    await mirror.look()  # an Alertmanager that is young is not believed
    keep(pair, alertname="NodeDown", cluster="a", service="nodes")
    for peer in pair:
        peer.inhibited |= {minor: cause}
    await mirror.look(times=8)
    (still,) = [one for one in await mirror.incidents() if one.holds]
    assert [hold.text for hold in still.holds] == ["inhibited by the alert NodeDown"]
    assert mirror.paged()[paged:].count("dbteam") == 1


async def test_s4_what_was_inhibited_and_really_fires_now_is_paged_at_the_next_comparison_or_after_the_grace_time(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """S4: the wait is a short one."""
    await mirror.webhook(mirror.alert(alertname="Known", service="api"))
    keep(pair, MINOR)
    for peer in pair:
        peer.inhibited[next(iter(peer.alerts))] = "f" * 16
    await mirror.look()
    for peer in pair:
        peer.inhibited.clear()
    paged = len(mirror.paged())
    await mirror.webhook(mirror.alert(MINOR))
    assert mirror.paged()[paged:] == []
    await mirror.wait(MINUTE / 2)
    await mirror.look()
    await mirror.wait(MINUTE)
    assert mirror.paged()[paged:] == ["dbteam"]


async def test_s4_after_our_own_start_an_inhibited_incident_waits_for_the_first_comparison(
    mirror: Mirror, store: Store, turned: Any, pair: list[FakeAlertmanager], tmp_path: Path
) -> None:
    """S4: while we were down nobody confirmed the inhibition."""
    await both_told(mirror, pair, MINOR)
    for peer in pair:
        peer.inhibited[next(iter(peer.alerts))] = "f" * 16
    await mirror.look()
    await mirror.stop()
    await mirror.reconciler.stop()
    turned.turn(minutes=30)
    async with mirrored(store, turned, compiled(tmp_path), pair) as again:
        await again.wait(MINUTE / 2, step=timedelta(seconds=5))
        assert again.paged() == []
        await again.look()
        await again.wait(2 * MINUTE)
        assert again.paged() == []
        assert [hold.text for hold in (await again.incident()).holds] == ["inhibited by another alert"]


async def test_a_silence_that_is_about_to_end_over_something_urgent_is_announced_once(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await both_told(mirror, pair, DB)
    silence(pair, HOUR, cluster="a")
    await mirror.look()
    await mirror.wait(49 * MINUTE)
    assert mirror.texts() == []
    await mirror.wait(5 * MINUTE)
    (text,) = mirror.texts()
    assert text.startswith("The silence ends at ")
    assert text.endswith("and it still fires.")
    await mirror.look(times=3)
    assert len(mirror.texts()) == 1


@pytest.mark.parametrize(("labels", "span"), [(MINOR, HOUR), (DB, 8 * MINUTE)], ids=["P3", "short"])
async def test_nothing_is_announced_of_what_is_not_urgent_or_ends_soon_anyway(
    mirror: Mirror, pair: list[FakeAlertmanager], labels: dict[str, str], span: timedelta
) -> None:
    await both_told(mirror, pair, labels)
    silence(pair, span, cluster="a")
    await mirror.look()
    await mirror.wait(span - MINUTE / 2)
    assert mirror.texts() == []


async def test_it_is_announced_to_who_has_acknowledged_it_too_and_anew_when_it_was_prolonged(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await both_told(mirror, pair, DB)
    incident = await mirror.incident()
    await mirror.desk.record(incident.id, facts.AcknowledgedBy(at=mirror.clock.now(), by="dbteam"))
    made = silence(pair, HOUR, cluster="a")
    await mirror.look()
    assert any(
        line.startswith("Alertmanager mutes every alert that fires: silenced by ana")
        for line in await mirror.lines(incident)
    )
    await mirror.wait(52 * MINUTE)
    assert len(mirror.texts()) == 1
    for peer in pair:
        peer.silences[made]["endsAt"] = (mirror.clock.now() + HOUR).isoformat()
    await mirror.look()
    await mirror.wait(55 * MINUTE)
    assert len(mirror.texts()) == 2
    for peer in pair:
        peer.expire(made)
    await mirror.look()
    assert "Alertmanager does not mute it any more" in await mirror.lines(incident)


async def test_e9_a_silence_that_was_withdrawn_and_comes_back_is_told_loudly_and_not_obeyed(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """E9: old gossip. Whoever withdrew it, over whichever page, wants to be paged."""
    await both_told(mirror, pair, DB)
    made = silence(pair, 48 * HOUR, cluster="a")
    old = dict(pair[0].silences[made])
    await mirror.look()
    for peer in pair:
        peer.expire(made)
    await mirror.wait(MINUTE)
    await mirror.look()
    assert mirror.paged() == ["dbteam", "dbteam"]
    await mirror.wait(10 * MINUTE)
    for peer in pair:
        peer.silences[made] = dict(old)
    paged = len(mirror.paged())
    with capture_logs() as logs:
        await mirror.look(times=5)
    assert (await mirror.incident()).holds == ()
    assert mirror.changes()["silence_returned"] == 1
    told = [text for text in mirror.texts() if "is active in Alertmanager again and is not obeyed" in text]
    assert len(told) == 2, "to each who was paged"
    assert sum(one["event"] == "a silence that was withdrawn is back" for one in logs) == 1
    assert pair[0]._state(pair[0].silences[made]) == "active", "it is not ours to withdraw"
    await mirror.wait(10 * MINUTE)
    assert len(mirror.paged()) > paged, "the escalation goes on"


async def test_e9_one_that_was_made_from_here_is_withdrawn_once_more(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """E9."""
    await both_told(mirror, pair, DB)
    incident = await mirror.incident()
    await mirror.silences.silence(incident.id, 48 * HOUR, Asker(by="ana", via="api"))
    ((made, old),) = [(name, dict(one)) for name, one in pair[0].silences.items()]
    pair[1].hears(pair[0])
    await mirror.look()
    assert (await mirror.incident()).holds
    await mirror.silences.withdraw(incident.id, Asker(by="ana", via="api"))
    assert [peer._state(peer.silences[made]) for peer in pair] == ["expired", "expired"]
    await mirror.wait(6 * MINUTE)
    pair[1].silences[made] = dict(old)
    pair[0].silences.clear()
    await mirror.look()
    assert pair[1]._state(pair[1].silences[made]) == "expired"
    assert (await mirror.incident()).holds == ()


async def test_e9_a_withdrawal_that_has_not_come_round_yet_is_no_return(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """E9: the peers tell each other within a minute."""
    await both_told(mirror, pair, DB)
    made = silence(pair, 48 * HOUR, cluster="a")
    await mirror.look()
    await mirror.wait(MINUTE)
    pair[0].expire(made)
    await mirror.look()
    pair[0].instead["/silences"] = hanging  # only the one that does not know yet answers
    await mirror.wait(MINUTE)
    await mirror.look()
    assert (await mirror.incident()).holds == (), "it is not obeyed"
    assert "silence_returned" not in mirror.changes()


async def test_more_silences_than_anybody_reads_are_counted(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    for number in range(9):
        await both_told(mirror, pair, DB, instance=str(number))
        silence(pair, HOUR, instance=str(number))
    await mirror.look()
    holds = (await mirror.incident()).holds
    assert len(holds) == 5
    assert holds[-1].text.endswith(", and 4 more")
    await mirror.look(times=2)
    assert mirror.changes()["muted"] == 1


async def test_hostile_comments_and_names_are_cut_and_stay_on_one_line(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await both_told(mirror, pair, DB)
    for peer in pair:
        made = peer.silence(
            HOUR, by="a\nb\u202e" + "x" * 5_000, comment="<script>\r\n" + "y" * 100_000, cluster="a"
        )
    assert made
    await mirror.look()
    (hold,) = (await mirror.incident()).holds
    assert len(hold.text) <= 300
    assert len(hold.by) <= 200
    assert not set(hold.text + hold.by) & set("\n\r\u202e")
