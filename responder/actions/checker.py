"""Performs :class:`CheckAction`: whether what was done has taken effect, and whether that has helped. Only looks."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec

from responder.actions.base import Plan, Progress, Wish
from responder.actions.book import Known
from responder.actions.performer import ActionTools
from responder.clock import Stopwatch
from responder.engine.outbox import Done
from responder.incident.action import RunKind
from responder.incident.action_facts import ActionSettled
from responder.incident.effects import CheckAction
from responder.incident.finding import FINDING_ORDER, Finding, FindingStatus
from responder.incident.state import Incident
from responder.parameters import ParameterError
from responder.store.ledger import Ending
from responder.store.loaded import Attempt
from responder.targets.base import TargetError

LOOK_AGAIN = timedelta(seconds=3)


class _Look(msgspec.Struct, frozen=True, kw_only=True):
    """One look at what was done."""

    effect: CheckAction
    incident: Incident
    known: Known
    plan: Plan
    watch: Stopwatch

    @property
    def late(self) -> bool:
        """Whether the time in which the effect may show is over."""
        return self.watch.now() >= self.effect.until


class ActionChecker:
    """Looks again and again until it is sure, or the time is up."""

    def __init__(self, tools: ActionTools) -> None:
        self._tools = tools

    async def perform(self, attempt: Attempt) -> Done:
        """One look."""
        effect, incident = attempt.expect(CheckAction), attempt.snapshot
        watch = Stopwatch(attempt.at)
        if incident is None:
            return Done()
        known = self._tools.book.get(effect.name)
        try:
            plan = known.action.plan(incident.labels) if known is not None else None
        except (TargetError, ParameterError):
            plan = None
        if known is None or plan is None:
            return await self._out_of_sight(effect, watch)
        look = _Look(effect=effect, incident=incident, known=known, plan=plan, watch=watch)
        return await self._look(look)

    async def _out_of_sight(self, effect: CheckAction, watch: Stopwatch) -> Done:
        text = "the rules have changed: it cannot be looked at any more"
        await self._tools.ledger.release(effect.run, "uncounted")
        await self._tools.witness.write(effect, "out of sight", watch.now(), text)
        fact = ActionSettled(at=watch.now(), run=effect.run, effective=False, seen=False, text=text)
        return Done(facts=(fact,))

    async def _look(self, look: _Look) -> Done:
        progress, text = await self._progress(look)
        if progress is Progress.PENDING and not look.late:
            return Done(retry_in=LOOK_AGAIN)
        if look.effect.unsure:
            return await self._looked_at(look, text)
        if progress is not Progress.DONE:
            return await self._settled(look, text, helped=False)
        finding = await self._verified(look)
        if finding is None:
            return await self._settled(look, text, helped=True)
        helped = better(finding.status, look.effect.before_status)
        if not helped and not look.late:
            return Done(retry_in=LOOK_AGAIN)
        return await self._settled(look, text, helped=helped, after=finding)

    async def _verified(self, look: _Look) -> Finding | None:
        """The verifying probe's finding just now; ``None`` where there is no such probe."""
        probe = self._tools.book.verifying_probe(look.known, look.incident)
        return await self._tools.look(probe, look.incident) if probe is not None else None

    async def _looked_at(self, look: _Look, text: str) -> Done:
        """Nobody saw it happen: what can be seen now is told, and the outcome stays unknown."""
        finding = await self._verified(look)
        after = finding.headline if finding is not None else ""
        now = look.watch.now()
        await self._tools.ledger.release(look.effect.run, "uncounted")
        await self._tools.witness.write(look.effect, "looked at", now, f"{text} {after}".strip(), look)
        fact = ActionSettled(at=now, run=look.effect.run, effective=False, text=text, after=after)
        return Done(facts=(fact,))

    async def _progress(self, look: _Look) -> tuple[Progress, str]:
        wish = Wish(
            run=look.effect.run, incident=look.incident.id, labels=look.incident.labels, now=look.watch.now()
        )
        clean = self._tools.witness.clean
        try:
            async with asyncio.timeout(look.known.settings.timeout.total_seconds()):
                settling = await look.known.action.settled(wish, look.effect.mark)
        except (TargetError, ParameterError) as error:
            return Progress.PENDING, clean(f"it cannot be looked at: {error}")
        except TimeoutError:
            return Progress.PENDING, "it cannot be looked at: no answer in time"
        return settling.progress, clean(settling.text)

    async def _settled(self, look: _Look, text: str, *, helped: bool, after: Finding | None = None) -> Done:
        """Give the object back and tell what came of it."""
        tools, effect, now = self._tools, look.effect, look.watch.now()
        ending = "effective" if helped else "ineffective"
        headline = after.headline if after is not None else ""
        without = await tools.ledger.release(effect.run, _counted(effect, helped=helped))
        await tools.witness.write(effect, ending, now, f"{text} {headline}".strip(), look)
        fact = ActionSettled(
            at=now, run=effect.run, effective=helped, text=text, after=headline, without_effect=without,
            worse=after is not None and worse(after.status, effect.before_status),
            given_up=effect.kind is RunKind.PERFORM and not helped and without >= look.known.settings.give_up_after,
        )  # fmt: skip
        return Done(facts=(fact,))


def _counted(effect: CheckAction, *, helped: bool) -> Ending:
    """Taking back says nothing of what the action is good for."""
    if effect.kind is RunKind.UNDO:
        return "uncounted"
    return "effective" if helped else "ineffective"


def better(after: FindingStatus, before: FindingStatus | None) -> bool:
    """Whether a probe's finding shows that it has helped: all is well, or it is less bad than before."""
    if after is FindingStatus.OK:
        return True
    return before is not None and FINDING_ORDER.index(after) > FINDING_ORDER.index(before) and after in _KNOWN


def worse(after: FindingStatus, before: FindingStatus | None) -> bool:
    """Whether a probe's finding is worse than before, where it has seen something both times."""
    if before not in _KNOWN or after not in _KNOWN:
        return False
    return FINDING_ORDER.index(after) < FINDING_ORDER.index(before)


#: States in which the probe has seen something; a probe that could not look proves nothing.
_KNOWN = frozenset({FindingStatus.OK, FindingStatus.WARNING, FindingStatus.CRITICAL})
