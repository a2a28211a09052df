"""PgBouncer's admin console, which takes the simple protocol only: what asyncpg does not speak, psycopg does.

Source: PgBouncer's documentation, "Admin console".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from responder.config import PostgresTarget
from responder.incident.finding import FindingStatus
from responder.targets.base import TargetError
from responder.targets.postgres import APPLICATION, RefusedError, pooler_refusal, url_of
from responder.text import one_line

CONSOLE = "pgbouncer"  # the database that is no database

#: A row of an answer by column name: the columns change with PgBouncer's versions.
Shown = Mapping[str, Any]


async def shows(
    targets: Mapping[str, PostgresTarget], name: str, commands: tuple[str, ...], limit: timedelta
) -> list[list[Shown]]:
    """The answers to ``SHOW`` commands, over one connection.

    Raises:
        TargetError: where the target is no console; a :class:`RefusedError` where it refused or cannot be reached.
        TimeoutError: where there is no answer within the limit.
    """
    url = url_of(targets, name)
    if _database(name, url) != CONSOLE:
        raise TargetError(f"{name}: the url of a console names the database {CONSOLE}")
    async with asyncio.timeout(limit.total_seconds()):
        try:
            opened = await psycopg.AsyncConnection.connect(
                url,
                autocommit=True,
                prepare_threshold=None,
                application_name=APPLICATION,
                cursor_factory=psycopg.AsyncClientCursor,
            )
            try:
                return [await _answer(opened, command) for command in commands]
            finally:
                opened.pgconn.finish()  # at once: nothing is to be awaited after a cancellation
        except psycopg.Error as error:
            raise _refused(name, error) from None


def _database(name: str, url: str) -> str:
    try:
        return str(conninfo_to_dict(url).get("dbname", ""))
    except psycopg.ProgrammingError:
        # The parser's own words quote the part that it stumbled over, which may be of the password.
        raise TargetError(
            f"{name}: its url cannot be read; write special characters as % and two digits"
        ) from None


async def _answer(opened: psycopg.AsyncConnection[Any], command: str) -> list[Shown]:
    """One answer. When cancelled, the library would first wait for the server to heed a cancellation of its own."""
    asking = asyncio.ensure_future(opened.execute(command.encode()))
    try:
        cursor = await asyncio.shield(asking)
    except asyncio.CancelledError:
        opened.pgconn.finish()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        raise
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]


def _refused(name: str, error: psycopg.Error) -> RefusedError:
    """What is wrong; of the library's words only the end, without the address."""
    first = str(error).partition("\n")[0]
    _, fatal, said = first.rpartition("FATAL:")
    if fatal:
        status, text = pooler_refusal(one_line(said, 120))
        return RefusedError(f"{name}: {text}", status)
    _, failed, reason = first.rpartition("failed: ")
    if failed or isinstance(error, psycopg.OperationalError):
        return RefusedError(f"cannot reach {name}: {one_line(reason, 120)}", FindingStatus.CRITICAL)
    return RefusedError(f"{name}: {one_line(first, 120)}", FindingStatus.ERROR)
