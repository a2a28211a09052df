"""What has to hold while everything happens together, looked at after each settled step."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from causes import LOOK, Truth, Watch, is_night
from whole_simulation import SLACK, WholeSimulation

from responder.engine.blind.turns import STAND_IN
from responder.incident.hold import Hold, HoldKind
from responder.incident.severity import LEVELS, Level, Severity
from responder.incident.state import Acknowledged, Incident, Page, PageStatus, Triggered
from responder.store.comparison import Comparison

#: A page waits so long for its turn to be a digest, and for the page of the one that tells of it.
DIGEST = timedelta(minutes=2)
#: Alertmanagers are compared with each minute, and some of what is found has to be found twice.
COMPARED = dict.fromkeys((HoldKind.SILENCE, HoldKind.INHIBITION), timedelta(minutes=3))


class Promises:
    """Of one simulation."""

    def __init__(self, simulation: WholeSimulation) -> None:
        self.of = simulation
        self.reasons = Watch()
        #: By incident and digest, since when it is told of by one for which nobody is paged.
        self.left: dict[tuple[str, str], datetime] = {}
        self.lost: dict[str, datetime] = {}
        #: The episodes that somebody has acknowledged, and when that was seen at the latest.
        self.acknowledged = simulation.acknowledged
        self.episodes: dict[str, int] = {}

    async def check(self) -> None:
        """After each settled step."""
        now, found = await self.of.store.now(), await self.of.incidents()
        by_id = {one.id: one for one in found}
        self._remember(found, now)
        if not self.of.blind:
            self._check_reasons(by_id, now)
            self._check_digests(by_id, now)
            await self._check_taken(now)
        for incident in found:
            if late := self._unpaged(incident, by_id, now):
                raise AssertionError(
                    f"{incident.severity} {incident.id}: {late}\n{await self._lines(incident.id)}"
                )

    def _remember(self, found: list[Incident], now: datetime) -> None:
        for incident in found:
            self.episodes |= {page.id: page.episode for page in incident.pages}
            # A look later every replica knows of it, even if the store is away from then on.
            if isinstance(incident.state, Acknowledged) and self.of.sees_since < now - LOOK:
                self.acknowledged.setdefault((incident.id, incident.episode.number), now)

    def _check_reasons(self, found: Mapping[str, Incident], now: datetime) -> None:
        """No recorded reason outlives its cause."""
        if self.of.sees_since >= now - SLACK:
            self.reasons.forget(*HoldKind)
        if self.of.compares_since >= now - SLACK:
            self.reasons.forget(*COMPARED)
        sleepers = frozenset({Severity.P3, Severity.P4})
        truth = Truth(
            now=now, windows=self.of.windows, incidents=found, sleepers=sleepers, muted=self.of.is_muted
        )
        self.reasons.look(truth, _limit)

    def _check_digests(self, found: Mapping[str, Incident], now: datetime) -> None:
        """Told in another one's digest counts while that one is paged: taken, it takes all of them; over, they are paged."""
        if self.of.sees_since >= now - SLACK:
            self.left.clear()
        told = [(one, page.told_in) for one in found.values() if one.is_paged for page in present_pages(one)]
        left = [(one.id, into) for one, into in told if into and not _is_paged(found.get(into))]
        self.left = {pair: self.left.get(pair, now) for pair in left}
        for pair, since in self.left.items():
            assert now - since < SLACK, f"{pair} is told by nothing since {since}, now {now}"

    async def _check_taken(self, now: datetime) -> None:
        """What was answered with 200 is here while it fires; a doubt about it is settled soon."""
        names = {self.of.names[number] for number in self.of.taken & self.of.firing.keys()}
        records = await Comparison(self.of.store).records(sorted(names))
        here = {name for name, one in records.items() if one.status == "F" and one.incident_open}
        self.lost = {name: self.lost.get(name, now) for name in names - here}
        for name, since in self.lost.items():
            assert now - since < SLACK, f"answered with 200, and lost since {since}: {records.get(name)}"

    def _unpaged(self, incident: Incident, found: Mapping[str, Incident], now: datetime) -> str:
        """What fires for longer than its escalation time and is unpaged without a recorded reason; nothing is."""
        if not isinstance(incident.state, Triggered) or incident.holds:
            return ""
        slack, without = SLACK, self.of.blind or self.of.sees_since > now - SLACK
        if without:
            if not (incident.severity.urgent and self.of.alive) or self.of.is_answered(incident):
                return ""  # the store away, P3 and P4 wait for it
            slack += self._stand_ins()
        for level in LEVELS:
            due = incident.due_at(level)
            if (
                due is not None
                and max(due, self.of.nobody_at) + slack < now
                and not self._is_told(incident, level, found, now)
            ):
                return f"{level} was due at {due}, now {now}"
        return ""

    def _stand_ins(self) -> timedelta:
        """How long those who page from memory leave to others, who may have died since."""
        return STAND_IN * max(len(one.wiring.blind.pager.memory.others) for one in self.of.alive)

    def _is_told(
        self, incident: Incident, level: Level, found: Mapping[str, Incident], now: datetime
    ) -> bool:
        """Whether somebody was tried to be reached, is told by another incident's page, waits for a digest, or sleeps."""
        tried = self.of.phones.tried.get((incident.id, str(level)))
        if tried is not None and tried >= incident.episode.began_at:
            return True
        if not incident.severity.urgent and (is_night(now) or is_night(now - SLACK)):
            return True
        episode = incident.episode.number
        pages = [one for one in incident.pages if one.level is level and one.episode == episode]
        return any(self._tells(page, incident, found, now) for page in pages) or self._is_told_from_memory(
            incident, level
        )

    def _is_told_from_memory(self, incident: Incident, level: Level) -> bool:
        """Whether a replica that cannot see the store has told of it with another incident's page, which is paged there."""
        for one in self.of.alive:
            items = one.wiring.blind.pager.memory.items
            item = items.get(incident.id)
            if not one.wiring.blind.held() or item is None or item.incident is None:
                continue
            into = {page.told_in for page in present_pages(item.incident) if page.level is level}
            if any(name in items and _is_paged(items[name].incident) for name in into):
                return True
        return False

    def _tells(self, page: Page, incident: Incident, found: Mapping[str, Incident], now: datetime) -> bool:
        if page.status is PageStatus.PENDING and incident.severity is not Severity.P1:
            return now < max(page.waits_until or page.requested_at, page.requested_at + DIGEST) + SLACK
        if page.status is not PageStatus.DELIVERED:
            return False
        if page.told_in:
            return (incident.id, page.told_in) in self.left or _is_paged(found.get(page.told_in))
        # In the list of a morning; or from memory, under whatever name the incident had there.
        return incident.episode.waited is not None or page.id in self.of.phones.pages_seen

    async def check_in_the_end(self) -> None:
        """When everything works again, and nothing has changed for a while."""
        await self.check()
        now = await self.of.store.now()
        for incident in await self.of.incidents():
            assert incident.wake_at is not None
            assert incident.wake_at > now - timedelta(seconds=2)
        await self._check_alerts()
        await self._check_nobody_paged_after_acknowledgement()

    async def _check_alerts(self) -> None:
        """What Alertmanager has is here: in one open incident; and nothing else is."""
        records = await Comparison(self.of.store).records(self.of.names)
        numbers = {name: number for number, name in enumerate(self.of.names)}
        firing = {numbers[n] for n, one in records.items() if one.status == "F" and one.incident_open}
        self.of.check_firing(firing)
        assert sum(one.totals.firing_now for one in await self.of.incidents()) == len(firing)

    async def _check_nobody_paged_after_acknowledgement(self) -> None:
        for one in self.of.phones.pages():
            at = self.acknowledged.get((one.incident, self.episodes.get(one.body["page_id"], 0)))
            if at is not None and one.at > at + timedelta(seconds=1):
                lines = await self._lines(one.incident)
                raise AssertionError(f"{one.incident} paged at {one.at}, acknowledged at {at}\n{lines}")

    async def _lines(self, incident: str) -> str:
        lines = await self.of.reader.timeline(incident)
        return "\n".join(f"{one.at:%H:%M:%S} {one.text}" for one in lines)


def present_pages(incident: Incident) -> list[Page]:
    """Those of its present episode that have reached somebody."""
    return [
        page
        for page in incident.pages
        if page.episode == incident.episode.number and page.status is PageStatus.DELIVERED
    ]


def _is_paged(incident: Incident | None) -> bool:
    return incident is not None and incident.is_paged


def _limit(hold: Hold) -> timedelta:
    return COMPARED.get(hold.kind, LOOK)
