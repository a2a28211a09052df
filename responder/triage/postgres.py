"""Type ``postgres``: a named query, or SQL of the rule file's own, on a configured database; it never makes things worse.

One connection per target at a time, read-only, with a statement's time limit; it works through PgBouncer.
"""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from responder.incident.finding import FindingStatus
from responder.parameters import Parameter, bound_text, resolve
from responder.targets.base import TargetError
from responder.targets.postgres import RefusedError, connection, reading, told
from responder.targets.postgres_role import role_of
from responder.triage.base import PROBES, Circumstances, Observation, ProbeSettings, ProbeTools
from responder.triage.postgres_queries.base import Limits, NamedQuery, Query, Unit
from responder.triage.postgres_queries.bounds import Amount, Bounds, seconds
from responder.triage.postgres_queries.catalogue import QUERIES
from responder.triage.postgres_queries.custom import Custom, ask
from responder.triage.postgres_queries.sql_text import placeholders
from responder.triage.thresholds import check_order

_ROWS = 100
_OF_SQL = ("parameters", "value", "headline")


class PostgresSettings(ProbeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either ``query``, with ``warning`` and ``critical`` in that query's unit, or ``sql``.

    ``sql`` is one ``SELECT``; its ``$1``, ``$2`` … are the ``parameters``, bound as values. ``value`` is the column that
    is compared with ``warning`` and ``critical`` (without it the number of rows is), ``headline`` may hold ``{column}``.
    """

    TARGET_KIND: ClassVar[str] = "postgres"

    target: str
    query: Query | None = None
    sql: str | None = None
    parameters: tuple[Parameter, ...] = ()
    value: str | None = None
    headline: str | None = None
    warning: Bounds | float | timedelta | None = None
    critical: Bounds | float | timedelta | None = None
    idle_older_than: timedelta = timedelta(minutes=10)
    slow_after: timedelta = timedelta(minutes=1)
    limit: int = 10

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for settings that contradict each other."""
        if (self.query is None) == (self.sql is None):
            raise ValueError("give either query (one that has a name) or sql")
        if not 1 <= self.limit <= _ROWS:
            raise ValueError(f"limit: expected 1 to {_ROWS} rows, got {self.limit}")
        for key in ("warning", "critical"):
            bound = getattr(self, key)
            if isinstance(bound, (int, float)) and not math.isfinite(bound):
                raise ValueError(f"{key}: a bound is a finite number")
        if self.sql is not None:
            _check_sql(self, self.sql)
        elif self.query is not None:
            _check_named(self, self.query)


def _check_sql(settings: PostgresSettings, sql: str) -> None:
    if not sql.strip():
        raise ValueError("sql: expected a SELECT, got an empty text")
    used, given = placeholders(sql), len(settings.parameters)
    if used != set(range(1, given + 1)):
        names = ", ".join(f"${number}" for number in sorted(used)) or "no $n"
        raise ValueError(f"sql uses {names}, and parameters has {given}: $1 is the first of them")
    warning, critical = _bounds(settings.warning), _bounds(settings.critical)
    if warning is not None and critical is not None:
        check_order(warning.above, critical.above)
        check_order(warning.below, critical.below, below=True)


def _check_named(settings: PostgresSettings, query: Query) -> None:
    named = QUERIES[query]
    unit = named.unit
    foreign = [key for key in _OF_SQL if getattr(settings, key)]
    if foreign:
        raise ValueError(f"{foreign[0]} goes with sql, not with query")
    for key in ("warning", "critical"):
        bound = getattr(settings, key)
        if bound is None:
            continue
        if unit is None:
            raise ValueError(f"{key}: query {query} takes no limits")
        fits = isinstance(bound, timedelta) if unit is Unit.DURATION else isinstance(bound, (int, float))
        if not fits or (unit is Unit.SHARE and not 0 <= bound <= 1):
            raise ValueError(f"{key}: query {query} expects {unit}")
        if seconds(bound) < 0:
            raise ValueError(f"{key}: query {query} expects {unit}, got {bound:g}")
    # A critical before the query's own warning is meant: it says that all of it is critical.
    warning = _limit(settings.warning, None)
    critical = _limit(settings.critical, named.critical)
    check_order(_shown(warning, unit), _shown(critical, unit), below=named.below)


def _shown(limit: float | None, unit: Unit | None) -> Amount | None:
    """A limit of a named query, as rule files write it."""
    return timedelta(seconds=limit) if unit is Unit.DURATION and limit is not None else limit


_locks: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()


@PROBES.register("postgres")
class PostgresProbe:
    """One query."""

    Settings: ClassVar[type[ProbeSettings]] = PostgresSettings
    per_incident: ClassVar[bool] = False

    def __init__(self, settings: PostgresSettings, tools: ProbeTools) -> None:
        self._settings = settings
        self._tools = tools
        # Held as long as a probe of the target lives: all of them share one connection's place.
        self._lock = _locks.setdefault((id(tools), settings.target), asyncio.Lock())

    async def look(self, circumstances: Circumstances) -> Observation:
        """Ask; an error of the server's is an observation too."""
        s = self._settings
        arguments = [
            resolve(one, circumstances.labels, f"parameters[{number}]", bound_text)
            for number, one in enumerate(s.parameters)
        ]
        try:
            async with self._lock, connection(self._tools.targets.postgres, s.target, s.timeout) as connected:
                with told(s.target):
                    async with reading(connected, s.timeout):
                        return await self._asked(connected, arguments)
        except RefusedError as error:
            return Observation(status=error.status, headline=str(error))

    async def _asked(self, connected: Any, arguments: list[str]) -> Observation:
        s = self._settings
        if s.sql is not None:
            return await ask(connected, _custom(s, s.sql), arguments)
        if s.query is None:
            raise TargetError("neither query nor sql is given")
        named, role = QUERIES[s.query], await role_of(connected)
        if named.needs_monitor and not role.sees_all:
            return Observation(status=FindingStatus.DENIED, headline=role.blind)
        return await named.ask(connected, role, _limits(s, named))


def _limits(settings: PostgresSettings, named: NamedQuery) -> Limits:
    return Limits(
        warning=_limit(settings.warning, named.warning),
        critical=_limit(settings.critical, named.critical),
        below=named.below,
        idle_older_than=settings.idle_older_than,
        slow_after=settings.slow_after,
        rows=settings.limit,
    )


def _limit(given: Bounds | Amount | None, otherwise: float | None) -> float | None:
    return otherwise if given is None or isinstance(given, Bounds) else seconds(given)


def _custom(settings: PostgresSettings, sql: str) -> Custom:
    return Custom(
        sql=sql,
        value=settings.value,
        headline=settings.headline,
        warning=_bounds(settings.warning),
        critical=_bounds(settings.critical),
        rows=settings.limit,
    )


def _bounds(given: Bounds | Amount | None) -> Bounds | None:
    return given if given is None or isinstance(given, Bounds) else Bounds(above=given)
