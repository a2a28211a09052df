"""Configured Postgres databases: a connection that is always let go of, and what an error of the server's means.

It works through PgBouncer's transaction mode, where only ``application_name`` may be given at the start and only
``SET LOCAL`` stays one's own.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg

from responder.incident.finding import FindingStatus

_CLOSE_LIMIT = 1.0  # seconds

#: SQLSTATE -> what it means here. Source: PostgreSQL's appendix of error codes.
_STATES: dict[str, tuple[FindingStatus, str]] = {
    "53300": (FindingStatus.CRITICAL, "no free connection: the server refuses new ones"),
    "57P03": (FindingStatus.CRITICAL, "the server is starting up or shutting down"),
    "28P01": (FindingStatus.DENIED, "wrong password for the probe's user"),
    "28000": (FindingStatus.DENIED, "the probe's user may not connect"),
    "42501": (FindingStatus.DENIED, "the probe's user may not read this"),
    "3D000": (FindingStatus.ERROR, "the database does not exist"),
    "57014": (FindingStatus.TIMEOUT, "the query was cancelled at its time limit"),
    "08P01": (FindingStatus.CRITICAL, "the connection pooler refuses new clients"),
}


def refusal(name: str, error: asyncpg.PostgresError | OSError) -> tuple[FindingStatus, str]:
    """What an error of the target of that name means for whoever asked, in words that hold nothing secret."""
    if isinstance(error, OSError):
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        return FindingStatus.CRITICAL, f"cannot reach {name}: {reason}"
    code = getattr(error, "sqlstate", None) or ""
    status, text = _STATES.get(code, (FindingStatus.ERROR, f"{type(error).__name__} ({code})"))
    return status, f"{name}: {text}"


@asynccontextmanager
async def connection(url: str, limit: timedelta) -> AsyncIterator[Any]:
    """A connection of our own, closed whatever happens; on cancellation it is cut."""
    opened = await asyncpg.connect(
        url,
        timeout=limit.total_seconds(),
        command_timeout=limit.total_seconds(),
        statement_cache_size=0,
        server_settings={"application_name": "responder"},
    )
    try:
        yield opened
    except BaseException:
        opened.terminate()
        raise
    else:
        await opened.close(timeout=_CLOSE_LIMIT)
