"""How far standbys are behind, asked on either side; and the slots that keep WAL.

Sources: PostgreSQL's documentation of ``pg_stat_replication``, ``pg_stat_wal_receiver``, ``pg_replication_slots`` and
of the recovery information functions.
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
    lines,
    plural,
    size,
    worst,
)  # fmt: skip

#: A standby that says nothing of its lag (``replay_lag`` is NULL while it is idle, or stuck) is behind from here on.
_FAR = 256 * 2**20  # bytes

#: ``pg_current_wal_lsn`` is an error on a standby, which may have standbys of its own. A base backup is no standby.
_STANDBYS = """
SELECT application_name, host(client_addr) AS address, state, sync_state,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
                       replay_lsn)::float8 AS bytes,
       extract(epoch FROM replay_lag)::float8 AS seconds, count(*) OVER ()::int AS total
FROM pg_stat_replication
WHERE state <> 'backup'
ORDER BY bytes DESC NULLS FIRST
LIMIT $1
"""

#: ``wal_status`` is there since 13.
_SLOTS = """
SELECT slot_name, slot_type, active, to_jsonb(s) ->> 'wal_status' AS wal_status,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                       restart_lsn)::float8 AS bytes, count(*) OVER ()::int AS total
FROM pg_replication_slots s
WHERE NOT temporary
ORDER BY active, bytes DESC NULLS LAST
LIMIT $1
"""

#: An idle primary is no lag: what has been received is replayed. ``receiving``: a WAL receiver is at work.
_STANDBY = """
SELECT pg_last_wal_receive_lsn() IS NOT NULL AS streamed,
       pg_is_wal_replay_paused() AS paused,
       coalesce(pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn(), false) AS caught_up,
       pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::float8 AS bytes,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS seconds,
       EXISTS (SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming') AS receiving
"""


async def _ask(connected: Any, role: Role, limits: Limits) -> Observation:
    standbys = await connected.fetch(_STANDBYS, limits.rows)
    slots = await connected.fetch(_SLOTS, limits.rows)
    if role.standby:
        status, headline = standby(await connected.fetchrow(_STANDBY), limits)
        if standbys:
            headline += f"; {plural(standbys[0]['total'], 'standby follows', 'standbys follow')} it"
    else:
        status, headline = primary(standbys, limits)
    lost = [row for row in slots if not row["active"] or row["wal_status"] in {"unreserved", "lost"}]
    if lost:
        status = worst(status, FindingStatus.WARNING)
        headline += f"; {_slot(lost[0])}"
    texts = [*(_standby_line(row) for row in standbys), *(_slot(row) for row in slots)]
    total = sum(rows[0]["total"] for rows in (standbys, slots) if rows)
    return Observation(status=status, headline=headline, detail=lines(texts, total))


def standby(row: Row, limits: Limits) -> tuple[FindingStatus, str]:
    """What a standby says of itself."""
    seconds = 0.0 if row["caught_up"] else row["seconds"]
    if row["streamed"] and not row["receiving"]:
        last = f", last transaction {age(row['seconds'])} ago" if row["seconds"] is not None else ""
        return FindingStatus.CRITICAL, f"this standby is not connected to its primary{last}"
    if row["paused"]:
        return worst(FindingStatus.WARNING, limits.verdict(seconds)), (
            f"replay is paused on this standby, {_behind(seconds, row['bytes'])}"
        )
    if row["caught_up"]:
        return FindingStatus.OK, "this standby has replayed all that it received"
    return limits.verdict(seconds), f"this standby is {_behind(seconds, row['bytes'])}"


def primary(standbys: list[Row], limits: Limits) -> tuple[FindingStatus, str]:
    """What a primary says of its standbys."""
    if not standbys:
        return FindingStatus.OK, "no standby is connected to this primary"
    status = worst(*(_standby_status(row, limits) for row in standbys))
    first = next(row for row in standbys if _standby_status(row, limits) is status)
    number = plural(standbys[0]["total"], "standby", "standbys")
    if status is FindingStatus.OK:
        furthest = max(standbys, key=lambda row: (row["seconds"] or 0, row["bytes"]))
        if furthest["bytes"] <= 0:
            return status, f"{number}, none of them behind"
        return status, f"{number}, the furthest {_behind(furthest['seconds'], furthest['bytes'])}"
    name = one_line(first["application_name"] or "?", 60)
    state = "" if first["state"] == "streaming" else f", {first['state']}"
    return status, f"{number}; {name} is {_behind(first['seconds'], first['bytes'])}{state}"


def _standby_status(row: Row, limits: Limits) -> FindingStatus:
    held = row["state"] != "streaming" or row["bytes"] is None or row["bytes"] >= _FAR
    return worst(limits.verdict(row["seconds"]), FindingStatus.WARNING if held else FindingStatus.OK)


def _behind(seconds: float | None, amount: float | None) -> str:
    if amount is not None and amount <= 0:
        return "not behind"
    known = [age(seconds)] if seconds is not None else []
    known += [size(amount)] if amount is not None else []
    return f"{' and '.join(known) or 'an unknown time'} behind"


def _standby_line(row: Row) -> str:
    name = one_line(f"{row['application_name'] or '?'} at {row['address'] or 'the machine itself'}", 100)
    return f"{name} {row['state']} ({row['sync_state']}): {_behind(row['seconds'], row['bytes'])}"


def _slot(row: Row) -> str:
    use = "in use" if row["active"] else "not in use"
    status = f", {row['wal_status']}" if row["wal_status"] not in {None, "reserved"} else ""
    keeps = f" and keeps {size(max(row['bytes'], 0))} of WAL" if row["bytes"] is not None else ""
    return f"slot {one_line(row['slot_name'], 63)} ({row['slot_type']}) is {use}{status}{keeps}"


REPLICATION = NamedQuery(ask=_ask, unit=Unit.DURATION, warning=30, critical=300)
