"""Work beside a page and never in its way: bounded in number and time, given up at the end, told only to the log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from responder.paging.base import ChannelError
from responder.text import one_line

log = structlog.get_logger(__name__)

AT_ONCE = 8  # pieces of work under way; more are left out
LIMIT = 60.0  # seconds for one


class Beside:
    """Tasks that nobody waits for. ``what`` says in the log what was left out or failed; ``on_full`` counts the former."""

    def __init__(self, what: str, on_full: Callable[[], object]) -> None:
        self._what = what
        self._on_full = on_full
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, name: str, work: Callable[[], Awaitable[None]]) -> bool:
        """Start; whether there was room for it."""
        if len(self._tasks) >= AT_ONCE:
            self._on_full()
            log.warning(self._what, reason="too many are under way")
            return False
        task = asyncio.create_task(self._safely(work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _safely(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(LIMIT):
                await work()
        except (ChannelError, TimeoutError) as error:
            log.warning(self._what, reason=str(error) or "time-out")
        except Exception as error:  # noqa: BLE001 - an extra; nobody waits for this task
            log.warning(self._what, reason=one_line(repr(error), 200))
