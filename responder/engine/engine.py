"""The loop: what is due is found, decided and performed. Facts come in, one pure function decides, effects go out.

A crash at any line is harmless. Before a commit nothing has happened, and the lease runs out; after it, everything
that must happen is in the outbox. Between performing an effect and crossing it off it may be performed twice, with
the same id.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial

import msgspec
import structlog

from responder.engine.incidents import Decider
from responder.engine.outbox import Outbox, OutboxHooks, Performer
from responder.engine.outside import Elsewhere
from responder.engine.pool import Pool
from responder.incident.decision import Decision
from responder.incident.effects import Effect
from responder.overflow import Overflow, Spill, unheard
from responder.rules.model import RuleSet
from responder.store.errors import StoreError
from responder.store.store import Due, Store, Taken

log = structlog.get_logger(__name__)

POLL_EVERY = 1.0  # seconds
INCIDENT_SEATS = 16
_LINE = 2_000
_LANE_LINE = 500
_UNKNOWN_QUEUE_SEATS = 2


async def _unheard() -> None:
    """Tell nobody."""


class EngineHooks(msgspec.Struct, frozen=True, kw_only=True):
    """Who hears of what the engine does (metrics), and whom it asks about the world outside."""

    decision: Callable[[Decision], None] = lambda _: None
    lag: Callable[[float], None] = lambda _: None
    dropped: Callable[[Effect, str], None] = lambda _effect, _why: None
    store_up: Callable[[bool], None] = lambda _: None
    unreadable: Callable[[], Awaitable[None]] = _unheard
    spill: Spill = unheard
    elsewhere: Elsewhere = Elsewhere()
    held: Callable[[], bool] = lambda: False
    """Whether all of it rests: the store cannot be seen, or is being told what was done meanwhile."""


class Engine:
    """One replica's workers. Any number of replicas share a store; leases keep them apart."""

    def __init__(
        self,
        store: Store,
        rules: Callable[[], RuleSet],
        performers: Mapping[type[Effect], Performer],
        *,
        queues: Mapping[str, int],
        hooks: EngineHooks | None = None,
        chance: random.Random | None = None,
    ) -> None:
        """``queues`` maps each queue that this process serves to its seats."""
        hooks = hooks or EngineHooks()
        self._store = store
        self._hooks = hooks
        self._chance = chance or random.Random()  # noqa: S311 - jitter, no secret
        self.decider = Decider(
            store,
            rules,
            on_decision=hooks.decision,
            on_effect=self._on_effect,
            on_lag=hooks.lag,
            elsewhere=hooks.elsewhere,
        )
        self._outbox = Outbox(
            store,
            performers,
            chance=self._chance,
            hooks=OutboxHooks(
                more=self._offer_lane,
                fact=self._offer_incident,
                dropped=hooks.dropped,
                unreadable=hooks.unreadable,
            ),
        )
        self._room = asyncio.Event()
        full = partial(hooks.spill, Overflow.INCIDENTS)
        self._incidents = Pool("incident", INCIDENT_SEATS, _LINE, self._decide, self._room.set, full)
        self._lanes = {name: self._pool(name, seats) for name, seats in queues.items()}
        self._group: asyncio.TaskGroup | None = None

    def _pool(self, queue: str, seats: int) -> Pool:
        async def work(lane: str) -> None:
            if not self._hooks.held():
                await self._outbox.perform(queue, lane)

        full = partial(self._hooks.spill, Overflow.LANES)
        return Pool(f"queue {queue}", seats, _LANE_LINE, work, self._room.set, full)

    def serve_queues(self, queues: Mapping[str, int]) -> None:
        """Serve more queues (a channel that came with a reload)."""
        for name, seats in queues.items():
            if name not in self._lanes:
                self._lanes[name] = self._pool(name, seats)
                if self._group is not None:
                    self._lanes[name].open(self._group)

    def took(self, taken: Taken) -> None:
        """Alerts were written: look at their incidents straight away."""
        for incident, urgent in taken.changed:
            self._offer_incident(incident, urgent)

    def look_at(self, incident_id: str, *, urgent: bool) -> None:
        """A fact was recorded: look at its incident straight away."""
        self._offer_incident(incident_id, urgent)

    def look_at_lane(self, queue: str, lane: str, *, urgent: bool) -> None:
        """An effect is due: perform it straight away."""
        self._offer_lane(queue, lane, urgent)

    async def decide_now(self, incident_id: str) -> None:
        """Decide in the caller's own task (a person waits)."""
        while await self.decider.decide(incident_id):
            pass

    async def run(self) -> None:
        """Poll for ever; cancelled at the end, after which what is under way has been finished."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for pool in (self._incidents, *self._lanes.values()):
                pool.open(group)
            try:
                await self._poll_for_ever()
            finally:
                for pool in (self._incidents, *self._lanes.values()):
                    pool.close()

    @property
    def idle(self) -> bool:
        """Whether nothing is under way here; what is due later lies in the store."""
        return all(pool.idle for pool in (self._incidents, *self._lanes.values()))

    async def drain(self, limit: timedelta) -> bool:
        """Wait until nothing is under way; whether that was reached in time. Call after nothing new is taken."""
        pools: Sequence[Pool] = (self._incidents, *self._lanes.values())
        for pool in pools:
            pool.close()
        try:
            async with asyncio.timeout(limit.total_seconds()):
                while not self.idle:
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            return False
        return True

    async def _poll_for_ever(self) -> None:
        while True:
            pause = await self.poll()
            self._room.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._wait_for_room()
            except TimeoutError:
                pass

    async def _wait_for_room(self) -> None:
        """Return when work that was left in the store finds a seat; else wait for the next poll."""
        while True:
            await self._room.wait()
            self._room.clear()
            if self._left_behind and min(self._incidents.room) > _LINE // 2:
                return

    _left_behind = False

    async def poll(self) -> float:
        """Offer what is due; how long to wait before the next look, in seconds."""
        if self._hooks.held():
            return POLL_EVERY
        rooms = {name: pool.room for name, pool in self._lanes.items()}
        try:
            due = await self._store.due(self._incidents.room, rooms, unknown_queues=_UNKNOWN_QUEUE_SEATS)
        except StoreError as error:
            self._hooks.store_up(False)
            log.warning("the store does not answer", error=str(error))
            return POLL_EVERY
        self._hooks.store_up(True)
        self._hooks.lag(due.lag)
        self._left_behind = self._offer(due)
        if due.next_at is None:
            return POLL_EVERY
        return min(max((due.next_at - due.now).total_seconds(), 0.001), POLL_EVERY)

    def _offer(self, due: Due) -> bool:
        """Offer all of it; whether some of it found no place."""
        taken = [self._offer_incident(incident, urgent=True) for incident in due.urgent]
        taken += [self._offer_incident(incident, urgent=False) for incident in due.others]
        for queue, urgent, others in due.lanes:
            self.serve_queues({queue: _UNKNOWN_QUEUE_SEATS})
            taken += [self._offer_lane(queue, lane, urgent=True) for lane in urgent]
            taken += [self._offer_lane(queue, lane, urgent=False) for lane in others]
        return not all(taken) or max(len(due.urgent), len(due.others)) >= _LINE // 2

    def _offer_incident(self, incident_id: str, urgent: bool) -> bool:  # noqa: FBT001 - a callback's form
        return self._incidents.offer(incident_id, urgent=urgent)

    def _offer_lane(self, queue: str, lane: str, urgent: bool) -> bool:  # noqa: FBT001 - a callback's form
        pool = self._lanes.get(queue)
        return pool.offer(lane, urgent=urgent) if pool is not None else False

    def _on_effect(self, effect: Effect) -> None:
        self._offer_lane(effect.queue, effect.lane, effect.urgent)

    async def _decide(self, incident_id: str) -> None:
        while not self._hooks.held() and await self.decider.decide(incident_id):
            pass
