"""What looks after the daemon and after others' signs of life, put together: rounds to go, and what metrics show of them."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import aiohttp
import msgspec

from responder.clock import Clock
from responder.config import Config
from responder.engine import watchdog
from responder.engine.engine import Engine
from responder.engine.watchdog import Watchdog
from responder.intake.heartbeats import Heartbeats
from responder.intake.missed import HeartbeatWatcher
from responder.intake.notices import Notices
from responder.metrics import Metrics
from responder.rulebook import Rulebook
from responder.store.group_commit import GroupCommit
from responder.store.mending import Kind, Mender
from responder.store.reading import Reader
from responder.store.signs import Signs
from responder.store.store import Store
from responder.vigil import drills
from responder.vigil.beacon import Beacon, BeaconParts
from responder.vigil.canary import Canary
from responder.vigil.drills import Drills
from responder.vigil.road import Road
from responder.vigil.rounds import Round

_HEARTBEATS_EVERY = timedelta(seconds=1)


class VigilParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the rounds are made of."""

    config: Config
    rulebook: Rulebook
    metrics: Metrics
    clock: Clock
    store: Store
    reader: Reader
    session: aiohttp.ClientSession
    engine: Engine
    commits: GroupCommit
    heartbeats: Heartbeats
    notices: Notices


class Vigils:
    """The rounds of this replica."""

    def __init__(self, parts: VigilParts) -> None:
        self._parts = parts
        self._signs = Signs(parts.store)
        self._road = Road(
            commits=parts.commits,
            store=parts.store,
            reader=parts.reader,
            signs=self._signs,
            rules=lambda: parts.rulebook.rules,
            look_at=lambda incident: parts.engine.look_at(incident, urgent=True),
        )
        for kind in Kind:
            parts.metrics.watchdog_repairs.labels(str(kind))

    def rounds(self) -> tuple[Round, ...]:
        """What is to be done at intervals, for ever."""
        return tuple(
            one for one in (self._watchdog(), self._drills(), self._heartbeats(), self._canary(), self._out()) if one
        )  # fmt: skip

    def _watchdog(self) -> Round:
        parts = self._parts
        dog = Watchdog(
            Mender(parts.store),
            self._signs,
            parts.engine,
            count=lambda kind, number: parts.metrics.watchdog_repairs.labels(str(kind)).inc(number),
            tell=lambda kind, text: parts.notices.tell("ResponderWatchdogRepair", text, {"kind": str(kind)}),
        )
        return Round(name="watchdog", every=watchdog.EVERY, after=watchdog.FIRST_AFTER, once=dog.once)

    def _drills(self) -> Round:
        return Round(name="drills", every=drills.EVERY, once=Drills(self._road).once)

    def _heartbeats(self) -> Round | None:
        parts = self._parts
        if not parts.heartbeats.by_name:
            return None
        watcher = HeartbeatWatcher(
            parts.heartbeats, self._signs, parts.commits, self._road.rules, stale_after=parts.config.stale_after
        )  # fmt: skip
        return Round(name="heartbeats", every=_HEARTBEATS_EVERY, once=watcher.once)

    def _canary(self) -> Round | None:
        config = self._parts.config.canary
        if not config.every:
            return None
        canary = Canary(config, self._road, self._parts.metrics)
        return Round(name="canary", every=config.every, once=canary.once)

    def _out(self) -> Round | None:
        parts, out = self._parts, self._parts.config.heartbeat_out
        if out is None:
            return None
        beacon_parts = BeaconParts(
            signs=self._signs, session=parts.session, metrics=parts.metrics, clock=parts.clock
        )
        # The first canary comes first.
        beacon = Beacon(out, parts.config.canary, beacon_parts)
        return Round(
            name="heartbeat out",
            every=out.every,
            after=min(out.every, timedelta(seconds=2)),
            once=beacon.once,
        )

    async def beat(self, name: str) -> datetime | None:
        """Take a sign of life that came by itself; when the next one is due, ``None`` where there is no such heartbeat.

        Raises:
            StoreError: where it could not be written.
        """
        watch = self._parts.heartbeats.by_name.get(name)
        if watch is None:
            return None
        await self._parts.commits.submit([watch.beat])
        return await self._signs.now() + watch.interval

    async def show(self) -> None:
        """Bring the metrics that live in the store up to date.

        Raises:
            StoreError: where it is away; they stay as they last were.
        """
        metrics, watches = self._parts.metrics, self._parts.heartbeats.by_name
        seen, vitals = await asyncio.gather(
            self._signs.seen([watch.key for watch in watches.values()]), self._signs.vitals()
        )
        for name, watch in watches.items():
            at = seen.get(watch.key)
            metrics.heartbeat_last_seen.labels(name).set(at.timestamp() if at else 0)
        metrics.canary_success.set(vitals.canary_at.timestamp() if vitals.canary_at else 0)
        metrics.watchdog_run.set(vitals.watchdog_at.timestamp() if vitals.watchdog_at else 0)
        await self._show_drills()

    async def _show_drills(self) -> None:
        metrics = self._parts.metrics
        for drill in self._parts.rulebook.rules.drills:
            run = await self._signs.drill(drill.name)
            began = run.began_at if run else None
            metrics.drill_run.labels(drill.name).set(began.timestamp() if began else 0)
            if run is not None and run.met is not None:
                metrics.drill_result.labels(drill.name).set(run.met)
            if run is not None and run.seconds is not None:
                metrics.drill_seconds.labels(drill.name).set(run.seconds)
