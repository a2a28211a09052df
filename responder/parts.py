"""What is there before the engine: ``app.py`` makes it, ``wiring.py`` puts it together."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import aiohttp
import msgspec

from responder.clock import Clock
from responder.config import Config
from responder.metrics import Metrics
from responder.paging.base import Channel
from responder.rulebook import Rulebook
from responder.signing import AckTokens
from responder.store.charts import Charts
from responder.store.reading import Reader
from responder.store.store import Store


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What is there before the engine: settings, rules, the store, the channels."""

    config: Config
    rulebook: Rulebook
    metrics: Metrics
    clock: Clock
    chance: random.Random
    store: Store
    reader: Reader
    gated: Store
    """The same store for who can do without it: it tries nothing while the store is known to be away."""
    charts: Charts
    session: aiohttp.ClientSession
    channels: Mapping[str, Channel]
    tokens: AckTokens
    open: Callable[[], bool]
    """Whether the door is open: false while starting and stopping."""
