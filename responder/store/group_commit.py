"""All webhooks that arrive while a write is under way share the next one.

One write at a time carries every alert that waits, so the round trip and the fsync are shared, and an answer of 200
always means: on disk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from responder.overflow import Overflow, Spill, unheard
from responder.store.errors import StoreBusyError, StoreError, StoreFullError
from responder.store.store import AlertWrite, Taken

BATCH_ALERTS = 2_000
BATCH_BYTES = 2_000_000
WAIT_LIMIT = 2.0  # seconds; who would wait longer is refused at once, and Alertmanager tries again

Write = Callable[[Sequence[AlertWrite]], Awaitable[Taken]]


class _Piece(msgspec.Struct):
    """Part of one webhook's alerts, small enough for a batch."""

    alerts: Sequence[AlertWrite]
    size: int
    done: asyncio.Future[Taken]


def _size(alert: AlertWrite) -> int:
    return len(alert[6]) + len(alert[7]) + 80


def cut(alerts: Sequence[AlertWrite]) -> list[tuple[Sequence[AlertWrite], int]]:
    """The alerts in pieces, each within the bounds of a batch, with their sizes in bytes."""
    pieces: list[tuple[Sequence[AlertWrite], int]] = []
    start = size = 0
    for index, alert in enumerate(alerts):
        one = _size(alert)
        if index > start and (index - start >= BATCH_ALERTS or size + one > BATCH_BYTES):
            pieces.append((alerts[start:index], size))
            start, size = index, 0
        size += one
    pieces.append((alerts[start:], size))
    return pieces


class GroupCommit:
    """The one writer of alerts in this process.

    It refuses while it is ``full`` (there is no room) or ``closed`` (the store cannot be seen).
    """

    def __init__(self, write: Write, on_taken: Callable[[Taken], None], spill: Spill = unheard) -> None:
        self._write = write
        self._spill = spill
        self._on_taken = on_taken
        self._waiting: deque[_Piece] = deque()
        self._waiting_bytes = 0
        self._bytes_per_second = 20_000_000.0
        self._arrived = asyncio.Event()
        self._started: float | None = None
        self.full = False
        self.closed = False

    async def submit(self, alerts: Sequence[AlertWrite]) -> Taken:
        """Write the alerts; durable when it returns.

        Raises:
            StoreBusyError: where too much is waiting already.
            StoreFullError: where the store has no room.
            StoreError: where it is away.
        """
        if self.closed:
            raise StoreError("the store takes no alerts, or what was done meanwhile is being written down")
        if self.full:
            self._spill(Overflow.STORE)
            raise StoreFullError("the store is nearly full; alerts are refused so that pages still go out")
        if self._wait_expected() > WAIT_LIMIT:
            self._spill(Overflow.ALERTS)
            raise StoreBusyError("more alerts are waiting than can be written in time")
        loop = asyncio.get_running_loop()
        pieces = [_Piece(part, size, loop.create_future()) for part, size in cut(alerts)]
        for piece in pieces:
            self._waiting.append(piece)
            self._waiting_bytes += piece.size
        self._arrived.set()
        if len(pieces) == 1:
            return await pieces[0].done
        results = await asyncio.gather(*(piece.done for piece in pieces), return_exceptions=True)
        return _joined(results)

    def _wait_expected(self) -> float:
        running = asyncio.get_running_loop().time() - self._started if self._started is not None else 0.0
        return running + self._waiting_bytes / self._bytes_per_second

    async def run(self) -> None:
        """Write for ever; cancelled at the end, when nothing waits any more."""
        while True:
            await self._arrived.wait()
            batch = self._next_batch()
            if not batch:
                self._arrived.clear()
                continue
            await self._write_batch(batch)

    def _next_batch(self) -> list[_Piece]:
        batch: list[_Piece] = []
        alerts = size = 0
        while self._waiting:
            piece = self._waiting[0]
            if batch and (alerts + len(piece.alerts) > BATCH_ALERTS or size + piece.size > BATCH_BYTES):
                break
            self._waiting.popleft()
            self._waiting_bytes -= piece.size
            if piece.done.cancelled():  # its sender has gone; it will come again
                continue
            batch.append(piece)
            alerts += len(piece.alerts)
            size += piece.size
        return batch

    async def _write_batch(self, batch: list[_Piece]) -> None:
        loop = asyncio.get_running_loop()
        self._started = loop.time()
        try:
            taken = await self._write([alert for piece in batch for alert in piece.alerts])
        except StoreError as error:
            self._started = None
            await self._write_singly(batch, error)
            return
        self._learn_speed(sum(piece.size for piece in batch), loop.time() - self._started)
        self._started = None
        self._on_taken(taken)
        at = 0
        for piece in batch:
            end = at + len(piece.alerts)
            _settle(piece, Taken(taken.outcomes[at:end], (), ()))
            at = end

    def _learn_speed(self, size: int, took: float) -> None:
        """Only large batches tell the speed; small ones are all round trip."""
        if size > BATCH_BYTES / 20:
            self._bytes_per_second += 0.1 * (size / max(took, 0.0005) - self._bytes_per_second)

    async def _write_singly(self, batch: list[_Piece], error: StoreError) -> None:
        """One webhook that cannot be written must not hold back its neighbours."""
        if len(batch) == 1 or isinstance(error, StoreFullError) or error.__cause__ is None:
            for piece in batch:
                _fail(piece, error)
            return
        away = isinstance(error.__cause__, (OSError, TimeoutError)) or "Connection" in str(error)
        for piece in batch:
            if away:
                _fail(piece, error)
                continue
            try:
                taken = await self._write(piece.alerts)
                self._on_taken(taken)
                _settle(piece, taken)
            except StoreError as own:
                _fail(piece, own)


def _settle(piece: _Piece, taken: Taken) -> None:
    if not piece.done.done():
        piece.done.set_result(taken)


def _fail(piece: _Piece, error: StoreError) -> None:
    if not piece.done.done():
        piece.done.set_exception(error)


def _joined(results: Sequence[Taken | BaseException]) -> Taken:
    for result in results:
        if isinstance(result, BaseException):
            raise result
    taken = [result for result in results if isinstance(result, Taken)]
    return Taken("".join(part.outcomes for part in taken), (), ())
