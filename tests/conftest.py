"""The real store for every test: one embedded server a worker, a name of its own a test, and a look for leaks."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import structlog
from clocks import TurnedClock
from daemon import Receiver, receiver
from helm_chart import Helm
from hypothesis import HealthCheck, settings

# The embedded Postgres looks for it at import, and warns where it is not set.
os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="run-"))

from responder.store.connection import Client, connect
from responder.store.embedded import EmbeddedServer
from responder.store.store import Store, StoreOptions

# On two busy cores a slow draw says nothing about the code. Every run draws the same examples, so that the same code
# passes again; ``--hypothesis-profile=explore`` looks for others.
_unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", _unhurried, derandomize=False, max_examples=1_000)
settings.register_profile("here", _unhurried, derandomize=True)
settings.load_profile("here")

# The trace of a decision that is made to fail, drawn with every local, would take seconds.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

pytest_plugins = ["action_fixtures", "kubernetes_fixtures", "mirror_fixtures", "postgres_fixtures"]

FIXTURES = Path(__file__).parent / "fixtures" / "alertmanager"
T = TypeVar("T")
_numbers = itertools.count()

#: Keys that stay for ever: a short list. Everything else belongs to an open incident or expires.
PERMANENT = (
    "queues",
    "gauge",
    "x:",
    "w:",
    "q:",
    "ack_key",
    "audit",
    "act:kill",
    "beats",
    "turns",
    "canary",
    "watchdog",
    "outlines",
    "am:",
)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a Debian program that is not here; the CI run installs them and refuses skips."""
    for marker in item.iter_markers("debian"):
        missing = [program for program in marker.args if shutil.which(program) is None]
        if missing:
            pytest.skip(f"needs {', '.join(missing)} (Debian package)")


def body(name: str) -> bytes:
    """A webhook body that a real Alertmanager sent."""
    return (FIXTURES / f"{name}.json").read_bytes()


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    """Where the webhook channel posts to."""
    async with receiver() as found:
        yield found


@pytest.fixture(scope="session")
def store_url() -> Iterator[str]:
    """A real server, started once for this worker."""
    with tempfile.TemporaryDirectory(prefix="rt-") as folder:
        loop = asyncio.new_event_loop()
        server = EmbeddedServer(Path(folder))
        loop.run_until_complete(server.start())
        yield server.url
        loop.run_until_complete(server.stop())
        loop.close()


@pytest.fixture
def store_name() -> str:
    return f"t{os.getpid()}-{next(_numbers)}"


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[Client]:
    client = connect(store_url)
    yield client
    await client.aclose()


@pytest.fixture
def unknown_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """``.invalid`` is unknown at once: this machine's resolver may take longer to say so than a probe waits."""
    ask = socket.getaddrinfo

    def answer(host: Any, *more: Any, **named: Any) -> Any:
        if str(host).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ask(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.fixture
def turned() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
async def store(client: Client, store_name: str, turned: TurnedClock) -> AsyncIterator[Store]:
    store = Store(client, store_name, StoreOptions(doubts=True), shift=turned)
    yield store
    leaks = await leaked(store)
    keys = [key async for key in client.scan_iter(match=f"{store.base}:*", count=1000)]
    if keys:
        await client.delete(*keys)
    assert not leaks, f"keys that never expire: {leaks}"


async def leaked(store: Store) -> list[str]:
    """Keys without an expiry that belong to no open incident."""
    found = []
    async for raw in store.client.scan_iter(match=f"{store.base}:*", count=1000):
        name = raw.decode().removeprefix(f"{store.base}:")
        if name.startswith(PERMANENT) or await store.client.ttl(raw) != -1:
            continue
        kind, _, rest = name.partition(":")
        incident = rest.split(":")[0]
        if kind == "k":
            incident = (await store.client.get(raw)).decode()
        if kind in {"k", "i"}:
            state = await store.client.hget(f"{store.base}:i:{incident}", "st")
            if state not in (None, b"resolved"):
                continue
        if kind == "l":
            continue  # waits to be performed; the outbox tests look that it goes
        found.append(name)
    return found


@pytest.fixture(scope="session")
def helm() -> Iterator[Helm]:
    """One Helm engine for this worker."""
    engine = Helm()
    yield engine
    engine.close()
