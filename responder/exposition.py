"""``/metrics``: what is counted in this process, with what the store knows as it is now."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta

from responder.metrics import Metrics
from responder.rulebook import Rulebook
from responder.store.errors import StoreError
from responder.store.reading import Reader
from responder.vigils import Vigils


class Exposition:
    """Makes the text of a scrape."""

    def __init__(
        self,
        metrics: Metrics,
        rulebook: Rulebook,
        reader: Reader,
        vigils: Vigils,
        *,
        channels: Collection[str],
        held: Callable[[], bool],
    ) -> None:
        """``held``: the store is known not to answer, and is not asked."""
        self._held = held
        self._metrics = metrics
        self._rulebook = rulebook
        self._reader = reader
        self._vigils = vigils
        self._channels = channels

    async def text(self, accept: str) -> tuple[bytes, str]:
        """The metrics, with the store's counts as they are now (or as they last were, where it is away)."""
        # A reload may have brought services: they too are shown at zero before their first incident.
        rules, metrics = self._rulebook.rules, self._metrics
        metrics.begin(rules.services, self._channels, rules.actions)
        if self._held():
            metrics.store_up.set(False)
        else:
            await self._show_shared()
        metrics.reload_successful.set(self._rulebook.last_reload_ok)
        metrics.reload_timestamp.set(self._rulebook.loaded_at.timestamp())
        metrics.config_stale.set(self._rulebook.file.stale)
        return metrics.expose(accept)

    async def _show_shared(self) -> None:
        """What the store knows, as it is now, or as it last was where it does not answer."""
        try:
            counts, depth, lag = await self._reader.shared()
            await self._vigils.show()
        except StoreError:
            self._metrics.store_up.set(False)
        else:
            self._metrics.set_shared(counts, depth, lag / timedelta(seconds=1))
