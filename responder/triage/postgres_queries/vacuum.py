"""How far the databases are on the way to wraparound, and which vacuums run.

Sources: PostgreSQL's documentation, "Preventing Transaction ID Wraparound Failures" and ``pg_stat_progress_vacuum``.
"""

from __future__ import annotations

from typing import Any

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
)

_END = 2_147_483_648  # transactions until ids would come round again; the server stops before

_DATABASES = """
SELECT datname, age(datfrozenxid)::int8 AS xids, mxid_age(datminmxid)::int8 AS multixacts,
       current_setting('autovacuum_freeze_max_age')::int8 AS freeze
FROM pg_database
ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC
"""

_TABLES = """
SELECT oid::regclass::text AS name, age(relfrozenxid)::int8 AS xids
FROM pg_class
WHERE relkind IN ('r', 'm', 't')
  AND age(relfrozenxid) > current_setting('autovacuum_freeze_max_age')::int8 / 2
ORDER BY age(relfrozenxid) DESC
LIMIT $1
"""

#: A table's name can be told for the present database only.
_RUNNING = """
SELECT p.pid, p.datname, p.phase, p.heap_blks_scanned, p.heap_blks_total,
       CASE WHEN p.datname = current_database() THEN p.relid::regclass::text ELSE p.relid::text END AS name,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds, count(*) OVER ()::int AS total
FROM pg_stat_progress_vacuum p LEFT JOIN pg_stat_activity a USING (pid)
ORDER BY a.xact_start
LIMIT $1
"""


async def _ask(connected: Any, _role: Role, limits: Limits) -> Observation:
    databases = await connected.fetch(_DATABASES)
    tables = await connected.fetch(_TABLES, limits.rows)
    running = await connected.fetch(_RUNNING, limits.rows)
    first = databases[0]
    oldest = max(first["xids"], first["multixacts"])
    share, freeze = oldest / _END, first["freeze"]
    vacuums = plural(running[0]["total"] if running else 0, "vacuum runs", "vacuums run")
    over = (
        f", {count(oldest)} transactions old where autovacuum forces one at {count(freeze)}"
        if oldest > freeze
        else ""
    )
    headline = (
        f"{share:.0%} of the way to wraparound (database {one_line(first['datname'], 63)}){over}; {vacuums}"
    )
    texts = [
        *map(_running_line, running),
        *map(_database_line, databases[: limits.rows]),
        *map(_table_line, tables),
    ]
    return Observation(status=limits.verdict(share), headline=headline, detail=lines(texts, len(texts)))


def _running_line(row: Row) -> str:
    total = row["heap_blks_total"]
    done = f", {row['heap_blks_scanned'] / total:.0%} scanned" if total else ""
    return (
        f"{row['pid']} vacuums {one_line(row['name'], 100)}: {row['phase']}{done}, for {age(row['seconds'])}"
    )


def _database_line(row: Row) -> str:
    return (
        f"database {one_line(row['datname'], 63)}: {count(row['xids'])} transactions, "
        f"{count(row['multixacts'])} multixacts old"
    )


def _table_line(row: Row) -> str:
    return f"table {one_line(row['name'], 100)}: {count(row['xids'])} transactions old"


VACUUM = NamedQuery(ask=_ask, unit=Unit.SHARE, warning=0.4, critical=0.75)
