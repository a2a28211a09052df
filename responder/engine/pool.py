"""Seats for work: what is offered is done at once where a seat is free; the store keeps the rest."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

#: Of so many pieces of work, one is taken from those that are not urgent, if there are any.
_SHARE = 4


class Pool:
    """A bounded number of seats over two bounded lines of keys: the urgent ones, which go first, and the others.

    A key is worked on by one seat at a time; offered again meanwhile, it is done once more afterwards. What finds no
    place in the line is refused: it is due in the store, and the next poll finds it.
    """

    def __init__(
        self,
        name: str,
        seats: int,
        line: int,
        work: Callable[[str], Awaitable[None]],
        on_room: Callable[[], None],
        on_full: Callable[[], object],
    ) -> None:
        self.name = name
        self._seats = seats
        self._line = line
        self._work = work
        self._on_room = on_room
        self._on_full = on_full
        self._group: asyncio.TaskGroup | None = None
        self._urgent: deque[str] = deque()
        self._others: deque[str] = deque()
        self._waiting: set[str] = set()
        self._running: set[str] = set()
        self._again: set[str] = set()
        self._busy = 0
        self._turn = 0

    def open(self, group: asyncio.TaskGroup) -> None:
        """Begin to work, in this task group."""
        self._group = group

    def close(self) -> None:
        """Take nothing new; what is under way ends by itself."""
        self._group = None
        self._urgent.clear()
        self._others.clear()
        self._waiting.clear()
        self._again.clear()

    @property
    def room(self) -> tuple[int, int]:
        """How many more keys would find a place: urgent ones, others. A storm of others never crowds out urgent ones."""
        return max(self._line - len(self._urgent), 0), max(self._line - len(self._others), 0)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return self._busy == 0

    def offer(self, key: str, *, urgent: bool) -> bool:
        """Offer work; whether it will be looked at without the poll."""
        if self._group is None:
            return False
        if key in self._running:
            self._again.add(key)
            return True
        if key in self._waiting:
            if urgent and key in self._others:  # it has become urgent while it waited
                self._others.remove(key)
                self._urgent.append(key)
            return True
        line = self._urgent if urgent else self._others
        if len(line) >= self._line:
            self._on_full()
            return False
        self._waiting.add(key)
        line.append(key)
        if self._busy < self._seats:
            self._busy += 1
            self._group.create_task(self._sit(), name=f"{self.name} seat")
        return True

    def _next(self) -> str | None:
        self._turn += 1
        first, second = self._urgent, self._others
        if self._turn % _SHARE == 0:
            first, second = second, first
        line = first or second
        if not line:
            return None
        key = line.popleft()
        self._waiting.discard(key)
        return key

    async def _sit(self) -> None:
        try:
            while (key := self._next()) is not None:
                await self._do(key)
                while key in self._again:
                    self._again.discard(key)
                    await self._do(key)
        finally:
            self._busy -= 1
            self._on_room()

    async def _do(self, key: str) -> None:
        self._running.add(key)
        try:
            await self._work(key)
        except Exception:
            log.exception("work failed; it comes due again when its lease ends", pool=self.name, key=key)
        finally:
            self._running.discard(key)
