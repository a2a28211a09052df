"""Hours in which everything happens together, by one random source, to two daemons' parts on the real store.

Storms, windows, silences, inhibition, dependencies, nights; lost, late and repeated webhooks; a store that goes away;
crashes; channels and Alertmanagers in trouble. After each settled step two things hold: nothing that fires for longer than
its escalation time is unpaged without a recorded reason, and no recorded reason outlives its cause.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from fake_alertmanager import FakeAlertmanager, rfc
from mirror import MINUTE
from weather import CLEARED, Weather
from whole import Phones, Whole, settled
from whole_settings import CHANNELS, FEW, MANY, SERVICES, label_sets, webhook

from responder.incident.facts import AcknowledgedBy
from responder.incident.state import Incident, Triggered
from responder.rules.maintenance import WindowSpec
from responder.store.errors import StoreError
from responder.store.reading import Reader
from responder.store.store import Store
from responder.store.windows import id_of

#: What is due is found by this time, whichever replica died with it in its hands.
SLACK = timedelta(seconds=75)
#: An Alertmanager that was restarted is not sure of what does not fire for so long.
GRACE = timedelta(minutes=5)


class WholeSimulation(Weather):
    """Without ``faults`` nothing crashes, goes away or gets lost; all the rest happens as ever."""

    def __init__(
        self,
        store: Store,
        replicas: list[Whole],
        peers: list[FakeAlertmanager],
        phones: Phones,
        *,
        faults: bool = True,
    ) -> None:
        super().__init__(peers, replicas, replicas[0].turned, phones.chance, label_sets())
        self.store, self.replicas, self.phones = store, replicas, phones
        self.faults = faults
        self.reader = Reader(store)
        self.windows: dict[str, WindowSpec] = {}
        #: Alerts whose last webhook was answered with 200, and said that they fire.
        self.taken: set[int] = set()
        #: By alert, what Alertmanager has to say of it, in order: whether it fires, and the webhook.
        self.owed: dict[int, deque[tuple[bool, bytes]]] = {}
        self.nobody_at = self.sees_since = self.now
        self.compares_since = self.now
        self.restarted_at = self.now - GRACE
        self.died = False

    # What happens.

    async def run(self, steps: int, check: Callable[[], Awaitable[None]]) -> None:
        for one in self.replicas:
            await one.start()
        for _ in range(steps):
            await self.step()
            await self.settle()
            await check()

    async def step(self) -> None:
        choices = {
            self.flip: 22, self.storm: 3, self.person: 8, self.people: 4, self.troubles: 8, self.window: 9,
            self.pass_time: 33,
        } | ({self.outage: 5, self.crash: 5, self.bad_line: 3} if self.faults else {})  # fmt: skip
        (happens,) = self.chance.choices(list(choices), list(choices.values()))
        await happens()

    async def flip(self) -> None:
        for _ in range(self.chance.choice([1, 1, 3])):
            self.tell(self.chance.randrange(FEW))

    async def storm(self) -> None:
        """Everything of some services at once; or it is over again."""
        hit = self.chance.sample(SERVICES, self.chance.choice([2, 3, 4]))
        many = [number for number in range(FEW, FEW + MANY) if self.labels[number]["service"] in hit]
        over = [number for number in many if number in self.firing]
        self.tell(*(over or many))

    def tell(self, *numbers: int) -> None:
        """Alerts turn over, and a webhook is to tell of each; now and then none ever does."""
        for number, (resolved, since) in self.turn_over(*numbers).items():
            self._owe(number, since, resolved=resolved)

    def _owe(self, number: int, since: datetime, *, resolved: bool) -> None:
        if self.muted(number) or (self.faults and self.chance.random() < 0.1):
            self.taken.discard(number)
            return
        body = webhook(self.labels[number], rfc(since), "" if not resolved else rfc(self.now))
        self.owed.setdefault(number, deque()).append((not resolved, body))

    async def person(self) -> None:
        if not self.blind:
            with contextlib.suppress(StoreError):
                await super().person()
            return
        asked = [one for one in self.phones.pages()[-20:] if one.body["incident"]["state"] == "triggered"]
        if asked and (alive := self.alive):
            one, replica = self.chance.choice(asked), self.chance.choice(alive)
            fact = AcknowledgedBy(at=replica.wiring.blind.pager.now(), by="ana", via="link")
            with contextlib.suppress(StoreError):
                await replica.desk.record(one.incident, fact)

    async def people(self) -> None:
        """Somebody goes through the list."""
        if self.blind or not self.alive:
            return
        waiting = [one for one in await self.incidents() if isinstance(one.state, Triggered)]
        for incident in self.chance.sample(waiting, len(waiting) // 2):
            await self.acknowledge(self.chance.choice(self.alive), incident)

    async def troubles(self) -> None:
        if self.firing and self.chance.random() < 0.5:
            self.inhibit()
            return
        peers = {peer.url: peer.up_since for peer in self.peers}
        self.alertmanager()
        if any(peer.up_since != peers[peer.url] for peer in self.peers):
            self.restarted_at = self.now

    def inhibit(self) -> None:
        """All that fires of one incident is inhibited; or nothing is any more."""
        one = self.labels[self.chance.choice(sorted(self.firing))]
        same = ("alertname", "service", "cluster")
        names = [
            self.names[number]
            for number in self.firing
            if all(self.labels[number][n] == one[n] for n in same)
        ]
        inhibited = {} if self.peers[0].inhibited else dict.fromkeys(names, "f" * 16)
        for peer in self.peers:
            peer.inhibited = dict(inhibited)
        self.prometheus_sends()

    async def window(self) -> None:
        if not self.alive:
            return
        keeper = self.chance.choice(self.alive).wiring.circumstances.keeper
        with contextlib.suppress(StoreError):
            if self.windows and self.chance.random() < 0.45:
                name = self.chance.choice(sorted(self.windows))
                await keeper.end(name)
                del self.windows[name]
                return
            made = self._window(await keeper._windows._shelf._store.now())
            found = await keeper.make(made)  # one that overlaps may go on longer instead
            self.windows[found.id] = next(one for one, _ in keeper.known.kept if one.id == found.id)

    def _window(self, now: datetime) -> WindowSpec:
        begins = now + timedelta(seconds=self.chance.choice([-60, 0, 90]))
        match = self.chance.choice(['service="database"', 'service=~"api|dashboards"', 'severity=~"P3|P4"'])
        ends = begins + timedelta(minutes=self.chance.choice([3, 20, 90]))
        made = WindowSpec(name="w", match=(match,), start=begins, end=ends, made_at=now)
        return msgspec.structs.replace(made, id=id_of(made))

    async def outage(self) -> None:
        away = not self.away
        for one in self.replicas:
            one.wire.away = away
        if not away:
            await self.all_start()

    async def crash(self) -> None:
        """In the middle of something, if possible."""
        if not self.alive:
            return
        victim = self.chance.choice(self.alive)
        delivering = asyncio.create_task(self.deliver())
        polling = asyncio.create_task(victim.wiring.engine.poll())
        for _ in range(self.chance.randrange(12)):
            await asyncio.sleep(0)
        await victim.die()
        self.died = True
        for task in (delivering, polling):
            task.cancel()
        await asyncio.gather(delivering, polling, return_exceptions=True)
        if not self.away:
            await victim.start()

    async def bad_line(self) -> None:
        self.phones.trouble = self.chance.choice([0.0, 0.05, 0.2])
        self.phones.down = set(self.chance.sample(CHANNELS, self.chance.choice([0, 0, 1])))

    async def pass_time(self) -> None:
        if self.chance.random() < 0.4:
            self.turned.turn(seconds=self.chance.choice([1, 10, 30]))
        else:
            await self.minutes(self.chance.choice([1, 1, 2, 5, 15]))

    async def minutes(self, count: int) -> None:
        for _ in range(count):
            self.turned.turn(seconds=60)
            if self.died:  # what expires by the server's own clock, which nobody turns
                await self.store.client.delete(f"{self.store.base}:am:lease")
                self.died = False
            await self.settle(turns=1)

    async def settle(self, *, turns: int = 2) -> None:
        """Everybody says what they have to say and looks, and all that is due is done."""
        self.windows = {name: one for name, one in self.windows.items() if one.end and one.end > self.now}
        self.prometheus_sends()
        await self.deliver()
        for replica in self.alive:
            await replica.compare()
        await settled(self.alive, turns=turns)
        if not self.alive:
            self.nobody_at = self.now
        if self.blind or len(self.alive) < len(self.replicas):
            self.sees_since = self.now
        certain = self.now - self.restarted_at > GRACE and len(self.there()) == len(self.peers)
        if self.sees_since == self.now or not certain:
            self.compares_since = self.now

    async def deliver(self) -> None:
        """As Alertmanager does: in order, again and again, to any replica, until it is taken; some of it twice."""
        if not self.alive:
            return
        waiting = [(number, queue) for number, queue in self.owed.items() if queue]
        self.chance.shuffle(waiting)
        for number, queue in waiting:
            while queue and await self.chance.choice(self.alive).post(queue[0][1]):
                fires, body = queue.popleft()
                (self.taken.add if fires else self.taken.discard)(number)
                if self.chance.random() < 0.3:
                    await self.chance.choice(self.alive).post(body)

    # What is known.

    @property
    def alive(self) -> list[Whole]:
        return [one for one in self.replicas if one.alive]

    @property
    def away(self) -> bool:
        return self.replicas[0].wire.away

    @property
    def blind(self) -> bool:
        """Whether the store cannot be seen, or somebody has not told it everything yet."""
        return self.away or any(one.blind for one in self.alive)

    async def all_start(self) -> None:
        for one in self.replicas:
            if not one.alive:
                await one.start()

    async def incidents(self) -> list[Incident]:
        return await self.reader.snapshots([one for one, _ in await self.reader.ids("open", "+inf", 2_000)])

    def is_muted(self, incident: Incident) -> bool:
        """Whether every alert of it that fires is muted in Alertmanager."""
        return all(self.muted(number) for number in self.firing_of(incident))

    def firing_of(self, incident: Incident) -> list[int]:
        return [number for number in self.firing if _belongs(self.labels[number], incident)]

    def is_answered(self, incident: Incident) -> bool:
        """Whether who pages from memory knows why not: taken, held back, over, or paged anew by now."""
        items = [one.wiring.blind.pager.memory.items.get(incident.id) for one in self.alive]
        known = [(one, one.incident) for one in items if one is not None and one.incident is not None]
        return not self.firing_of(incident) or any(
            item.quiet or not one.is_paged or one.episode.number > incident.episode.number
            for item, one in known
        )

    async def clear_up(self, check: Callable[[], Awaitable[None]]) -> None:
        """Everything works, and nothing changes any more, for a little longer than anything takes."""
        for peer in self.peers:
            peer.instead, peer.inhibited = {}, {}
        for one in self.replicas:
            one.wire.away = False
        await self.all_start()
        self.phones.trouble, self.phones.down = 0.0, set()
        for _ in range(CLEARED // MINUTE + 3):
            await self.minutes(1)
            await check()
        assert not any(self.owed.values())

    async def close_all(self) -> None:
        """All of it resolves, and no webhook says so: the comparison closes every incident."""
        self.firing.clear()
        await self.minutes(65)  # what flaps is watched for an hour
        left = [(one.id, one.state, one.wake_at, one.now) for one in await self.incidents()]
        assert not left, f"still open at {self.now}: {left}"
        for one in self.replicas:
            await one.die()


def _belongs(labels: Any, incident: Incident) -> bool:
    return all(labels[name] == incident.labels.get(name) for name in ("alertname", "service", "cluster"))
