"""Type ``postgres``: named queries on a configured database, which never make things worse.

One connection per target at a time, read-only, with a statement's time limit; it works through PgBouncer's
transaction mode, where only ``application_name`` may be given at the start and only ``SET LOCAL`` stays one's own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import asyncpg

from responder.incident.finding import FindingStatus
from responder.text import one_line
from responder.triage.base import PROBES, Circumstances, Observation, ProbeSettings, ProbeTools
from responder.triage.postgres_queries import PRIVILEGE, QUERIES, Limits, Query
from responder.triage.runner import TargetError

_CLOSE_LIMIT = 1.0  # seconds


class PostgresSettings(ProbeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``warning`` and ``critical`` are shares of the connections that ordinary roles may use."""

    target: str
    query: Query
    warning: float = 0.8
    critical: float = 0.95
    idle_older_than: timedelta = timedelta(minutes=10)
    slow_after: timedelta = timedelta(minutes=1)
    limit: int = 10
    suggests: str | None = None


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

_locks: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()


@PROBES.register("postgres")
class PostgresProbe:
    """One named query."""

    Settings: ClassVar[type[ProbeSettings]] = PostgresSettings
    target_kind: ClassVar[str] = "postgres"

    def __init__(self, settings: PostgresSettings, tools: ProbeTools) -> None:
        self._settings = settings
        self._tools = tools
        # Held as long as a probe of the target lives: all of them share one connection's place.
        self._lock = _locks.setdefault((id(tools), settings.target), asyncio.Lock())

    async def look(self, circumstances: Circumstances) -> Observation:
        """Ask; an error of the server's is an observation too."""
        target = self._tools.targets.postgres.get(self._settings.target)
        if target is None:
            raise TargetError(f"target {self._settings.target} is not configured under targets.postgres")
        try:
            async with self._lock, _connection(target.url.reveal(), self._settings.timeout) as connection:
                observation = await self._asked(connection)
        except asyncpg.PostgresError as error:
            return self._failed(error)
        except asyncpg.InterfaceError as error:
            raise TargetError(f"{self._settings.target}: {one_line(str(error), 150)}") from None
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            return Observation(
                status=FindingStatus.CRITICAL, headline=f"cannot reach {self._settings.target}: {reason}"
            )
        return self._with_suggestion(observation)

    async def _asked(self, connection: Any) -> Observation:
        s, named = self._settings, QUERIES[self._settings.query]
        limits = Limits(
            warning=s.warning,
            critical=s.critical,
            idle_older_than=s.idle_older_than,
            slow_after=s.slow_after,
            rows=max(1, min(s.limit, 100)),
        )
        async with connection.transaction(readonly=True):
            patience = max(int(s.timeout.total_seconds() * 900), 100)
            await connection.execute(f"SET LOCAL statement_timeout = {patience}")
            await connection.execute(f"SET LOCAL lock_timeout = {patience // 2}")
            if named.needs_monitor:
                privilege = await connection.fetchrow(PRIVILEGE)
                if not privilege["sees_all"]:
                    me = one_line(privilege["me"], 63)
                    headline = f"may not see other sessions: GRANT pg_monitor TO {me}"
                    return Observation(status=FindingStatus.DENIED, headline=headline)
            rows = await connection.fetch(named.sql, *named.parameters(limits))
        return named.meaning(rows, limits)

    def _failed(self, error: asyncpg.PostgresError) -> Observation:
        code = getattr(error, "sqlstate", None) or ""
        status, text = _STATES.get(code, (FindingStatus.ERROR, f"{type(error).__name__} ({code})"))
        observation = Observation(status=status, headline=f"{self._settings.target}: {text}")
        return self._with_suggestion(observation)

    def _with_suggestion(self, observation: Observation) -> Observation:
        if observation.status not in (FindingStatus.WARNING, FindingStatus.CRITICAL):
            return observation
        return Observation(
            status=observation.status,
            headline=observation.headline,
            detail=observation.detail,
            suggests=self._settings.suggests,
        )


@asynccontextmanager
async def _connection(url: str, limit: timedelta) -> AsyncIterator[Any]:
    """A connection of our own, closed whatever happens; on cancellation it is cut."""
    connection = await asyncpg.connect(
        url,
        timeout=limit.total_seconds(),
        command_timeout=limit.total_seconds(),
        statement_cache_size=0,
        server_settings={"application_name": "responder"},
    )
    try:
        yield connection
    except BaseException:
        connection.terminate()
        raise
    else:
        await connection.close(timeout=_CLOSE_LIMIT)
