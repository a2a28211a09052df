"""Who blocks whom: the tree of waits for locks, its roots first.

Source: PostgreSQL's documentation of ``pg_blocking_pids`` and ``pg_locks``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

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
)
from responder.triage.postgres_queries.sql_text import masked

_ASKED_ABOUT = 200  # waiting sessions; each costs the server a short hold of its lock tables
_DEPTH = 8  # levels of the tree that are indented
PREPARED = 0  # the pid that stands for a prepared transaction

#: Only sessions that wait are asked about. ``waitstart`` is there since 14; before, a wait is as old as its query.
_BLOCKING = f"""
WITH waiting AS MATERIALIZED (
  SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' ORDER BY query_start LIMIT {_ASKED_ABOUT}
), blocked AS MATERIALIZED (
  SELECT pid, pg_blocking_pids(pid) AS blockers FROM waiting
), waits AS MATERIALIZED (
  SELECT pid, min((to_jsonb(l) ->> 'waitstart')::timestamptz) AS since
  FROM pg_locks l WHERE NOT granted GROUP BY pid
)
SELECT a.pid, array_to_string(b.blockers, ' ') AS blockers, a.usename, a.application_name, a.state, a.wait_event_type, a.wait_event,
       extract(epoch FROM clock_timestamp() - CASE WHEN b.pid IS NULL THEN a.state_change
                                       ELSE coalesce(w.since, a.query_start) END)::float8 AS seconds,
       left(a.query, 1000) AS query,
       (SELECT count(*)::int FROM pg_stat_activity WHERE wait_event_type = 'Lock') AS all_waiting
FROM pg_stat_activity a
LEFT JOIN blocked b ON b.pid = a.pid AND cardinality(b.blockers) > 0
LEFT JOIN waits w ON w.pid = a.pid
WHERE b.pid IS NOT NULL OR a.pid IN (SELECT unnest(blockers) FROM blocked)
"""  # noqa: S608 - a constant of ours


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions by pid, and for each blocker whom it blocks. ``roots`` block others and wait for nobody."""

    sessions: Mapping[int, Row]
    victims: Mapping[int, tuple[int, ...]]
    roots: tuple[int, ...]


def waits(rows: Sequence[Row]) -> Waits:
    """The tree of waits. Where sessions wait in a circle, one of them stands for its root."""
    sessions = {row["pid"]: row for row in rows}
    victims: dict[int, dict[int, None]] = {}
    for row in sorted(rows, key=lambda row: -(row["seconds"] or 0)):
        for blocker in row["blockers"] or ():
            victims.setdefault(blocker, {})[row["pid"]] = None
    ordered = {pid: tuple(found) for pid, found in victims.items()}
    waiting = {row["pid"] for row in rows if row["blockers"]}
    roots = sorted((pid for pid in ordered if pid not in waiting), key=lambda pid: -len(_below(pid, ordered)))
    reached = {pid for root in roots for pid in _below(root, ordered)}
    for pid in sorted(waiting):  # what is left over waits in a circle
        if pid not in reached:
            roots.append(pid)
            reached |= {pid, *_below(pid, ordered)}
    return Waits(sessions=sessions, victims=ordered, roots=tuple(roots))


def _below(pid: int, victims: Mapping[int, tuple[int, ...]]) -> set[int]:
    found: set[int] = set()
    pending = [pid]
    while pending:
        for one in victims.get(pending.pop(), ()):
            if one not in found:
                found.add(one)
                pending.append(one)
    return found


def tree(found: Waits) -> list[str]:
    """One line a session, indented below whom it waits for; each once."""
    texts: list[str] = []
    seen: set[int] = set()
    pending = [(root, 0) for root in reversed(found.roots)]
    while pending:
        pid, depth = pending.pop()
        if pid in seen:
            continue
        seen.add(pid)
        texts.append("  " * min(depth, _DEPTH) + _line(pid, found.sessions.get(pid)))
        pending += [(one, depth + 1) for one in reversed(found.victims.get(pid, ()))]
    return texts


def _line(pid: int, row: Row | None) -> str:
    if row is None:
        return _named(pid, row)
    doing = f"waits {age(row['seconds'])} on {row['wait_event']}" if row["blockers"] else _state(row)
    return f"{_named(pid, row)} {doing}: {masked(row['query'])}"


def _named(pid: int, row: Row | None) -> str:
    if pid == PREPARED:
        return "a prepared transaction (pg_prepared_xacts)"
    return f"{pid} {who(row)}" if row is not None else f"{pid} (gone by now)"


def _state(row: Row) -> str:
    return f"{row['state'] or 'of no state'} for {age(row['seconds'])}"


def blocking(rows: Sequence[Row], limits: Limits) -> Observation:
    """What the waits mean."""
    blocked = [row for row in rows if row["blockers"]]
    if not blocked:
        return Observation(status=FindingStatus.OK, headline="no session waits for a lock of another")
    found = waits(rows)
    longest = max(row["seconds"] or 0 for row in blocked)
    number = max(len(blocked), blocked[0]["all_waiting"]) if len(blocked) >= _ASKED_ABOUT else len(blocked)
    first = found.sessions.get(found.roots[0])
    root = _named(found.roots[0], first) + (f", {_state(first)}" if first and not first["blockers"] else "")
    others = f" and {plural(len(found.roots) - 1, 'other')}" if len(found.roots) > 1 else ""
    waiting = plural(number, "session waits", "sessions wait")
    headline = f"{waiting} for locks, the longest for {age(longest)}; blocked by {root}{others}"
    texts = tree(found)
    detail = lines(texts[: limits.rows], len(texts))
    return Observation(status=limits.verdict(longest), headline=headline, detail=detail)


async def _ask(connected: Any, _role: Role, limits: Limits) -> Observation:
    # As a text: for an array the driver would ask the server about types first.
    rows = [dict(row) for row in await connected.fetch(_BLOCKING)]
    return blocking(
        [row | {"blockers": [int(one) for one in (row["blockers"] or "").split()]} for row in rows], limits
    )


BLOCKING = NamedQuery(ask=_ask, unit=Unit.DURATION, warning=5, critical=60)
