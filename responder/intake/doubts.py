"""A firing that may be a late copy: ask every Alertmanager, and in doubt take it as real.

It is settled as a late copy only when every configured peer answered, each is up longer than the grace time, and none
lists it; as a re-fire when any of them lists it, and when the window is over.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from responder.engine.outbox import Done
from responder.incident.effects import SettleDoubts
from responder.incident.facts import LateCopySettled
from responder.intake.alertmanager import Alertmanagers
from responder.store.connection import ask
from responder.store.loaded import Attempt
from responder.store.store import AlertWrite, Store, Taken

ASK_AGAIN = timedelta(seconds=5)
_AT_ONCE = 1_000


class DoubtSettler:
    """Performs :class:`SettleDoubts`."""

    def __init__(self, store: Store, peers: Alertmanagers | None, on_taken: Callable[[Taken], None]) -> None:
        self._store = store
        self._peers = peers
        self._on_taken = on_taken

    async def perform(self, attempt: Attempt) -> Done:
        """Settle what can be settled now; the rest is asked about again until the window ends."""
        effect = attempt.expect(SettleDoubts)
        now = attempt.at
        doubtful = await self._doubtful(effect.incident)
        if not doubtful:
            return Done()
        over = now >= effect.window_ends_at
        listing = await self._peers.listing(now) if self._peers else None
        firing = listing.firing if listing else frozenset()
        real = [one for one in doubtful if over or listing is None or one in firing]
        late = [one for one in doubtful if one not in real] if listing and listing.certain else []
        if real or late:
            self._on_taken(await self._store.ingest(_settled(real, "S") + _settled(late, "L")))
        if len(real) + len(late) < len(doubtful):
            return Done(retry_in=ASK_AGAIN)
        reason = "the window is over" if over else "by Alertmanager's list of alerts"
        return Done(facts=(LateCopySettled(at=now, late=len(late), refired=len(real), reason=reason),))

    async def _doubtful(self, incident: str) -> list[str]:
        key = f"{self._store.base}:i:{incident}:d"
        return [one.decode() for one in await ask(self._store.client, "SRANDMEMBER", key, _AT_ONCE)]


def _settled(fingerprints: list[str], code: str) -> list[AlertWrite]:
    return [(one, code, 0, 0, 4, "", "", "") for one in fingerprints]
