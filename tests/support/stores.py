"""A store as a process of its own, that a test can stop, freeze, fill and make read-only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from daemon import DaemonProcess, free_port
from redis.exceptions import RedisError
from waiting import eventually

from responder.store.connection import close, connect
from responder.store.embedded import server_program


class StoreProcess:
    """A server on a port of its own; what it has taken stays in its folder."""

    def __init__(self, folder: Path, program: str | None = None, *options: str) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._program, self._options = program or server_program(), options
        self._process: asyncio.subprocess.Process | None = None
        folder.mkdir(parents=True, exist_ok=True)

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
            "--appendonly", "yes", "--appendfsync", "always", "--save", "", *self._options,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        await eventually(self._up)

    async def _up(self) -> bool:
        with contextlib.suppress(Exception):  # not there yet
            return bool(await self.ask("PING"))
        return False

    async def ask(self, *command: Any) -> Any:
        client = connect(self.url)
        try:
            return await client.execute_command(*command)
        finally:
            await close(client)

    async def kill(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    def freeze(self) -> None:
        """It hangs, which is worse than being gone."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def frozen(data_dir: Path) -> Iterator[None]:
    """Meanwhile the embedded store of a daemon hangs."""
    pid = int((data_dir / "store" / "pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


#: What a command that fills takes beside what it fills with, in bytes.
_COMMAND = 150


class FilledDisk:
    """A disk on which the embedded store of a daemon finds no room: whoever may mount none may still limit what a file holds.

    Its server dies of a write that finds none, and of the first one after each start, as on a disk that is full.
    """

    _LIMIT = 2_000_000  # bytes; the daemon's own log stays below it

    def __init__(self, daemon: DaemonProcess) -> None:
        self._daemon = daemon

    async def fill(self, left: int) -> None:
        """Leave room for so many bytes."""
        self._limit(self._LIMIT)
        await eventually(lambda: self._filled(left), limit=10)

    async def _filled(self, left: int) -> bool:
        folder = self._daemon.folder / "data" / "store"
        client = connect(f"unix://{folder / 'socket'}")
        try:
            await client.execute_command(
                "PING"
            )  # one that was started again has cut off by now what was half written
            room = self._LIMIT - max(path.stat().st_size for path in (folder / "appendonlydir").glob("*.aof"))
            if (size := room - left - _COMMAND) > 0:
                await client.execute_command("SETEX", "filled", 1, b"x" * size)
        except RedisError:  # the daemon has written meanwhile
            return False
        finally:
            await close(client)
        return True

    def clear(self) -> None:
        """There is room again."""
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        process = self._daemon.process
        assert process is not None
        for pid in (process.pid, self._daemon.store_pid()):
            with contextlib.suppress(ProcessLookupError):
                if pid is not None:
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextlib.asynccontextmanager
async def store_process(
    folder: Path, program: str | None = None, *options: str
) -> AsyncIterator[StoreProcess]:
    store = StoreProcess(folder, program, *options)
    await store.start()
    try:
        yield store
    finally:
        with contextlib.suppress(ProcessLookupError):
            store.thaw()
        await store.kill()
