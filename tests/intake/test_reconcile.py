"""Comparing with Alertmanager: what was lost on the way is healed, and nothing is resolved that may still fire."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fake_alertmanager import FakeAlertmanager, rfc
from hypothesis import given
from hypothesis import strategies as st
from mirror import DB, MINUTE, RULES, Mirror, compiled, mirrored, moment
from peers import dropping, endless, hanging, saying
from structlog.testing import capture_logs

from responder.config import HeartbeatConfig
from responder.incident import facts
from responder.intake import reconcile
from responder.intake.comparing import turn_of
from responder.store.store import Store

HOUR = timedelta(hours=1)


async def test_l17_an_alert_that_no_webhook_told_of_is_found_and_paged_with_the_reason(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """L17: the way from Prometheus to us lost it; one of two Alertmanagers has it all the same."""
    await mirror.webhook(mirror.alert(alertname="Other", service="api"))  # makes the receiver known
    pair[0].fire(DB)
    await mirror.look()
    assert len(await mirror.incidents()) == 1, "one look is not enough"
    await mirror.look(times=2)
    found = (await mirror.incidents())[1]
    assert found.title == "TooManyConnections: in trouble"
    assert "dbteam" in mirror.paged()
    lines = await mirror.lines(found)
    assert "found by comparing with Alertmanager: alerts fire, and no webhook told of them" in lines
    assert mirror.changes() == {"missed_firing": 1}
    await mirror.webhook(mirror.alert(DB, since=pair[0].alerts[next(iter(pair[0].alerts))]["startsAt"]))
    assert mirror.paged().count("dbteam") == 1, "the webhook that comes after all is a repeat"


async def test_an_alert_whose_webhook_is_only_on_its_way_is_not_said_to_be_lost(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    name = pair[0].fire(DB)
    await mirror.look()
    await mirror.webhook(mirror.alert(DB, since=pair[0].alerts[name]["startsAt"]))
    await mirror.wait(MINUTE)
    await mirror.look()
    assert mirror.changes() == {}


async def test_e10_a_resolve_that_never_came_is_found_by_two_looks(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """E10: lost when either of the two was restarted; the incident would be open for ever."""
    name = await mirror.told(pair[0], DB)
    await mirror.look()
    pair[0].resolve(name)
    await mirror.wait(MINUTE)
    await mirror.look()
    assert (await mirror.incident()).state_name == "triggered"
    await mirror.wait(MINUTE)
    await mirror.look()
    incident = await mirror.incident()
    assert incident.state_name == "monitoring"
    lines = await mirror.lines(incident)
    assert "found by comparing with Alertmanager: alerts fire no more, and no webhook told of it" in lines
    assert mirror.changes() == {"missed_resolve": 1}


async def test_e10_a_resolve_that_was_lost_while_we_were_down_is_found_though_no_look_ever_saw_it_fire(
    mirror: Mirror, store: Store, turned: Any, pair: list[FakeAlertmanager], tmp_path: Path
) -> None:
    """E10: the sender of its webhook is known to be one that can be asked, from another alert."""
    await mirror.told(pair[0], alertname="Other", service="api")
    await mirror.look()
    name = await mirror.told(pair[0], DB)
    await mirror.stop()
    await mirror.reconciler.stop()
    pair[0].resolve(name)
    turned.turn(minutes=10)
    pair[0].resend()
    async with mirrored(store, turned, compiled(tmp_path), pair) as again:
        await again.look(times=2)
        states = {one.title.split(":")[0]: one.state_name for one in await again.incidents()}
    assert states == {"Other": "triggered", "TooManyConnections": "monitoring"}


async def test_lost_resolves_are_found_in_turn_however_many_incidents_stand_before_them(
    mirror: Mirror, pair: list[FakeAlertmanager], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a script sends is in no list, for as long as it fires: it is looked at again and again."""
    monkeypatch.setattr(reconcile, "_NEGLECTED_AT_ONCE", 4)
    for number in range(12):
        await mirror.webhook(mirror.alert(DB, cluster=f"script{number}"), sender="")
    names = [await mirror.told(pair[0], DB, cluster=f"lost{number}") for number in range(4)]
    for number in range(12):
        await mirror.told(pair[0], DB, cluster=f"script{number}", silenced="yes")
    await mirror.look()
    for name in names:
        pair[0].resolve(name)
    pair[0].silence(HOUR, silenced="yes")
    for _ in range(14):
        pair[0].resend()
        await mirror.look()
        await mirror.wait(MINUTE)
    found = {one.labels["cluster"]: one for one in await mirror.incidents()}
    assert {name for name, one in found.items() if one.state_name == "monitoring"} == {
        f"lost{number}" for number in range(4)
    }
    assert mirror.changes() == {"missed_resolve": 4}, "what nobody could ask about is not taken for muted"


@given(
    names=st.sets(st.text(alphabet="abcdef", min_size=1, max_size=3), max_size=30),
    first=st.sets(st.text(alphabet="abcdef", min_size=1, max_size=3), max_size=30),
    limit=st.integers(2, 8),
)
def test_everyone_has_a_turn_and_no_turn_is_longer_than_it_may_be(
    names: set[str], first: set[str], limit: int
) -> None:
    short, after, seen = sorted(names), "", set[str]()
    for _ in range(len(names) + 1):
        chosen, after = turn_of(short, first, after, limit)
        assert len(chosen) == len(set(chosen)) == min(limit, len(names))
        seen |= set(chosen)
    assert seen == names


async def test_what_nobody_sends_any_more_is_said_to_have_expired(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await mirror.told(pair[0], DB)
    await mirror.look(times=7)
    incident = await mirror.incident()
    assert incident.state_name == "monitoring"
    assert mirror.changes() == {"expired": 1}
    assert any("their Prometheus may be gone" in line for line in await mirror.lines(incident))


async def test_a_peer_that_does_not_answer_means_unknown_and_nothing_is_resolved(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    name = await mirror.told(pair[0], DB)
    await mirror.look()
    pair[0].resolve(name)
    pair[1].instead["/alerts"] = saying(503, "Limit of concurrent GET requests reached")
    await mirror.look(times=5)
    assert (await mirror.incident()).state_name == "triggered"
    assert mirror.metrics.reconcile_success._value.get() < moment(mirror.turned).timestamp() - 200
    pair[1].instead.clear()
    await mirror.look()
    assert (await mirror.incident()).state_name == "triggered", "counted anew from the first that is certain"
    await mirror.wait(MINUTE)
    await mirror.look()
    assert (await mirror.incident()).state_name == "monitoring"
    assert mirror.metrics.reconcile_success._value.get() == pytest.approx(
        moment(mirror.turned).timestamp(), abs=5
    )


async def test_a_restarted_alertmanager_that_knows_nothing_yet_resolves_nothing(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await mirror.told(pair[0], DB)
    since = mirror.clock.now()
    await mirror.look()
    pair[0].restart()
    await mirror.look(times=4)
    assert (await mirror.incident()).state_name == "triggered"
    pair[0].fire(DB, since=since)  # Prometheus sends it again as it has begun
    await mirror.look(times=2)
    assert mirror.changes() == {}


async def test_a_record_that_changed_since_the_first_look_is_left_alone(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """It resolved, one look saw nothing, and it fired again: the next look must not resolve the new firing."""
    name = await mirror.told(pair[0], DB)
    await mirror.look()
    pair[0].resolve(name)
    await mirror.wait(MINUTE)
    await mirror.look()
    await mirror.webhook(mirror.alert(DB, resolved=True))
    await mirror.wait(MINUTE)
    await mirror.webhook(mirror.alert(DB))
    await mirror.look()  # the listing does not show it yet
    assert (await mirror.incident()).state_name == "triggered"
    pair[0].fire(DB)
    await mirror.look(times=2)
    assert mirror.changes() == {}


async def test_what_alertmanager_never_knew_is_not_resolved_by_it(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """Our own notices, a replay or a script of somebody's, and a cluster that is not in ``alertmanager.urls``."""
    await mirror.told(pair[0], DB)
    await mirror.intake.notices.tell("ResponderWebhookTooLarge", "a body was too large")
    await mirror.webhook(mirror.alert(alertname="Scripted", service="api"), sender="", receiver="replay")
    await mirror.webhook(mirror.alert(alertname="Elsewhere", service="api"), sender="http://staging:9093")
    await mirror.look(times=3)
    pair[0].resend()
    await mirror.look(times=3)
    assert {one.state_name for one in await mirror.incidents()} == {"triggered"}
    assert mirror.changes() == {}
    assert mirror.upstream._senders is not None
    assert mirror.upstream._senders.receivers == {"responder"}


async def test_only_what_is_routed_to_our_receivers_is_ours(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """The name comes regex-quoted in webhooks and plain in the list."""
    await mirror.webhook(
        mirror.alert(alertname="Known", service="api"), receiver=r"team\\.a".replace("\\\\", "\\")
    )
    pair[0].fire(receivers=("other",), alertname="Foreign", service="database", cluster="b")
    pair[1].fire(receivers=("other", "team.a"), alertname="Ours", service="database", cluster="c")
    await mirror.look(times=2)
    assert [one.title.split(":")[0] for one in await mirror.incidents()] == ["Known", "Ours"]


async def test_receivers_that_are_configured_need_not_be_learned(
    store: Store, turned: Any, pair: list[FakeAlertmanager], tmp_path: Path
) -> None:
    async with mirrored(store, turned, compiled(tmp_path), pair, receivers=("team.a",)) as mirror:
        await mirror.webhook(mirror.alert(alertname="Known", service="api"), receiver="other")
        pair[0].fire(receivers=("other",), alertname="Foreign", service="database", cluster="b")
        pair[0].fire(receivers=("team.a",), alertname="Ours", service="database", cluster="c")
        await mirror.look(times=2)
        assert [one.title.split(":")[0] for one in await mirror.incidents()] == ["Known", "Ours"]


async def test_without_any_known_receiver_all_are_taken_and_that_is_said_once(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    pair[0].fire(DB, receivers=("whoever",))
    with capture_logs() as logs:
        await mirror.look(times=3)
    assert len(await mirror.incidents()) == 1
    assert sum("no receiver is known yet" in one["event"] for one in logs) == 1


async def test_a_receiver_that_was_renamed_resolves_nothing(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """What is listed under any name still fires."""
    await mirror.told(pair[0], DB)
    await mirror.look()
    pair[0].fire(DB, receivers=("renamed",), keep=HOUR)
    await mirror.look(times=4)
    assert (await mirror.incident()).state_name == "triggered"
    assert mirror.changes() == {}


async def test_what_was_learned_is_known_to_another_replica_and_after_a_restart(
    mirror: Mirror, store: Store, turned: Any, pair: list[FakeAlertmanager], tmp_path: Path
) -> None:
    await mirror.told(pair[0], DB)
    await mirror.look(times=2)
    async with mirrored(store, turned, compiled(tmp_path), pair) as other:
        await other.reconciler.once()
        senders = other.upstream._senders
        assert senders is not None
        assert senders.receivers == {"responder"}
        assert senders.can_be_asked(
            (await other.book.records(list(pair[0].alerts)))[next(iter(pair[0].alerts))].sender
        )
    async with mirrored(store, turned, compiled(tmp_path), pair[:1]) as moved:
        await moved.reconciler.once()
        assert moved.upstream._senders is not None
        assert moved.upstream._senders._known == {"0" * 16}, "with other addresses it is learned anew"


async def test_one_replica_compares_and_another_takes_over_when_it_is_gone(
    mirror: Mirror, store: Store, turned: Any, pair: list[FakeAlertmanager], tmp_path: Path
) -> None:
    async with mirrored(store, turned, compiled(tmp_path), pair) as other:
        assert await mirror.reconciler.once()
        assert not await other.reconciler.once()
        assert await mirror.reconciler.once()
        await mirror.reconciler.stop()
        assert not await mirror.reconciler.once()
        assert await other.reconciler.once()
        await store.client.delete(f"{store.base}:am:lease")  # it died, and its lease has ended
        assert await other.reconciler.once()


async def test_an_incident_that_a_person_declared_over_is_not_opened_again_by_a_look(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await mirror.told(pair[0], DB)
    incident = await mirror.incident()
    await mirror.desk.record(incident.id, facts.ResolvedBy(at=mirror.clock.now(), by="ana"))
    await mirror.look(times=3)
    assert len(await mirror.incidents()) == 1
    await mirror.wait(MINUTE)
    pair[0].resolve(next(iter(pair[0].alerts)))
    pair[0].fire(DB)  # another firing, which no webhook tells of
    await mirror.look(times=2)
    assert [one.state_name for one in await mirror.incidents()] == ["resolved", "triggered"]


async def test_an_alert_that_is_listed_keeps_its_incident_from_being_closed_as_stale(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await mirror.told(pair[0], DB)
    for _ in range(30):
        await mirror.wait(HOUR, step=HOUR / 2)
        pair[0].resend()
        await mirror.look()
    incident = await mirror.incident()
    assert incident.state_name == "triggered"


async def test_e10_an_incident_that_was_closed_as_stale_is_opened_anew_when_alertmanager_lists_it_after_all(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """E10: Alertmanager was away for a day and more."""
    await mirror.told(pair[0], DB)
    await mirror.look()
    pair[0].instead["/status"] = hanging
    await mirror.wait(26 * HOUR, step=HOUR)
    assert (await mirror.incident()).state_name == "resolved"
    pair[0].instead.clear()
    pair[0].resend()
    await mirror.look(times=2)
    assert [one.state_name for one in await mirror.incidents()] == ["resolved", "triggered"]


async def test_d4_a_group_that_is_made_anew_stays_one_incident_through_restarts_reloads_and_other_orders(
    mirror: Mirror, store: Store, turned: Any, pair: list[FakeAlertmanager], tmp_path: Path
) -> None:
    """D4: Alertmanager regroups after a restart, the rules are reloaded, the labels come in another order."""
    await mirror.told(pair[0], DB)
    await mirror.look()
    await mirror.stop()
    await mirror.reconciler.stop()
    pair[0].restart()
    pair[1].fire(dict(reversed(DB.items())))
    changed = RULES.replace(
        "\ndefault:", "\n  - {name: more, match: ['x=\"y\"'], severity: P3, service: platform}\n\ndefault:"
    )
    async with mirrored(store, turned, compiled(tmp_path, changed), pair) as again:
        await again.webhook(again.alert(dict(reversed(DB.items()))))
        await again.look(times=3)
        await again.webhook(again.alert(DB))
        assert len(await again.incidents()) == 1
        assert again.paged() == []
        assert again.changes() == {}


async def test_s7_peers_that_disagree_about_an_alert_make_no_loop_of_resolves_and_firings(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """S7: to one of them it has timed out, the other has it; what any of them lists, fires."""
    name = await mirror.told(pair[0], DB)
    for minute in range(12):
        peer, other = pair[minute % 2], pair[1 - minute % 2]
        peer.resolve(name)
        other.fire(DB, since=mirror.clock.now())
        await mirror.wait(MINUTE)
        await mirror.look()
    assert len(await mirror.incidents()) == 1
    assert mirror.changes() == {}
    assert mirror.paged().count("dbteam") == 1


async def test_s7_a_flap_by_time_outs_that_the_comparison_sees_is_one_incident(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """S7: it expires and comes back over and over, and no webhook tells of any of it."""
    await mirror.told(pair[0], DB)
    name = next(iter(pair[0].alerts))
    for _ in range(4):
        pair[0].resolve(name)
        await mirror.look(times=3)
        pair[0].fire(DB, keep=HOUR)
        await mirror.look(times=3)
    assert len(await mirror.incidents()) == 1
    assert (await mirror.incident()).state_name == "triggered"


async def test_members_that_alertmanager_left_out_come_by_themselves(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    """``max_alerts`` cut the body: what it lacked is found in the list."""
    for number in range(5):
        pair[0].fire(DB, instance=f"db-{number}")
    first = next(iter(pair[0].alerts.values()))
    await mirror.webhook(mirror.alert(first["labels"], since=first["startsAt"]))
    await mirror.look(times=2)
    await mirror.wait(MINUTE / 4)
    assert (await mirror.incident()).totals.firing_now == 5


async def test_an_alert_that_cannot_be_read_is_kept_aside_once_and_the_others_are_taken(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    pair[0].fire({f"label_{number}": "x" for number in range(200)}, keep=HOUR, alertname="Huge")
    pair[0].fire(DB, keep=HOUR)
    await mirror.look(times=5)
    assert [one.service for one in await mirror.incidents()] == ["database"]
    (kept,) = await mirror.reader.quarantined(10)
    assert kept.seen == 1
    assert "labels" in kept.reason


@pytest.mark.parametrize(
    "answer",
    [
        saying(200, "not json"),
        saying(200, '{"alerts": []}'),
        saying(200, "[" * 100_000),
        saying(200, '[{"fingerprint": "x"}]'),
        saying(200, '[{"fingerprint": "0123456789abcdef", "startsAt": 1, "endsAt": null}, null, 5, "x"]'),
        saying(302, "", Location="http://127.0.0.1:1/api/v2/alerts"),
        saying(500, '"internal"'),
        saying(204),
        dropping,
        endless,
    ],
    ids=[
        "no json",
        "no list",
        "deep",
        "no alert",
        "odd values",
        "redirect",
        "500",
        "204",
        "dropped",
        "endless",
    ],
)
async def test_a_peer_that_answers_nonsense_is_a_peer_that_does_not_answer(
    mirror: Mirror, pair: list[FakeAlertmanager], answer: Any
) -> None:
    name = await mirror.told(pair[0], DB)
    await mirror.look()
    pair[0].resolve(name)
    pair[1].instead["/alerts"] = answer
    await mirror.look(times=3)
    assert (await mirror.incident()).state_name == "triggered"


async def test_a_peer_that_hangs_costs_its_time_limit_and_the_other_is_heard(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    pair[1].instead["/status"] = hanging
    pair[0].fire(DB, keep=HOUR)
    begun = time.monotonic()
    with capture_logs() as logs:
        await mirror.look(times=2)
    assert time.monotonic() - begun < 60  # it hangs for ever
    assert (await mirror.incident()).state_name == "triggered"
    said = [one for one in logs if one["event"] == "an Alertmanager cannot be asked"]
    assert [one["reason"] for one in said] == ["no answer within 4 s"], "said once, when it began"


async def test_a_password_in_an_address_is_in_no_log(
    store: Store, turned: Any, pair: list[FakeAlertmanager], tmp_path: Path
) -> None:
    pair[0].instead["/status"] = saying(500)
    address = pair[0].url.replace("http://", "http://user:hunter2@")
    async with mirrored(store, turned, compiled(tmp_path), [address]) as mirror:
        with capture_logs() as logs:
            await mirror.look()
    assert "an Alertmanager cannot be asked" in [one["event"] for one in logs]
    assert "hunter2" not in repr(logs)


@pytest.mark.timeout(400)
async def test_ten_thousand_alerts_are_compared_in_slices(
    store: Store, turned: Any, pair: list[FakeAlertmanager], tmp_path: Path
) -> None:
    """A lost store and a large Alertmanager: all is found, and nobody else waits long."""
    patient = timedelta(minutes=1)  # the two of them are listed in this process, too
    async with mirrored(store, turned, compiled(tmp_path), pair, timeout=patient) as mirror:
        await compared_in_slices(mirror, pair)


async def compared_in_slices(mirror: Mirror, pair: list[FakeAlertmanager]) -> None:
    for number in range(10_000):
        for peer in pair:
            peer.fire(
                keep=24 * HOUR,
                alertname=f"A{number % 50}",
                service="database",
                cluster=f"c{number % 20}",
                n=str(number),
            )
    await mirror.look(times=2)
    await mirror.wait(MINUTE / 4)
    assert sum(one.totals.firing_now for one in await mirror.incidents()) == 10_000
    for peer in pair:  # its own work is not to be measured
        peer.instead["/alerts"] = saying(200, json.dumps(peer._listed()))
    longest, took = await longest_block(mirror.reconciler.once())
    assert longest < took / 2, f"nobody else ran for {longest * 1000:.0f} ms of {took:.2f} s"
    for peer in pair:
        peer.instead.clear()
    assert mirror.changes() == {"missed_firing": 10_000}
    for peer in pair:
        peer.alerts.clear()
    await mirror.look(times=2)
    await mirror.wait(MINUTE / 4)
    assert sum(one.totals.firing_now for one in await mirror.incidents()) == 0


async def longest_block(work: Any) -> tuple[float, float]:
    """How long it let nothing else run at a time, in seconds of our own work (others share the machine), and in all."""
    longest, done = 0.0, False

    async def tick() -> None:
        nonlocal longest
        while not done:
            before = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)

    ticking = asyncio.create_task(tick())
    with only_own_garbage():
        begun = time.monotonic()
        await work
        took, done = time.monotonic() - begun, True
        await ticking
    return longest, took


@contextlib.contextmanager
def only_own_garbage() -> Iterator[None]:
    """The collector does not look through what the tests before have left: in a long run that takes longer than the work."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def test_who_takes_over_looks_at_once_and_else_each_looks_at_its_own_pace(
    mirror: Mirror, pair: list[FakeAlertmanager]
) -> None:
    await mirror.reconciler.turn()
    asked = len(pair[0].asked)
    assert asked == 3
    await mirror.reconciler.turn()
    assert len(pair[0].asked) == asked, "not due yet; the lease was renewed"
    await mirror.store.client.set(f"{mirror.store.base}:am:lease", "another", px=60_000)
    await mirror.reconciler.turn()
    await mirror.store.client.delete(f"{mirror.store.base}:am:lease")
    await mirror.reconciler.turn()
    assert len(pair[0].asked) == 2 * asked
    assert mirror.reconciler.pause == timedelta(seconds=5)


async def test_a_sign_of_life_that_is_only_listed_is_none(
    store: Store, turned: Any, pair: list[FakeAlertmanager], tmp_path: Path
) -> None:
    """A heartbeat shows that webhooks arrive: seeing its alert in the list must not stand in for one."""
    beat = HeartbeatConfig(name="prometheus", match=('alertname="Watchdog"',), every=timedelta(minutes=5))
    async with mirrored(store, turned, compiled(tmp_path), pair, heartbeats=(beat,)) as mirror:
        pair[0].fire(alertname="Watchdog", keep=HOUR)
        pair[0].fire(DB, keep=HOUR)
        await mirror.look(times=3)
        assert [one.service for one in await mirror.incidents()] == ["database"]
        assert await mirror.store.client.exists(f"{store.base}:beats") == 0


def test_times_are_written_as_alertmanager_writes_them(turned: Any) -> None:
    assert rfc(moment(turned)).endswith("Z")
