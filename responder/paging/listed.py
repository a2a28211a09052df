"""Pages of incidents that waited for the same morning: one of them tells of all, and the others count as delivered with it.

Whether it really does is read from that one's incident each time: what its page does not list, or what did not reach the
person that way, is paged by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from enum import Enum

import structlog

from responder.engine.outbox import Done
from responder.incident.effects import SendMessage
from responder.incident.facts import MessageDelivered
from responder.incident.message import Wanted
from responder.incident.state import Incident, PageStatus, Triggered
from responder.store.errors import StoreError
from responder.store.loaded import Attempt

log = structlog.get_logger(__name__)

#: The other page is waited for so long: its channels have had their time by then.
PATIENCE = timedelta(seconds=60)
_LOOK_AGAIN = timedelta(seconds=1)

Perform = Callable[[Attempt], Awaitable[Done]]
Snapshot = Callable[[str], Awaitable[Incident | None]]


class Told(Enum):
    """Whether a person was told of an incident by another one's page."""

    YES = "yes"
    NOT_YET = "not yet"
    NO = "no"


class ListedPages:
    """Stands before the delivery of messages."""

    def __init__(self, deliver: Perform, snapshot: Snapshot, observe: Callable[[str, str], object]) -> None:
        """``observe`` is told the channel's name and the outcome of a page that another one told of."""
        self._deliver = deliver
        self._snapshot = snapshot
        self._observe = observe

    async def perform(self, attempt: Attempt) -> Done:
        """Deliver a message, unless another page has told its person of it."""
        effect = attempt.effect
        if not isinstance(effect, SendMessage) or not effect.listed_in:
            return await self._deliver(attempt)
        now = attempt.now or effect.requested_at
        match await self._told(effect, waited=now - (attempt.first_at or now)):
            case Told.YES:
                return self._done(effect, attempt, now)
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

    def _done(self, effect: SendMessage, attempt: Attempt, now: datetime) -> Done:
        self._observe(effect.channel, "listed")
        delivered = MessageDelivered(
            at=now, effect=effect.id, page=effect.page, kind=effect.kind, attempt=attempt.number
        )
        return Done(facts=(delivered,))


def told_by(other: Incident, effect: SendMessage) -> Told:
    """What an incident's own page to the same person says of another incident's."""
    waited = other.episode.waited
    if waited is None or not any(one.incident == effect.incident for one in waited.listed):
        return Told.NO
    pages = [
        page.status
        for page in other.pages
        if page.contact == effect.contact
        and page.episode == other.episode.number
        and page.wanted is Wanted.UNACKNOWLEDGED
    ]
    if PageStatus.DELIVERED in pages:
        return Told.YES
    under_way = PageStatus.PENDING in pages or (not pages and isinstance(other.state, Triggered))
    return Told.NOT_YET if under_way else Told.NO
