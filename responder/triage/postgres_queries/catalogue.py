"""Every named query, by the name that rule files use."""

from __future__ import annotations

from responder.triage.postgres_queries.base import NamedQuery, Query
from responder.triage.postgres_queries.health import CACHE, DEADLOCKS, SIZE, VERSION
from responder.triage.postgres_queries.locks import BLOCKING
from responder.triage.postgres_queries.replication import REPLICATION
from responder.triage.postgres_queries.sessions import ACTIVE, CONNECTIONS, IDLE, IDLE_IN_TRANSACTION
from responder.triage.postgres_queries.statements import STATEMENTS
from responder.triage.postgres_queries.transactions import LONG_TRANSACTIONS
from responder.triage.postgres_queries.vacuum import VACUUM

QUERIES: dict[Query, NamedQuery] = {
    Query.CONNECTIONS: CONNECTIONS,
    Query.ACTIVE: ACTIVE,
    Query.IDLE: IDLE,
    Query.IDLE_IN_TRANSACTION: IDLE_IN_TRANSACTION,
    Query.BLOCKING: BLOCKING,
    Query.LONG_TRANSACTIONS: LONG_TRANSACTIONS,
    Query.REPLICATION: REPLICATION,
    Query.CACHE: CACHE,
    Query.DEADLOCKS: DEADLOCKS,
    Query.SIZE: SIZE,
    Query.VACUUM: VACUUM,
    Query.STATEMENTS: STATEMENTS,
    Query.VERSION: VERSION,
}
