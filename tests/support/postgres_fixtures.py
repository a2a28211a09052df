"""Postgres servers of several versions, started once for this worker, and what asks them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import aiohttp
import asyncpg
import pytest
from postgres_servers import Cluster, installations
from probe_bench import AROUND, Bench

from responder.config import PostgresTarget, Targets
from responder.incident.finding import Finding
from responder.secrets import Secret
from responder.triage.base import Circumstances
from responder.triage.postgres import PostgresSettings

#: Asks a database by its URL.
See = Callable[..., Awaitable[Finding]]


class Clusters:
    """Each is started when it is first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[str, Cluster] = {}

    def __getitem__(self, version: str) -> Cluster:
        if version not in self._running:
            self._running[version] = self._stack.enter_context(Cluster(version))
        return self._running[version]


@pytest.fixture(scope="session")
def clusters() -> Iterator[Clusters]:
    with ExitStack() as stack:
        yield Clusters(stack)


@pytest.fixture(params=sorted(installations()))
def cluster(request: pytest.FixtureRequest, clusters: Clusters) -> Cluster:
    """Every version that is here."""
    return clusters[request.param]


@pytest.fixture
def newest(clusters: Clusters) -> Cluster:
    return clusters["18"]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as found:
        yield found


@pytest.fixture
def see(session: aiohttp.ClientSession) -> See:
    async def see(
        url: str, labels: dict[str, str] | None = None, secrets: tuple[str, ...] = (), **settings: Any
    ) -> Finding:
        targets = Targets(postgres={"main": PostgresTarget(url=Secret(url))})
        around = Circumstances(**{**_fields(AROUND), "labels": labels or {}})
        return await Bench(session, targets, secrets).see(
            "postgres", PostgresSettings(target="main", **settings), around
        )

    return see


def _fields(around: Circumstances) -> dict[str, Any]:
    return {name: getattr(around, name) for name in around.__struct_fields__}


#: Opens a session that is closed at the end of the test.
Connect = Callable[..., Awaitable[Any]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        async def connect(url: str, application: str = "test") -> Any:
            opened = await asyncpg.connect(
                url, statement_cache_size=0, server_settings={"application_name": application}
            )
            stack.callback(opened.terminate)
            return opened

        yield connect
