"""Type ``postgres``: named queries on a configured database, which never make things worse.

One connection per target at a time, read-only, with a statement's time limit; it works through PgBouncer's
transaction mode, where only ``application_name`` may be given at the start and only ``SET LOCAL`` stays one's own.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import asyncpg

from responder.incident.finding import FindingStatus
from responder.targets.base import TargetError, configured
from responder.targets.postgres import connection, refusal
from responder.text import one_line
from responder.triage.base import PROBES, Circumstances, Observation, ProbeSettings, ProbeTools
from responder.triage.postgres_queries import PRIVILEGE, QUERIES, Limits, Query


class PostgresSettings(ProbeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``warning`` and ``critical`` are shares of the connections that ordinary roles may use."""

    TARGET_KIND: ClassVar[str] = "postgres"

    target: str
    query: Query
    warning: float = 0.8
    critical: float = 0.95
    idle_older_than: timedelta = timedelta(minutes=10)
    slow_after: timedelta = timedelta(minutes=1)
    limit: int = 10


_locks: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()


@PROBES.register("postgres")
class PostgresProbe:
    """One named query."""

    Settings: ClassVar[type[ProbeSettings]] = PostgresSettings
    per_incident: ClassVar[bool] = False

    def __init__(self, settings: PostgresSettings, tools: ProbeTools) -> None:
        self._settings = settings
        self._tools = tools
        # Held as long as a probe of the target lives: all of them share one connection's place.
        self._lock = _locks.setdefault((id(tools), settings.target), asyncio.Lock())

    async def look(self, circumstances: Circumstances) -> Observation:
        """Ask; an error of the server's is an observation too."""
        name = self._settings.target
        target = configured(self._tools.targets.postgres, "postgres", name)
        try:
            async with self._lock, connection(target.url.reveal(), self._settings.timeout) as connected:
                return await self._asked(connected)
        except (asyncpg.PostgresError, OSError) as error:
            status, headline = refusal(name, error)
            return Observation(status=status, headline=headline)
        except asyncpg.InterfaceError as error:
            raise TargetError(f"{name}: {one_line(str(error), 150)}") from None

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
