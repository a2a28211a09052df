"""What is known of an incident's message in a conversation, while one of us writes there.

Where the store does not answer, nothing is known: a page is posted then rather than not.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import structlog

from responder.clock import Clock
from responder.paging.base import Memory, NotYetError
from responder.store.conversations import Place
from responder.store.errors import StoreError

log = structlog.get_logger(__name__)

_PATIENCE = 3.0  # seconds that a page waits for somebody else who writes to the same conversation
_LOOK_EVERY = 0.1
_NOT_NOW = timedelta(milliseconds=500)


def digest(content: Any) -> str:
    """What tells two contents apart."""
    return hashlib.blake2b(msgspec.json.encode(content), digest_size=12).hexdigest()


class Talk:
    """One incident in one conversation. ``known`` is what was noted of it, and is kept up to date."""

    def __init__(self, memory: Memory | None, place: Place, known: dict[str, str]) -> None:
        self._memory = memory
        self.place = place
        self.known = known

    @property
    def message(self) -> dict[str, str] | None:
        """Channel id and time stamp of the message; ``None`` where there is none yet."""
        found = {name: self.known[name] for name in ("channel", "ts") if self.known.get(name)}
        return found if len(found) == 2 else None

    def has(self, what: str) -> bool:
        """Whether something that is done once is done."""
        return f"done:{what}" in self.known

    async def note(self, **fields: str) -> None:
        """Note fields."""
        self.known |= fields
        await self._tell(fields)

    async def did(self, what: str, **fields: str) -> None:
        """Note that something is done, with what came of it."""
        await self.note(**{f"done:{what}": "1"}, **fields)

    async def gone(self) -> None:
        """The message is not there any more."""
        lost = [
            name for name in ("channel", "ts", "shown", "found_ts", "found") if self.known.pop(name, None)
        ]
        if lost and self._memory is not None:
            with _tolerant():
                await self._memory.forget(self.place, *lost)

    async def _tell(self, fields: dict[str, str]) -> None:
        if self._memory is not None:
            with _tolerant():
                await self._memory.note(self.place, **fields)

    async def refresh(self) -> None:
        """Know what others noted meanwhile."""
        if self._memory is not None:
            with _tolerant():
                self.known |= await self._memory.recall(self.place)

    @contextlib.asynccontextmanager
    async def alone(self, clock: Clock, *, patient: bool) -> AsyncIterator[None]:
        """Have the conversation for oneself; who is ``patient`` waits a little for it, and then goes on without.

        Raises:
            NotYetError: where somebody else writes there now, and it can wait.
        """
        mine = await self._taken(clock, patient=patient)
        try:
            await self.refresh()
            yield
        finally:
            if mine and self._memory is not None:
                with _tolerant():
                    await self._memory.let_go(self.place)

    async def _taken(self, clock: Clock, *, patient: bool) -> bool:
        if self._memory is None:
            return False
        with _tolerant():
            for _ in range(round(_PATIENCE / _LOOK_EVERY) if patient else 1):
                if await self._memory.take(self.place):
                    return True
                if not patient:
                    raise NotYetError("another message to the same conversation is under way", _NOT_NOW)
                await clock.sleep(_LOOK_EVERY)
            log.warning("going on beside another message to the conversation", incident=self.place.incident)
        return False


async def recalled(memory: Memory | None, place: Place) -> Talk:
    """What was noted of the conversation."""
    on = Talk(memory, place, {})
    await on.refresh()
    return on


@contextlib.contextmanager
def _tolerant() -> Iterator[None]:
    """Go on without what the store knows, where it does not answer."""
    try:
        yield
    except StoreError as error:
        log.warning("what Slack shows is not known now", error=str(error))
