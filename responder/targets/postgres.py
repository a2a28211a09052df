"""Configured Postgres databases: a connection that is always let go of, and what an error of the server's means.

It works through PgBouncer's transaction mode, where only ``application_name`` may be given at the start and only
``SET LOCAL`` stays one's own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

import asyncpg

from responder.config import PostgresTarget
from responder.incident.finding import FindingStatus
from responder.parameters import ParameterError
from responder.targets.base import TargetError, configured
from responder.targets.errors import os_reason
from responder.text import one_line

APPLICATION = "responder"  # the name under which our sessions show
_CLOSE_LIMIT = 1.0  # seconds

#: SQLSTATE -> what it means here. Source: PostgreSQL's appendix of error codes.
_STATES: dict[str, tuple[FindingStatus, str]] = {
    "53300": (FindingStatus.CRITICAL, "no free connection: the server refuses new ones"),
    "57P01": (FindingStatus.CRITICAL, "the server ended the session: it is being stopped, or somebody did"),
    "57P02": (FindingStatus.CRITICAL, "the server ended the session after a crash"),
    "57P03": (FindingStatus.CRITICAL, "the server is starting up or shutting down"),
    "28P01": (FindingStatus.DENIED, "wrong password"),
    "28000": (FindingStatus.DENIED, "the user may not connect"),
    "42501": (FindingStatus.DENIED, "not allowed"),
    "3D000": (FindingStatus.ERROR, "the database does not exist"),
    "57014": (FindingStatus.TIMEOUT, "the query was cancelled at its time limit"),
    "55P03": (FindingStatus.TIMEOUT, "the query waited for a lock until its time limit"),
    "25006": (FindingStatus.ERROR, "refused, since it would write in a read-only transaction"),
}

#: Where a refusal of new connections comes from, when it says nothing of the server as a whole: the function of the
#: server's source that its error names, which no language setting changes.
_OWN_LIMITS = {
    "InitializeSessionUserId": "the role's own CONNECTION LIMIT is reached; that says nothing of the server",
    "CheckMyDatabase": "the database's own CONNECTION LIMIT is reached",
}

#: Classes of errors whose words quote what stands in a row: values, keys, and what functions raise.
_OF_DATA = frozenset({"22", "23", "P0"})

#: PgBouncer gives nearly all of its errors the same SQLSTATE (08P01). Source: its source, and measured on 1.18.
_POOLER: tuple[tuple[str, FindingStatus, str], ...] = (
    ("authentication failed", FindingStatus.DENIED, "wrong password, says the pooler"),
    ("not allowed", FindingStatus.DENIED, "the user may not use the pooler's console (admin_users, stats_users)"),
    ("no such user", FindingStatus.DENIED, "the pooler knows no such user"),
    ("no such database", FindingStatus.ERROR, "the pooler knows no such database"),
    ("does not exist", FindingStatus.ERROR, "the database or the role does not exist"),
    ("invalid command", FindingStatus.ERROR, "that is PgBouncer's console: ask it with type pgbouncer"),
    ("too many connections for role", FindingStatus.ERROR, _OWN_LIMITS["InitializeSessionUserId"]),
    ("too many connections for database", FindingStatus.ERROR, _OWN_LIMITS["CheckMyDatabase"]),
    ("unsupported startup parameter", FindingStatus.ERROR, "the pooler does not take this startup parameter"),
    ("max_client_conn", FindingStatus.CRITICAL, "the pooler takes no more clients (max_client_conn)"),
    ("query_wait_timeout", FindingStatus.CRITICAL, "the pooler had no free server connection in time"),
    ("slots are reserved", FindingStatus.CRITICAL, "no free connection: the server refuses new ones"),
    ("too many clients", FindingStatus.CRITICAL, "no free connection: the server refuses new ones"),
)  # fmt: skip


class RefusedError(TargetError):
    """A database refused, or could not be reached; ``status`` is what that is as a finding."""

    def __init__(self, text: str, status: FindingStatus) -> None:
        super().__init__(text)
        self.status = status


#: What goes wrong between us and a server; time-outs are among them. The library's internal error is what is left of a
#: session that the server has ended while nothing was asked.
PROBLEMS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


def refused(name: str, error: BaseException) -> RefusedError:
    """What one of :data:`PROBLEMS` means, in words that hold nothing secret; ``name`` is the target's."""
    if isinstance(error, OSError):
        return RefusedError(f"cannot reach {name}: {os_reason(error)}", FindingStatus.CRITICAL)
    if isinstance(error, asyncpg.InternalClientError):
        return RefusedError(f"{name}: the connection broke off", FindingStatus.CRITICAL)
    code, message = getattr(error, "sqlstate", None) or "", one_line(str(error), 120)
    status, text = _meaning(code, message, getattr(error, "server_source_function", None) or "")
    return RefusedError(f"{name}: {text}", status)


def _meaning(code: str, message: str, origin: str) -> tuple[FindingStatus, str]:
    if code == "53300" and origin in _OWN_LIMITS:
        return FindingStatus.ERROR, _OWN_LIMITS[origin]
    if code.startswith("08"):
        return pooler_refusal(message)
    if code[:2] in _OF_DATA:
        return FindingStatus.ERROR, f"the server could not compute it ({code})"
    status, text = _STATES.get(code, (FindingStatus.ERROR, f"{message} ({code})" if code else message))
    # The server's own words name the object or the command.
    return status, f"{text}: {message}" if code in {"42501", "25006"} else text


def pooler_refusal(message: str) -> tuple[FindingStatus, str]:
    """What PgBouncer's own words mean."""
    for phrase, status, text in _POOLER:
        if phrase in message:
            return status, text
    return FindingStatus.CRITICAL, f"the connection was refused or broke off: {message}"


@contextmanager
def told(name: str) -> Iterator[None]:
    """Errors of the server's become :class:`RefusedError`; a time-out stays one."""
    try:
        yield
    except TimeoutError:
        raise
    except PROBLEMS as error:
        raise refused(name, error) from None


@asynccontextmanager
async def connection(
    targets: Mapping[str, PostgresTarget], name: str, limit: timedelta
) -> AsyncIterator[Any]:
    """A connection of our own, closed whatever happens, within a second.

    Raises:
        TargetError: where there is none to be had; a :class:`RefusedError` where the other side was asked.
    """
    opened = await _opened(name, url_of(targets, name), limit.total_seconds())
    try:
        yield opened
    finally:
        await _let_go(opened)


async def _let_go(opened: Any) -> None:
    """Close it; after a cancellation the library has the server drop the query first. Cut where that takes long."""
    try:
        await opened.close(timeout=_CLOSE_LIMIT)
    except PROBLEMS:  # a time-out among them
        opened.terminate()


def url_of(targets: Mapping[str, PostgresTarget], name: str) -> str:
    """The target's URL, with its secrets.

    Raises:
        TargetError: where it is not configured, or its file cannot be read.
    """
    try:
        return configured(targets, "postgres", name).url.reveal()
    except OSError as error:
        raise TargetError(f"{name}: the file of its url cannot be read: {os_reason(error)}") from None


async def _opened(name: str, url: str, seconds: float) -> Any:
    try:
        with told(name):
            return await asyncpg.connect(
                url,
                timeout=seconds,
                command_timeout=seconds,
                statement_cache_size=0,
                server_settings={"application_name": APPLICATION},
            )
    except TimeoutError:
        raise RefusedError(f"{name}: no connection within {seconds:g} s", FindingStatus.TIMEOUT) from None
    except ValueError:
        # The parser's own words quote the part that it stumbled over, which may be of the password.
        text = f"{name}: its url cannot be read; in a password, write / as %2F, # as %23 and @ as %40"
        raise TargetError(text) from None


@asynccontextmanager
async def reading(connected: Any, limit: timedelta) -> AsyncIterator[None]:
    """A read-only transaction whose statements end a little before ``limit``, and whose waits for locks sooner.

    Read-only is a net; what really protects a database is a role without rights to write. After a cancellation or a
    hang nothing more is asked of the server: whoever holds the connection lets it go.
    """
    patience = max(int(limit.total_seconds() * 900), 100)  # milliseconds
    await connected.execute(
        "BEGIN READ ONLY;"
        f"SET LOCAL statement_timeout = {patience};"
        f"SET LOCAL lock_timeout = {patience // 2};"
        f"SET LOCAL idle_in_transaction_session_timeout = {patience * 2}"
    )
    try:
        yield
    except (asyncpg.PostgresError, TargetError, ParameterError):  # the connection itself is still good
        if not connected.is_closed():
            await connected.execute("ROLLBACK")
        raise
    else:
        await connected.execute("COMMIT")


async def through_a_pooler(connected: Any) -> bool:
    """Whether something like PgBouncer stands between: it gives out cancellation keys of its own making."""
    return bool(await connected.fetchval("SELECT pg_backend_pid()") != connected.get_server_pid())
