"""What becomes of a digest becomes of all that is in it: acknowledged as one, or paged anew when it is over.

Which of them know is kept in the store, so that a crash between any two of them is made good by the next attempt.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from responder.engine.outbox import Done
from responder.incident.digest_facts import CarrierGone, FoldedEnded
from responder.incident.effects import LeaveDigest, Spread
from responder.incident.facts import AcknowledgedBy, Fact
from responder.incident.state import StateName
from responder.store.digests import Digests, Due, Waiting
from responder.store.errors import StoreError
from responder.store.loaded import Attempt
from responder.store.store import Store

log = structlog.get_logger(__name__)

_CHUNK = 100
#: One attempt goes on for so long, in seconds; then the next one does.
_ONE_ATTEMPT = 4.0
_AGAIN = timedelta(seconds=1)
_AT_ONCE = timedelta(milliseconds=10)
#: Whoever is in these may still be paged, or be paged again, without a new reason to.
_PAGED = frozenset({"new", StateName.TRIGGERED, StateName.MONITORING})


class Spreader:
    """Performs :class:`Spread` and :class:`LeaveDigest`. ``look_at`` has an incident decided straight away."""

    def __init__(self, store: Store, digests: Digests, look_at: Callable[[str, bool], object]) -> None:
        self._store = store
        self._digests = digests
        self._look_at = look_at

    async def spread(self, attempt: Attempt) -> Done:
        """Tell those that do not know yet; an incident that is paged again tells nobody."""
        effect = attempt.expect(Spread)
        begun = time.monotonic()
        try:
            while time.monotonic() - begun < _ONE_ATTEMPT:
                due = await self._digests.due(effect.incident, _CHUNK)
                if due.paged or not due.folded:
                    return Done()
                if not await self._tell(effect, due):
                    return Done(retry_in=_AGAIN, begun=False)
        except StoreError as error:
            log.warning(
                "not told to all of a digest; trying again", incident=effect.incident, error=str(error)
            )
            return Done(retry_in=_AGAIN)
        return Done(retry_in=_AT_ONCE, begun=False)

    async def _tell(self, effect: Spread, due: Due) -> bool:
        """Whether all of these know now; one for which there is no room holds up no other."""
        told = [one for one in due.folded if one.state not in _PAGED or await self._record(effect, due, one)]
        await self._digests.told(effect.incident, told)
        return len(told) == len(due.folded)

    async def _record(self, effect: Spread, due: Due, one: Waiting) -> bool:
        """Whether there was room for the news. What has just gone quiet cannot be taken; should it flap, nobody tells of it."""
        recorded = await self._store.record(one.id, _news(effect, due, one))
        if recorded.outcome == "refused":
            recorded = await self._store.record(one.id, _gone(effect, due))
        if recorded.outcome == "ok":
            self._look_at(one.id, effect.urgent)
        return recorded.outcome != "full"

    async def leave(self, attempt: Attempt) -> Done:
        """Count one that has left, and have the incident that carried it know."""
        effect = attempt.expect(LeaveDigest)
        try:
            over = await self._digests.leave(effect.incident, effect.carrier)
            if over is not None:
                ended = FoldedEnded(at=attempt.at, incident=effect.incident, over=over)
                recorded = await self._store.record(effect.carrier, ended)
                if recorded.outcome == "full":
                    return Done(retry_in=_AGAIN)
        except StoreError as error:
            log.warning("not counted as left; trying again", carrier=effect.carrier, error=str(error))
            return Done(retry_in=_AGAIN)
        return Done()


def _news(effect: Spread, due: Due, one: Waiting) -> Fact:
    """What a folded incident hears. Who took the digest took nothing of what was folded after that had begun anew."""
    is_taken = effect.by and due.episode == effect.episode and one.state != StateName.MONITORING
    return acknowledged_with(effect, one.episode) if is_taken else _gone(effect, due)


def acknowledged_with(effect: Spread, episode: int) -> AcknowledgedBy:
    """What a folded incident hears, in the episode in which it was, when a person takes the one that tells of it."""
    return AcknowledgedBy(
        at=effect.at or effect.requested_at,
        by=effect.by,
        via=f"the digest of incident {effect.incident}",
        digest=effect.incident,
        episode=episode,
        snoozed_until=effect.snoozed_until,
    )


def _gone(effect: Spread, due: Due) -> CarrierGone:
    """As of the look at it, and not of the attempt's beginning: what was folded since then is left to it as well."""
    return CarrierGone(at=due.now, carrier=effect.incident)
