"""What looks at targets and what changes them, put together: the probes' runner and the actions with their gates."""

from __future__ import annotations

import msgspec

from responder.actions.book import ActionBook
from responder.actions.checker import ActionChecker
from responder.actions.desk import ActionDesk
from responder.actions.gates import Gates
from responder.actions.performer import ActionPerformer, ActionTools
from responder.actions.witness import Witness
from responder.curves.painter import Painter
from responder.engine.desk import Desk
from responder.incident.finding import Finding
from responder.incident.state import Incident
from responder.metrics import Metrics
from responder.rulebook import Rulebook
from responder.store.audit import Audit
from responder.store.charts import Charts
from responder.store.ledger import Ledger
from responder.store.reading import Reader
from responder.store.store import Store
from responder.targets.base import Toolbox
from responder.triage.base import ProbeTools
from responder.triage.neighbours import StoreNeighbours
from responder.triage.performer import circumstances_of
from responder.triage.runner import TriageRunner


class HandParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the hands are made of."""

    tools: Toolbox
    rulebook: Rulebook
    store: Store
    reader: Reader
    charts: Charts
    metrics: Metrics


class Diagnosis:
    """The runner of the rules in force; a reload makes a new one."""

    def __init__(self, parts: HandParts) -> None:
        self._rulebook = parts.rulebook
        self._metrics = parts.metrics
        self._charts = parts.charts
        self._painter = Painter(parts.rulebook.redact, parts.metrics.overflowed)
        neighbours = StoreNeighbours(parts.reader, lambda: parts.rulebook.rules)
        fields = {name: getattr(parts.tools, name) for name in Toolbox.__struct_fields__}
        self._tools = ProbeTools(neighbours=neighbours, painter=self._painter, **fields)
        self._runner: TriageRunner | None = None
        self._digest = ""
        self._former: list[TriageRunner] = []

    def runner(self) -> TriageRunner:
        """The probes of the rules in force."""
        rules = self._rulebook.rules
        if self._runner is None or rules.digest != self._digest:
            if self._runner is not None:
                self._former = [one for one in (*self._former, self._runner) if one.busy]
            self._digest = rules.digest
            self._runner = TriageRunner(
                rules.probes,
                self._tools,
                observe=lambda probe, outcome, seconds: self._metrics.probe_duration.labels(
                    probe, outcome
                ).observe(seconds),
                redact=self._rulebook.redact,
                keep_chart=self._charts.keep,
            )
        return self._runner

    async def look(self, probe: str, incident: Incident) -> Finding:
        """Run one probe for an incident now."""
        return await self.runner().look_now(probe, circumstances_of(incident))

    async def close(self) -> None:
        """End what probes are still under way."""
        for runner in (*self._former, *([self._runner] if self._runner else [])):
            await runner.close()
        self._painter.close()


class Actions:
    """The actions of the rules in force, behind their gates."""

    def __init__(self, parts: HandParts, diagnosis: Diagnosis) -> None:
        self._parts = parts
        self.book = ActionBook(lambda: parts.rulebook.rules, parts.tools)
        self._ledger = Ledger(parts.store)
        self._gates = Gates(self.book, self._ledger)
        self._witness = Witness(
            Audit(parts.store),
            redact=parts.rulebook.redact,
            observe=lambda action, outcome: parts.metrics.actions.labels(action, outcome).inc(),
        )
        tools = ActionTools(
            book=self.book,
            gates=self._gates,
            ledger=self._ledger,
            witness=self._witness,
            look=diagnosis.look,
        )
        self.performer = ActionPerformer(tools)
        self.checker = ActionChecker(tools)

    def desk(self, desk: Desk) -> ActionDesk:
        """People's way to them."""
        return ActionDesk(desk, self.book, self._gates, self._ledger, self._witness, self._parts.tools.clock)
