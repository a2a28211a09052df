"""Something that is done at intervals, for ever; a round that fails is said so, and ends nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec
import structlog

from responder.clock import Clock
from responder.store.errors import StoreError

log = structlog.get_logger(__name__)


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What is done, and how often. ``after`` is the pause before the first time."""

    name: str
    every: timedelta
    once: Callable[[], Awaitable[None]]
    after: timedelta = timedelta(0)


async def go_round(one: Round, clock: Clock) -> None:
    """Do it for ever; cancelled at the end."""
    await clock.sleep(one.after.total_seconds())
    while True:
        try:
            await one.once()
        except StoreError as error:
            log.warning("put off until the store answers", round=one.name, error=str(error))
        except (
            Exception
        ):  # a mistake of ours in here must not take pages down with it; its own metric goes stale
            log.exception("a round failed", round=one.name)
        await clock.sleep(one.every.total_seconds())
