"""Plays the recorded storm on a turned clock to a daemon's parts, and counts what people get of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mirror import moment
from recorded_storm import LENGTH, THICK, Webhook
from whole import Arrived, Phones, Whole, settled

from responder.alerts import fingerprint
from responder.incident.state import Incident, PageStatus
from responder.store.comparison import Comparison
from responder.store.digests import FoldedLists
from responder.store.reading import Reader

#: It is watched for so long after the last alert: the second level of what is urgent comes in that time.
AFTERWARDS = timedelta(minutes=8)


@dataclass
class Played:
    """One playing of it. ``urgent`` is for each P1 the clock's reading when it came, and what arrived before the clock went on."""

    whole: Whole
    phones: Phones
    began: datetime
    firing: set[str] = field(default_factory=set)
    urgent: dict[str, tuple[int, list[Arrived]]] = field(default_factory=dict)

    async def play(self, recording: list[Webhook]) -> None:
        for webhook in recording:
            await self._turn_to(self.began + timedelta(milliseconds=webhook.at))
            before = len(self.phones.arrived)
            assert await self.whole.post(webhook.body(self.moment_of)), "refused"
            await settled([self.whole], turns=1)
            names = {fingerprint(webhook.labels(one)) for one in webhook.instances}
            self.firing = self.firing | names if webhook.firing else self.firing - names
            if webhook.severity == "P1":
                self.urgent.setdefault(webhook.name, (self.whole.turned.ms, self.phones.arrived[before:]))
        end = self.began + LENGTH + AFTERWARDS
        while (now := moment(self.whole.turned)) < end:
            await self._turn_to(now + timedelta(seconds=20))
            await settled([self.whole], turns=1)

    def moment_of(self, ms: int) -> datetime:
        return self.began + timedelta(milliseconds=ms)

    async def _turn_to(self, at: datetime) -> None:
        """In steps short enough that what is due in between is done when it is."""
        while (left := at - moment(self.whole.turned)) > timedelta(0):
            self.whole.turned.turn(seconds=min(left.total_seconds(), 10.0))
            if left > timedelta(seconds=10):
                await settled([self.whole], turns=1)

    # What came of it.

    def pages(self, until: timedelta = LENGTH + AFTERWARDS) -> Counter[str]:
        """Pages by person."""
        return Counter(one.body["to"] for one in self.phones.pages() if one.at < self.began + until)

    async def check_incidents(self) -> None:
        """Every alert that fires is in an incident that is open."""
        records = await Comparison(self.whole.store).records(sorted(self.firing))
        here = {name for name, one in records.items() if one.status == "F" and one.incident_open}
        assert here == self.firing, f"lost: {self.firing - here}"

    async def told_how(self) -> Counter[str]:
        """How people hear of each incident; ``lost`` is what they do not."""
        reader = Reader(self.whole.store)
        ids = [one for one, _ in await reader.ids("all", "+inf", 5_000)]
        incidents = {one.id: one for one in await reader.snapshots(ids)}
        return Counter([await self._how(one, incidents, reader) for one in incidents.values()])

    async def _how(self, incident: Incident, others: dict[str, Incident], reader: Reader) -> str:
        delivered = [page for page in incident.pages if page.status is PageStatus.DELIVERED]
        if any(page.id in self.phones.pages_seen for page in delivered):
            return "paged"
        for page in delivered:
            if page.told_in and await self._is_listed(incident, others[page.told_in]):
                return "in a digest"
        if incident.holds:
            return f"held: {incident.holds[0].kind}"
        lines = " ".join(line.text for line in await reader.timeline(incident.id))
        if incident.state_name != "triggered" and "waits for the next digest" in lines:
            return "over while it waited for a digest"
        return "over while it was held" if "held back" in lines else "lost"

    async def _is_listed(self, incident: Incident, carrier: Incident) -> bool:
        """Whether it stands in the list of an incident whose own page was seen."""
        listed = {one.id for one in await FoldedLists(self.whole.store).listed(carrier.id)}
        seen = any(page.id in self.phones.pages_seen for page in carrier.pages)
        return seen and incident.id in listed

    def thick(self) -> list[Arrived]:
        """What arrived in the very tick in which the P1 in the thick of it came."""
        tick, arrived = self.urgent[THICK]
        return [
            one for one in arrived if one.tick == tick and one.body["incident"]["title"].startswith(THICK)
        ]
