"""The gates before an action, in their order. Each refuses with a reason of its own; the first that does ends it.

The first three need nothing but the incident and the kill switch, so a person hears of them at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TypeVar

import msgspec

from responder.actions.base import ActionError, Plan, Wish
from responder.actions.book import ActionBook, Known, not_listed
from responder.incident.action import ActionRole, Approval, Gate, RunKind
from responder.incident.finding import Finding
from responder.incident.state import Incident
from responder.parameters import ParameterError
from responder.store.ledger import KillSwitch, Ledger, Terms
from responder.targets.base import TargetError

#: Beyond the time that its effect may take, an object is held for so long.
_HELD_BEYOND = timedelta(minutes=2)
#: A rehearsal, and the question whether something is under way, end within this.
_ASKED_WITHIN = timedelta(seconds=10)

T = TypeVar("T")
Refusal = tuple[Gate, str]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants what of an action, for which incident."""

    name: str
    kind: RunKind
    by: str
    role: ActionRole | None
    automatic: bool
    incident: Incident


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """One run on its way through the gates. ``look`` runs a probe now, for the incident's circumstances."""

    ask: Ask
    wish: Wish
    known: Known
    plan: Plan
    undo: Mapping[str, str] | None
    look: Callable[[str], Awaitable[Finding]]

    @property
    def key(self) -> str:
        """The object's name in the ledger."""
        return self.known.key(self.plan)


class Gates:
    """Asks each gate in turn."""

    def __init__(self, book: ActionBook, ledger: Ledger) -> None:
        self._book = book
        self._ledger = ledger

    async def at_the_door(self, ask: Ask) -> Refusal | None:
        """The gates that need only the incident: kill switch, offered, role."""
        return _kill_switch(await self._ledger.kill_switch()) or self._offered(ask) or self._role(ask)

    async def all(self, passage: Passage) -> tuple[Refusal | None, str]:
        """Every gate; the refusal where there is one, and what the rehearsal said.

        A run that is let through holds its object, and so may one that is refused last: whoever asked gives it back. A
        rehearsal stops before it would have to.
        """
        refusal = await self.at_the_door(passage.ask) or self._allow_list(passage)
        if refusal is not None:
            return refusal, ""
        refusal, rehearsed = await _dry_run(passage)
        if refusal is not None:
            return refusal, ""
        refusal = await _precondition(passage)
        if refusal is not None or passage.ask.kind is RunKind.REHEARSE:
            return refusal, rehearsed
        return await self._admitted(passage), rehearsed

    def _offered(self, ask: Ask) -> Refusal | None:
        if ask.name not in ask.incident.offers:
            return Gate.OFFERED, f"the incident's runbook does not offer {ask.name}"
        if self._book.get(ask.name) is None:
            return Gate.OFFERED, f"no rule file defines the action {ask.name} any more"
        return None

    def _role(self, ask: Ask) -> Refusal | None:
        known = self._book.get(ask.name)
        if known is None:
            return None
        if ask.automatic:
            if known.settings.approval is Approval.AUTOMATIC:
                return None
            return Gate.ROLE, "the rules do not approve it any more: a person must"
        needed = known.settings.role
        if ask.role is None or (needed is ActionRole.ADMIN and ask.role is not ActionRole.ADMIN):
            return Gate.ROLE, f"it needs the role {needed}"
        return None

    def _allow_list(self, passage: Passage) -> Refusal | None:
        if self._book.may_change(passage.known, passage.plan):
            return None
        return Gate.ALLOW_LIST, not_listed(passage.known, passage.plan)

    async def _admitted(self, passage: Passage) -> Refusal | None:
        """Limits, cooldown and the place on the object; then whether something else is under way on it."""
        settings, run = passage.known.settings, passage.wish.run
        undoing = passage.ask.kind is RunKind.UNDO
        terms = Terms(
            count=0 if undoing else settings.limit.count,
            per=settings.limit.per,
            cooldown=settings.cooldown,
            give_up_after=settings.give_up_after,
            hold=settings.verify_within + _HELD_BEYOND,
        )
        refusal = await self._ledger.admit(passage.key, run, terms)
        if refusal is not None:
            return refusal
        return await _busy(passage)


def _kill_switch(switch: KillSwitch | None) -> Refusal | None:
    if switch is None:
        return None
    note = f": {switch.note}" if switch.note else ""
    return (
        Gate.KILL_SWITCH,
        f"actions were switched off by {switch.by} at {switch.at:%Y-%m-%d %H:%M} UTC{note}",
    )


async def _in_time(passage: Passage, asked: Awaitable[T]) -> T:
    limit = min(passage.known.settings.timeout, _ASKED_WITHIN)
    async with asyncio.timeout(limit.total_seconds()):
        return await asked


async def _dry_run(passage: Passage) -> tuple[Refusal | None, str]:
    """What the other side says without doing it; taking back needs no rehearsal."""
    if passage.ask.kind is RunKind.UNDO:
        return None, ""
    try:
        return None, await _in_time(passage, passage.known.action.rehearse(passage.wish))
    except (ActionError, TargetError, ParameterError) as error:
        return (Gate.DRY_RUN, str(error)), ""
    except TimeoutError:
        return (Gate.DRY_RUN, "no answer in time"), ""


async def _precondition(passage: Passage) -> Refusal | None:
    condition = passage.known.settings.precondition
    if condition is None or passage.ask.kind is RunKind.UNDO:
        return None
    finding = await passage.look(condition.probe)
    if finding.status in condition.status:
        return None
    wanted = " or ".join(condition.status)
    return (
        Gate.PRECONDITION,
        f"{condition.probe} is {finding.status} ({finding.headline}); it is done only where that is {wanted}",
    )


async def _busy(passage: Passage) -> Refusal | None:
    try:
        going = await _in_time(passage, passage.known.action.busy(passage.wish))
    except (TargetError, ParameterError) as error:
        return Gate.UNDER_WAY, f"it cannot be told whether something is under way: {error}"
    except TimeoutError:
        return Gate.UNDER_WAY, "it cannot be told in time whether something is under way"
    return (Gate.UNDER_WAY, going) if going else None
