"""A store as a process of its own, that a test can stop, freeze, fill and make read-only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from daemon import free_port
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
