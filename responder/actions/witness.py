"""Writes down what happens to actions: in the audit, which nobody can change unseen, and in the metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from responder.actions.base import Plan
from responder.actions.book import Known
from responder.incident.audit import AuditEntry
from responder.incident.effects import CheckAction, RunAction
from responder.store.audit import Audit
from responder.text import one_line

_TEXT_LIMIT = 400
#: What is no outcome of its own, but a note before or after one.
_NOTES = frozenset({"performing", "looked at", "out of sight"})


class On(Protocol):
    """What a run is on: an action, and the object that its plan names."""

    @property
    def known(self) -> Known:
        """The action."""
        ...

    @property
    def plan(self) -> Plan:
        """What it does to what."""
        ...


class Witness:
    """One place that tells the audit and the metrics the same."""

    def __init__(
        self, audit: Audit, *, redact: Callable[[str], str], observe: Callable[[str, str], None]
    ) -> None:
        """``observe`` is told the action's name and the outcome."""
        self._audit = audit
        self._redact = redact
        self._observe = observe

    def clean(self, text: str) -> str:
        """What a target said, on one line, bounded and without secrets."""
        return one_line(self._redact(text), _TEXT_LIMIT)

    async def write(
        self, effect: RunAction | CheckAction, event: str, at: datetime, text: str, on: On | None = None
    ) -> None:
        """An entry about a run, and the object that it is ``on``.

        Raises:
            StoreError: what cannot be written down is not done.
        """
        entry = AuditEntry(
            number=0, at=at, event=event, by=effect.by if isinstance(effect, RunAction) else "",
            incident=effect.incident, run=effect.run, action=effect.name,
            target=f"{on.known.kind}/{on.known.settings.target}" if on is not None else "",
            object=on.plan.object if on is not None else "", text=self.clean(text),
        )  # fmt: skip
        await self._audit.append(entry)
        if event not in _NOTES:
            self._observe(effect.name, event)

    async def note(self, entry: AuditEntry) -> None:
        """An entry that is not about a run."""
        await self._audit.append(entry)

    async def entries(self, *, after: int, limit: int) -> Sequence[AuditEntry]:
        """What was written down, oldest first."""
        return await self._audit.entries(after=after, limit=limit)
