"""Type ``pgbouncer``: what PgBouncer's admin console says of its pools and its clients.

Source: PgBouncer's documentation, "Admin console"; columns are read by name, since they change with versions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar

import msgspec

from responder.incident.finding import FindingStatus
from responder.targets.pgbouncer import CONSOLE, Shown, shows
from responder.targets.postgres import RefusedError
from responder.text import one_line
from responder.triage.base import PROBES, Circumstances, Observation, ProbeSettings, ProbeTools
from responder.triage.postgres_queries.base import age, count, lines, plural
from responder.triage.thresholds import check_order


class Show(StrEnum):
    """What can be asked of the console."""

    POOLS = "pools"
    STATS = "stats"
    DATABASES = "databases"
    CLIENTS = "clients"


_OWN_WAITS = {Show.STATS: (timedelta(milliseconds=100), timedelta(seconds=1))}
_WAITS = (timedelta(0), timedelta(seconds=10))


class PgBouncerSettings(ProbeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``target`` is an entry of ``targets.postgres`` whose URL names the database ``pgbouncer``.

    ``warning`` and ``critical`` are how long a client waits for a server connection; of ``stats`` it is the average.
    """

    TARGET_KIND: ClassVar[str] = "postgres"

    target: str
    show: Show = Show.POOLS
    warning: timedelta | None = None
    critical: timedelta | None = None
    limit: int = 10

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for limits that mean nothing."""
        if not 1 <= self.limit <= 100:
            raise ValueError(f"limit: expected 1 to 100 rows, got {self.limit}")
        if self.show is Show.DATABASES and (self.warning or self.critical):
            raise ValueError("show databases takes no limits")
        check_order(self.warning, self.waits[1])  # its own critical where none is given

    @property
    def waits(self) -> tuple[timedelta, timedelta]:
        """From how long a wait on it is a warning, and critical."""
        warning, critical = _OWN_WAITS.get(self.show, _WAITS)
        return (
            warning if self.warning is None else self.warning,
            critical if self.critical is None else self.critical,
        )


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """From how many seconds on a wait is a warning, or critical; and how many rows are shown."""

    warning: float
    critical: float
    rows: int

    def verdict(self, seconds: float) -> FindingStatus:
        """What a wait of so long is."""
        if seconds >= self.critical:
            return FindingStatus.CRITICAL
        return FindingStatus.WARNING if seconds >= self.warning else FindingStatus.OK


@PROBES.register("pgbouncer")
class PgBouncerProbe:
    """One look at the console."""

    Settings: ClassVar[type[ProbeSettings]] = PgBouncerSettings
    per_incident: ClassVar[bool] = False

    def __init__(self, settings: PgBouncerSettings, tools: ProbeTools) -> None:
        self._settings = settings
        self._tools = tools

    async def look(self, circumstances: Circumstances) -> Observation:
        """Ask; a refusal is an observation too."""
        s = self._settings
        commands, meaning = _SHOWS[s.show]
        warning, critical = s.waits
        waits = Waits(warning=warning.total_seconds(), critical=critical.total_seconds(), rows=s.limit)
        try:
            answers = await shows(self._tools.targets.postgres, s.target, commands, s.timeout)
        except RefusedError as error:
            return Observation(status=error.status, headline=str(error))
        return meaning([[row for row in answer if not _own(row)] for answer in answers], waits)


def _own(row: Shown) -> bool:
    """The console's own pool, and we ourselves in it."""
    return CONSOLE in (row.get("database"), row.get("name"))


def pools(answers: Sequence[Sequence[Shown]], waits: Waits) -> Observation:
    """``SHOW POOLS`` and ``SHOW DATABASES``: who waits, and whether the pool is full or the server is slow."""
    found, sizes = answers[0], {row["name"]: int(row.get("pool_size") or 0) for row in answers[1]}
    ordered = sorted(found, key=lambda row: (-row["cl_waiting"], -_waited(row, "maxwait"), -row["sv_active"]))
    texts = [_pool_line(row, sizes) for row in ordered[: waits.rows]]
    waiting = sum(row["cl_waiting"] for row in found)
    if not waiting:
        clients = plural(sum(row["cl_active"] for row in found), "client")
        servers = sum(row["sv_active"] + row["sv_idle"] + row["sv_used"] for row in found)
        headline = f"no client waits; {clients}, {plural(servers, 'server connection')}, {plural(len(found), 'pool')}"
        return Observation(status=FindingStatus.OK, headline=headline, detail=lines(texts, len(found)))
    longest = max(_waited(row, "maxwait") for row in found)
    who = plural(waiting, "client waits", "clients wait")
    headline = f"{who} for a server connection, the longest for {age(longest)}: {_reason(ordered[0], sizes)}"
    return Observation(status=waits.verdict(longest), headline=headline, detail=lines(texts, len(found)))


def _reason(row: Shown, sizes: dict[str, int]) -> str:
    held, pool = row["sv_active"], sizes.get(row["database"], 0)
    name = one_line(f"{row['database']}/{row['user']}", 80)
    if pool and held >= pool:
        return f"pool {name} is full ({held} of {pool}): too small, or its queries too slow"
    if not held and not row["sv_idle"]:
        return f"pool {name} gets no connection to its server"
    return f"pool {name} has {held} of {pool or '?'} in use: the server is slow to connect"


def _pool_line(row: Shown, sizes: dict[str, int]) -> str:
    name, wait = one_line(f"{row['database']}/{row['user']}", 80), _waited(row, "maxwait")
    text = (
        f"{name} ({row.get('pool_mode') or '?'}): clients {row['cl_active']} active, {row['cl_waiting']} waiting; servers "
        f"{row['sv_active']} active, {row['sv_idle'] + row['sv_used']} idle of {sizes.get(row['database'], '?')}"
    )
    return f"{text}; the longest waits {age(wait)}" if row["cl_waiting"] else text


def _waited(row: Shown, key: str) -> float:
    """Whole seconds and the microseconds beside them."""
    return float(row.get(key) or 0) + float(row.get(f"{key}_us") or 0) / 1e6


def stats(answers: Sequence[Sequence[Shown]], waits: Waits) -> Observation:
    """``SHOW STATS``: the averages of the last period, by database."""
    found = sorted(answers[0], key=lambda row: -_seconds(row, "avg_wait_time"))
    if not found:
        return Observation(status=FindingStatus.OK, headline="no database has been used yet")
    longest = _seconds(found[0], "avg_wait_time")
    queries = sum(row["avg_query_count"] for row in found)
    headline = (
        f"{count(queries)} queries a second in {plural(len(found), 'database')}; "
        f"clients wait {age(longest)} on average for a server connection ({one_line(found[0]['database'], 63)})"
    )
    texts = [
        f"{one_line(row['database'], 63)}: {count(row['avg_query_count'])} queries a second of "
        f"{age(_seconds(row, 'avg_query_time'))} each, waits of {age(_seconds(row, 'avg_wait_time'))}"
        for row in found[: waits.rows]
    ]
    return Observation(status=waits.verdict(longest), headline=headline, detail=lines(texts, len(found)))


def _seconds(row: Shown, key: str) -> float:
    return float(row[key]) / 1e6  # a numeric of microseconds


def databases(answers: Sequence[Sequence[Shown]], waits: Waits) -> Observation:
    """``SHOW DATABASES``: what is paused, disabled or at its limit."""
    found = sorted(answers[0], key=lambda row: (not _stopped(row), -row["current_connections"]))
    stopped = [row for row in found if _stopped(row)]
    status = FindingStatus.WARNING if stopped else FindingStatus.OK
    total = sum(row["current_connections"] for row in found)
    headline = f"{plural(len(found), 'database')}, {plural(total, 'server connection')}"
    if stopped:
        headline += f"; {one_line(stopped[0]['name'], 63)} {_stopped(stopped[0])}"
    texts = [
        f"{one_line(row['name'], 63)}: {plural(row['current_connections'], 'connection')}, pool size {row['pool_size']}"
        f"{', ' + reason if (reason := _stopped(row)) else ''}"
        for row in found[: waits.rows]
    ]
    return Observation(status=status, headline=headline, detail=lines(texts, len(found)))


def _stopped(row: Shown) -> str:
    if row.get("paused"):
        return "is paused"
    if row.get("disabled"):
        return "is disabled"
    most = int(row.get("max_connections") or 0)
    return f"is at its limit of {most} connections" if most and row["current_connections"] >= most else ""


def clients(answers: Sequence[Sequence[Shown]], waits: Waits) -> Observation:
    """``SHOW CLIENTS``: how many, of whom, and who waits."""
    found = answers[0]
    waiting = [row for row in found if row["state"] == "waiting"]
    longest = max((_waited(row, "wait") for row in waiting), default=0.0)
    groups = Counter(
        one_line(
            f"{row['user']} {row.get('application_name') or ''} in {row['database']}: {row['state']}", 120
        )
        for row in found
    )
    headline = plural(len(found), "client")
    status = FindingStatus.OK
    if waiting:
        headline += f", {len(waiting)} waiting, the longest for {age(longest)}"
        status = waits.verdict(longest)
    texts = [f"{number} {group}" for group, number in groups.most_common(waits.rows)]
    return Observation(status=status, headline=headline, detail=lines(texts, len(groups)))


_Meaning = Callable[[Sequence[Sequence[Shown]], Waits], Observation]
_SHOWS: dict[Show, tuple[tuple[str, ...], _Meaning]] = {
    Show.POOLS: (("SHOW POOLS", "SHOW DATABASES"), pools),
    Show.STATS: (("SHOW STATS",), stats),
    Show.DATABASES: (("SHOW DATABASES",), databases),
    Show.CLIENTS: (("SHOW CLIENTS",), clients),
}
