"""What people may ask of actions: what is offered, to do it, to switch all of it off, and what was done."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from responder.actions.book import ActionBook, Offer
from responder.actions.gates import Ask, Gates, Refusal
from responder.actions.witness import Witness
from responder.clock import Clock
from responder.engine.desk import Answer, Desk, Outcome
from responder.incident.action import ActionRole, RunKind
from responder.incident.action_facts import ActionDenied, ActionRequested
from responder.incident.audit import AuditEntry, AuditPage
from responder.incident.state import Incident
from responder.store.errors import AuditChangedError, StoreError
from responder.store.ledger import KillSwitch, Ledger


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, over what, and the role that they have for actions (``None``: they may only look)."""

    name: str
    role: ActionRole | None
    via: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wants of an action."""

    name: str
    kind: RunKind = RunKind.PERFORM
    note: str = ""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it: refused at the door, or recorded."""

    refusal: Refusal | None = None
    answer: Answer | None = None


class SwitchedOff(msgspec.Struct, frozen=True, kw_only=True):
    """Actions are off; ``warning`` says why the audit does not tell of it, empty where it does."""

    switch: KillSwitch
    warning: str = ""


class ActionDesk:
    """People's way to actions. Every call raises ``StoreError`` where the store is away."""

    def __init__(
        self, desk: Desk, book: ActionBook, gates: Gates, ledger: Ledger, witness: Witness, clock: Clock
    ) -> None:
        self._desk = desk
        self._book = book
        self._gates = gates
        self._ledger = ledger
        self._witness = witness
        self._clock = clock

    def offers(self, incident: Incident) -> tuple[Offer, ...]:
        """What the incident's runbook offers, and what exactly would happen."""
        return self._book.offers(incident)

    async def ask(
        self,
        incident_id: str,
        wanted: Wanted,
        person: Person,
        *,
        idempotency_key: str | None = None,
        digest: str = "",
    ) -> Asked:
        """Have an action performed, rehearsed or taken back. What the first gates refuse is answered at once."""
        detail = await self._desk.incident(incident_id, alerts=1)
        if detail is None:
            return Asked(answer=Answer(outcome=Outcome.UNKNOWN))
        ask = Ask(
            name=wanted.name, kind=wanted.kind, by=person.name, role=person.role, automatic=False,
            incident=detail.incident,
        )  # fmt: skip
        refusal = await self._gates.at_the_door(ask)
        if refusal is not None:
            # Who may only look must not be able to push out of the audit what others did.
            if person.role is not None:
                await self._deny(incident_id, wanted, person, refusal)
            return Asked(refusal=refusal)
        fact = ActionRequested(
            at=self._clock.now(), by=person.name, via=person.via, note=wanted.note, name=wanted.name,
            kind=wanted.kind, role=person.role or ActionRole.RESPONDER,
        )  # fmt: skip
        answer = await self._desk.record(
            incident_id, fact, idempotency_key=idempotency_key, request_digest=digest
        )
        return Asked(answer=answer)

    async def _deny(self, incident_id: str, wanted: Wanted, person: Person, refusal: Refusal) -> None:
        gate, reason = refusal
        now = self._clock.now()
        entry = AuditEntry(
            number=0, at=now, event="denied", by=person.name, incident=incident_id, action=wanted.name,
            text=f"{gate}: {reason}",
        )  # fmt: skip
        with suppress(AuditChangedError):  # the log has it then; who asks is refused all the same
            await self._witness.note(entry)
        fact = ActionDenied(
            at=now, by=person.name, via=person.via, name=wanted.name, gate=gate, reason=reason
        )
        await self._desk.record(incident_id, fact)

    async def kill_switch(self) -> KillSwitch | None:
        """Who switched actions off; ``None`` where they are on."""
        return await self._ledger.kill_switch()

    async def switch_off(self, by: str, note: str) -> SwitchedOff:
        """No action is performed any more, by anybody, on any replica, until somebody switches them on.

        That holds even where it cannot be written into the audit.
        """
        switch = KillSwitch(by=by, at=self._clock.now(), note=note)
        await self._ledger.set_kill_switch(switch)
        entry = AuditEntry(number=0, at=switch.at, event="switched off", by=by, text=note)
        try:
            await self._witness.note(entry)
        except StoreError as error:
            return SwitchedOff(
                switch=switch, warning=f"actions are off, and the audit does not tell of it: {error}"
            )
        return SwitchedOff(switch=switch)

    async def switch_on(self, by: str, note: str) -> None:
        """Actions go on; never without an entry in the audit."""
        await self._witness.note(
            AuditEntry(number=0, at=self._clock.now(), event="switched on", by=by, text=note)
        )
        await self._ledger.set_kill_switch(None)

    async def audit(self, *, after: int) -> AuditPage:
        """A part of the audit, oldest first."""
        return await self._witness.page(after=after)
