"""Performs :class:`RunAction`: through the gates, written down before and after, at most once.

A run is marked as begun in the store before anything is changed. Whoever finds that mark without an outcome knows only
that the change may have been made: it is looked at and never made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec
import structlog

from responder.actions.base import Performed, Wish
from responder.actions.book import ActionBook, Known
from responder.actions.gates import Ask, Gates, Passage, Refusal
from responder.actions.outcomes import Outcome, Outcomes
from responder.actions.witness import Witness
from responder.clock import Stopwatch
from responder.engine.outbox import Done
from responder.incident.action import Gate, RunKind
from responder.incident.action_facts import (
    ActionFailed,
    ActionPerformed,
    ActionRefused,
    ActionRehearsed,
    ActionUnknown,
)
from responder.incident.effects import RunAction
from responder.incident.finding import Finding
from responder.incident.state import Incident
from responder.parameters import ParameterError
from responder.store.ledger import Ledger
from responder.store.loaded import Attempt
from responder.targets.base import TargetError

log = structlog.get_logger(__name__)

_LOOK_AGAIN = timedelta(seconds=3)
_Ending = ActionRefused | ActionRehearsed | ActionPerformed | ActionFailed | ActionUnknown


class ActionTools(msgspec.Struct, frozen=True, kw_only=True):
    """What performing stands on. ``look`` runs a probe for an incident now."""

    book: ActionBook
    gates: Gates
    ledger: Ledger
    witness: Witness
    look: Callable[[str, Incident], Awaitable[Finding]]


class ActionPerformer:
    """One attempt at a time; what an attempt leaves behind is in the store."""

    def __init__(self, tools: ActionTools) -> None:
        self._tools = tools
        self._outcomes = Outcomes(tools.ledger)

    async def perform(self, attempt: Attempt) -> Done:
        """Bring a run through the gates and do it."""
        effect, incident = attempt.expect(RunAction), attempt.snapshot
        watch = Stopwatch(attempt.at)
        if incident is None:
            return Done()
        known = self._tools.book.get(effect.name)
        begun = await self._outcomes.of(effect.run)
        if begun is not None:
            return await self._begun_before(effect, known, watch, begun.outcome)
        if known is None:
            return await self._refused(effect, watch, (Gate.OFFERED, "no rule file defines it any more"))
        if attempt.at > effect.begin_by:
            return await self._too_late(effect, watch)
        return await self._through_the_gates(effect, incident, known, watch)

    async def _begun_before(
        self, effect: RunAction, known: Known | None, watch: Stopwatch, outcome: Outcome | None
    ) -> Done:
        """It was begun, and whoever did so did not come back to tell."""
        if outcome is not None:
            return Done(facts=(outcome,))
        reason = "whoever performed it was cut off before it could tell"
        return await self._ended(effect, _unknown(effect, known, watch, reason))

    async def _too_late(self, effect: RunAction, watch: Stopwatch) -> Done:
        await self._tools.ledger.release(effect.run, "never begun")
        reason = "it could not be begun in time; ask again"
        return await self._ended(effect, ActionFailed(at=watch.now(), run=effect.run, reason=reason))

    async def _through_the_gates(
        self, effect: RunAction, incident: Incident, known: Known, watch: Stopwatch
    ) -> Done:
        wish = Wish(run=effect.run, incident=incident.id, labels=incident.labels, now=watch.now())
        try:
            plan = known.action.plan(incident.labels)
        except (TargetError, ParameterError) as error:
            return await self._refused(effect, watch, (Gate.ALLOW_LIST, str(error)))
        passage = Passage(
            ask=Ask(
                name=effect.name, kind=effect.kind, by=effect.by, role=effect.role,
                automatic=effect.automatic, incident=incident,
            ),
            wish=wish, known=known, plan=plan, undo=effect.undo,
            look=lambda probe: self._tools.look(probe, incident),
        )  # fmt: skip
        refusal, rehearsed = await self._tools.gates.all(passage)
        if refusal is not None:
            return await self._refused(effect, watch, refusal, passage)
        if effect.kind is RunKind.REHEARSE:
            text = self._tools.witness.clean(rehearsed)
            return await self._ended(
                effect, ActionRehearsed(at=watch.now(), run=effect.run, text=text), passage
            )
        return await self._do(effect, passage, watch)

    async def _do(self, effect: RunAction, passage: Passage, watch: Stopwatch) -> Done:
        """Everything has let it through: write it down, mark it as begun, do it, keep what came of it."""
        tools = self._tools
        probe = tools.book.verifying_probe(passage.known, passage.ask.incident)
        before = await passage.look(probe) if probe is not None else None
        what = f"Undo: {passage.plan.text}" if effect.kind is RunKind.UNDO else passage.plan.text
        await tools.witness.write(effect, "performing", watch.now(), what, passage)
        start = await tools.ledger.begin(effect.run)
        if start == "switched off":
            refusal = await tools.gates.at_the_door(passage.ask)
            if refusal is not None:
                return await self._refused(effect, watch, refusal, passage)
        if start != "begun":  # somebody else has begun it, or actions are on again: the next look tells
            return Done(retry_in=_LOOK_AGAIN)
        fact = await self._change(effect, passage, watch, before)
        await self._outcomes.keep(effect.run, fact)
        if isinstance(fact, ActionFailed):
            await tools.ledger.release(effect.run, "undone")
        return await self._ended(effect, fact, passage)

    async def _change(
        self, effect: RunAction, passage: Passage, watch: Stopwatch, before: Finding | None
    ) -> Outcome:
        known, action = passage.known, passage.known.action
        try:
            async with asyncio.timeout(known.settings.timeout.total_seconds()):
                if effect.kind is RunKind.UNDO:
                    done: Performed = await action.undo(passage.wish, effect.undo or {})
                else:
                    done = await action.perform(passage.wish)
        except (TargetError, ParameterError) as error:
            return ActionFailed(at=watch.now(), run=effect.run, reason=self._tools.witness.clean(str(error)))
        except TimeoutError:
            return _unknown(effect, known, watch, "the other side did not answer in time")
        except Exception as error:  # noqa: BLE001 - whatever it was, the change may have been made
            log.warning("action broke off", action=effect.name, error=type(error).__name__)
            return _unknown(
                effect,
                known,
                watch,
                self._tools.witness.clean(f"it broke off: {type(error).__name__}: {error}"),
            )
        now = watch.now()
        return ActionPerformed(
            at=now,
            run=effect.run,
            text=self._tools.witness.clean(done.text),
            verify_until=now + known.settings.verify_within,
            before=before.headline if before is not None else "",
            before_status=before.status if before is not None else None,
            undo=dict(done.undo) if done.undo is not None else None,
            mark=dict(done.mark),
        )

    async def _refused(
        self, effect: RunAction, watch: Stopwatch, refusal: Refusal, passage: Passage | None = None
    ) -> Done:
        gate, reason = refusal
        await self._tools.ledger.release(effect.run, "never begun")
        fact = ActionRefused(
            at=watch.now(), run=effect.run, gate=gate, reason=self._tools.witness.clean(reason)
        )
        return await self._ended(effect, fact, passage)

    async def _ended(self, effect: RunAction, fact: _Ending, passage: Passage | None = None) -> Done:
        """Tell the audit, the metrics and the incident what came of it."""
        match fact:
            case ActionRefused(gate=gate, reason=reason):
                outcome, text = "refused", f"{gate}: {reason}"
            case ActionRehearsed(text=said):
                outcome, text = "rehearsed", said
            case ActionPerformed(text=said):
                outcome, text = "performed", said
            case ActionFailed(reason=reason):
                outcome, text = "failed", reason
            case ActionUnknown(reason=reason):
                outcome, text = "unknown", reason
        await self._tools.witness.write(effect, outcome, fact.at, text, passage)
        return Done(facts=(fact,))


def _unknown(effect: RunAction, known: Known | None, watch: Stopwatch, reason: str) -> ActionUnknown:
    now = watch.now()
    within = known.settings.verify_within if known is not None else timedelta(0)
    return ActionUnknown(at=now, run=effect.run, reason=reason, verify_until=now + within)
