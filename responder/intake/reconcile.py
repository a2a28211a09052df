"""Comparing with Alertmanager: what a lost webhook, a lost store or a silence changed becomes alerts and facts.

One replica at a time looks, at every ``reconcile_every``; another takes over when its lease ends. A look costs a
listing by each peer and a record for each alert that fires. What it writes is checked again in the step that writes
it, so that two replicas that look at once, or a webhook that comes in between, do no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import msgspec
import structlog

from responder.clock import Clock
from responder.config import AlertmanagerConfig
from responder.intake.alertmanager import Alertmanagers, ListedAlert, View
from responder.intake.comparing import (
    Found,
    Sight,
    Tally,
    carried,
    confirmed,
    missing,
    neglected,
    turn_of,
    unheard,
    was_posted,
)
from responder.intake.healing import Healer
from responder.intake.hold_down import HoldDown
from responder.intake.mutes import Mutes
from responder.intake.returned import Tombstones
from responder.intake.senders import Senders
from responder.intake.webhook import epoch_ms
from responder.store.comparison import Comparison, OpenIncident, Record
from responder.store.errors import StoreError

log = structlog.get_logger(__name__)

#: Alerts that are gone through before others get their turn.
_SLICE = 500
#: Incidents whose members are gone through in one look (the others have their turn later), and members of one of them.
_NEGLECTED_AT_ONCE = 1_000
_MEMBERS_AT_ONCE = 100_000
#: So long is known when an alert was last listed, where nobody has had time to look what became of it.
_SIGHTS_KEPT = timedelta(hours=6)
#: Nothing was heard of an incident for so long: then being listed counts as being heard of.
_QUIET_FOR = timedelta(hours=1)
#: A replica that died is taken over when its lease ends: this, and the time that a look may take. Renewed at each turn.
_LEASE = timedelta(seconds=15)
_TURN = timedelta(seconds=5)
_NAMES_SHOWN = 5
#: Inhibitions that no look confirms are believed for at least so long.
_CONFIRMED_FOR = timedelta(minutes=10)


class ReconcileParts(msgspec.Struct, frozen=True, kw_only=True):
    """What comparing needs; ``succeeded`` hears of each look in which every peer answered."""

    config: AlertmanagerConfig
    peers: Alertmanagers
    book: Comparison
    senders: Senders
    healer: Healer
    tombstones: Tombstones
    hold_down: HoldDown
    clock: Clock
    succeeded: Callable[[datetime], None] = lambda _: None


class _Look(msgspec.Struct, kw_only=True):
    """One look while it is being made."""

    at: datetime
    view: View
    mutes: Mutes
    records: dict[str, Record]
    incidents: dict[str, OpenIncident]
    tallies: dict[str, Tally] = msgspec.field(default_factory=dict)
    unheard: dict[str, Found] = msgspec.field(default_factory=dict)
    missing: dict[str, Found] = msgspec.field(default_factory=dict)
    silent: set[str] = msgspec.field(default_factory=set)
    doubtful: set[str] = msgspec.field(default_factory=set)
    skipped: bool = False
    still: dict[str, str] = msgspec.field(default_factory=dict)
    """An alert that is listed for each incident of which nothing was heard for long, and those whose records run out.

    ``doubtful`` are incidents of what is ``missing``; ``skipped``: there were more to look at than one look takes.
    """


class Reconciler:
    """Remembers of earlier looks what has to be found twice."""

    def __init__(self, parts: ReconcileParts) -> None:
        self._parts = parts
        self._unheard: dict[str, Found] = {}
        self._missing: dict[str, Found] = {}
        self._listed_before: dict[str, Sight] = {}
        self._doubtful: set[str] = set()
        self._after = ""
        self._leading = False
        self._stopped = False
        self._due_at = 0.0
        self._said = False

    @property
    def pause(self) -> timedelta:
        """How long after a turn the next one is."""
        return min(self._parts.config.reconcile_every, _TURN)

    async def turn(self) -> None:
        """Renew the lease, or take it over; and look, where the time has come."""
        now = asyncio.get_running_loop().time()
        due = now >= self._due_at
        if due:
            self._due_at = now + self._parts.config.reconcile_every.total_seconds()
        await self.once(due=due)

    async def once(self, *, due: bool = True) -> bool:
        """One turn, with a look where it is ``due``; whether this replica is the one that compares.

        Who takes over looks at once: nobody may have looked for a while.
        """
        parts = self._parts
        leading = not self._stopped and await parts.book.lease(_LEASE + parts.config.timeout * 3)
        if leading and not self._leading:
            self._forget()
            due = True
        self._leading = leading
        if due:
            await self._learn()
            await parts.senders.exchange()
            if leading:
                await self._compare()
                await self._learn()
        return leading

    async def _learn(self) -> None:
        book = self._parts.book
        self._parts.hold_down.learn(await book.now(), *await book.last_compared())

    async def stop(self) -> None:
        """No further look is made here; another replica need not wait for the lease to end."""
        self._stopped = True
        if self._leading:
            with contextlib.suppress(StoreError):
                await self._parts.book.let_go()

    def _forget(self) -> None:
        self._unheard, self._missing, self._listed_before = {}, {}, {}

    async def _compare(self) -> None:
        parts = self._parts
        at = await parts.book.now()
        gone = await parts.tombstones.known()
        view = await parts.peers.view(at)
        if not view.answered:
            self._unheard, self._missing = {}, {}
            return
        look = await self._look(at, view, gone)
        await self._heal(look)
        await parts.healer.mute(look.incidents, look.tallies, look.view, look.mutes)
        if view.complete:
            parts.succeeded(at)
        if view.certain:
            await parts.book.compared(at, [a.fingerprint for a in view.alerts.values() if a.inhibited_by])

    async def _look(self, at: datetime, view: View, gone: Mapping[str, datetime]) -> _Look:
        parts = self._parts
        returned = await parts.tombstones.look(gone, view, at)
        confirmed_for = max(_CONFIRMED_FOR, parts.config.reconcile_every * 5)
        # The incidents before the records: what joins in between is seen to be more than was counted.
        incidents = await parts.book.open_incidents()
        look = _Look(
            at=at,
            view=view,
            mutes=Mutes(view, returned, at, confirmed_for),
            records=await parts.book.records(list(view.alerts)),
            incidents={one.id: one for one in incidents},
        )
        await self._go_through_listed(look)
        await self._go_through_missing(look)
        await parts.tombstones.tell({name: gone[name] for name in returned}, view, look.records, at)
        return look

    async def _go_through_listed(self, look: _Look) -> None:
        ours = self._parts.senders.receivers
        alerts = list(look.view.alerts.values())
        for start in range(0, len(alerts), _SLICE):
            for alert in alerts[start : start + _SLICE]:
                self._take_listed(look, alert, ours)
            await asyncio.sleep(0)

    def _take_listed(self, look: _Look, alert: ListedAlert, ours: frozenset[str]) -> None:
        record = look.records.get(alert.fingerprint)
        muted = look.mutes.cause(alert) is not None
        if record is not None and record.status == "F" and record.incident_open:
            tally = look.tallies.setdefault(record.incident, Tally())
            if muted:
                tally.muted.append(alert.fingerprint)
            else:
                tally.active += 1
            self._parts.senders.confirm(record.sender)
            self._keep(look, alert, record)
        if not muted and (not ours or alert.receivers & ours):
            found = unheard(record, look.at)
            if found is not None:
                look.unheard[alert.fingerprint] = found

    def _keep(self, look: _Look, alert: ListedAlert, record: Record) -> None:
        incident = look.incidents.get(record.incident)
        if incident is not None and look.at - incident.heard_at > _QUIET_FOR:
            look.still.setdefault(record.incident, alert.fingerprint)
        if record.ttl < self._parts.healer.keep_from:
            look.still[alert.fingerprint] = alert.fingerprint

    async def _go_through_missing(self, look: _Look) -> None:
        firing = {one.id: one.firing for one in look.incidents.values()}
        short = neglected(look.tallies, firing)
        chosen, self._after = turn_of(short, self._doubtful, self._after, _NEGLECTED_AT_ONCE)
        look.skipped = len(chosen) < len(short)
        for incident in frozenset(short).difference(chosen):
            look.tallies.setdefault(incident, Tally()).skipped = True
        for incident in chosen:
            tally, seen = look.tallies.setdefault(incident, Tally()), 0
            async for names in self._parts.book.members(incident):
                seen += len(names)
                unlisted = [name for name in names if name not in look.view.alerts]
                for name, record in (await self._parts.book.records(unlisted)).items():
                    if record.incident == incident:
                        self._not_listed(look, name, record, tally)
                if seen > _MEMBERS_AT_ONCE:
                    break

    def _not_listed(self, look: _Look, name: str, record: Record, tally: Tally) -> None:
        if record.status != "F":
            return
        sight = self._listed_before.get(name)
        known = sight is not None or self._parts.senders.can_be_asked(record.sender)
        if not known or record.recorded >= epoch_ms(look.at):
            tally.unknown += 1
            return
        tally.silent += 1
        look.silent.add(name)
        found = missing(record, sight, look.at) if look.view.certain else None
        if found is not None:
            look.missing[name] = found
            look.doubtful.add(record.incident)

    async def _heal(self, look: _Look) -> None:
        """Write what two looks have found; what is written is looked at anew by the next."""
        healer = self._parts.healer
        unheard_twice = confirmed(self._unheard, look.unheard)
        missing_twice = confirmed(self._missing, look.missing)
        self._unheard = carried(self._unheard, look.unheard)
        self._missing = carried(self._missing, look.missing)
        self._doubtful = look.doubtful
        gone = {
            name: sight
            for name, sight in self._listed_before.items()
            if name in look.silent or (look.skipped and look.at - sight.at < _SIGHTS_KEPT)
        }
        for name in list(gone)[:-_MEMBERS_AT_ONCE]:
            del gone[name]
        self._listed_before = gone | {
            name: Sight(look.at, one.expires_at) for name, one in look.view.alerts.items()
        }
        await healer.fire(self._sent(look, unheard_twice), look.records, look.at)
        await healer.resolve(missing_twice, look.at)
        await healer.keep(list(dict.fromkeys(look.still.values())))

    def _sent(self, look: _Look, names: Iterable[str]) -> list[ListedAlert]:
        """Those of these alerts that Alertmanager is certain to send: what a time interval may mute is left to its webhook."""
        ours = self._parts.senders.receivers
        sent: list[ListedAlert] = []
        left: list[ListedAlert] = []
        for name in names:
            alert = look.view.alerts[name]
            posted = was_posted(look.records.get(name), alert.starts_at)
            (left if alert.perhaps_muted(ours) and not posted else sent).append(alert)
        if left and not self._said:
            self._said = True
            log.warning(
                "alerts that no webhook told of are not taken as missed: their routes have time intervals, "
                "and this Alertmanager does not say whether one mutes them; 0.28 does",
                alerts=len(left),
                receivers=sorted(left[0].timed)[:_NAMES_SHOWN],
            )
        return sent
