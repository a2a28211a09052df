"""Signs of life that are waited for: on the real store with its turned clock, by one replica and by two."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from daemon import alert, webhook_body
from house import House, Replica, house

from responder.alerts import fingerprint
from responder.config import HeartbeatConfig
from responder.incident.account import Became
from responder.incident.facts import ResolvedBy
from responder.incident.severity import Severity
from responder.intake.heartbeats import Heartbeats
from responder.intake.intake import Summary
from responder.store.store import Store

PROMETHEUS = HeartbeatConfig(
    name="prometheus", match=('alertname="Watchdog"',), every=timedelta(minutes=5), severity=Severity.P1
)
BACKUP = HeartbeatConfig(name="backup", every=timedelta(hours=1), severity=Severity.P2, service="database")

WATCHDOG = fingerprint({"alertname": "Watchdog", "severity": "none"})


def watchdog(status: str = "firing") -> bytes:
    one = alert(1, status=status)
    one["labels"] = {"alertname": "Watchdog", "severity": "none"}
    return webhook_body(one)


@pytest.fixture
async def home(store: Store, turned: Any, tmp_path: Path) -> AsyncIterator[House]:
    async with house(store, turned, tmp_path) as found:
        yield found


async def attending(home: House, *heartbeats: HeartbeatConfig) -> Replica:
    replica = await home.replica(heartbeats or (PROMETHEUS,))
    await replica.watcher.once()
    return replica


async def minutes(home: House, count: float, *replicas: Replica, beat: bool = False, step: float = 5) -> None:
    """Time passes; every replica looks every few seconds; a Watchdog comes each minute where it is to."""
    for number in range(round(count * 60 / step)):
        home.turned.turn(seconds=step)
        if beat and number % round(60 / step) == 0:
            await replicas[0].take(watchdog())
        for one in replicas:
            await one.watcher.once()
    await home.settle()


async def beat(replica: Replica, name: str) -> None:
    await replica.commits.submit([replica.heartbeats.by_name[name].beat])


async def said_of(replica: Replica, incident: str) -> str:
    """What the alert of an absence says beside its title."""
    ((missed,), _) = await replica.reader.alerts(incident, 10)
    return missed.annotations["description"]


async def test_a_repeated_alert_is_a_sign_of_life_each_time_and_opens_no_incident(home: House) -> None:
    replica = await attending(home)
    for _ in range(3):
        assert await replica.take(watchdog()) == Summary(received=1, changed=1, duplicate=0, quarantined=0)
    await minutes(home, 30, replica, beat=True)
    assert await replica.listed() == []
    key = replica.heartbeats.by_name["prometheus"].key
    assert (await replica.signs.seen([key]))[key] >= await home.store.now() - timedelta(minutes=1)


async def test_one_that_stays_away_pages_its_service_at_its_severity_and_resolves_when_it_is_back(
    home: House,
) -> None:
    replica = await attending(home)
    await minutes(home, 3, replica, beat=True)
    await minutes(home, 4, replica)
    assert await replica.listed() == []
    await minutes(home, 2, replica)
    [incident] = await replica.listed()
    assert (incident.severity, incident.service, incident.state_name) == ("P1", "monitoring", "triggered")
    assert incident.title == "HeartbeatMissed: no sign of life from prometheus within 5m"
    assert (await said_of(replica, incident.id)).startswith("the last one came at ")
    assert home.pages() == ["primary watchers"]
    await replica.take(watchdog())
    await home.settle()
    [incident] = await replica.listed()
    assert incident.state_name == "monitoring"
    await minutes(home, 31, replica, beat=True)
    [incident] = await replica.listed()
    assert incident.state_name == "resolved"


async def test_what_became_of_its_alert_says_that_it_is_our_own_and_that_it_resolved(home: House) -> None:
    replica = await attending(home)
    await minutes(home, 6, replica)
    await replica.take(watchdog())
    await home.settle()
    found = await replica.desk.account(replica.heartbeats.by_name["prometheus"].key)
    assert found is not None
    assert found.history.status == "resolved"
    assert [one.became for one in found.history.outcomes] == [Became.NEW, Became.RESOLVED]
    (remark,) = found.remarks
    assert remark == (
        "our own alert: no sign of life of heartbeat prometheus came in time; severity and service are those of the "
        "heartbeat in the configuration, no rule was asked"
    )


async def test_one_that_never_came_is_missed_as_well(home: House) -> None:
    replica = await attending(home)
    await minutes(home, 6, replica)
    [incident] = await replica.listed()
    assert await said_of(replica, incident.id) == "none has come yet"


async def test_one_that_is_missed_once_more_is_told_with_what_is_true_by_then(home: House) -> None:
    replica = await attending(home)
    await minutes(home, 6, replica)  # none came yet
    await minutes(home, 2, replica, beat=True)
    seen = await home.store.now()
    await minutes(home, 7, replica)
    [incident] = await replica.listed()  # it is the same one, with the title of its first time
    assert incident.state_name == "triggered"
    assert "none" not in incident.title
    said = await said_of(replica, incident.id)
    last = datetime.strptime(said, "the last one came at %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
    assert abs(last - seen) < timedelta(minutes=1, seconds=1)


async def test_a_resolved_alert_is_no_sign_of_life(home: House) -> None:
    replica = await attending(home)
    await replica.take(watchdog())
    for _ in range(6):
        await minutes(home, 1, replica)
        await replica.take(watchdog("resolved"))
    assert len(await replica.listed()) == 1


async def test_of_one_that_resolves_nothing_is_kept_that_would_be_wrong_once_it_fires_again(
    home: House,
) -> None:
    replica = await attending(home)
    summary = await replica.take(watchdog("resolved"))
    assert summary == Summary(received=1, changed=0, duplicate=1, quarantined=0)
    await replica.take(watchdog())
    assert await replica.desk.account(WATCHDOG) is None
    assert replica.value("responder_alerts_received_total", status="resolved") == 1


async def test_one_that_resolves_ends_the_incident_that_it_had_before_a_heartbeat_took_it(
    home: House,
) -> None:
    before = await home.replica()
    await before.take(watchdog())
    await home.settle()
    after = await attending(home)
    await after.take(watchdog("resolved"))
    await home.settle()
    [incident] = await after.listed()
    assert incident.state_name == "monitoring"


async def test_the_grace_is_added_to_the_interval(home: House) -> None:
    replica = await attending(
        home, HeartbeatConfig(name="slow", every=timedelta(minutes=5), grace=timedelta(minutes=5))
    )
    await minutes(home, 9, replica)
    assert await replica.listed() == []
    await minutes(home, 2, replica)
    assert len(await replica.listed()) == 1


async def test_two_replicas_page_once(home: House) -> None:
    first, second = await attending(home), await attending(home)
    await minutes(home, 2, first, second, beat=True)
    await minutes(home, 12, first, second)
    assert home.pages() == ["primary watchers"]
    assert len(await first.listed()) == 1


async def test_a_sign_that_one_replica_took_counts_for_the_other(home: House) -> None:
    first, second = await attending(home), await attending(home)
    for number in range(20):
        await minutes(home, 1, first, second)
        await (first, second)[number % 2].take(watchdog())
    assert await first.listed() == []


async def test_a_sign_in_the_same_moment_wins_over_its_absence(home: House) -> None:
    """Who finds it due writes its alert in a step that looks once more."""
    replica = await attending(home)
    home.turned.turn(minutes=6)
    attended = await replica.signs.attend(replica.heartbeats.intervals(), None)
    # The gap has been forgiven above; let it become due while somebody looks.
    assert attended.due == ()
    await minutes(home, 4.9, replica)
    home.turned.turn(seconds=7)
    attended = await replica.signs.attend(replica.heartbeats.intervals(), None)
    assert len(attended.due) == 1
    await beat(replica, "prometheus")
    taken = await replica.commits.submit([replica.watcher._missed(attended.due[0])])
    assert taken.outcomes == "d"
    await home.settle()
    assert await replica.listed() == []


async def test_nobody_is_paged_for_what_could_not_arrive_while_the_daemon_was_down(home: House) -> None:
    replica = await attending(home)
    await replica.take(watchdog())
    await replica.die()
    home.turned.turn(hours=2)
    again = await home.replica((PROMETHEUS,))
    await minutes(home, 4, again)
    assert await again.listed() == []
    await minutes(home, 2, again)  # one more interval has passed
    assert len(await again.listed()) == 1


async def test_a_restart_within_seconds_is_one_too(home: House) -> None:
    replica = await attending(home)
    await minutes(home, 4, replica)
    await replica.die()
    again = await home.replica((PROMETHEUS,))
    home.turned.turn(seconds=1)
    await minutes(home, 4, again, step=1)
    assert await again.listed() == []


async def test_a_replica_that_starts_beside_another_forgives_nothing(home: House) -> None:
    first = await attending(home)
    await minutes(home, 4, first)
    second = await home.replica((PROMETHEUS,))
    await minutes(home, 1.5, first, second, step=1)
    assert len(await first.listed()) == 1


async def test_a_daemon_that_starts_over_and_over_still_says_what_is_missing(home: House) -> None:
    for _ in range(8):
        replica = await home.replica((PROMETHEUS,))
        home.turned.turn(seconds=3)
        await minutes(home, 3, replica)
        await replica.die()
    assert len(await replica.listed()) == 1


async def test_what_is_missing_already_is_not_forgiven_by_a_restart(home: House) -> None:
    replica = await attending(home)
    await minutes(home, 6, replica)
    await replica.die()
    home.turned.turn(minutes=30)
    again = await home.replica((PROMETHEUS,))
    await minutes(home, 1, again)
    [incident] = await again.listed()
    assert incident.state_name == "triggered"


async def test_while_it_stays_away_its_incident_never_goes_stale_and_one_that_was_closed_opens_anew(
    home: House,
) -> None:
    replica = await attending(home)
    await minutes(home, 6, replica)
    await minutes(home, 26 * 60, replica, step=60)
    [incident] = await replica.listed()
    assert incident.open
    await replica.desk.record(incident.id, ResolvedBy(at=await home.store.now(), by="ana"))
    await minutes(home, 61, replica)
    states = [one.state_name for one in await replica.listed()]
    assert states == ["resolved", "triggered"]


async def test_an_alert_that_had_an_incident_before_a_heartbeat_took_it_is_resolved(home: House) -> None:
    before = await home.replica()
    await before.take(watchdog())
    await home.settle()
    [incident] = await before.listed()
    assert (incident.rule, incident.severity) == ("watchdog", "P4")
    after = await attending(home)
    await after.take(watchdog())
    await home.settle()
    [incident] = await after.listed()
    assert incident.state_name == "monitoring"


async def test_a_heartbeat_that_is_configured_no_more_is_forgotten_and_its_incident_resolves(
    home: House,
) -> None:
    replica = await attending(home, PROMETHEUS, BACKUP)
    await minutes(home, 6, replica)
    assert len(await replica.listed()) == 1
    await replica.die()
    other = await home.replica((BACKUP,))
    home.turned.turn(seconds=5)
    for _ in range(12 * 60):
        home.turned.turn(seconds=9)
        await other.watcher.once()
        await beat(other, "backup")
    await home.settle()
    assert [one.state_name for one in await other.listed()] == ["resolved"]
    assert await home.store.client.zcard(f"{home.store.base}:beats") == 1


async def test_each_heartbeat_has_an_incident_of_its_own(home: House) -> None:
    replica = await attending(home, PROMETHEUS, BACKUP)
    await minutes(home, 61, replica)
    found = {one.labels["heartbeat"]: (one.service, str(one.severity)) for one in await replica.listed()}
    assert found == {"prometheus": ("monitoring", "P1"), "backup": ("database", "P2")}


async def test_other_alerts_of_the_same_body_go_their_ordinary_road(home: House) -> None:
    replica = await attending(home)
    mixed = alert(1)
    mixed["labels"] = {"alertname": "Watchdog"}
    summary = await replica.take(webhook_body(mixed, alert(2), alert(2)))
    assert summary == Summary(received=3, changed=2, duplicate=1, quarantined=0)
    await home.settle()
    assert [one.title for one in await replica.listed()] == ["Alert2: number 2 is in trouble"]


def test_an_alert_is_a_sign_of_every_heartbeat_that_it_matches_and_of_no_other() -> None:
    found = Heartbeats(
        (
            HeartbeatConfig(name="a", match=('alertname="Watchdog"', 'cluster="a"'), every=timedelta(minutes=1)),
            HeartbeatConfig(name="any", match=('alertname=~"Watchdog|Heartbeat"',), every=timedelta(minutes=1)),
            HeartbeatConfig(name="by-label", match=('beat="yes"',), every=timedelta(minutes=1)),
            HeartbeatConfig(name="pinged", every=timedelta(minutes=1)),
        )
    )  # fmt: skip
    cases: list[tuple[dict[str, str], list[str]]] = [
        ({"alertname": "Watchdog", "cluster": "a"}, ["a", "any"]),
        ({"alertname": "Watchdog", "cluster": "b"}, ["any"]),
        ({"alertname": "Other", "beat": "yes"}, ["by-label"]),
        ({"beat": "yes"}, ["by-label"]),
        ({"alertname": "Other"}, []),
        ({}, []),
    ]
    for labels, expected in cases:
        assert [watch.config.name for watch in found.of(labels)] == expected
