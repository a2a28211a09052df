"""What each decision asks about the world, put together: who is on call, and what holds pages back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from responder.calendars.fetch import fetch
from responder.calendars.kept import Copies
from responder.duty import Duty, DutyHooks, calendars_in
from responder.engine.outside import Elsewhere, WhatHolds
from responder.holding.foretelling import foretelling
from responder.holding.keeper import Keeper, KeeperHooks
from responder.incident.hold import Hold
from responder.incident.state import Incident
from responder.intake.alive import Alive
from responder.intake.foreseen import Foreseen
from responder.intake.heartbeats import Heartbeats
from responder.paging.reach import reach_of
from responder.parts import Parts
from responder.rules.explain import Explanation, as_sign_of_life
from responder.rules.model import Verdict
from responder.store.overrides import Overrides
from responder.store.signs import Signs
from responder.store.surroundings import Surroundings
from responder.store.windows import Windows

#: Which silences would silence an alert with these labels at a time.
Silencing = Callable[[Mapping[str, str], datetime], Awaitable[Foreseen]]


class Circumstances:
    """Who is on call, what holds pages back, and the explanation that follows from both."""

    def __init__(self, parts: Parts, look_at: Callable[[str, bool], object], heartbeats: Heartbeats) -> None:
        """``look_at`` has an incident decided straight away: its id, and whether that is urgent."""
        self._parts = parts
        self._alive = Alive(heartbeats, Signs(parts.store))
        store, rulebook = parts.store, parts.rulebook
        hooks = DutyHooks(
            reach=lambda: reach_of(rulebook.rules, parts.channels),
            ready=parts.metrics.set_ready,
            calendars=parts.metrics.set_calendars,
        )
        copies = Copies(calendars_in(Path(parts.config.data_dir)))
        self.duty = Duty(
            lambda: rulebook.rules, Overrides(store), partial(fetch, parts.session), copies, hooks
        )
        asked = KeeperHooks(who=self.duty.who, look_at=look_at)
        self.keeper = Keeper(lambda: rulebook.rules, Surroundings(store), Windows(store), parts.reader, asked)

    def elsewhere(self, upstream: WhatHolds) -> Elsewhere:
        """As the engine asks; ``upstream`` is what Alertmanager has to do with it."""

        def holds(incident: Incident, now: datetime) -> tuple[Hold, ...]:
            return (*upstream(incident, now), *self.keeper.holds(incident, now))

        return Elsewhere(on_call=self.duty.who, holds=holds, around=self.keeper.around)

    async def explain(self, labels: Mapping[str, str]) -> Explanation:
        """What happens to an alert with these labels now; what Alertmanager has to do with it is not asked."""
        found = self._explained(labels, self._parts.clock.now(), lambda _: ())
        return as_sign_of_life(found, await self._alive.of(labels))

    async def foretell(
        self, labels: Mapping[str, str], at: datetime | None, silencing: Silencing
    ) -> Explanation:
        """What happens to an alert with these labels, now or at a time, with all that is known to hold it back."""
        await self.keeper.look()
        upstream = await silencing(labels, at or self._parts.clock.now())

        def holds(verdict: Verdict) -> tuple[Hold, ...]:
            carried = at is None and not verdict.drill
            now = self.keeper.carried(verdict.service, verdict.severity) if carried else ()
            return (*upstream.holds, *now)

        found = self._explained(labels, at or self._parts.clock.now(), holds)
        unknown = list(upstream.unknown)
        if at is not None and found.stands_on:
            unknown.append("what will be paged then and carry it")
        if self.keeper.away:
            unknown.append("what was changed since the store went away")
        found = msgspec.structs.replace(found, not_known=tuple(unknown))
        return as_sign_of_life(found, await self._alive.of(labels))

    def _explained(
        self, labels: Mapping[str, str], at: datetime, more: Callable[[Verdict], tuple[Hold, ...]]
    ) -> Explanation:
        rulebook = self._parts.rulebook

        def who(names: Collection[str]) -> dict[str, tuple[str, ...]]:
            return self.duty.who(names, at)

        would_hold = foretelling(rulebook.rules, self.keeper.known.all, who, at)

        def holding(verdict: Verdict, known: Mapping[str, str]) -> tuple[Hold, ...]:
            return (*would_hold(verdict, known), *more(verdict))

        return rulebook.explain(labels, who, holding)

    async def prepare(self) -> None:
        """Before the first decision: what the store and the disk know; bounded in time."""
        await self.duty.prepare(self._parts.clock.now())
        await self.keeper.look()
