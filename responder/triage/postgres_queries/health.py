"""The database as a whole: cache hits, deadlocks and rollbacks, size, version.

Sources: PostgreSQL's documentation of ``pg_stat_database`` and ``pg_statio_user_tables``. Its counters run since
``stats_reset``, which is NULL where they were never reset.
"""

from __future__ import annotations

from typing import Any

from responder.incident.finding import FindingStatus
from responder.targets.postgres_role import Role
from responder.text import one_line
from responder.triage.base import Observation
from responder.triage.postgres_queries.base import (
    Limits,
    NamedQuery,
    Row,
    Unit,
    age,
    count,
    lines,
    plural,
    size,
)  # fmt: skip

_FEW = 10_000  # blocks; a ratio of fewer says nothing

_DATABASE = """
SELECT blks_hit, blks_read, deadlocks, xact_commit, xact_rollback, temp_files, temp_bytes, conflicts,
       extract(epoch FROM clock_timestamp() - stats_reset)::float8 AS seconds
FROM pg_stat_database
WHERE datname = current_database()
"""

_READ_TABLES = """
SELECT schemaname, relname, heap_blks_hit + coalesce(idx_blks_hit, 0) AS hit,
       heap_blks_read + coalesce(idx_blks_read, 0) AS read
FROM pg_statio_user_tables
WHERE heap_blks_read + coalesce(idx_blks_read, 0) > 0
ORDER BY read DESC
LIMIT $1
"""

#: A database's size needs the right to connect to it, or that of a monitor.
_SIZES = """
SELECT datname, datname = current_database() AS present,
       CASE WHEN has_database_privilege(oid, 'CONNECT') OR $1 THEN pg_database_size(oid) END AS bytes
FROM pg_database
WHERE datallowconn
ORDER BY bytes DESC NULLS LAST
"""

#: As the last vacuum or analyze saw them: asking the files would wait for whoever holds a table.
_TABLES = """
SELECT c.oid::regclass::text AS name,
       (c.pages + coalesce((SELECT sum(x.relpages) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                            WHERE i.indrelid = c.oid), 0)
       )::float8 * current_setting('block_size')::float8 AS bytes
FROM (SELECT r.oid, r.relpages + coalesce(t.relpages, 0) AS pages
      FROM pg_class r LEFT JOIN pg_class t ON t.oid = r.reltoastrelid
      WHERE r.relkind IN ('r', 'm')
      ORDER BY pages DESC
      LIMIT $1) c
ORDER BY bytes DESC
"""

_VERSION = """
SELECT version() AS version, pg_postmaster_start_time() AT TIME ZONE 'UTC' AS since,
       extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS seconds
"""


def _since(row: Row) -> str:
    return f"in {age(row['seconds'])}" if row["seconds"] is not None else "since the statistics began"


async def _cache(connected: Any, role: Role, limits: Limits) -> Observation:
    row = await connected.fetchrow(_DATABASE)
    tables = await connected.fetch(_READ_TABLES, limits.rows)
    total = row["blks_hit"] + row["blks_read"]
    if total < _FEW:
        headline = f"too little was read from {one_line(role.database, 63)} to tell its cache hit ratio"
        return Observation(status=FindingStatus.OK, headline=headline)
    ratio = row["blks_hit"] / total
    headline = (
        f"cache hit ratio {ratio:.1%} {_since(row)}: {count(row['blks_read'])} blocks were read from disk"
    )
    texts = [
        f"{one_line(one['schemaname'] + '.' + one['relname'], 100)}: {count(one['read'])} blocks read, "
        f"{one['hit'] / (one['hit'] + one['read']):.1%} hit"
        for one in tables
    ]
    return Observation(status=limits.verdict(ratio), headline=headline, detail="\n".join(texts))


async def _deadlocks(connected: Any, _role: Role, limits: Limits) -> Observation:
    row = await connected.fetchrow(_DATABASE)
    hours = row["seconds"] / 3_600 if row["seconds"] is not None else None
    # Within the first hour one deadlock is one an hour, not sixty.
    rate = row["deadlocks"] / max(hours, 1) if hours is not None else None
    transactions = row["xact_commit"] + row["xact_rollback"]
    headline = f"{plural(row['deadlocks'], 'deadlock')} {_since(row)}"
    if rate:
        headline += f" ({rate:.2g} an hour)"
    if transactions:
        headline += f", {row['xact_rollback'] / transactions:.2%} of transactions rolled back"
    detail = (
        f"{count(row['xact_commit'])} transactions committed, {count(row['xact_rollback'])} rolled back; "
        f"{plural(row['temp_files'], 'temporary file')} of {size(row['temp_bytes'])} in all; "
        f"{plural(row['conflicts'], 'query', 'queries')} cancelled by recovery"
    )
    return Observation(status=limits.verdict(rate), headline=headline, detail=detail)


async def _size(connected: Any, role: Role, limits: Limits) -> Observation:
    databases = await connected.fetch(_SIZES, role.sees_all)
    tables = await connected.fetch(_TABLES, limits.rows)
    present = next(row for row in databases if row["present"])
    others = [row for row in databases if not row["present"]]
    known = [row for row in others if row["bytes"] is not None]
    headline = f"database {one_line(role.database, 63)} is {size(present['bytes'])}"
    if known:
        headline += f"; {plural(len(known), 'other')}: {size(sum(row['bytes'] for row in known))}"
    if len(known) < len(others):
        headline += f"; {len(others) - len(known)} may not be seen: {role.grant}"
    texts = [
        *(f"database {one_line(row['datname'], 63)}: {size(row['bytes'])}" for row in known[: limits.rows]),
        *(f"about {size(row['bytes'])} {one_line(row['name'], 100)} with its indexes" for row in tables),
    ]
    return Observation(
        status=limits.verdict(present["bytes"] / 1e9),
        headline=headline,
        detail=lines(texts, len(known) + len(tables)),
    )


async def _version(connected: Any, role: Role, _limits: Limits) -> Observation:
    row = await connected.fetchrow(_VERSION)
    kind = "a standby" if role.standby else "a primary"
    return Observation(
        status=FindingStatus.OK,
        headline=one_line(row["version"], 150),
        detail=f"up since {row['since']:%F %T} UTC ({age(row['seconds'])}), {kind}",
    )


CACHE = NamedQuery(ask=_cache, needs_monitor=False, unit=Unit.SHARE, warning=0.9, below=True)
DEADLOCKS = NamedQuery(ask=_deadlocks, needs_monitor=False, unit=Unit.PER_HOUR, warning=1)
SIZE = NamedQuery(ask=_size, needs_monitor=False, unit=Unit.GIGABYTES)
VERSION = NamedQuery(ask=_version, needs_monitor=False)
