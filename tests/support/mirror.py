"""A daemon's intake, engine and comparing on the real store, beside Alertmanagers that a test drives, on a turned clock."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from clocks import Turned, TurnedClock
from fake_alertmanager import FakeAlertmanager, rfc
from world import World, settle

from responder.alerts import fingerprint
from responder.clock import SystemClock
from responder.config import AlertmanagerConfig, Config, HeartbeatConfig
from responder.engine.engine import Engine, EngineHooks
from responder.engine.outside import Elsewhere
from responder.engine.store_desk import StoreDesk
from responder.incident.effects import RunTriage, SettleDoubts
from responder.incident.message import MessageKind
from responder.incident.state import Incident
from responder.intake.heartbeats import Heartbeats
from responder.intake.intake import Intake, IntakeHooks
from responder.intake.webhook import decode
from responder.metrics import Metrics
from responder.rules.compile import Compiled, Timing
from responder.rules.load import Surroundings, load
from responder.store.comparison import Comparison
from responder.store.group_commit import GroupCommit
from responder.store.reading import Reader
from responder.store.store import Store
from responder.upstream import Upstream, UpstreamParts

RULES = """
severities:
  P1: {respond_within: 15m, escalate: {secondary: 5m, executive: 15m}}
  P3: {respond_within: 4h}
escalation:
  database: {primary: dbteam, secondary: platform, executive: cto}
  platform: {primary: platform}
rules:
  - name: database
    match: ['service="database"']
    severity: {label: severity, map: {critical: P1, warning: P3}, default: P1}
    service: database
    group_by: [cluster]
default: {severity: P3, service: platform}
"""
DB = {"alertname": "TooManyConnections", "service": "database", "cluster": "a", "severity": "critical"}
MINUTE = timedelta(minutes=1)
SENDER = "http://alertmanager.example:9093"


class Mirror:
    """One replica."""

    def __init__(
        self,
        store: Store,
        turned: TurnedClock,
        rules: Compiled,
        config: Config,
        session: aiohttp.ClientSession,
    ) -> None:
        self.store, self.turned, self.rules, self.config = store, turned, rules, config
        self.reader = Reader(store)
        self.clock = Turned(turned)
        self.metrics = Metrics()
        self.metrics.begin((), (), ())
        self.world = World(random.Random(1))
        self.book = Comparison(store)
        self.upstream = Upstream(
            UpstreamParts(
                config=config, store=store, reader=self.reader, session=session, clock=self.clock,
                metrics=self.metrics, rules=lambda: self.rules,
            )
        )  # fmt: skip
        self.engine = Engine(
            store,
            lambda: self.rules,
            self.world.performers(store),
            queues={"chat": 4, RunTriage.QUEUE: 4, SettleDoubts.QUEUE: 2},
            hooks=EngineHooks(elsewhere=Elsewhere(holds=self.upstream.holds)),
            chance=random.Random(1),
        )
        self.commits = GroupCommit(store.ingest, self.engine.took)
        self.intake = Intake(
            self.commits,
            self.reader,
            lambda: self.rules,
            self.metrics,
            Heartbeats(config.heartbeats),
            IntakeHooks(met=self.upstream.met),
        )
        reconciler = self.upstream.reconciler(self.intake, self.engine)
        assert reconciler is not None
        self.reconciler = reconciler
        self.desk = StoreDesk(store, self.reader, self.engine.decide_now)
        self.silences = self.upstream.desk(self.desk)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self.engine.run()), asyncio.create_task(self.commits.run())]
        await asyncio.sleep(0)

    async def stop(self) -> None:
        """What is due is done first: a fact that waits has no expiry."""
        if self._tasks and not self._tasks[0].done():
            await settle(self.engine)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def webhook(
        self, *alerts: dict[str, Any], sender: str = SENDER, receiver: str = "responder"
    ) -> None:
        """What an Alertmanager posts; without a sender it is somebody's script."""
        body = {
            "version": "4", "groupKey": "{}:{}" if sender else "", "receiver": receiver, "externalURL": sender,
            "truncatedAlerts": 0, "alerts": alerts,
        }  # fmt: skip
        await self.intake.take(decode(json.dumps(body).encode()))
        await settle(self.engine)

    def alert(
        self,
        labels: Mapping[str, str] | None = None,
        *,
        resolved: bool = False,
        since: str | None = None,
        **more: str,
    ) -> dict[str, Any]:
        """One alert of a webhook."""
        labels = {**(labels or {}), **more}
        return {
            "status": "resolved" if resolved else "firing", "labels": labels, "annotations": {},
            "startsAt": since or rfc(self.clock.now()),
            "endsAt": rfc(self.clock.now()) if resolved else "0001-01-01T00:00:00Z",
            "generatorURL": "", "fingerprint": fingerprint(labels),
        }  # fmt: skip

    async def told(self, peer: FakeAlertmanager, labels: Mapping[str, str] | None = None, **more: str) -> str:
        """An alert fires, and its webhook arrives."""
        labels = {**(labels or {}), **more}
        name = peer.fire(labels)
        await self.webhook(self.alert(labels, since=peer.alerts[name]["startsAt"]))
        return name

    async def look(self, times: int = 1, *, apart: timedelta = MINUTE) -> None:
        """Compare so many times, a minute apart."""
        for number in range(times):
            if number:
                await self.wait(apart)
            await self.reconciler.once()
            await settle(self.engine)

    async def wait(self, span: timedelta, step: timedelta = timedelta(seconds=30)) -> None:
        """Let time pass."""
        left = span
        while left > timedelta(0):
            self.turned.turn(seconds=min(left, step).total_seconds())
            left -= step
            await settle(self.engine)

    async def incidents(self) -> list[Incident]:
        """All of them, oldest first."""
        ids = await self.reader.ids("all", "+inf", 1_000)
        return await self.reader.snapshots([one for one, _ in reversed(ids)])

    async def incident(self) -> Incident:
        """The only one."""
        (one,) = await self.incidents()
        return one

    async def lines(self, incident: Incident) -> list[str]:
        """Its time line."""
        return [entry.text for entry in await self.reader.timeline(incident.id)]

    def paged(self) -> list[str]:
        """Who was paged, in order."""
        pages = {MessageKind.PAGE, MessageKind.REMINDER}
        return [sent.effect.contact for sent in self.world.sent if sent.effect.kind in pages]

    def texts(self) -> list[str]:
        """What was said in updates."""
        return [sent.effect.text for sent in self.world.sent if sent.effect.text]

    def changes(self) -> dict[str, int]:
        """What comparing has changed, by the metric."""
        return {
            sample.labels["kind"]: int(sample.value)
            for metric in self.metrics.reconcile_changes.collect()
            for sample in metric.samples
            if sample.name.endswith("_total") and sample.value
        }


def compiled(folder: Path, text: str = RULES) -> Compiled:
    """Rules of a file, as the daemon has them."""
    file = folder / "rules.yaml"
    file.write_text(text)
    loaded = load([str(file)], Surroundings())
    assert loaded.raw is not None, loaded.problems
    return Compiled(loaded.raw, Timing(channels=("chat",)))


@contextlib.asynccontextmanager
async def mirrored(
    store: Store,
    turned: TurnedClock,
    rules: Compiled,
    peers: Sequence[FakeAlertmanager | str],
    *,
    heartbeats: tuple[HeartbeatConfig, ...] = (),
    **settings: Any,
) -> AsyncIterator[Mirror]:
    """A replica that compares with these peers."""
    urls = tuple(one if isinstance(one, str) else one.url for one in peers)
    section = AlertmanagerConfig(urls=urls, **{"timeout": timedelta(seconds=4), **settings})
    config = Config(alertmanager=section, heartbeats=heartbeats, external_url="https://responder.example")
    async with aiohttp.ClientSession() as session:
        one = Mirror(store, turned, rules, config, session)
        await one.start()
        try:
            yield one
        finally:
            await one.stop()


def moment(turned: TurnedClock) -> datetime:
    """The turned clock's now."""
    return SystemClock().now() + timedelta(milliseconds=turned.ms)
