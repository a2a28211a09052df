"""The last good copy of each calendar, on disk: a daemon that starts while the feed is away knows who is on call."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec
import structlog

from responder.calendars.fetch import Version
from responder.calendars.source import CalendarSource

log = structlog.get_logger(__name__)

_SUFFIX, _NEW = ".calendar", ".new"


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A calendar that could be read, and when it was last known to be the present one."""

    body: bytes
    version: Version
    confirmed_at: datetime


_ENCODE = msgspec.msgpack.Encoder()
_DECODE = msgspec.msgpack.Decoder(Copy)


class Copies:
    """One file for each calendar, named by a digest of the schedule and the address; replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def load(self, name: str, source: CalendarSource) -> Copy | None:
        """The last good copy, ``None`` where there is none that can be read."""
        return await asyncio.to_thread(self._load, self._path(name, source))

    async def save(self, name: str, source: CalendarSource, copy: Copy) -> None:
        """Keep a copy; where the disk does not take it, that is said, and the memory has it still."""
        try:
            await asyncio.to_thread(self._save, self._path(name, source), _ENCODE.encode(copy))
        except OSError as error:
            log.warning("calendar not kept on disk", schedule=name, reason=os.strerror(error.errno or 0))

    async def prune(self, sources: Mapping[str, CalendarSource]) -> None:
        """Drop the copies of calendars that the rules no longer name."""
        await asyncio.to_thread(self._prune, {self._path(*one) for one in sources.items()})

    def _prune(self, wanted: set[Path]) -> None:
        if not self._folder.is_dir():
            return
        for path in set(self._folder.iterdir()) - wanted:
            if path.suffix in {_SUFFIX, _NEW}:
                path.unlink(missing_ok=True)

    def _path(self, name: str, source: CalendarSource) -> Path:
        origin = source.file if source.file is not None else source.url.reveal() if source.url else ""
        digest = hashlib.blake2b(f"{name}\0{origin}".encode(), digest_size=16).hexdigest()
        return self._folder / f"{digest}{_SUFFIX}"

    def _load(self, path: Path) -> Copy | None:
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return _DECODE.decode(path.read_bytes())
        return None

    def _save(self, path: Path, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=self._folder, suffix=_NEW)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


class LookedAt(Copies):
    """The copies of a daemon as a command sees them: nothing is written or dropped."""

    async def save(self, name: str, source: CalendarSource, copy: Copy) -> None:
        """Not for us."""

    async def prune(self, sources: Mapping[str, CalendarSource]) -> None:
        """Not for us."""
