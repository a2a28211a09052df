"""What is said of an alert that is a sign of life: of which heartbeats, when these were last seen, and by when the next is due."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from responder.intake.heartbeats import Heartbeats, Watch
from responder.rules.explain import SignOfLife
from responder.store.errors import StoreError
from responder.store.signs import Signs


def unseen_signs(heartbeats: Heartbeats, labels: Mapping[str, str]) -> tuple[SignOfLife, ...]:
    """Of which heartbeats an alert with these labels is a sign, where nothing is known of when they were seen."""
    return tuple(SignOfLife(heartbeat=one.config.name, looked=False) for one in heartbeats.of(labels))


class Alive:
    """Signs of life with their times."""

    def __init__(self, heartbeats: Heartbeats, signs: Signs) -> None:
        self._heartbeats = heartbeats
        self._signs = signs

    async def of(self, labels: Mapping[str, str]) -> tuple[SignOfLife, ...]:
        """Of which heartbeats an alert with these labels is a sign; without their times where the store is away."""
        watches = self._heartbeats.of(labels)
        try:
            seen = await self._signs.seen([one.key for one in watches])
        except StoreError:
            return unseen_signs(self._heartbeats, labels)
        return tuple(_sign(one, seen.get(one.key)) for one in watches)


def _sign(watch: Watch, seen: datetime | None) -> SignOfLife:
    return SignOfLife(
        heartbeat=watch.config.name, seen_at=seen, due_by=seen + watch.interval if seen else None
    )
