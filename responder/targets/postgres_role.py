"""Who we are on a Postgres server, and whether that role sees the sessions of others."""

from __future__ import annotations

from typing import Any

import msgspec

#: A role that may not see would count only its own sessions and call a full server empty. Since 15 one that does not
#: inherit sees nothing, though it is a member. Source: PostgreSQL's documentation of the predefined roles.
_ROLE = """
SELECT quote_ident(current_user) AS me, current_database()::text AS database,
       current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS standby,
       pg_has_role(current_user, 'pg_read_all_stats',
                   CASE WHEN current_setting('server_version_num')::int >= 150000 THEN 'USAGE' ELSE 'MEMBER' END
       ) AS sees_all,
       pg_has_role(current_user, 'pg_read_all_stats', 'MEMBER') AS member
"""


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, where, and what that role may see.

    ``me`` is quoted as an identifier; ``version`` is ``server_version_num``; ``standby``: the server is one. ``member``:
    granted the right to see others' sessions, though perhaps not inheriting it.
    """

    me: str
    database: str
    version: int
    standby: bool
    sees_all: bool
    member: bool

    @property
    def blind(self) -> str:
        """That others' sessions are not seen, with the statement that would change it."""
        return f"may not see other sessions: {self.grant}"

    @property
    def grant(self) -> str:
        """The statement that would let the role see."""
        if not self.member:
            return f"GRANT pg_monitor TO {self.me}"
        if self.version >= 160_000:
            return f"GRANT pg_monitor TO {self.me} WITH INHERIT TRUE"
        return f"ALTER ROLE {self.me} INHERIT"


async def role_of(connected: Any) -> Role:
    """Who we are there."""
    return Role(**dict(await connected.fetchrow(_ROLE)))
