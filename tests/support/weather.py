"""Prometheus, two Alertmanagers of one cluster, and people at replicas that compare with them: driven by one random source."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from fake_alertmanager import FakeAlertmanager, rfc
from mirror import MINUTE, moment
from peers import saying

from responder.alerts import fingerprint
from responder.engine.desk import Desk
from responder.incident import facts
from responder.incident.state import Incident
from responder.intake.silence_desk import Asker, SilenceDesk
from responder.store.store import Store

AWAY = saying(503, '"away"')


class Beside(Protocol):
    """A replica, as people see it."""

    store: Store

    @property
    def desk(self) -> Desk: ...
    @property
    def silences(self) -> SilenceDesk: ...
    async def incidents(self) -> list[Incident]: ...


def labels_of(number: int) -> dict[str, str]:
    """Ten alerts of one service, in four incidents."""
    severity = "critical" if number % 3 else "warning"
    return {
        "alertname": f"A{number}",
        "service": "database",
        "cluster": f"c{number % 4}",
        "severity": severity,
    }


class Weather:
    """``labels`` are all the alerts that there can be, by number."""

    def __init__(
        self,
        peers: list[FakeAlertmanager],
        replicas: Sequence[Beside],
        turned: Any,
        chance: random.Random,
        labels: Sequence[Mapping[str, str]],
    ) -> None:
        self.chance = chance
        self.peers, self.turned = peers, turned
        self.labels = labels
        self.names = [fingerprint(one) for one in labels]
        self._people: Sequence[Beside] = replicas
        self.firing: dict[int, datetime] = {}
        self.acknowledged: dict[tuple[str, int], datetime] = {}

    @property
    def now(self) -> datetime:
        return moment(self.turned)

    def there(self) -> list[FakeAlertmanager]:
        return [peer for peer in self.peers if not peer.instead]

    def prometheus_sends(self) -> None:
        """What fires is sent to every Alertmanager that can be reached, with its beginning."""
        names = {self.names[number] for number in self.firing}
        for peer in self.there():
            for number, since in self.firing.items():
                name = peer.fire(self.labels[number])
                peer.alerts[name]["startsAt"] = rfc(since)
            for name in set(peer.alerts) - names:
                peer.resolve(name)
        if len(self.there()) == len(self.peers):
            for one, other in (self.peers, self.peers[::-1]):
                one.hears(other)

    def muted(self, number: int) -> bool:
        """By all that is known now, as both would have it when they have spoken to each other."""
        name = self.names[number]
        return any(
            peer._silenced_by(dict(self.labels[number])) or name in peer.inhibited for peer in self.there()
        )

    def turn_over(self, *numbers: int) -> dict[int, tuple[bool, datetime]]:
        """Alerts fire, or resolve; which of them each does, and since when it fires."""
        turned = {}
        for number in numbers:
            resolved = number in self.firing
            turned[number] = resolved, self.firing.pop(number) if resolved else self.now
            if not resolved:
                self.firing[number] = self.now
        self.prometheus_sends()
        return turned

    async def person(self) -> None:
        replica = self.chance.choice(self._people)
        open_now = [one for one in await replica.incidents() if one.state_name == "triggered"]
        if not open_now:
            return
        incident = self.chance.choice(open_now)
        match self.chance.randrange(8):
            case 0:
                await self.acknowledge(replica, incident)
            case 1 | 2 | 3:
                await replica.silences.silence(
                    incident.id, self.chance.choice([5, 30, 90]) * MINUTE, Asker(by="ana", via="api")
                )
            case _:
                await replica.silences.withdraw(incident.id, Asker(by="ben", via="api"))

    async def acknowledge(self, replica: Beside, incident: Incident) -> None:
        at = await replica.store.now()
        answer = await replica.desk.record(incident.id, facts.AcknowledgedBy(at=at, by="ana"))
        if answer.outcome == "done":
            self.acknowledged.setdefault((incident.id, incident.episode.number), at)

    def alertmanager(self) -> None:
        """Somebody works on it, or it has troubles of its own."""
        peer = self.chance.choice(self.peers)
        match self.chance.randrange(6):
            case 0 if not peer.instead:
                some = self.chance.choice(self.labels)
                peer.silence(self.chance.choice([3, 60, 600]) * MINUTE, cluster=some["cluster"])
            case 1 if not peer.instead:
                for name in [name for name, one in peer.silences.items() if peer._state(one) == "active"]:
                    peer.expire(name)
            case 2:
                name = self.chance.choice(self.names)
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

    def check_firing(self, firing: set[int]) -> None:
        """What fires and is not muted fires here; what does not, does not."""
        audible = {number for number in self.firing if not self.muted(number)}
        assert audible <= firing, f"they fire, and nobody knows of it here: {audible - firing}"
        assert firing <= set(self.firing), f"they fire here, and nowhere else: {firing - set(self.firing)}"


#: Longer than the grace time of the comparison.
CLEARED = timedelta(minutes=9)
