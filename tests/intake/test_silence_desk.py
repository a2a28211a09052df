"""A silence from an incident: exactly its alerts, in a real form, once, and nothing recorded where it was not made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from fake_alertmanager import FakeAlertmanager
from mirror import DB, MINUTE, Mirror
from peers import dropping, hanging, saying

from responder.engine.desk import Outcome
from responder.incident import facts
from responder.intake.silence_desk import Asker, Silenced, Why, span_of
from responder.intake.silences import SilenceError
from responder.store.errors import StoreError

HOUR = timedelta(hours=1)
ANA = Asker(by="ana", via="api", comment="known issue")


async def told(
    mirror: Mirror, pair: list[FakeAlertmanager], labels: Mapping[str, str] | None = None, **more: str
) -> str:
    """It fires at both, a webhook tells of it; the incident's id."""
    labels = {**(labels or {}), **more}
    for peer in pair:
        name = peer.fire(labels, keep=24 * HOUR)
    await mirror.webhook(mirror.alert(labels, since=pair[0].alerts[name]["startsAt"]))
    await mirror.wait(MINUTE / 6)
    return (await mirror.incidents())[-1].id


def made_by(pair: list[FakeAlertmanager]) -> list[list[str]]:
    """The matchers of every silence that is active anywhere."""
    return [
        [f"{m['name']}{'=~' if m['isRegex'] else '='}{m['value']}" for m in one["matchers"]]
        for peer in pair
        for one in peer.silences.values()
        if peer._state(one) == "active"
    ]


def refused(found: Silenced) -> Why:
    assert found.refusal is not None, found.answer
    return found.refusal[0]


async def test_its_matchers_are_the_labels_that_all_its_firing_alerts_have(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    for number in range(3):
        incident = await told(mirror, pair, DB, instance=f"db-{number}", zone="z")
    found = await mirror.silences.silence(incident, 2 * HOUR, ANA)
    assert found.answer is not None
    assert found.answer.outcome is Outcome.DONE
    assert made_by(pair) == [
        ["alertname=TooManyConnections", "cluster=a", "service=database", "severity=critical", "zone=z"]
    ]
    (silence,) = pair[0].silences.values()
    assert silence["comment"] == f"known issue (responder https://responder.example/incidents/{incident})"
    incident_now = await mirror.incident()
    assert [one.by for one in incident_now.silences] == ["ana"]
    assert [hold.kind for hold in incident_now.holds] == ["silence"]
    await mirror.look(times=3)
    assert mirror.changes() == {}, "the comparison finds nothing new"
    assert sum("held back" in line for line in await mirror.lines(incident_now)) == 1


async def test_alerts_of_several_names_are_matched_by_these_names_and_no_other(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await told(mirror, pair, DB)
    incident = await told(mirror, pair, {**DB, "alertname": "Pool(a|b).+"})
    await mirror.silences.silence(incident, HOUR, ANA)
    assert made_by(pair)[0][0] == r"alertname=~Pool\(a\|b\)\.\+|TooManyConnections"
    await mirror.look()
    assert [hold.kind for hold in (await mirror.incident()).holds] == ["silence"]
    await told(mirror, pair, {**DB, "alertname": "DiskFull"})
    assert (await mirror.incident()).holds == (), "a new kind of alert is not silenced"


async def test_an_alert_that_belongs_to_the_incident_by_the_rules_may_be_silenced_before_its_webhook_comes(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    incident = await told(mirror, pair, DB)
    pair[0].fire(DB, instance="db-2")
    await mirror.silences.silence(incident, HOUR, ANA)
    assert len(made_by(pair)) == 1


async def test_what_is_not_of_the_incident_and_would_be_silenced_is_named(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await told(mirror, pair, alertname="A", service="database")
    incident = await told(mirror, pair, service="database", kind="odd")
    pair[0].fire(receivers=("other",), alertname="B", service="database", cluster="elsewhere")
    found = await mirror.silences.silence(incident, HOUR, ANA)
    assert refused(found) is Why.IMPOSSIBLE
    assert found.refusal is not None
    assert 'service="database" would also silence 1 alert(s) of others' in found.refusal[1]
    assert 'cluster="elsewhere"' in found.refusal[1]
    assert made_by(pair) == []
    assert (await mirror.incidents())[-1].silences == ()


async def test_what_alertmanager_does_not_list_cannot_be_silenced(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """A notice of our own."""
    await mirror.intake.notices.tell("ResponderWebhookTooLarge", "a body was too large")
    await mirror.wait(MINUTE / 6)
    found = await mirror.silences.silence((await mirror.incident()).id, HOUR, ANA)
    assert refused(found) is Why.IMPOSSIBLE
    assert made_by(pair) == []


@pytest.mark.parametrize("state", ["monitoring", "resolved", "unknown"])
async def test_only_what_fires_can_be_silenced(
    mirror: Mirror, pair: list[FakeAlertmanager], state: str
) -> None:
    incident = await told(mirror, pair, DB)
    if state == "monitoring":
        await mirror.webhook(mirror.alert(DB, resolved=True))
    if state == "resolved":
        await mirror.desk.record(incident, facts.ResolvedBy(at=mirror.clock.now(), by="ana"))
    found = await mirror.silences.silence("0" * 16 if state == "unknown" else incident, HOUR, ANA)
    assert found.answer is not None
    assert found.answer.outcome is (Outcome.UNKNOWN if state == "unknown" else Outcome.REFUSED)
    assert made_by(pair) == []


async def test_the_same_request_again_makes_no_second_silence(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    incident = await told(mirror, pair, DB)
    asker = Asker(by="ana", via="api", key="k" * 64, digest="d")
    first, second = await asyncio.gather(
        mirror.silences.silence(incident, HOUR, asker), mirror.silences.silence(incident, HOUR, asker)
    )
    third = await mirror.silences.silence(incident, HOUR, asker)
    assert {one.answer.outcome for one in (first, second, third) if one.answer} == {Outcome.DONE}
    assert len(made_by(pair)) == 1
    assert len((await mirror.incident()).silences) == 1
    other = await mirror.silences.silence(
        incident, HOUR, Asker(by="ana", via="api", key="k" * 64, digest="e")
    )
    assert other.answer is not None
    assert other.answer.outcome is Outcome.KEY_REUSED


async def test_with_one_peer_away_another_makes_it(mirror: Mirror, pair: list[FakeAlertmanager]) -> None:
    incident = await told(mirror, pair, DB)
    pair[0].instead["/status"] = pair[0].instead["/alerts"] = hanging
    await mirror.silences.silence(incident, HOUR, ANA)
    assert (len(pair[0].silences), len(pair[1].silences)) == (0, 1)


async def test_an_answer_that_was_lost_makes_no_second_silence(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """The first peer made it and said nothing; the second has heard of it."""
    incident = await told(mirror, pair, DB)

    async def made_and_lost(request: Any) -> Any:
        pair[0]._make(await request.json())
        pair[1].hears(pair[0])
        return await dropping(request)

    pair[0].instead["POST /silences"] = made_and_lost
    found = await mirror.silences.silence(incident, HOUR, ANA)
    assert found.answer is not None
    assert len({name for peer in pair for name in peer.silences}) == 1
    assert (await mirror.incident()).silences[0].id == next(iter(pair[0].silences))


@pytest.mark.parametrize(
    "answer", [saying(503, '"busy"'), dropping, hanging, saying(200, "{}"), saying(200, "[]")]
)
async def test_where_nobody_makes_it_that_is_said_and_nothing_is_recorded(
    mirror: Mirror, pair: list[FakeAlertmanager], answer: Any
) -> None:
    incident = await told(mirror, pair, DB)
    before = await mirror.incident()
    for peer in pair:
        peer.instead["POST /silences"] = answer
    found = await mirror.silences.silence(incident, HOUR, ANA)
    assert refused(found) is Why.AWAY
    assert await mirror.incident() == before
    assert len(mirror.paged()) == 1


async def test_a_refusal_of_alertmanagers_is_told_in_its_words(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    incident = await told(mirror, pair, DB)
    pair[0].instead["POST /silences"] = saying(400, '"silence invalid: \\u0007 too long"')
    found = await mirror.silences.silence(incident, HOUR, ANA)
    assert found.refusal == (
        Why.REFUSED,
        "Alertmanager refuses it: it answers 400: silence invalid: too long; nothing was silenced",
    )


async def test_what_cannot_be_recorded_is_withdrawn_again(
    mirror: Mirror, pair: list[FakeAlertmanager], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store went away between the two."""
    incident = await told(mirror, pair, DB)
    real = mirror.store.record

    async def away(*_args: Any, **_more: Any) -> Any:
        raise StoreError("record: ConnectionError")

    monkeypatch.setattr(mirror.store, "record", away)
    with pytest.raises(StoreError):
        await mirror.silences.silence(incident, HOUR, ANA)
    monkeypatch.setattr(mirror.store, "record", real)
    assert len(pair[0].silences) == 1
    assert made_by(pair) == []


async def test_an_incident_that_is_over_meanwhile_leaves_no_silence(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    incident = await told(mirror, pair, DB)

    async def slow(request: Any) -> Any:
        body = await request.json()
        await mirror.desk.record(incident, facts.ResolvedBy(at=mirror.clock.now(), by="ben"))
        return pair[0]._make(body)

    pair[0].instead["POST /silences"] = slow
    found = await mirror.silences.silence(incident, HOUR, ANA)
    assert found.answer is not None
    assert found.answer.outcome is Outcome.REFUSED
    assert made_by(pair) == []


async def test_an_alert_that_joins_while_it_is_made_is_not_muted_by_it(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    incident = await told(mirror, pair, DB)

    async def slow(request: Any) -> Any:
        body = await request.json()
        await told(mirror, pair, {**DB, "alertname": "DiskFull"})
        return pair[0]._make(body)

    pair[0].instead["POST /silences"] = slow
    await mirror.silences.silence(incident, HOUR, ANA)
    found = await mirror.incident()
    assert len(found.silences) == 1
    assert found.holds == ()


async def test_its_end_is_by_the_clock_of_who_takes_it(mirror: Mirror, pair: list[FakeAlertmanager]) -> None:
    """A peer's clock is half an hour behind ours: the silence begins now all the same, and lasts an hour."""
    incident = await told(mirror, pair, DB)
    behind = pair[0].clock
    pair[0].clock = lambda: behind() - HOUR / 2
    for peer in pair:
        peer.fire(DB, keep=24 * HOUR)
    await mirror.silences.silence(incident, HOUR, ANA)
    assert len(made_by(pair[:1])) == 1
    (silence,) = pair[0].silences.values()
    left = datetime.fromisoformat(silence["endsAt"]) - pair[0].clock()
    assert timedelta(minutes=59) < left <= HOUR + timedelta(seconds=1)


async def test_withdrawing_ends_it_on_every_peer_and_pages_at_once(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    incident = await told(mirror, pair, DB)
    await mirror.silences.silence(incident, HOUR, ANA)
    pair[1].hears(pair[0])
    found = await mirror.silences.withdraw(incident, Asker(by="ben", via="console", comment="found it"))
    assert found.answer is not None
    assert made_by(pair) == []
    await mirror.wait(timedelta(seconds=2))
    assert mirror.paged() == ["dbteam", "dbteam"]
    lines = await mirror.lines(await mirror.incident())
    assert "the silence was withdrawn via console. found it" in lines
    assert refused(await mirror.silences.withdraw(incident, ANA)) is Why.IMPOSSIBLE


@pytest.mark.parametrize("version", ["0.25.0", "0.28.0"])
async def test_a_peer_that_never_heard_of_it_does_not_keep_it_from_being_withdrawn(
    mirror: Mirror, pair: list[FakeAlertmanager], version: str
) -> None:
    """0.25 answers 500 for a silence that it does not know, later ones 404."""
    incident = await told(mirror, pair, DB)
    await mirror.silences.silence(incident, HOUR, ANA)
    pair[1].version = version
    found = await mirror.silences.withdraw(incident, ANA)
    assert found.answer is not None
    assert made_by(pair) == []


async def test_where_who_may_have_it_is_away_it_stands(mirror: Mirror, pair: list[FakeAlertmanager]) -> None:
    incident = await told(mirror, pair, DB)
    await mirror.silences.silence(incident, HOUR, ANA)
    (made,) = pair[0].silences
    pair[0].instead[made] = hanging
    found = await mirror.silences.withdraw(incident, ANA)
    assert refused(found) is Why.AWAY
    assert "the silence stands" in found.refusal[1]  # type: ignore[index]
    assert len((await mirror.incident()).silences) == 1
    assert (await mirror.incident()).holds


async def test_a_silence_of_somebody_elses_is_theirs_to_withdraw(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    incident = await told(mirror, pair, DB)
    made = pair[0].silence(HOUR, cluster="a")
    await mirror.look()
    found = await mirror.silences.withdraw(incident, ANA)
    assert refused(found) is Why.IMPOSSIBLE
    assert f"silenced by ana: known ({made} by ana)" in found.refusal[1]  # type: ignore[index]
    assert len(made_by(pair)) == 1


async def test_an_odd_id_reaches_no_path(mirror: Mirror) -> None:
    assert mirror.upstream._silences is not None
    with pytest.raises(SilenceError, match="no silence's id"):
        await mirror.upstream._silences.withdraw(["../../-/reload"])


async def test_a_thousand_alerts_have_their_common_labels_found(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    alerts = []
    for number in range(1_500):
        labels = {**DB, "instance": str(number)}
        for peer in pair:
            peer.fire(labels, keep=24 * HOUR)
        alerts.append(mirror.alert(labels))
    await mirror.webhook(*alerts)
    await mirror.wait(MINUTE / 6)
    incident = await mirror.incident()
    await mirror.silences.silence(incident.id, HOUR, ANA)
    assert made_by(pair) == [
        ["alertname=TooManyConnections", "cluster=a", "service=database", "severity=critical"]
    ]
    await mirror.look()
    assert mirror.changes() == {}


@pytest.mark.parametrize("text", ["", "0", "59s", "31d", "2 hours", "-1h", "1e9h"])
def test_odd_spans_are_refused_with_what_would_be_taken(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        span_of(text)
