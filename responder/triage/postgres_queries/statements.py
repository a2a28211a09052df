"""Which statements take the server's time, where ``pg_stat_statements`` is there.

Source: PostgreSQL's documentation of ``pg_stat_statements``. The view may sit in any schema, and its columns go by the
version of the extension, which an upgrade of the server leaves as it was: so the columns are looked up.
"""

from __future__ import annotations

from typing import Any

from responder.incident.finding import FindingStatus
from responder.targets.postgres_role import Role
from responder.text import one_line
from responder.triage.base import Observation
from responder.triage.postgres_queries.base import Limits, NamedQuery, Row, age, count, who
from responder.triage.postgres_queries.sql_text import masked

#: ``name`` is quoted by the server. The extension's settings are known only where its library is loaded.
_EXTENSION = """
SELECT format('%I.%I', n.nspname, 'pg_stat_statements') AS name, quote_ident(n.nspname) AS schema,
       has_schema_privilege(n.oid, 'USAGE') AS usable,
       current_setting('pg_stat_statements.max', true) IS NOT NULL AS loaded,
       EXISTS (SELECT 1 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
               WHERE c.relnamespace = n.oid AND c.relname = 'pg_stat_statements' AND a.attname = 'total_exec_time'
       ) AS planning_apart
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'
"""


def _text(name: str, *, planning_apart: bool) -> str:
    # Since extension 1.8 (server 13) planning is counted apart, and the columns say so.
    total, mean = ("total_exec_time", "mean_exec_time") if planning_apart else ("total_time", "mean_time")
    return f"""
SELECT r.rolname AS usename, '' AS application_name, s.calls, s.rows, s.shared_blks_read,
       s.{total} AS total, s.{mean} AS mean, s.{total} / nullif(sum(s.{total}) OVER (), 0) AS share,
       left(s.query, 1000) AS query
FROM {name} s LEFT JOIN pg_roles r ON r.oid = s.userid
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY s.{total} DESC
LIMIT $1
"""  # noqa: S608 - names from the server's own catalogue, quoted by it


def _missing(headline: str) -> Observation:
    return Observation(status=FindingStatus.NO_DATA, headline=headline)


async def _ask(connected: Any, role: Role, limits: Limits) -> Observation:
    database = one_line(role.database, 63)
    extension = await connected.fetchrow(_EXTENSION)
    if extension is None:
        return _missing(
            f"pg_stat_statements is not in database {database}: CREATE EXTENSION pg_stat_statements"
        )
    if not extension["usable"]:
        headline = f"may not use the view: GRANT USAGE ON SCHEMA {extension['schema']} TO {role.me}"
        return Observation(status=FindingStatus.DENIED, headline=headline)
    if not extension["loaded"]:
        return _missing("pg_stat_statements is created but not loaded: add it to shared_preload_libraries")
    text = _text(extension["name"], planning_apart=extension["planning_apart"])
    rows = await connected.fetch(text, limits.rows)
    if not rows:
        return _missing(f"pg_stat_statements has counted nothing in database {database} yet")
    first = rows[0]
    headline = f"one statement takes {first['share'] or 0:.0%} of the time: {_calls(first)}: {masked(first['query'])}"
    return Observation(status=FindingStatus.OK, headline=headline, detail="\n".join(map(_line, rows)))


def _line(row: Row) -> str:
    return (
        f"{row['share'] or 0:.0%} {who(row)}: {_calls(row)}, "
        f"{count(row['rows'])} rows, {count(row['shared_blks_read'])} blocks read: {masked(row['query'])}"
    )


def _calls(row: Row) -> str:
    calls = "1 call" if row["calls"] == 1 else f"{count(row['calls'])} calls"
    return f"{calls} of {age(row['mean'] / 1000)} each"


STATEMENTS = NamedQuery(ask=_ask)
