"""Connections to the store: every form of URL that is understood, and the scripts that run there."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, urlsplit

from redis import asyncio as redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, RedisError
from redis.maint_notifications import MaintNotificationsConfig

from responder.store.errors import StoreError, StoreFullError

Client = Any  # redis.Redis and RedisCluster share no base class that has these calls

CALL_LIMIT = 4.0  # seconds for one call, below Alertmanager's patience
_CONNECTIONS = 48

#: Our scripts are not idempotent: a reply that was lost must not run one twice, so the library's retries are off.
#: So are its notices of maintenance: with them (``auto`` by default) a pooled connection that the server has closed
#: is not seen to be closed, and after a restart of the store the first call on each of them fails.
_OPTIONS: dict[str, Any] = {
    "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    "socket_timeout": CALL_LIMIT,
    "socket_connect_timeout": 2.0,
    "health_check_interval": 15,
}


def pairs(flat: Sequence[Any]) -> list[tuple[Any, Any]]:
    """What a hash or a script answers as one list, two by two."""
    return [(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)]


def _no_retry() -> Retry:
    return Retry(NoBackoff(), 0)


def connect(url: str) -> Client:
    """A client for ``redis://``, ``rediss://``, ``unix://``, ``redis+sentinel://`` or ``redis+cluster://``.

    Sentinel: ``redis+sentinel://[user:password@]host:port,host:port/name[?db=0]``; cluster:
    ``redis+cluster://[user:password@]host:port,host:port``. Nothing is connected yet.

    Raises:
        ValueError: where the URL is of none of these forms.
    """
    scheme = urlsplit(url).scheme
    if scheme in {"redis", "rediss", "unix"}:
        pool = redis.BlockingConnectionPool.from_url(
            url, max_connections=_CONNECTIONS, timeout=2, retry=_no_retry(), **_OPTIONS
        )
        return redis.Redis.from_pool(pool)
    if scheme == "redis+sentinel":
        return _sentinel(url)
    if scheme == "redis+cluster":
        hosts, auth, _ = _parts(url)
        nodes = [ClusterNode(host, port) for host, port in hosts]
        return RedisCluster(startup_nodes=nodes, **auth, **_OPTIONS)
    raise ValueError("expected redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://")


async def close(client: Client) -> None:
    """Close a client of :func:`connect`, and the connections to the Sentinels behind it."""
    await client.aclose()
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    for sentinel in manager.sentinels if manager is not None else ():
        await sentinel.aclose()
    _heed_cancellation()


def _parts(url: str) -> tuple[list[tuple[str, int]], dict[str, Any], str]:
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    auth: dict[str, Any] = {
        name: value for name, value in (("username", user), ("password", password)) if value
    }
    pairs = []
    for one in hosts.split(","):
        host, _, port = one.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError("expected host:port,host:port after the scheme")
        pairs.append((host, int(port)))
    return pairs, auth, parts.path.strip("/")


def _sentinel(url: str) -> Client:
    hosts, auth, name = _parts(url)
    if not name:
        raise ValueError("expected redis+sentinel://host:port,host:port/NAME")
    db = int(parse_qs(urlsplit(url).query).get("db", ["0"])[0])
    sentinel: Any = Sentinel(  # type: ignore[no-untyped-call]
        hosts, sentinel_kwargs={"socket_timeout": 2.0}, **_OPTIONS
    )
    return sentinel.master_for(name, db=db, retry=_no_retry(), **auth)


def _heed_cancellation() -> None:
    """Be cancelled now, where that was asked for while the library was connecting.

    It can turn such a cancellation into an error of its own; a loop that calls the store would then never end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Gated:
    """A client that tries nothing while the store is known to be away: who can do without it does so at once.

    A message that waited for a store that hangs would never be sent.
    """

    def __init__(self, client: Client, away: Callable[[], bool]) -> None:
        self._client = client
        self._away = away

    def __getattr__(self, name: str) -> Any:
        if self._away():
            raise RedisConnectionError("the store is known to be away")
        return getattr(self._client, name)


class Script:
    """One Lua file of the store, run by its digest and loaded where the server does not know it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._text = resources.files("responder.store").joinpath("scripts", f"{name}.lua").read_text("utf-8")
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: Client, key: str, *args: Any) -> Any:
        """Run the script on one key.

        Raises:
            StoreFullError: where the server is over its memory limit.
            StoreError: where it cannot be reached, does not answer in time or refuses.
        """
        try:
            async with asyncio.timeout(CALL_LIMIT):
                try:
                    return await client.evalsha(self._sha, 1, key, *args)
                except NoScriptError:
                    return await client.eval(self._text, 1, key, *args)
        except OutOfMemoryError as error:
            raise StoreFullError("the store is over its memory limit") from error
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreError(f"{self.name}: {type(error).__name__}") from error
        finally:
            _heed_cancellation()


async def ask(client: Client, command: str, *args: Any) -> Any:
    """One plain command, with the same limits and errors as a script."""
    try:
        async with asyncio.timeout(CALL_LIMIT):
            return await client.execute_command(command, *args)
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreError(f"{command}: {type(error).__name__}") from error
    finally:
        _heed_cancellation()


async def scan(client: Client, base: str, cursor: int, pattern: str, count: int) -> tuple[int, list[bytes]]:
    """Some of the keys that match a pattern, and the cursor to go on from (0 at the end).

    In a cluster all keys of a name lie on the node of ``base``: only that one is asked.
    """
    options = {}
    if isinstance(client, RedisCluster):
        options = {"target_nodes": client.get_node_from_key(base)}
    try:
        async with asyncio.timeout(CALL_LIMIT):
            following, keys = await client.scan(cursor, match=pattern, count=count, **options)
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreError(f"SCAN: {type(error).__name__}") from error
    finally:
        _heed_cancellation()
    return next(iter(following.values())) if isinstance(following, dict) else int(following), list(keys)
