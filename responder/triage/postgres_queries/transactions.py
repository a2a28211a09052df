"""What has been open for long and holds vacuum back: transactions, prepared ones, and replication slots.

Sources: PostgreSQL's documentation of ``pg_stat_activity``, ``pg_prepared_xacts`` and ``pg_replication_slots``.
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
    who,
    worst,
)  # fmt: skip
from responder.triage.postgres_queries.sql_text import masked

#: An autovacuum worker's transaction is long by nature and holds nothing back.
_OPEN = """
SELECT pid, usename, application_name, backend_type, state,
       extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds,
       age(backend_xmin)::int8 AS held, left(query, 1000) AS query, count(*) OVER ()::int AS total
FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'
ORDER BY xact_start
LIMIT $1
"""

_PREPARED = """
SELECT gid, owner, database, extract(epoch FROM clock_timestamp() - prepared)::float8 AS seconds,
       count(*) OVER ()::int AS total
FROM pg_prepared_xacts
ORDER BY prepared
LIMIT $1
"""

_SLOTS = """
SELECT slot_name, slot_type, active,
       greatest(age(xmin), age(catalog_xmin))::int8 AS held, count(*) OVER ()::int AS total
FROM pg_replication_slots
WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL
ORDER BY active, held DESC NULLS LAST
LIMIT $1
"""


async def _ask(connected: Any, _role: Role, limits: Limits) -> Observation:
    opened = await connected.fetch(_OPEN, limits.rows)
    prepared = await connected.fetch(_PREPARED, limits.rows)
    slots = await connected.fetch(_SLOTS, limits.rows)
    oldest = max((row["seconds"] or 0 for row in (*opened[:1], *prepared[:1])), default=0)
    idle_slots = [row for row in slots if not row["active"]]
    status = worst(limits.verdict(oldest), FindingStatus.WARNING if idle_slots else FindingStatus.OK)
    parts = [_first(opened)]
    if prepared:
        number = plural(prepared[0]["total"], "prepared transaction")
        parts.append(f"{number}, the oldest for {age(prepared[0]['seconds'])}")
    if idle_slots:
        name = one_line(idle_slots[0]["slot_name"], 63)
        parts.append(f"slot {name} is not in use and holds back {count(idle_slots[0]['held'])} transactions")
    texts = [*map(_open_line, opened), *map(_prepared_line, prepared), *map(_slot_line, slots)]
    total = sum(rows[0]["total"] for rows in (opened, prepared, slots) if rows)
    return Observation(status=status, headline="; ".join(parts), detail=lines(texts, total))


def _first(opened: list[Row]) -> str:
    if not opened:
        return "no transaction is open"
    row = opened[0]
    state = f", {row['state']}" if row["state"] else ""
    return f"the oldest transaction is open for {age(row['seconds'])} ({who(row)}, pid {row['pid']}{state})"


def _open_line(row: Row) -> str:
    held = f", holds back {count(row['held'])} transactions" if row["held"] else ""
    what = row["state"] or row["backend_type"]
    return f"{row['pid']} {who(row)} {what}, open for {age(row['seconds'])}{held}: {masked(row['query'])}"


def _prepared_line(row: Row) -> str:
    whose = one_line(f"{row['gid']} of {row['owner']} in {row['database']}", 100)
    return f"prepared {whose}, for {age(row['seconds'])}"


def _slot_line(row: Row) -> str:
    use = "in use" if row["active"] else "not in use"
    return f"slot {one_line(row['slot_name'], 63)} ({row['slot_type']}) {use}, holds back {count(row['held'])} transactions"


LONG_TRANSACTIONS = NamedQuery(ask=_ask, unit=Unit.DURATION, warning=600, critical=3_600)
