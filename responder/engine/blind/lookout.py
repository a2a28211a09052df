"""Looks at the store at intervals: whether it takes alerts and decisions, who else works on it, what is open there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from responder.clock import Clock
from responder.engine.blind.item import Heard, heard_of
from responder.engine.blind.kept import INCIDENTS_KEPT
from responder.engine.blind.memory import Memory
from responder.incident.sight import Sight
from responder.store.connection import CALL_LIMIT
from responder.store.errors import StoreError
from responder.store.reading import Reader
from responder.store.roll import Roll, RollCall
from responder.store.store import AlertWrite, Taken

log = structlog.get_logger(__name__)

LOOK_EVERY = 2.0  # seconds
LOOK_SOON = 1.0
#: How long calls must have been good before the store is trusted again.
STEADY = 3.0
#: A replica that was not seen for so long, though a look takes no longer, is none any more. What would have been its turn waits
#: for it in vain otherwise; where it only was slow, somebody is paged twice.
_THERE = timedelta(seconds=LOOK_EVERY + CALL_LIMIT)
_READ_AT_ONCE = 200
#: Alerts that the store has taken wait so long at most for a decision that names their incident.
_NEW_FOR = timedelta(seconds=15)

#: What a look writes, in bytes; and how much after a failure. A disk that is full may still take a few bytes, in the last
#: block of a file, and no alert: what was refused is believed in again when more than most webhooks bring can be written.
LIGHT = 1
HEAVY = 64 * 1024
#: Outcomes of alerts of which the store has kept all. Of repeats it writes little or nothing, which proves nothing.
_KEPT = frozenset("narqu")

Ingest = Callable[[Sequence[AlertWrite]], Awaitable[Taken]]


class Says(StrEnum):
    """What a replica says of itself."""

    SEES = "sees"
    BLIND = "blind"  # it has things to tell
    TOLD = "told"  # it has told them, and waits for the others


class Lookout:
    """See the module. ``takes`` is about alerts, ``decides`` about everything else that is written."""

    def __init__(self, roll: Roll, reader: Reader, memory: Memory, clock: Clock, patience: timedelta) -> None:
        seconds = patience.total_seconds()
        steady = min(STEADY, seconds)
        self.takes = Sight(seconds, steady)
        self.decides = Sight(seconds, steady)
        self.says = Says.SEES
        self.alarm = asyncio.Event()
        self.last: RollCall | None = None
        self._roll = roll
        self._reader = reader
        self._memory = memory
        self._clock = clock
        self._skew = timedelta(0)
        self._revisions: dict[str, int] = {}

    def now(self) -> datetime:
        """The store's time, as far as it is known."""
        return self._clock.now() + self._skew

    @property
    def troubled(self) -> bool:
        """Whether something has just failed."""
        return self.takes.failing or self.decides.failing

    async def write(self, ingest: Ingest, alerts: Sequence[AlertWrite]) -> Taken:
        """Write alerts, and note how that went. Only of what is new the store writes enough to be trusted for it."""
        begun = asyncio.get_running_loop().time()
        try:
            taken = await ingest(alerts)
        except StoreError:
            self.takes.saw(good=False, at=begun)
            self.alarm.set()
            raise
        if not _KEPT.isdisjoint(taken.outcomes):
            self.takes.saw(good=True, at=begun)
        return taken

    async def look(self, *, full: bool) -> None:
        """One look; where alerts are refused for want of room, that counts as a failure."""
        doubted = self.troubled or self.says is not Says.SEES
        # Random, since a file system that packs what it holds would find room for zeros.
        ballast = os.urandom(HEAVY if doubted else LIGHT)
        await asyncio.gather(self._call(ballast if doubted else b""), self._try_to_write(ballast, full=full))

    async def _try_to_write(self, ballast: bytes, *, full: bool) -> None:
        begun = asyncio.get_running_loop().time()
        if full:
            self.takes.saw(good=False, at=begun)
            return
        try:
            await self._roll.try_to_write(ballast)
        except StoreError as error:
            self.takes.saw(good=False, at=begun)
            log.debug("the store does not take alerts", error=str(error))
        else:
            self.takes.saw(good=True, at=begun)

    async def _call(self, ballast: bytes) -> None:
        begun = asyncio.get_running_loop().time()
        try:
            found = await self._roll.call(self.says, INCIDENTS_KEPT, ballast)
            self.decides.saw(good=True, at=begun)
            self._skew = found.now - self._clock.now()
            if self.says is Says.SEES:
                await self._remember(found)
        except StoreError as error:
            self.decides.saw(good=False, at=begun)
            log.debug("the store does not answer", error=str(error))
            return
        self.last = found

    async def _remember(self, found: RollCall) -> None:
        """Bring the memory up to date with what others have decided."""
        self._memory.others = frozenset(
            name
            for name, word in found.replicas.items()
            if name != self._roll.me and found.now - word.seen < _THERE
        )
        changed = [one for one, revision in found.open.items() if self._revisions.get(one) != revision]
        changed = changed[:_READ_AT_ONCE]
        for incident in await self._reader.readable(changed):
            self._memory.known(incident)
        self._revisions = {one: self._revisions.get(one, -1) for one in found.open}
        self._revisions |= {one: found.open[one] for one in changed}
        self._memory.only(found.open.keys(), found.now)
        self._memory.drop_new(found.now - _NEW_FOR)

    def back(self, since: datetime | None) -> bool:
        """Whether every other replica has been seen since that time of the store, and has nothing left to tell."""
        if self.last is None or since is None:
            return True
        words = [self.last.replicas.get(name) for name in self._memory.others]
        return all(word is not None and word.seen > since and word.says != Says.BLIND for word in words)


def written(alerts: Sequence[AlertWrite], taken: Taken) -> list[Heard]:
    """The urgent firings of a batch that were new: until a decision names their incident, they are remembered."""
    if "n" not in taken.outcomes and "a" not in taken.outcomes:
        return []
    return [
        heard_of(alert)
        for alert, letter in zip(alerts, taken.outcomes, strict=False)
        if letter in "na" and alert[4] <= 2
    ]
