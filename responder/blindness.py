"""Blind mode, put together: the pager from memory, what it asks of the rest, and what the rest asks of it."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence

from responder.engine.blind.desk import BlindDesk
from responder.engine.blind.pager import BlindPager
from responder.engine.blind.parts import BlindHooks, BlindParts
from responder.engine.blind.together import remembered
from responder.engine.desk import Desk
from responder.engine.engine import Engine
from responder.engine.outbox import Done
from responder.holding.keeper import Keeper
from responder.incident.decision import Decision
from responder.parts import Parts
from responder.performers import Performers
from responder.store.digests import FoldedIncident, FoldedLists
from responder.store.errors import StoreError
from responder.store.group_commit import GroupCommit
from responder.store.loaded import Attempt, Loaded
from responder.store.roll import Roll


class Blindness:
    """See the module. ``performers`` send messages; the engine and the group commit are there later.

    ``keeper`` is told of what is decided and heard in memory: others may stand on it.
    """

    def __init__(
        self,
        parts: Parts,
        performers: Performers,
        keeper: Keeper,
        *,
        engine: Callable[[], Engine],
        commits: Callable[[], GroupCommit],
    ) -> None:
        self._metrics = parts.metrics
        self._engine = engine
        self._commits = commits
        self._roll = Roll(parts.store, parts.store.worker)
        self.pager = BlindPager(
            BlindParts(
                roll=self._roll,
                reader=parts.reader,
                clock=parts.clock,
                ingest=parts.store.ingest,
                rules=lambda: parts.rulebook.rules,
                full=lambda: commits().full,
                decide=self._decide,
                perform=self._send,
                patience=parts.config.blind_after,
            ),
            BlindHooks(
                closed=self._close,
                paged=parts.metrics.blind_pages.inc,
                seen=keeper.heard,
                joined=keeper.joined,
                spill=parts.metrics.overflowed,
            ),
        )
        self._from_memory = performers.from_memory(self.pager.memory, self.pager.now)
        self.perform = self.pager.watching(performers.send)

    async def _send(self, attempt: Attempt) -> Done:
        return await self._from_memory(attempt)

    def _decide(self, loaded: Loaded) -> tuple[Decision, bool]:
        return self._engine().decider.decision(loaded)

    def _close(self, closed: bool) -> None:  # noqa: FBT001 - a callback's form
        self._commits().closed = closed
        self._metrics.blind_mode.set(closed)

    def decided(self, decision: Decision) -> None:
        """Count a decision of the engine, and remember it."""
        self._metrics.observe(decision)
        self.pager.decided(decision)

    @property
    def closed(self) -> bool:
        """Whether alerts are refused because the store does not take them."""
        return self.pager.closed

    def held(self) -> bool:
        """Whether the engine rests because the store takes no decisions, or is being told what was done meanwhile."""
        return self.pager.held

    async def close(self) -> None:
        """We are stopping: nobody need wait for us."""
        if not self.closed:
            with contextlib.suppress(StoreError):
                await self._roll.leave()

    def folded(self, lists: FoldedLists) -> Callable[[str, int], Awaitable[Sequence[FoldedIncident]]]:
        """What is told with an incident, at most so many; in the store's absence of what is remembered."""

        async def found(incident_id: str, most: int) -> Sequence[FoldedIncident]:
            if self.pager.held:
                return remembered(self.pager.memory.items, incident_id)[:most]
            return await lists.listed(incident_id, most)

        return found

    def desk(self, desk: Desk) -> BlindDesk:
        """People's way to incidents, whether the store can be seen or not."""
        return BlindDesk(desk, self.pager, self._roll)
