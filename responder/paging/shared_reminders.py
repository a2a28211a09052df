"""One reminder for all that was taken with a digest: the first of its incidents to remind a person stands for the others.

Which one that is, is not settled beforehand: the incident that carried the digest may be over long before the others are.
Where the store does not answer at once, the reminder leaves.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from responder.engine.outbox import Done
from responder.incident.effects import SendMessage
from responder.incident.message import MessageKind, Wanted
from responder.incident.severity import Severity
from responder.incident.state import Acknowledged, Incident, PageStatus
from responder.paging.told import ASK_LIMIT, PATIENCE, Observe, Perform, Snapshot, Told, counts_as_delivered
from responder.store.digests import Reminders
from responder.store.errors import StoreError
from responder.store.loaded import Attempt

log = structlog.get_logger(__name__)

_LOOK_AGAIN = timedelta(seconds=1)


class SharedReminders:
    """Stands before the delivery of messages."""

    def __init__(self, deliver: Perform, reminders: Reminders, snapshot: Snapshot, observe: Observe) -> None:
        self._deliver = deliver
        self._reminders = reminders
        self._snapshot = snapshot
        self._observe = observe

    async def perform(self, attempt: Attempt) -> Done:
        """Deliver a message, unless another incident of the same digest has just reminded its person."""
        effect, incident = attempt.effect, attempt.snapshot
        if (
            not isinstance(effect, SendMessage)
            or incident is None
            or not (digest := _digest(effect, incident))
        ):
            return await self._deliver(attempt)
        try:
            async with asyncio.timeout(ASK_LIMIT):
                first, told = await self._told(digest, effect, incident)
        except (StoreError, TimeoutError) as error:
            log.warning(
                "cannot ask for the reminder of others; it is sent",
                page=effect.page,
                error=str(error) or "time-out",
            )
            return await self._deliver(attempt)
        if told is Told.YES:
            self._observe(effect.channel, "folded")
            return counts_as_delivered(effect, attempt, attempt.at, first)
        if told is Told.NOT_YET and attempt.waited < PATIENCE:
            return Done(retry_in=_LOOK_AGAIN, begun=False)
        return await self._deliver(attempt)

    async def _told(self, digest: str, effect: SendMessage, incident: Incident) -> tuple[str, Told]:
        """Which one reminds, and whether that has reached the person; where it did not, this one does."""
        what = (digest, effect.contact, effect.channel)
        pause = incident.promise.acknowledgement.remind_after or PATIENCE
        first = await self._reminders.first(what, incident.id, pause / 2)
        if first == incident.id:
            return first, Told.NO
        other = await self._snapshot(first)
        told = Told.NO if other is None else _reminded_by(other, effect)
        if told is Told.NO:
            await self._reminders.take(what, incident.id, pause / 2)
        return first, told


def _digest(effect: SendMessage, incident: Incident) -> str:
    """The digest with which the incident was taken, its own included; nothing where it reminds by itself."""
    state = incident.state
    if (
        effect.kind is not MessageKind.REMINDER
        or effect.wanted is not Wanted.ACKNOWLEDGED
        or incident.severity is Severity.P1
        or not isinstance(state, Acknowledged)
    ):
        return ""
    return state.digest or (incident.id if incident.digest is not None else "")


def _reminded_by(other: Incident, effect: SendMessage) -> Told:
    """What became of the last reminder of another incident to the same person over the same channel."""
    asked = [
        page
        for page in other.pages
        if (page.contact, page.channel, page.wanted) == (effect.contact, effect.channel, Wanted.ACKNOWLEDGED)
    ]
    if not asked or not asked[-1].live or asked[-1].told_in:
        return Told.NO
    return Told.YES if asked[-1].status is PageStatus.DELIVERED else Told.NOT_YET
