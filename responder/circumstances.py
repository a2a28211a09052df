"""What each decision asks about the world, put together: who is on call, and what holds pages back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

from responder.calendars.fetch import fetch
from responder.calendars.kept import Copies
from responder.duty import Duty, DutyHooks, calendars_in
from responder.engine.outside import Elsewhere, WhatHolds
from responder.holding.foretelling import foretelling
from responder.holding.keeper import Keeper, KeeperHooks
from responder.incident.hold import Hold
from responder.incident.state import Incident
from responder.paging.reach import reach_of
from responder.parts import Parts
from responder.rules.explain import Explanation
from responder.store.overrides import Overrides
from responder.store.surroundings import Surroundings
from responder.store.windows import Windows


class Circumstances:
    """Who is on call, what holds pages back, and the explanation that follows from both."""

    def __init__(self, parts: Parts, look_at: Callable[[str, bool], object]) -> None:
        """``look_at`` has an incident decided straight away: its id, and whether that is urgent."""
        self._parts = parts
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

    def explain(self, labels: Mapping[str, str]) -> Explanation:
        """What happens to an alert with these labels now."""
        rulebook, now = self._parts.rulebook, self._parts.clock.now()

        def who(names: Collection[str]) -> dict[str, tuple[str, ...]]:
            return self.duty.who(names, now)

        holding = foretelling(rulebook.rules, self.keeper.known.all, who, now)
        return rulebook.explain(labels, who, holding)

    async def prepare(self) -> None:
        """Before the first decision: what the store and the disk know; bounded in time."""
        await self.duty.prepare(self._parts.clock.now())
        await self.keeper.look()
