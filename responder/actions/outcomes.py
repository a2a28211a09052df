"""What came of runs: kept in the store, and the latest also here, for a store that is away in just that moment."""

from __future__ import annotations

import asyncio

import msgspec

from responder.incident.action_facts import ActionFailed, ActionPerformed, ActionUnknown
from responder.store.errors import StoreError
from responder.store.ledger import Ledger

Outcome = ActionPerformed | ActionFailed | ActionUnknown

_OUTCOME: msgspec.json.Decoder[Outcome] = msgspec.json.Decoder(Outcome)
_KEPT = 200
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between tries


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that was begun before; ``outcome`` where somebody knows it."""

    outcome: Outcome | None = None


class Outcomes:
    """See the module."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._latest: dict[str, Outcome] = {}

    async def of(self, run: str) -> Begun | None:
        """What is known of a run; ``None`` where it was never begun."""
        begun, raw = await self._ledger.begun(run)
        if not begun:
            return None
        return Begun(outcome=_OUTCOME.decode(raw) if raw is not None else self._latest.get(run))

    async def keep(self, run: str, outcome: Outcome) -> None:
        """Keep it, so that it is told even if the teller dies.

        Raises:
            StoreError: where the store is away for long; then it is known here alone.
        """
        while len(self._latest) >= _KEPT:
            del self._latest[next(iter(self._latest))]
        self._latest[run] = outcome
        for pause in _PAUSES:
            try:
                return await self._ledger.ended(run, msgspec.json.encode(outcome))
            except StoreError:
                await asyncio.sleep(pause)
        return await self._ledger.ended(run, msgspec.json.encode(outcome))
