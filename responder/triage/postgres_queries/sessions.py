"""Who is connected: against the limit, busy, idle, and idle inside a transaction.

Source: PostgreSQL's documentation of ``pg_stat_activity``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from responder.durations import format_duration
from responder.incident.finding import FindingStatus
from responder.targets.postgres_role import Role
from responder.triage.base import Observation
from responder.triage.postgres_queries.base import (
    Limits,
    NamedQuery,
    Row,
    Unit,
    age,
    lines,
    plural,
    who,
    worst,
)  # fmt: skip
from responder.triage.postgres_queries.sql_text import masked

#: Ages are by ``clock_timestamp()``: ``now()`` is when our transaction began, and others' queries begin after it too.
_CONNECTIONS = """
SELECT current_setting('max_connections')::int AS max_conn,
       count(*)::int AS used,
       current_setting('superuser_reserved_connections')::int
         + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved,
       (count(*) FILTER (WHERE state = 'active'))::int AS active,
       (count(*) FILTER (WHERE state = 'idle'))::int AS idle,
       (count(*) FILTER (WHERE state LIKE 'idle in transaction%'))::int AS in_transaction,
       (count(*) FILTER (WHERE state = 'idle' AND state_change < clock_timestamp() - $1::interval))::int AS idle_long
FROM pg_stat_activity
WHERE backend_type = 'client backend'
"""

_HOLDERS = """
SELECT usename, application_name, count(*)::int AS sessions,
       (count(*) FILTER (WHERE state = 'active'))::int AS active,
       (count(*) FILTER (WHERE state = 'idle'))::int AS idle,
       (count(*) FILTER (WHERE state LIKE 'idle in transaction%'))::int AS in_transaction,
       min(host(client_addr)) AS address, count(DISTINCT client_addr)::int AS addresses,
       count(*) OVER ()::int AS total
FROM pg_stat_activity
WHERE backend_type = 'client backend'
GROUP BY usename, application_name
ORDER BY sessions DESC, usename, application_name
LIMIT $1
"""

_ACTIVE = """
SELECT pid, usename, application_name, state, wait_event_type, wait_event,
       extract(epoch FROM clock_timestamp() - query_start)::float8 AS seconds,
       left(query, 1000) AS query,
       coalesce(wait_event_type = 'Lock', false) AS blocked,
       (count(*) FILTER (WHERE wait_event_type = 'Lock') OVER ())::int AS all_blocked,
       count(*) OVER ()::int AS total
FROM pg_stat_activity
WHERE state NOT LIKE 'idle%' AND pid <> pg_backend_pid() AND backend_type = 'client backend'
ORDER BY query_start NULLS LAST
LIMIT $1
"""

_IDLE = """
SELECT usename, application_name, count(*)::int AS sessions,
       (count(*) FILTER (WHERE state_change < clock_timestamp() - $1::interval))::int AS old,
       extract(epoch FROM max(clock_timestamp() - state_change))::float8 AS oldest,
       (sum(count(*)) OVER ())::int AS all_sessions,
       (sum(count(*) FILTER (WHERE state_change < clock_timestamp() - $1::interval)) OVER ())::int AS all_old,
       count(*) OVER ()::int AS total
FROM pg_stat_activity
WHERE state = 'idle' AND backend_type = 'client backend' AND pid <> pg_backend_pid()
GROUP BY usename, application_name
ORDER BY old DESC, sessions DESC
LIMIT $2
"""

_IN_TRANSACTION = """
SELECT pid, usename, application_name, state,
       extract(epoch FROM clock_timestamp() - state_change)::float8 AS idle,
       extract(epoch FROM clock_timestamp() - xact_start)::float8 AS open,
       left(query, 1000) AS query, count(*) OVER ()::int AS total
FROM pg_stat_activity
WHERE state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()
ORDER BY state_change
LIMIT $1
"""


async def _connections(connected: Any, _role: Role, limits: Limits) -> Observation:
    row = await connected.fetchrow(_CONNECTIONS, limits.idle_older_than)
    holders = await connected.fetch(_HOLDERS, limits.rows)
    usable = max(row["max_conn"] - row["reserved"], 1)
    headline = f"{row['used']} of {row['max_conn']} connections used"
    if row["reserved"]:
        headline += f" ({row['reserved']} reserved)"
    if row["idle_long"]:
        headline += f", {row['idle_long']} idle for over {format_duration(limits.idle_older_than)}"
    states = (
        f"active {row['active']}, idle {row['idle']}, idle in transaction {row['in_transaction']}; "
        f"{max(usable - row['used'], 0)} free for ordinary roles"
    )
    detail = lines([states, *(_holder(one) for one in holders)], holders[0]["total"] + 1)
    return Observation(status=limits.verdict(row["used"] / usable), headline=headline, detail=detail)


def _holder(row: Row) -> str:
    places = {0: "the machine itself", 1: row["address"]}.get(
        row["addresses"], f"{row['addresses']} addresses"
    )
    parts = [
        f"{row[key]} {key.replace('_', ' ')}" for key in ("active", "idle", "in_transaction") if row[key]
    ]
    return f"{who(row)}: {row['sessions']} ({', '.join(parts) or 'no state'}) from {places}"


async def _active(connected: Any, _role: Role, limits: Limits) -> Observation:
    return active(await connected.fetch(_ACTIVE, limits.rows), limits)


def active(rows: Sequence[Row], limits: Limits) -> Observation:
    """What the longest running queries say."""
    if not rows:
        return Observation(status=FindingStatus.OK, headline="no active queries")
    longest, blocked = max(row["seconds"] or 0 for row in rows), rows[0]["all_blocked"]
    headline = f"{plural(rows[0]['total'], 'active query', 'active queries')}, the longest for {age(longest)}"
    if blocked:
        headline += f", {blocked} waiting for locks"
    slow = blocked or longest >= limits.slow_after.total_seconds()
    status = worst(limits.verdict(longest), FindingStatus.WARNING if slow else FindingStatus.OK)
    detail = lines([_query_line(row) for row in rows], rows[0]["total"])
    return Observation(status=status, headline=headline, detail=detail)


def _query_line(row: Row) -> str:
    wait = f" waits on {row['wait_event_type']}:{row['wait_event']}" if row["wait_event"] else ""
    blocked = " BLOCKED" if row["blocked"] else ""
    return (
        f"{row['pid']} {who(row)} {row['state']} {age(row['seconds'])}{wait}{blocked}: {masked(row['query'])}"
    )


async def _idle(connected: Any, _role: Role, limits: Limits) -> Observation:
    rows = await connected.fetch(_IDLE, limits.idle_older_than, limits.rows)
    long = format_duration(limits.idle_older_than)
    sessions, old = (rows[0]["all_sessions"], rows[0]["all_old"]) if rows else (0, 0)
    if not old:
        return Observation(status=FindingStatus.OK, headline=f"{sessions} idle, none of them for over {long}")
    texts = [
        f"{who(row)}: {row['sessions']} idle, {row['old']} for over {long}, the oldest for {age(row['oldest'])}"
        for row in rows
    ]
    headline = f"{old} of {sessions} idle connections are idle for over {long}"
    detail = lines(texts, rows[0]["total"])
    return Observation(status=FindingStatus.WARNING, headline=headline, detail=detail)


async def _in_transaction(connected: Any, _role: Role, limits: Limits) -> Observation:
    rows = await connected.fetch(_IN_TRANSACTION, limits.rows)
    if not rows:
        return Observation(status=FindingStatus.OK, headline="no session is idle in a transaction")
    oldest = rows[0]
    number = plural(oldest["total"], "session is idle in a transaction", "sessions are idle in a transaction")
    headline = f"{number}, the longest for {age(oldest['idle'])} ({who(oldest)}, pid {oldest['pid']})"
    detail = lines([_open_line(row) for row in rows], oldest["total"])
    return Observation(status=limits.verdict(oldest["idle"]), headline=headline, detail=detail)


def _open_line(row: Row) -> str:
    aborted = ", aborted" if row["state"].endswith("(aborted)") else ""
    return (
        f"{row['pid']} {who(row)} idle {age(row['idle'])}, open for {age(row['open'])}{aborted}; "
        f"last: {masked(row['query'])}"
    )


CONNECTIONS = NamedQuery(ask=_connections, unit=Unit.SHARE, warning=0.8, critical=0.95)
ACTIVE = NamedQuery(ask=_active, unit=Unit.DURATION)
IDLE = NamedQuery(ask=_idle)
IDLE_IN_TRANSACTION = NamedQuery(ask=_in_transaction, unit=Unit.DURATION, warning=60, critical=600)
