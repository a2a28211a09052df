"""Pages of incidents that waited for the same morning: one of them tells of all, and the others count as delivered with it.

Whether it really does is read from that one's incident each time: what its page does not list, or what did not reach the
person that way, is paged by itself.
"""

from __future__ import annotations

from datetime import timedelta

import structlog

from responder.engine.outbox import Done
from responder.incident.effects import SendMessage
from responder.incident.state import Incident
from responder.paging.told import (
    PATIENCE,
    Observe,
    Perform,
    Snapshot,
    Told,
    counts_as_delivered,
    told_by_page,
)
from responder.store.errors import StoreError
from responder.store.loaded import Attempt

log = structlog.get_logger(__name__)

_LOOK_AGAIN = timedelta(seconds=1)


class ListedPages:
    """Stands before the delivery of messages."""

    def __init__(self, deliver: Perform, snapshot: Snapshot, observe: Observe) -> None:
        self._deliver = deliver
        self._snapshot = snapshot
        self._observe = observe

    async def perform(self, attempt: Attempt) -> Done:
        """Deliver a message, unless another page has told its person of it."""
        effect = attempt.effect
        if not isinstance(effect, SendMessage) or not effect.listed_in:
            return await self._deliver(attempt)
        match await self._told(effect, waited=attempt.waited):
            case Told.YES:
                self._observe(effect.channel, "listed")
                return counts_as_delivered(effect, attempt, attempt.at, listed_in=effect.listed_in)
            case Told.NOT_YET:
                return Done(retry_in=_LOOK_AGAIN, begun=False)
            case Told.NO:
                return await self._deliver(attempt)

    async def _told(self, effect: SendMessage, *, waited: timedelta) -> Told:
        not_yet = Told.NOT_YET if waited < PATIENCE else Told.NO
        try:
            other = await self._snapshot(effect.listed_in)
        except StoreError as error:
            log.warning("cannot read the list", incident=effect.listed_in, error=str(error))
            return not_yet
        if other is None:
            return Told.NO
        if other.holds:
            return not_yet  # it is about to be decided as well
        told = told_by(other, effect)
        return not_yet if told is Told.NOT_YET else told


def told_by(other: Incident, effect: SendMessage) -> Told:
    """What an incident's own page to the same person says of another incident's."""
    waited = other.episode.waited
    if waited is None or not any(one.incident == effect.incident for one in waited.listed):
        return Told.NO
    return told_by_page(other, effect.contact)
