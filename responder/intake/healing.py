"""What two looks have found is written: alerts on their ordinary road, facts in their incidents."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from responder.alerts import Alert
from responder.incident.facts import AlertsMuted, AlertsUnmuted, Compared
from responder.incident.hold import HoldKind
from responder.incident.state import Acknowledged, Incident, Resolved, Triggered
from responder.intake.alertmanager import ListedAlert, View
from responder.intake.comparing import Change, Found, Muteness, Tally, muteness
from responder.intake.intake import CHANGES, Intake
from responder.intake.mutes import Mutes
from responder.intake.webhook import epoch_ms, reason_of
from responder.store.comparison import OpenIncident, Record
from responder.store.reading import Reader
from responder.store.store import AlertWrite, Store, Taken

log = structlog.get_logger(__name__)

#: Alerts of one write. They are found at leisure: webhooks are not kept waiting.
_BATCH = 200
_SNAPSHOTS = 50
_REFUSED_KEPT = 1_000

_WHY = {
    Change.MISSED_FIRING: "alerts fire, and no webhook told of them",
    Change.MISSED_RESOLVE: "alerts fire no more, and no webhook told of it",
    Change.EXPIRED: "alerts have expired: nobody sent them any more (their Prometheus may be gone)",
}
_ROW: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
_JSON = msgspec.json.Encoder()


class Teller(msgspec.Struct, frozen=True, kw_only=True):
    """Who hears of what was written: the engine, of incidents to look at, and the count of changes."""

    took: Callable[[Taken], None]
    look_at: Callable[[str, bool], None]
    changed: Callable[[Change, int], None]


class Healer:
    """Writes what was found; the store looks once more whether it is still so."""

    def __init__(self, store: Store, reader: Reader, intake: Intake, teller: Teller) -> None:
        self._store = store
        self._reader = reader
        self._intake = intake
        self._teller = teller
        self._refused: set[str] = set()
        #: A record that will be kept for less than this is kept for longer, where its alert is listed.
        self.keep_from: timedelta = store.options.firing_ttl * 0.75

    async def fire(self, alerts: Sequence[ListedAlert], records: Mapping[str, Record], at: datetime) -> None:
        """Take alerts that fire, and that no webhook told of."""
        if not alerts or not self._intake.open:
            return
        left = await self._left_to_people(alerts, records)
        writes = []
        for number, alert in enumerate(alerts):
            if alert.fingerprint not in left and (write := await self._found(alert)) is not None:
                writes.append(write)
            if number % _BATCH == 0:
                await asyncio.sleep(0)
        await self._write(writes, Change.MISSED_FIRING, at)

    async def _left_to_people(
        self, alerts: Sequence[ListedAlert], records: Mapping[str, Record]
    ) -> frozenset[str]:
        """Alerts of incidents that a person declared over: Alertmanager's own next word opens one anew, not a look."""
        closed: dict[str, list[str]] = {}
        for alert in alerts:
            record = records.get(alert.fingerprint)
            if record is not None and record.status == "F" and not record.incident_open:
                began = epoch_ms(alert.starts_at)
                if began == record.starts or began <= record.recorded:
                    closed.setdefault(record.incident, []).append(alert.fingerprint)
        left: list[str] = []
        async for incident in self._snapshots(closed):
            if isinstance(incident.state, Resolved) and incident.state.by:
                left += closed[incident.id]
        return frozenset(left)

    async def _found(self, listed: ListedAlert) -> AlertWrite | None:
        """As a webhook would have brought it; ``None`` where it cannot be read, which is said once."""
        raw = b""
        try:
            row = _ROW.decode(listed.raw)
            wanted = ("labels", "annotations", "startsAt", "generatorURL", "fingerprint")
            body = {name: row[name] for name in wanted if name in row}
            raw = _JSON.encode({"status": "firing", **body})
            alert = msgspec.json.decode(raw, type=Alert)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if listed.fingerprint not in self._refused and len(self._refused) < _REFUSED_KEPT:
                self._refused.add(listed.fingerprint)
                await self._intake.quarantine(raw or bytes(listed.raw), reason_of("alerts", error))
            return None
        return self._intake.found(alert, raw.decode())

    async def resolve(self, found: Mapping[str, Found], at: datetime) -> None:
        """Resolve alerts that fire no more, where their records are still those that were found."""
        for change, expired in ((Change.MISSED_RESOLVE, False), (Change.EXPIRED, True)):
            writes: list[AlertWrite] = [
                (name, "X", one.recorded, epoch_ms(one.since), 4, "", "", "")
                for name, one in found.items()
                if one.expired is expired
            ]
            await self._write(writes, change, at)

    async def keep(self, alerts: Sequence[str]) -> None:
        """Note that alerts still fire, though nothing changes."""
        for start in range(0, len(alerts), _BATCH):
            names = alerts[start : start + _BATCH]
            await self._store.ingest([(name, "K", 0, 0, 4, "", "", "") for name in names])

    async def _write(self, writes: Sequence[AlertWrite], change: Change, at: datetime) -> None:
        why = Compared(at=at, text=_WHY[change]) if writes else None
        for start in range(0, len(writes), _BATCH):
            taken = await self._store.ingest(writes[start : start + _BATCH], why)
            self._teller.took(taken)
            count = sum(letter in CHANGES for letter in taken.outcomes)
            if count:
                self._teller.changed(change, count)
                log.info("found by comparing with Alertmanager", what=str(change), alerts=count)

    async def mute(
        self,
        incidents: Mapping[str, OpenIncident],
        tallies: Mapping[str, Tally],
        view: View,
        mutes: Mutes,
    ) -> None:
        """Tell incidents that every alert of theirs is muted, or is no more; only what they do not know."""
        concerned = [
            one.id
            for one in incidents.values()
            if one.muted or muteness(tallies.get(one.id, Tally()), certain=view.certain) is Muteness.MUTED
        ]
        async for incident in self._snapshots(concerned):
            tally = tallies.get(incident.id, Tally())
            fact = _told(incident, tally, view, mutes)
            if isinstance(fact, AlertsMuted):
                fact = msgspec.structs.replace(fact, fired=incidents[incident.id].fired)
            if fact is not None:
                await self._tell(incident, fact)

    async def _tell(self, incident: Incident, fact: AlertsMuted | AlertsUnmuted) -> None:
        recorded = await self._store.record(incident.id, fact)
        if recorded.outcome != "ok":
            return
        self._teller.look_at(incident.id, incident.severity.urgent)
        if isinstance(fact, AlertsUnmuted):
            self._teller.changed(Change.UNMUTED, 1)
        elif not incident.muted:
            self._teller.changed(Change.MUTED, 1)

    async def _snapshots(self, ids: Iterable[str]) -> Any:
        names = list(ids)
        for start in range(0, len(names), _SNAPSHOTS):
            for incident in await self._reader.snapshots(names[start : start + _SNAPSHOTS]):
                yield incident
            await asyncio.sleep(0)


def _told(incident: Incident, tally: Tally, view: View, mutes: Mutes) -> AlertsMuted | AlertsUnmuted | None:
    if not isinstance(incident.state, (Triggered, Acknowledged)):
        return None
    match muteness(tally, certain=view.certain):
        case Muteness.MUTED:
            found = mutes.of(view.alerts[name] for name in tally.muted)
            return AlertsMuted(at=mutes.now, by=found) if mutes.differ(incident.muted, found) else None
        case Muteness.ACTIVE if incident.muted and (view.certain or not _held_down(incident)):
            return AlertsUnmuted(at=mutes.now)
        case _:
            return None


def _held_down(incident: Incident) -> bool:
    """What was inhibited and is not urgent waits for a look that is certain."""
    inhibited = any(hold.kind is HoldKind.INHIBITION for hold in incident.muted)
    return inhibited and not incident.severity.urgent
