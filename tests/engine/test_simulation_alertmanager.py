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
from weather import CLEARED, Weather, labels_of
from world import settle

from responder.incident.message import MessageKind
from responder.incident.severity import LEVELS
from responder.incident.state import Incident
from responder.store.store import Store

PAGES = {MessageKind.PAGE, MessageKind.REMINDER}


class Hours(Weather):
    """Alerts, people, Alertmanagers and stops of two replicas that compare with them."""

    def __init__(self, peers: list[FakeAlertmanager], replicas: list[Mirror], seed: int) -> None:
        labels = [labels_of(number) for number in range(10)]
        super().__init__(peers, replicas, replicas[0].turned, random.Random(seed), labels)
        self.replicas = replicas

    async def flip(self) -> None:
        number = self.chance.randrange(10)
        ((resolved, since),) = self.turn_over(number).values()
        if self.chance.random() < 0.6 and not self.muted(number):  # else the webhook is lost
            alert = self.replicas[0].alert(self.labels[number], resolved=resolved, since=rfc(since))
            for _ in range(self.chance.choice([1, 1, 2])):
                await self.chance.choice(self.replicas).webhook(alert)

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
        await self.minutes(CLEARED // MINUTE)


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
        weather = Hours(peers, [one, other], seed)
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


async def check_alerts(weather: Hours, replica: Mirror) -> None:
    """What fires and is not muted fires here, in one open incident; what does not, does not."""
    records = await replica.book.records(weather.names)
    numbers = {name: number for number, name in enumerate(weather.names)}
    firing = {numbers[n] for n, record in records.items() if record.status == "F" and record.incident_open}
    weather.check_firing(firing)
    counted = sum(one.totals.firing_now for one in await replica.incidents() if one.open)
    assert counted == len(firing) + 1, "and the one of the script, which Alertmanager does not know"


def check_held(weather: Hours, incident: Incident) -> None:
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


def check_paged(weather: Hours, incident: Incident, now: datetime) -> None:
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


def check_nobody_paged_after_acknowledgement(weather: Hours) -> None:
    for sent in (sent for replica in weather.replicas for sent in replica.world.sent):
        at = weather.acknowledged.get((sent.effect.incident, sent.effect.episode))
        assert sent.effect.kind not in PAGES or at is None or sent.at <= at, "paged after the acknowledgement"


async def close_all(weather: Hours) -> None:
    """All of it resolves, and no webhook says so: the comparison closes every incident."""
    weather.firing.clear()
    await weather.minutes(3)
    one = weather.replicas[0]
    await one.webhook(one.alert(alertname="Known", service="api", resolved=True), sender="")
    await weather.minutes(35)
    assert {incident.state_name for incident in await one.incidents()} == {"resolved"}
