"""Has an iCalendar file read by a child that can be ended, whatever the file does to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from datetime import datetime

import msgspec

from responder.calendars.parse import BODY_LIMIT, CalendarError, Occurrences

LIMIT = 15.0  # seconds
_ANSWER = msgspec.json.Decoder(Occurrences)
#: What Python needs to find itself; the child reads strangers' files and gets no secret of ours.
_ENVIRONMENT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONTZPATH",
    "LD_LIBRARY_PATH",
    "LANG",
    "LC_ALL",
    "TMPDIR",
)


async def expand(raw: bytes, start: datetime, end: datetime, *, limit: float = LIMIT) -> Occurrences:
    """The events that take place between two times; ``problem`` is empty.

    Raises:
        CalendarError: where the file cannot be read, or not in time.
    """
    if len(raw) > BODY_LIMIT:
        raise CalendarError(f"it is over {BODY_LIMIT // 1024} KiB")
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "responder.calendars.child", start.isoformat(), end.isoformat(),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )  # fmt: skip
    except OSError as error:
        raise CalendarError(f"its reader cannot be started: {os.strerror(error.errno or 0)}") from None
    try:
        async with asyncio.timeout(limit):
            answer, _ = await child.communicate(raw)
    except TimeoutError:
        raise CalendarError(f"reading it takes longer than {limit:g} s") from None
    finally:
        await _ended(child)
    return _read(answer)


async def _ended(child: asyncio.subprocess.Process) -> None:
    """Nothing of it stays behind, also where we were cancelled while it ran."""
    with contextlib.suppress(ProcessLookupError):
        child.kill()
    await asyncio.shield(child.wait())


def _read(answer: bytes) -> Occurrences:
    try:
        found = _ANSWER.decode(answer)
    except msgspec.DecodeError:
        raise CalendarError("its reader gave up: it needs too much memory or time") from None
    if found.problem:
        raise CalendarError(found.problem)
    return found
