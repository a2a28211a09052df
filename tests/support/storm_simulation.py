"""Random storms: whatever happens in them, nothing is left to a digest that is over, and nobody gets more than the bound."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from datetime import datetime, timedelta

from clocks import TurnedClock
from stage import after
from storm import PAGES, TAKEN_OVER, BundledWorld, Storm
from world import OneRow

from responder.incident.facts import (
    AcknowledgedBy,
    AlertsMuted,
    AlertsUnmuted,
    ReopenedBy,
    ResolvedBy,
    SeveritySet,
    SnoozedBy,
)
from responder.incident.hold import Hold, HoldKind
from responder.incident.message import Wanted
from responder.incident.severity import Severity
from responder.incident.state import Acknowledged, Incident, PageStatus, StateName, Triggered
from responder.store.store import Store


class StormSimulation(Storm):
    """Random storms, people, ends, rises and crashes; after each step nothing may be left to a digest that is over."""

    def __init__(self, store: Store, turned: TurnedClock, seed: int) -> None:
        self.chance = random.Random(seed)
        world = BundledWorld(self.chance, trouble=0.03)
        world.on_call = lambda names, _: {
            name: ("dbteam", "ben") if name == "dbteam" else (name,) for name in names
        }
        super().__init__(store, turned, world, OneRow(("chat", "mail", after(2, "phone"))), replicas=2)
        self.number = 0
        self.firing: list[int] = []
        self.quiet: list[int] = []
        self.kinds: dict[int, tuple[str, Severity]] = {}
        self.left: dict[str, datetime] = {}

    async def run(self, steps: int) -> None:
        for _ in range(steps):
            await self.step()
            await self.settled()
            await self.check_nothing_is_left()
        self.world._trouble = 0.0
        for _ in range(10):
            await self.after(seconds=30)
            await self.check_nothing_is_left()
        await self.check_all_told()
        await self.check_bound()

    async def step(self) -> None:
        dice = self.chance.random()
        if dice < 0.3:
            await self.burst()
        elif dice < 0.4 and self.firing:
            await self.come_and_go()
        elif dice < 0.6:
            await self.person()
        elif dice < 0.68:
            await self.mute()
        elif dice < 0.73 and self.firing:
            await self.rise(self.chance.choice(self.firing), Severity.P1)
        elif dice < 0.82:
            await self.crash(self.chance.randrange(2), self.chance.randrange(8))
        else:
            self.turned.turn(seconds=self.chance.choice([1, 1, 5, 20, 70, 200]))

    async def come_and_go(self) -> None:
        """One of them ends; or one that had ended fires again, and perhaps flaps."""
        if self.quiet and self.chance.random() < 0.5:
            gone = self.quiet.pop()
            self.firing.append(gone)
            kind, severity = self.kinds[gone]
            await self.fire(gone, kind=kind, severity=severity)
            return
        gone = self.firing.pop(self.chance.randrange(len(self.firing)))
        self.quiet.append(gone)
        await self.resolve(gone)

    async def burst(self) -> None:
        many = self.chance.choice([1, 2, 6, 15])
        numbers = range(self.number, self.number + many)
        self.number += many
        self.firing += numbers
        kind, severity = (
            self.chance.choice("ABCD"),
            self.chance.choice([Severity.P2, Severity.P3, Severity.P3, Severity.P4]),
        )
        self.kinds |= dict.fromkeys(numbers, (kind, severity))
        await self.fire(*numbers, kind=kind, severity=severity)

    async def person(self) -> None:
        found = await self.incidents()
        carriers = [one for one in found if one.digest is not None]
        one = self.chance.choice(carriers or found) if found else None
        if one is None:
            return
        now, dice = await self.store.now(), self.chance.random()
        if dice < 0.5 and one.state_name in (StateName.TRIGGERED, StateName.ACKNOWLEDGED):
            await self.store.record(one.id, AcknowledgedBy(at=now, by="ana"))
        elif dice < 0.6:
            await self.store.record(
                one.id, SnoozedBy(at=now, by="ana", until=now + timedelta(minutes=self.chance.choice([1, 4])))
            )
        elif dice < 0.66:
            severity = self.chance.choice([Severity.P2, Severity.P3, Severity.P4])
            await self.store.record(one.id, SeveritySet(at=now, by="ana", severity=severity))
        elif dice < 0.8:
            await self.store.record(one.id, ResolvedBy(at=now, by="ana"))
        else:
            await self.store.record(one.id, ReopenedBy(at=now, by="ana"))

    async def mute(self) -> None:
        """A silence begins or ends, by preference over what carries a digest."""
        found = await self.incidents()
        carriers = [one for one in found if one.digest is not None and self.chance.random() < 0.7]
        if not found:
            return
        one, now = self.chance.choice(carriers or found), await self.store.now()
        silence = Hold(kind=HoldKind.SILENCE, by="s", text="a silence")
        fact = AlertsUnmuted(at=now) if one.muted else AlertsMuted(at=now, by=(silence,))
        await self.store.record(one.id, fact)

    async def check_nothing_is_left(self) -> None:
        """No incident that people ought to be paged for is told of only by a digest for which nobody is paged."""
        now, found = await self.store.now(), {one.id: one for one in await self.incidents("all")}
        left = {one.id for one in found.values() if isinstance(one.state, Triggered) and _is_left(one, found)}
        self.left = {one: self.left.get(one, now) for one in left}
        for incident in found.values():
            if isinstance(incident.state, Acknowledged) and (by := incident.state.digest):
                assert any(page.told_in == by for page in incident.pages), f"{incident.id} was never told"
        for one, since in self.left.items():
            assert now - since < TAKEN_OVER, f"{one} is told by nothing since {since}, now {now}"

    async def check_all_told(self) -> None:
        """What was paged or told was so truly: every delivered page was sent, or stands in the list of its digest."""
        sent = {said.effect.page for said in self.world.sent}
        for incident in await self.incidents():
            for page in incident.pages:
                if page.status is PageStatus.DELIVERED:
                    assert page.id in sent or page.told_in, page

    async def check_bound(self) -> None:
        """In any stretch of time a person is rung for no more incidents than the configuration says."""
        bounds = self.world.bounds
        digests = math.ceil(bounds.within / bounds.digest_every) + 1
        most = bounds.after + 3 * (bounds.new_kinds + digests)  # P2, P3, P4: each has new kinds and digests
        urgent = {one.id for one in await self.incidents("all") if one.severity is Severity.P1}
        first: dict[str, dict[tuple[str, int], datetime]] = defaultdict(dict)
        for said in self.world.sent:
            effect = said.effect
            if (
                effect.kind in PAGES
                and effect.wanted is Wanted.UNACKNOWLEDGED
                and effect.incident not in urgent
            ):
                first[effect.contact].setdefault((effect.incident, 0), said.at)
        for contact, incidents in first.items():
            times = sorted(incidents.values())
            for at in times:
                inside = sum(at <= other < at + bounds.within for other in times)
                assert inside <= most, f"{contact}: {inside} incidents within {bounds.within} of {at}"


def _is_left(incident: Incident, others: dict[str, Incident]) -> bool:
    if not incident.is_paged:
        return False
    pages = [
        page
        for page in incident.pages
        if page.episode == incident.episode.number and page.wanted is Wanted.UNACKNOWLEDGED and page.live
    ]
    if not pages or any(not page.told_in for page in pages):
        return False
    return not any(others[page.told_in].is_paged for page in pages if page.told_in in others)
