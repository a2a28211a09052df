"""The named queries: fixed texts, and what their rows mean to a tired person.

Sources: PostgreSQL's documentation of ``pg_stat_activity`` and of the predefined roles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

import msgspec

from responder.durations import format_duration
from responder.incident.finding import FindingStatus
from responder.text import one_line
from responder.triage.base import Observation


class Query(StrEnum):
    """What can be asked by name."""

    CONNECTIONS = "connections"
    ACTIVE = "active"
    IDLE = "idle"
    VERSION = "version"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Where a query's answer becomes a warning, and how much of it is shown."""

    warning: float
    critical: float
    idle_older_than: timedelta
    slow_after: timedelta
    rows: int


Row = Any  # asyncpg.Record, untyped


class NamedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A query's text, its parameters, and its meaning. ``needs_monitor``: others' sessions must be visible."""

    sql: str
    parameters: Callable[[Limits], tuple[Any, ...]]
    meaning: Callable[[Sequence[Row], Limits], Observation]
    needs_monitor: bool = True


#: Whether the present role sees other sessions; a plain one would count only its own and call a full server empty.
PRIVILEGE = """
SELECT current_user AS me,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
       OR pg_has_role(current_user, 'pg_read_all_stats', 'MEMBER') AS sees_all
"""

_CONNECTIONS = """
SELECT current_setting('max_connections')::int AS max_conn,
       count(*)::int AS used,
       current_setting('superuser_reserved_connections')::int
         + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved,
       (count(*) FILTER (WHERE state = 'active'))::int AS active,
       (count(*) FILTER (WHERE state = 'idle'))::int AS idle,
       (count(*) FILTER (WHERE state LIKE 'idle in transaction%'))::int AS in_transaction,
       (count(*) FILTER (WHERE state = 'idle' AND state_change < now() - $1::interval))::int AS idle_long
FROM pg_stat_activity
WHERE backend_type = 'client backend'
"""

_ACTIVE = """
SELECT pid, usename, application_name, state, wait_event_type, wait_event,
       extract(epoch FROM now() - query_start)::float8 AS seconds,
       left(query, 200) AS query,
       cardinality(pg_blocking_pids(pid)) > 0 AS blocked,
       count(*) OVER ()::int AS total
FROM pg_stat_activity
WHERE state <> 'idle' AND pid <> pg_backend_pid() AND backend_type = 'client backend'
ORDER BY query_start NULLS LAST
LIMIT $1
"""

_IDLE = """
SELECT usename, application_name,
       count(*)::int AS sessions,
       (count(*) FILTER (WHERE state_change < now() - $1::interval))::int AS old,
       extract(epoch FROM max(now() - state_change))::float8 AS oldest
FROM pg_stat_activity
WHERE state = 'idle' AND backend_type = 'client backend' AND pid <> pg_backend_pid()
GROUP BY 1, 2
ORDER BY old DESC, sessions DESC
LIMIT $2
"""


def _connections(rows: Sequence[Row], limits: Limits) -> Observation:
    row = rows[0]
    usable = max(row["max_conn"] - row["reserved"], 1)
    share = row["used"] / usable
    long = format_duration(limits.idle_older_than)
    headline = f"{row['used']} of {row['max_conn']} connections used"
    if row["reserved"]:
        headline += f" ({row['reserved']} reserved)"
    if row["idle_long"]:
        headline += f", {row['idle_long']} idle for over {long}"
    detail = (
        f"active {row['active']}, idle {row['idle']}, idle in transaction {row['in_transaction']}; "
        f"{max(usable - row['used'], 0)} free for ordinary roles"
    )
    status = FindingStatus.OK
    if share >= limits.critical:
        status = FindingStatus.CRITICAL
    elif share >= limits.warning:
        status = FindingStatus.WARNING
    return Observation(status=status, headline=headline, detail=detail)


def _active(rows: Sequence[Row], limits: Limits) -> Observation:
    if not rows:
        return Observation(status=FindingStatus.OK, headline="no active queries")
    slow = [row for row in rows if (row["seconds"] or 0) >= limits.slow_after.total_seconds()]
    blocked = [row for row in rows if row["blocked"]]
    longest = max(row["seconds"] or 0 for row in rows)
    headline = f"{rows[0]['total']} active queries, the longest for {_age(longest)}"
    if blocked:
        headline += f", {len(blocked)} blocked by others"
    status = FindingStatus.WARNING if slow or blocked else FindingStatus.OK
    return Observation(status=status, headline=headline, detail="\n".join(_query_line(row) for row in rows))


def _query_line(row: Row) -> str:
    wait = f" waits on {row['wait_event_type']}:{row['wait_event']}" if row["wait_event"] else ""
    who = one_line(f"{row['usename']} {row['application_name'] or ''}", 60)
    blocked = " BLOCKED" if row["blocked"] else ""
    return f"{row['pid']} {who} {row['state']} {_age(row['seconds'])}{wait}{blocked}: {masked(row['query'])}"


def _idle(rows: Sequence[Row], limits: Limits) -> Observation:
    old, long = sum(row["old"] for row in rows), format_duration(limits.idle_older_than)
    sessions = sum(row["sessions"] for row in rows)
    if not old:
        return Observation(status=FindingStatus.OK, headline=f"{sessions} idle, none of them for over {long}")
    lines = [
        f"{one_line(row['usename'] or '?', 60)} {one_line(row['application_name'] or '', 60)}: {row['sessions']} idle, "
        f"{row['old']} for over {long}, the oldest for {_age(row['oldest'])}"
        for row in rows
    ]
    headline = f"{old} of {sessions} idle connections are idle for over {long}"
    return Observation(status=FindingStatus.WARNING, headline=headline, detail="\n".join(lines))


def _version(rows: Sequence[Row], _limits: Limits) -> Observation:
    return Observation(
        status=FindingStatus.OK,
        headline=one_line(rows[0]["version"], 150),
        detail=f"up since {rows[0]['since']:%F %T} UTC",
    )


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    return format_duration(timedelta(seconds=round(seconds))) if seconds >= 1 else f"{seconds * 1000:.0f}ms"


_LITERAL = re.compile(r"'(?:[^']|'')*'?|\$\w{0,20}\$|\b\d+(?:\.\d+)?\b")


def masked(query: str | None) -> str:
    """A query's text without its literals, which hold people's data."""
    return one_line(_LITERAL.sub("?", query or ""), 200)


QUERIES: dict[Query, NamedQuery] = {
    Query.CONNECTIONS: NamedQuery(
        sql=_CONNECTIONS, parameters=lambda limits: (limits.idle_older_than,), meaning=_connections
    ),
    Query.ACTIVE: NamedQuery(sql=_ACTIVE, parameters=lambda limits: (limits.rows,), meaning=_active),
    Query.IDLE: NamedQuery(
        sql=_IDLE, parameters=lambda limits: (limits.idle_older_than, limits.rows), meaning=_idle
    ),
    Query.VERSION: NamedQuery(
        sql="SELECT version() AS version, pg_postmaster_start_time() AT TIME ZONE 'UTC' AS since",
        parameters=lambda _limits: (),
        meaning=_version,
        needs_monitor=False,
    ),
}
