"""What one incident tells another: recorded there as a fact."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import structlog

from responder.engine.outbox import Done
from responder.incident.effects import PassOn
from responder.store.errors import StoreError
from responder.store.loaded import Attempt
from responder.store.store import Store

log = structlog.get_logger(__name__)

_AGAIN = timedelta(seconds=1)


class Passer:
    """Performs :class:`~responder.incident.effects.PassOn`. ``look_at`` has the other incident decided straight away."""

    def __init__(self, store: Store, look_at: Callable[[str, bool], object]) -> None:
        self._store = store
        self._look_at = look_at

    async def perform(self, attempt: Attempt) -> Done:
        """Record it; an incident that is gone needs to hear nothing."""
        effect = attempt.expect(PassOn)
        try:
            recorded = await self._store.record(effect.to, effect.fact)
        except StoreError as error:
            log.warning("not passed on; trying again", to=effect.to, error=str(error))
            return Done(retry_in=_AGAIN)
        if recorded.outcome == "full":
            return Done(retry_in=_AGAIN)
        if recorded.outcome == "ok":
            self._look_at(effect.to, effect.urgent)
        return Done()
