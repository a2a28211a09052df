"""Hours beside two Alertmanagers on a turned clock: lost webhooks, silences, inhibition, restarts, peers and replicas away."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fake_alertmanager import FakeAlertmanager, rfc
from mirror import MINUTE, Mirror, compiled, mirrored, moment
from peers import saying
from world import settle

from responder.alerts import fingerprint
from responder.incident import facts
from responder.incident.message import MessageKind
from responder.incident.severity import LEVELS
from responder.incident.state import Incident
from responder.intake.silence_desk import Asker
from responder.store.store import Store

PAGES = {MessageKind.PAGE, MessageKind.REMINDER}
AWAY = saying(503, '"away"')


def labels_of(number: int) -> dict[str, str]:
    severity = "critical" if number % 3 else "warning"
    return {
        "alertname": f"A{number}",
        "service": "database",
        "cluster": f"c{number % 4}",
        "severity": severity,
    }


class Weather:
    """Prometheus, two Alertmanagers, people and two replicas, driven by one random source."""

    def __init__(self, peers: list[FakeAlertmanager], replicas: list[Mirror], seed: int) -> None:
        self.chance = random.Random(seed)
        self.peers, self.replicas = peers, replicas
        self.turned = replicas[0].turned
        self.firing: dict[int, datetime] = {}
        self.acknowledged: dict[tuple[str, int], datetime] = {}

    @property
    def now(self) -> datetime:
        return moment(self.turned)

    def there(self) -> list[FakeAlertmanager]:
        return [peer for peer in self.peers if not peer.instead]

    def prometheus_sends(self) -> None:
        """What fires is sent to every Alertmanager that can be reached, with its beginning."""
        for peer in self.there():
            for number, since in self.firing.items():
                name = peer.fire(labels_of(number))
                peer.alerts[name]["startsAt"] = rfc(since)
            for name in set(peer.alerts) - {fingerprint(labels_of(number)) for number in self.firing}:
                peer.resolve(name)
        if len(self.there()) == 2:
            for one, other in (self.peers, self.peers[::-1]):
                one.hears(other)

    def muted(self, number: int) -> bool:
        """By all that is known now, as both would have it when they have spoken to each other."""
        name = fingerprint(labels_of(number))
        return any(peer._silenced_by(labels_of(number)) or name in peer.inhibited for peer in self.there())

    async def flip(self) -> None:
        number = self.chance.randrange(10)
        resolved = number in self.firing
        since = self.firing.pop(number) if resolved else self.now
        if not resolved:
            self.firing[number] = since
        self.prometheus_sends()
        if self.chance.random() < 0.6 and not self.muted(number):  # else the webhook is lost
            alert = self.replicas[0].alert(labels_of(number), resolved=resolved, since=rfc(since))
            for _ in range(self.chance.choice([1, 1, 2])):
                await self.chance.choice(self.replicas).webhook(alert)

    async def person(self) -> None:
        replica = self.chance.choice(self.replicas)
        open_now = [one for one in await replica.incidents() if one.state_name == "triggered"]
        if not open_now:
            return
        incident = self.chance.choice(open_now)
        match self.chance.randrange(8):
            case 0:
                at = await replica.store.now()
                answer = await replica.desk.record(incident.id, facts.AcknowledgedBy(at=at, by="ana"))
                if answer.outcome == "done":
                    self.acknowledged.setdefault((incident.id, incident.episode.number), at)
            case 1 | 2 | 3:
                await replica.silences.silence(
                    incident.id, self.chance.choice([5, 30, 90]) * MINUTE, Asker(by="ana", via="api")
                )
            case _:
                await replica.silences.withdraw(incident.id, Asker(by="ben", via="api"))

    def alertmanager(self) -> None:
        """Somebody works on it, or it has troubles of its own."""
        peer = self.chance.choice(self.peers)
        match self.chance.randrange(6):
            case 0 if not peer.instead:
                peer.silence(
                    self.chance.choice([3, 60, 600]) * MINUTE, cluster=f"c{self.chance.randrange(4)}"
                )
            case 1 if not peer.instead:
                for name in [name for name, one in peer.silences.items() if peer._state(one) == "active"]:
                    peer.expire(name)
            case 2:
                name = fingerprint(labels_of(self.chance.randrange(10)))
                gone = name in self.peers[0].inhibited
                for one in self.peers:
                    one.inhibited.pop(name, None) if gone else one.inhibited.update({name: "f" * 16})
            case 3:
                peer.restart()
            case 4:
                peer.instead = {"/status": AWAY, "/alerts": AWAY, "/silences": AWAY}
            case _:
                peer.instead = {}
        self.prometheus_sends()

    async def step(self) -> None:
        dice = self.chance.random()
        if dice < 0.35:
            await self.flip()
        elif dice < 0.45:
            await self.person()
        elif dice < 0.65:
            self.alertmanager()
        elif dice < 0.7:
            victim = self.chance.choice(self.replicas)
            await victim.stop()
            if self.chance.random() < 0.5:
                await victim.reconciler.stop()
                victim.reconciler._stopped = False
            await victim.start()
        else:
            await self.minutes(self.chance.choice([1, 1, 2, 4]))

    async def minutes(self, count: int) -> None:
        """Prometheus sends, the replicas look, and all that is due is done."""
        for _ in range(count):
            self.turned.turn(seconds=60)
            self.prometheus_sends()
            for replica in self.replicas:
                await replica.reconciler.once()
            await settle(*(replica.engine for replica in self.replicas))

    async def clear_up(self) -> None:
        """Everybody is there, and nothing changes any more, for a little longer than the grace time."""
        for peer in self.peers:
            peer.instead = {}
        await self.minutes(9)


@pytest.fixture
async def peers(turned: Any) -> AsyncIterator[list[FakeAlertmanager]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(FakeAlertmanager(lambda: moment(turned)).running())
            for _ in range(2)
        ]


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_was_lost_on_the_way_the_truth_of_alertmanager_is_ours_in_the_end(
    store: Store, turned: Any, peers: list[FakeAlertmanager], tmp_path: Path, seed: int
) -> None:
    rules = compiled(tmp_path)
    async with (
        mirrored(store, turned, rules, peers) as one,
        mirrored(store, turned, rules, peers) as other,
    ):
        weather = Weather(peers, [one, other], seed)
        await one.webhook(one.alert(alertname="Known", service="api"), sender="")
        for _ in range(90):
            await weather.step()
        await weather.clear_up()
        await check_alerts(weather, one)
        for incident in await one.incidents():
            check_held(weather, incident)
            check_paged(weather, incident, await store.now())
        check_nobody_paged_after_acknowledgement(weather)
        assert one.changes() or other.changes(), "nothing had to be healed"
        await close_all(weather)


async def check_alerts(weather: Weather, replica: Mirror) -> None:
    """What fires and is not muted fires here, in one open incident; what does not, does not."""
    names = {fingerprint(labels_of(number)): number for number in range(10)}
    records = await replica.book.records(list(names))
    firing = {names[n] for n, record in records.items() if record.status == "F" and record.incident_open}
    audible = {number for number in weather.firing if not weather.muted(number)}
    assert audible <= firing <= set(weather.firing)
    counted = sum(one.totals.firing_now for one in await replica.incidents() if one.open)
    assert counted == len(firing) + 1, "and the one of the script, which Alertmanager does not know"


def check_held(weather: Weather, incident: Incident) -> None:
    """No recorded reason outlives its cause: pages wait while every alert is muted now, and else they do not."""
    if incident.state_name not in {"triggered", "acknowledged"} or incident.service != "database":
        return
    cluster = incident.labels["cluster"]
    numbers = [number for number in weather.firing if labels_of(number)["cluster"] == cluster]
    muted = [weather.muted(number) for number in numbers]
    known = incident.totals.firing_now
    if incident.muted:
        assert sum(muted) >= known, f"muted by {incident.muted}"
        assert incident.holds or incident.state_name == "acknowledged"
    elif all(muted):
        assert known == 0, "muted in Alertmanager, and paged here"


def check_paged(weather: Weather, incident: Incident, now: datetime) -> None:
    """Nothing that fires longer than its escalation time is unpaged without a recorded reason."""
    if incident.state_name != "triggered" or incident.holds:
        return
    told = {
        sent.effect.level
        for replica in weather.replicas
        for sent in replica.world.sent
        if sent.effect.incident == incident.id
        and sent.effect.episode == incident.episode.number
        and sent.effect.kind in PAGES
    }
    for level in LEVELS:
        due = incident.due_at(level)
        if due is not None and due + timedelta(minutes=2) < now:
            assert level in told, f"{level} was due at {due}, now {now}"


def check_nobody_paged_after_acknowledgement(weather: Weather) -> None:
    for sent in (sent for replica in weather.replicas for sent in replica.world.sent):
        at = weather.acknowledged.get((sent.effect.incident, sent.effect.episode))
        assert sent.effect.kind not in PAGES or at is None or sent.at <= at, "paged after the acknowledgement"


async def close_all(weather: Weather) -> None:
    """All of it resolves, and no webhook says so: the comparison closes every incident."""
    weather.firing.clear()
    await weather.minutes(3)
    one = weather.replicas[0]
    await one.webhook(one.alert(alertname="Known", service="api", resolved=True), sender="")
    await weather.minutes(35)
    assert {incident.state_name for incident in await one.incidents()} == {"resolved"}
