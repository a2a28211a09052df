"""The canary: at intervals, an alert of our own takes the whole road into a channel to nobody.

It is written like any alert, decided, paged through the outbox, closed by a fact, and then taken out of the store. That
it came through, and how long it took, says more than any single part's word that it is well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from responder.alerts import fingerprint
from responder.config import CanaryConfig
from responder.incident.canary import NULL_CHANNEL
from responder.incident.facts import ResolvedBy
from responder.incident.severity import Severity
from responder.incident.state import Incident
from responder.intake.notices import Own, firing, labels_of
from responder.metrics import Metrics
from responder.store.errors import StoreError
from responder.vigil.road import Road

log = structlog.get_logger(__name__)

_ALERT = Own(
    labels={"alertname": "ResponderCanary"}, text="takes the whole road, to nobody", severity=Severity.P1
)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25  # seconds between two looks how far it has come


class Canary:
    """One canary at a time, whatever the number of replicas."""

    def __init__(self, config: CanaryConfig, road: Road, metrics: Metrics) -> None:
        self._config = config
        self._road = road
        self._metrics = metrics
        self._fingerprint = fingerprint(labels_of(_ALERT))

    async def once(self) -> None:
        """Send one on its way and wait for it, where it is this replica's turn.

        Raises:
            StoreError: where not even the turn can be taken.
        """
        # A little less than the interval: replicas that look at the same pace must not skip a turn.
        if not await self._road.signs.turn("canary", self._config.every * 0.9):
            return
        try:
            async with asyncio.timeout(self._config.timeout / timedelta(seconds=1)):
                took = await self._fly()
        except (StoreError, TimeoutError) as error:
            self._metrics.canary_failures.inc()
            log.error("the canary did not come through", error=str(error) or "time-out")  # noqa: TRY400 - said in full
            return
        self._metrics.canary_seconds.observe(took)

    async def _fly(self) -> float:
        """The whole road; how long the page took, in seconds of the store's clock."""
        road = self._road
        write = firing(_ALERT, road.rules(), canary=True)
        await self._forget(write[5])  # one that died on its way
        await road.commits.submit([write])
        incident_id = await road.signs.incident_of(self._fingerprint)
        paged = await self._until(incident_id, lambda one: one.first_paged_at is not None)
        await road.store.record(incident_id, ResolvedBy(at=await road.signs.now(), by="canary", via="canary"))
        road.look_at(incident_id)
        closed = await self._until(incident_id, lambda one: not one.open)
        for page in closed.pages:
            await self._performed(page.id)
        await self._forget(write[5])
        await road.signs.canary_passed(await road.signs.now())
        arrived = paged.first_paged_at or paged.now
        return max((arrived - paged.opened_at).total_seconds(), 0.0)

    async def _until(self, incident_id: str, there: Callable[[Incident], bool]) -> Incident:
        pause = _FIRST_PAUSE
        while True:
            incident = await self._road.reader.snapshot(incident_id)
            if incident is not None and there(incident):
                return incident
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _performed(self, lane: str) -> None:
        """Its last messages go out before it is taken away: nothing of it is left behind."""
        pause = _FIRST_PAUSE
        while True:
            if not await self._road.signs.lane_waits(lane):
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _forget(self, key: str) -> None:
        await self._road.signs.forget(self._fingerprint, key, NULL_CHANNEL)
