"""Replicas on the real store with everything that holds pages back: rules from text, a turned clock, recorded messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from world import Sent, World

from responder.alerts import Alert, AlertStatus, fingerprint
from responder.catalogue import catalogue
from responder.engine.engine import Engine, EngineHooks
from responder.engine.outbox import Done, Performer
from responder.engine.outside import Elsewhere
from responder.engine.passing import Passer
from responder.holding.keeper import Keeper, KeeperHooks
from responder.incident.decision import Decision
from responder.incident.effects import Effect, PassOn, RunTriage, SendMessage, SendNotice, SettleDoubts
from responder.incident.opening import Opening
from responder.incident.state import Incident
from responder.paging.listed import ListedPages
from responder.rules.compile import Compiled, Timing
from responder.rules.load import Surroundings as RuleSurroundings
from responder.rules.load import load
from responder.store.loaded import Attempt
from responder.store.reading import Reader
from responder.store.store import AlertWrite, Store, to_ms
from responder.store.surroundings import Surroundings
from responder.store.windows import Windows

#: Rules whose service and severity are labels, with a row for each service.
BASE = """
severities: {P1: {respond_within: 15m}, P2: {respond_within: 1h}, P3: {respond_within: 4h}, P4: {respond_within: 24h}}
escalation:
  database: {primary: dbteam, secondary: platform, executive: cto}
  api: {primary: backend, secondary: platform, executive: cto}
  dashboards: {primary: frontend, secondary: analytics, executive: cto}
  platform: {primary: platform}
rules:
  - name: all
    match: ['alertname=~".+"']
    severity: {label: severity, map: {P1: P1, P2: P2, P3: P3, P4: P4}, default: P3}
    service: {label: service, default: platform}
    group_by: [alertname, service, cluster]
"""


def rules_of(folder: Path, text: str = "", **timing: timedelta) -> Compiled:
    """The rules above and these, compiled."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "a.yaml").write_text(BASE)
    (folder / "b.yaml").write_text(text)
    found = load([str(folder)], RuleSurroundings(catalogue=catalogue()))
    assert found.raw is not None, [str(one) for one in found.problems]
    return Compiled(found.raw, Timing(channels=("chat",), **timing))  # type: ignore[arg-type]


def alert(name: str, service: str, severity: str = "P2", **labels: str) -> Alert:
    known = {"alertname": name, "service": service, "severity": severity, **labels}
    return Alert(
        fingerprint=fingerprint(known), status=AlertStatus.FIRING, labels=known,
        annotations={"summary": f"{name} of {service}"}, starts_at=datetime.fromisoformat("2026-11-24T03:00:00Z"),
    )  # fmt: skip


class Held:
    """A replica that can die and come back; its rules can be changed under it."""

    def __init__(
        self, store: Store, world: World, rules: Compiled, who: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.store, self.world, self.rules = store, world, rules
        self.notices: list[SendNotice] = []
        self.observed: list[tuple[str, str]] = []
        self._who = who or {}
        self._task: asyncio.Task[None] | None = None
        self._make()

    def _make(self) -> None:
        hooks = KeeperHooks(who=self.who, look_at=self._look_at)
        self.keeper = Keeper(
            lambda: self.rules, Surroundings(self.store), Windows(self.store), Reader(self.store), hooks
        )
        elsewhere = Elsewhere(on_call=self.who, holds=self.keeper.holds, around=self.keeper.around)
        self.engine = Engine(
            self.store,
            lambda: self.rules,
            self._performers(),
            queues={"chat": 4, RunTriage.QUEUE: 4, SettleDoubts.QUEUE: 2, PassOn.QUEUE: 2},
            hooks=EngineHooks(decision=self._decided, elsewhere=elsewhere, held=self.rests),
        )

    def rests(self) -> bool:
        """Whether the engine rests."""
        return False

    def who(self, _names: Collection[str], _now: datetime) -> Mapping[str, Sequence[str]]:
        return self._who

    def _look_at(self, incident: str, urgent: bool) -> None:
        self.engine.look_at(incident, urgent=urgent)

    def _decided(self, decision: Decision) -> None:
        self.world.decisions.append(decision)
        self.keeper.heard(decision.incident)

    def _performers(self) -> dict[type[Effect], Performer]:
        listed = ListedPages(
            self.world.send, Reader(self.store).snapshot, lambda *what: self.observed.append(what)
        )

        async def notice(attempt: Attempt) -> Done:
            assert isinstance(attempt.effect, SendNotice)
            self.notices.append(attempt.effect)
            return Done()

        limit = timedelta(seconds=10)
        return {
            **self.world.performers(self.store),
            SendMessage: Performer(perform=listed.perform, limit=limit),
            SendNotice: Performer(perform=notice, limit=limit),
            PassOn: Performer(perform=Passer(self.store, self._look_at).perform, limit=limit),
        }

    async def start(self) -> None:
        self._make()
        await self.keeper.look()
        self._task = asyncio.create_task(self.engine.run())
        await asyncio.sleep(0)

    async def die(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def fire(self, *alerts: Alert) -> None:
        """Take alerts, as the webhook does, and look at them at once."""
        now = to_ms(await self.store.now())
        self.engine.took(await self.store.ingest([self._firing(one, now) for one in alerts]))

    async def resolve(self, *alerts: Alert) -> None:
        now = to_ms(await self.store.now())
        writes: list[AlertWrite] = [(one.fingerprint, "R", now, now, 4, "", "", "") for one in alerts]
        self.engine.took(await self.store.ingest(writes))

    def _firing(self, one: Alert, now: int) -> AlertWrite:
        verdict = self.rules.match(one.labels)
        opening = Opening(
            rule=verdict.rule, service=verdict.service, service_label=verdict.service_label,
            severity=verdict.severity, group=verdict.group, drill=verdict.drill,
        )  # fmt: skip
        raw = msgspec.json.encode(one).decode()
        rank = verdict.severity.rank
        return one.fingerprint, "F", now, 0, rank, verdict.key, msgspec.json.encode(opening).decode(), raw


async def settled(*replicas: Held, rounds: int = 400) -> None:
    """Let every replica look and do all that is due now, until nothing is."""
    quiet = 0
    for _ in range(rounds):
        for one in replicas:
            await one.keeper.look()
            await one.engine.poll()
        await asyncio.sleep(0)
        if all(one.engine.idle for one in replicas):
            quiet += 1
            if quiet == 3:
                return
        else:
            quiet = 0
            await asyncio.sleep(0.001)


async def incidents(store: Store) -> dict[str, Incident]:
    """The incidents by their services; of several of one service the latest."""
    reader = Reader(store)
    found = await reader.snapshots([name for name, _ in await reader.ids("all", "+inf", 500)])
    return {one.service: one for one in reversed(found)}


def paged(world: World, of: Callable[[Sent], bool] = lambda _: True) -> list[str]:
    """Who was paged, in the order of sending."""
    return [
        f"{sent.effect.contact} {sent.effect.level}"
        for sent in world.sent
        if sent.effect.kind in ("page", "reminder") and of(sent)
    ]
