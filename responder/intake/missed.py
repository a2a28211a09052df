"""When a sign of life stays away: its due time lies in the store, so any replica finds it, after any restart, once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from responder.intake.heartbeats import REPEAT_EVERY, Heartbeats, absence, beat
from responder.rules.model import RuleSet
from responder.store.group_commit import GroupCommit
from responder.store.signs import DueWatch, Signs
from responder.store.store import AlertWrite

log = structlog.get_logger(__name__)


class HeartbeatWatcher:
    """Finds what is due and has its alert fire, in a step that looks once more whether it is."""

    def __init__(
        self,
        heartbeats: Heartbeats,
        signs: Signs,
        commits: GroupCommit,
        rules: Callable[[], RuleSet],
        *,
        stale_after: timedelta,
    ) -> None:
        self._heartbeats = heartbeats
        self._intervals = heartbeats.intervals()
        self._signs = signs
        self._commits = commits
        self._rules = rules
        # An incident that nothing is heard of is closed: a sign that is still missing keeps being told.
        self._repeat = min(REPEAT_EVERY, stale_after / 2)
        self._since: datetime | None = None
        self._settled = False

    async def once(self) -> None:
        """One look.

        Raises:
            StoreError: where the store is away; what is due stays due.
        """
        if self._since is None:
            self._since = await self._signs.now()
        attended = await self._signs.attend(self._intervals, None if self._settled else self._since)
        self._settled = self._settled or attended.settled
        writes = [self._missed(one) for one in attended.due]
        writes += [beat(watch, timedelta(0)) for watch in attended.orphans]
        if writes:
            await self._commits.submit(writes)

    def _missed(self, one: DueWatch) -> AlertWrite:
        watch = self._heartbeats.by_key[one.watch]
        last = one.seen_at.isoformat() if one.seen_at else None
        log.warning(
            "heartbeat missed", heartbeat=watch.config.name, due_at=one.due_at.isoformat(), last_at=last
        )
        return absence(watch, self._rules(), one.due_at, one.seen_at, self._repeat)
