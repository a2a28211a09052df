"""Idle sessions of a database: which may be ended, and the ending of one, looked at again in the same statement.

Source: PostgreSQL's documentation of ``pg_terminate_backend`` and ``pg_stat_activity``.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from responder.actions.base import ActionError
from responder.targets.postgres import APPLICATION, PROBLEMS, reading, refused, told
from responder.targets.postgres_role import role_of
from responder.text import one_line

_SHOWN = 8  # groups of sessions in a sentence
_LOOK_EVERY = 0.05  # seconds

#: Which sessions may be ended. $1: idle for longer; $2, $3: only these users and applications, where any are given;
#: $4: never these users. Lists are JSON texts: for arrays the driver would first ask the server about types, and
#: change a setting of the session to do so. ``usesysid`` is the role that logged in, whatever it has become since.
_CANDIDATES = f"""
FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid() AND a.datname = current_database()
  AND a.state = 'idle' AND a.state_change < now() - $1::interval
  AND NOT r.rolsuper AND NOT r.rolreplication AND a.application_name <> '{APPLICATION}'
  AND (jsonb_array_length($2::jsonb) = 0 OR $2::jsonb ? r.rolname::text)
  AND (jsonb_array_length($3::jsonb) = 0 OR $3::jsonb ? a.application_name)
  AND NOT $4::jsonb ? r.rolname::text
"""

_FIND = f"""
SELECT a.pid, a.backend_start, r.rolname::text AS usename, a.application_name,
       pg_has_role(current_user, 'pg_signal_backend', 'USAGE')
         OR pg_has_role(current_user, a.usesysid, 'USAGE') AS allowed,
       count(*) OVER ()::int AS total
{_CANDIDATES}
ORDER BY a.state_change
LIMIT $5
"""

_END = f"SELECT pg_terminate_backend(a.pid) {_CANDIDATES} AND a.pid = $5 AND a.backend_start = $6"

_LEFT = """
SELECT count(*)::int
FROM pg_stat_activity a JOIN jsonb_to_recordset($1::jsonb) AS ended (pid int, started timestamptz)
  ON a.pid = ended.pid AND a.backend_start = ended.started
"""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Which sessions are meant: idle for longer than that, of these users and applications (none given: any)."""

    target: str
    older_than: timedelta
    users: tuple[str, ...] = ()
    applications: tuple[str, ...] = ()
    exclude_users: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[Any]:
        """``$1`` to ``$4``."""
        lists = (self.users, self.applications, self.exclude_users)
        return [self.older_than, *(msgspec.json.encode(one).decode() for one in lists)]

    def __str__(self) -> str:
        named = (
            ("users", self.users),
            ("applications", self.applications),
            ("but never of", self.exclude_users),
        )
        parts = [f"{word} {', '.join(one_line(one, 60) for one in names)}" for word, names in named if names]
        return "".join(f", {part}" for part in parts)


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session that may be ended; pid and start together name it for ever. ``total``: how many there are."""

    pid: int
    backend_start: datetime
    usename: str
    application_name: str
    allowed: bool
    total: int

    @property
    def who(self) -> str:
        """User and application, which clients choose."""
        return one_line(f"{self.usename} {self.application_name or '(no application name)'}", 60)


class Tally(msgspec.Struct, kw_only=True):
    """How far a run has come: whom it has told to end, who was no longer to be ended, and why it stopped."""

    ended: list[Session] = msgspec.field(default_factory=list)
    gone: int = 0
    stopped: str = ""


def groups(sessions: Sequence[Session]) -> str:
    """How many of each user and application, the most first."""
    counted = Counter(session.who for session in sessions).most_common()
    shown = [f"{number} of {who}" for who, number in counted[:_SHOWN]]
    more = len(counted) - len(shown)
    return ", ".join([*shown, *([f"and {more} more kinds"] if more else [])])


async def find(connected: Any, chosen: Chosen, most: int, limit: timedelta) -> list[Session]:
    """The sessions that are meant, the longest idle first, at most so many. Only looks.

    Raises:
        ActionError: where we may not see others' sessions, or may not end one of these.
        RefusedError: where the server refused.
    """
    try:
        with told(chosen.target):
            async with reading(connected, limit):
                role = await role_of(connected)
                rows = await connected.fetch(_FIND, *chosen.arguments, most)
    except TimeoutError:
        raise ActionError(f"{chosen.target}: no answer; nothing was ended") from None
    if not role.sees_all:
        raise ActionError(f"{chosen.target}: {role.blind}")
    found = [Session(**dict(row)) for row in rows]
    barred = [session for session in found if not session.allowed]
    if barred:
        text = f"{chosen.target}: may not end {groups(barred)}: GRANT pg_signal_backend TO {role.me}"
        raise ActionError(text)
    return found


async def end(connected: Any, session: Session, chosen: Chosen, limit: timedelta, tally: Tally) -> bool:
    """End one session, and count it; ``False`` where no further one is to be tried.

    Each has a transaction of its own: within one, the server's view of the sessions stands still. Where the first try
    fails and leaves its outcome open, its error goes on as it is.

    Raises:
        ActionError: where the server refused the first.
    """
    sent: bool | None = None
    try:
        async with reading(connected, limit):
            sent = await connected.fetchval(_END, *chosen.arguments, session.pid, session.backend_start)
    except PROBLEMS as error:
        answered = isinstance(error, asyncpg.PostgresError) and not connected.is_closed()
        if not (tally.ended or sent):
            if answered:
                raise ActionError(str(refused(chosen.target, error))) from None
            raise
        tally.stopped = str(refused(chosen.target, error))
        if not (answered or sent):
            tally.stopped += "; whether one more was ended is not known"
    if sent:
        tally.ended.append(session)
    elif not tally.stopped:
        tally.gone += 1
    return not tally.stopped


async def await_end(connected: Any, ended: Sequence[Session], limit: timedelta, until: float) -> int:
    """How many of them are still there, once they had time to heed the signal; ``until`` is monotonic.

    Raises:
        RefusedError: where the server refused.
    """
    names = [{"pid": one.pid, "started": one.backend_start.isoformat()} for one in ended]
    while True:
        with told("the server"):
            async with reading(connected, limit):
                left = await connected.fetchval(_LEFT, msgspec.json.encode(names).decode())
        if not left or time.monotonic() >= until:
            return int(left)
        await asyncio.sleep(_LOOK_EVERY)
