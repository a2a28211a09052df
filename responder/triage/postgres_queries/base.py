"""What a named query is, where its answer becomes a warning, and how its numbers are written for a tired person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

import msgspec

from responder.durations import format_duration
from responder.incident.finding import FINDING_ORDER, FindingStatus
from responder.targets.postgres_role import Role
from responder.text import one_line
from responder.triage.base import Observation


class Query(StrEnum):
    """What can be asked by name."""

    CONNECTIONS = "connections"
    ACTIVE = "active"
    IDLE = "idle"
    IDLE_IN_TRANSACTION = "idle_in_transaction"
    BLOCKING = "blocking"
    LONG_TRANSACTIONS = "long_transactions"
    REPLICATION = "replication"
    CACHE = "cache"
    DEADLOCKS = "deadlocks"
    SIZE = "size"
    VACUUM = "vacuum"
    STATEMENTS = "statements"
    VERSION = "version"


class Unit(StrEnum):
    """What a query's ``warning`` and ``critical`` are, in words for whoever wrote another thing."""

    SHARE = "a share from 0 to 1, such as 0.8"
    DURATION = "a duration such as 5m"
    PER_HOUR = "a number an hour, such as 2"
    GIGABYTES = "a number of GB, such as 500"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Where a query's answer becomes a warning, and how much of it is shown.

    ``warning`` and ``critical`` are in the query's unit, durations in seconds; ``below`` where less is worse.
    """

    warning: float | None = None
    critical: float | None = None
    below: bool = False
    idle_older_than: timedelta = timedelta(minutes=10)
    slow_after: timedelta = timedelta(minutes=1)
    rows: int = 10

    def verdict(self, value: float | None) -> FindingStatus:
        """What the value is; one that is not known is well."""
        for limit, status in (
            (self.critical, FindingStatus.CRITICAL),
            (self.warning, FindingStatus.WARNING),
        ):
            if limit is not None and value is not None and (value < limit if self.below else value >= limit):
                return status
        return FindingStatus.OK


Row = Any  # asyncpg.Record, untyped
Ask = Callable[[Any, Role, Limits], Awaitable[Observation]]


class NamedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How it is asked, inside a read-only transaction, and its limits. ``needs_monitor``: others must be visible.

    ``unit`` is ``None`` where it takes no limits.
    """

    ask: Ask
    needs_monitor: bool = True
    unit: Unit | None = None
    warning: float | None = None
    critical: float | None = None
    below: bool = False


def worst(*statuses: FindingStatus) -> FindingStatus:
    """The one that is shown first."""
    return min(statuses, key=FINDING_ORDER.index)


def age(seconds: float | None) -> str:
    """``3d4h``, ``2h5m``, ``4m10s``, ``12s``, ``80ms``: no finer than a person needs."""
    if seconds is None:
        return "?"
    if seconds < 1:
        milliseconds = max(seconds, 0) * 1000
        return f"{milliseconds:.0f}ms" if milliseconds >= 10 else f"{round(milliseconds, 2):.2g}ms"
    grain = 3_600 if seconds >= 86_400 else 60 if seconds >= 3_600 else 1
    return format_duration(timedelta(seconds=round(seconds / grain) * grain))


def size(amount: float) -> str:
    """Bytes as ``12 GB``: powers of ten, as disks are sold."""
    for power, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if amount >= power:
            return f"{_short(amount / power)} {unit}"
    return f"{amount:.0f} bytes"


def count(amount: float) -> str:
    """``1234``, ``12.3k``, ``1.2M``."""
    for least, power, unit in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if amount >= least:
            return f"{_short(amount / power)}{unit}"
    return f"{amount:.0f}"


def _short(amount: float) -> str:
    return f"{amount:.0f}" if amount >= 100 else f"{amount:.3g}"


def plural(number: int, one: str, many: str = "") -> str:
    """``1 session``, ``2 sessions``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def who(row: Row) -> str:
    """User and application; both are texts that clients choose."""
    return one_line(f"{row['usename'] or '?'} {row['application_name'] or ''}", 60)


def lines(texts: Sequence[str], total: int) -> str:
    """Lines of a detail, and how many more there would be."""
    more = [f"… and {total - len(texts)} more"] if total > len(texts) else []
    return "\n".join([*texts, *more])
