"""The real engine, store, gates and ledger around one lever; probes answer what the test says."""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import timedelta
from typing import Any

import aiohttp
import lever as levers
import msgspec
from lever import LeverSettings
from waiting import until
from world import OneRow, World, firing, settle

from responder.actions.base import ActionSettings
from responder.actions.book import ActionBook
from responder.actions.checker import ActionChecker
from responder.actions.desk import ActionDesk, Asked, Person, Wanted
from responder.actions.gates import Gates
from responder.actions.performer import ActionPerformer, ActionTools
from responder.actions.witness import Witness
from responder.clock import Clock
from responder.config import HttpTarget, Targets
from responder.engine.engine import Engine
from responder.engine.outbox import Performer
from responder.engine.store_desk import StoreDesk
from responder.incident.action import ActionRole, ActionRun, RunKind
from responder.incident.decision import Entry
from responder.incident.effects import CheckAction, Effect, RunAction, RunTriage, SettleDoubts
from responder.incident.finding import Finding, FindingStatus
from responder.incident.opening import Opening
from responder.incident.severity import Severity
from responder.incident.state import Incident
from responder.rules.model import ActionDefinition, Runbook
from responder.store.audit import Audit
from responder.store.ledger import Ledger
from responder.store.reading import Reader
from responder.store.store import Store, to_ms
from responder.targets.base import Toolbox

LIMIT = timedelta(seconds=30)
ANA = Person(name="ana", role=ActionRole.RESPONDER, via="api")
ROOT = Person(name="root", role=ActionRole.ADMIN, via="api")


class LeverRules(OneRow):
    """One runbook that offers the lever; ``other`` is an action on the same lever, under another name."""

    def __init__(self, settings: ActionSettings, *, automatic: bool = False) -> None:
        super().__init__()
        self.digest = f"{settings!r}"
        self.actions = {
            name: ActionDefinition(name=name, type="lever", settings=settings)
            for name in ("pull", "other", "unoffered")
        }
        self.runbooks = {"rb": Runbook(name="rb", offer=("pull", "other"))}
        self.automatic = frozenset({"pull"}) if automatic else frozenset()


class ActionWorld:
    """One replica (or several, over one store) with the lever."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        session: aiohttp.ClientSession,
        settings: LeverSettings,
        *,
        automatic: bool = False,
    ) -> None:
        levers.LEVER.__init__()  # type: ignore[misc]
        self.lever = levers.LEVER
        self.store, self.reader = store, Reader(store)
        self.finding = Finding(probe="gauge", status=FindingStatus.CRITICAL, headline="97 of 100 used")
        self.counted: list[tuple[str, str]] = []
        self.world = World(random.Random(1))
        self.rules = LeverRules(settings, automatic=automatic)
        self.audit, self.ledger = Audit(store), Ledger(store)
        targets = Targets(http={"main": HttpTarget(url="http://127.0.0.1:1", allow=("lever/brake",))})
        self.book = ActionBook(lambda: self.rules, Toolbox(targets=targets, session=session, clock=clock))
        gates = Gates(self.book, self.ledger)
        witness = Witness(
            self.audit, redact=lambda text: text.replace("hunter2", "<redacted>"),
            observe=lambda name, outcome: self.counted.append((name, outcome)),
        )  # fmt: skip
        self.tools = ActionTools(
            book=self.book, gates=gates, ledger=self.ledger, witness=witness, look=self._look
        )
        self.hang_before = self.waiting = False
        self.go = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.engine = self.replica()
        self.desk = StoreDesk(store, self.reader, self.engine.decide_now)
        self.people = ActionDesk(self.desk, self.book, gates, self.ledger, witness, clock)

    async def until_looking(self) -> None:
        """A look has begun, and does not end before ``go`` is set."""
        await until(lambda: self.waiting)

    def forget_rule(self, name: str) -> None:
        """The rule files are loaded anew, without this action."""
        self.rules.actions = {key: one for key, one in self.rules.actions.items() if key != name}
        self.rules.digest += f" without {name}"

    async def rise(self) -> None:
        """A replica starts, and does what is due."""
        self.engine = self.replica()
        self.desk = StoreDesk(self.store, self.reader, self.engine.decide_now)
        self._task = asyncio.create_task(self.engine.run())
        await asyncio.sleep(0)
        await settle(self.engine)

    async def die(self) -> None:
        """The replica ends in the middle of whatever it does."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def see(self, status: FindingStatus, headline: str) -> None:
        """What every probe sees from now on."""
        self.finding = Finding(probe="gauge", status=status, headline=headline)

    async def _look(self, probe: str, incident: Incident) -> Finding:
        if self.hang_before:
            self.waiting = True
            await self.go.wait()
        return msgspec.structs.replace(self.finding, probe=probe)

    def replica(self) -> Engine:
        performers: dict[type[Effect], Performer] = {
            **self.world.performers(self.store),
            RunAction: Performer(perform=ActionPerformer(self.tools).perform, limit=LIMIT),
            CheckAction: Performer(perform=ActionChecker(self.tools).perform, limit=LIMIT),
        }
        queues = {"chat": 4, RunTriage.QUEUE: 4, SettleDoubts.QUEUE: 2, RunAction.QUEUE: 4}
        return Engine(self.store, lambda: self.rules, performers, queues=queues, chance=random.Random(1))

    async def fire(self, number: int = 1) -> str:
        """An incident of the runbook; its id."""
        write = list(firing(number, to_ms(await self.store.now())))
        opening = Opening(
            rule="r", service="database", service_label="database", severity=Severity.P1, runbook="rb"
        )
        write[6] = msgspec.json.encode(opening).decode()
        taken = await self.store.ingest([tuple(write)])  # type: ignore[list-item]
        self.engine.took(taken)
        await settle(self.engine)
        return taken.opened[0]

    async def ask(
        self,
        incident: str,
        name: str = "pull",
        kind: RunKind = RunKind.PERFORM,
        person: Person = ANA,
        **more: Any,
    ) -> Asked:
        asked = await self.people.ask(incident, Wanted(name=name, kind=kind), person, **more)
        await settle(self.engine)
        return asked

    async def incident(self, incident: str) -> Incident:
        found = await self.reader.snapshot(incident)
        assert found is not None
        return found

    async def runs(self, incident: str) -> list[ActionRun]:
        return list((await self.incident(incident)).actions)

    async def last_or_none(self, incident: str) -> ActionRun | None:
        runs = await self.runs(incident)
        return runs[-1] if runs else None

    async def last(self, incident: str) -> ActionRun:
        return (await self.runs(incident))[-1]

    async def timeline(self, incident: str) -> list[Entry]:
        return await self.reader.timeline(incident)
