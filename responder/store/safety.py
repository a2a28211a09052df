"""A store that could lose or evict what it was given is refused at the start."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from redis.exceptions import RedisError

from responder.store.connection import Client
from responder.store.errors import StoreError, UnsafeStoreError

log = structlog.get_logger(__name__)

#: setting -> (the value that keeps alerts safe, what happens otherwise)
REQUIRED: dict[str, tuple[str, str]] = {
    "maxmemory-policy": ("noeviction", "it may evict open incidents"),
    "appendonly": ("yes", "a restart loses every incident"),
    "appendfsync": ("always", "a power cut loses alerts that were answered with 200"),
}

#: Intake stops at this share of ``maxmemory``; the rest is for pages, acknowledgements and clean-up.
INTAKE_SHARE = 0.9


async def check_durability(client: Client, *, accept_data_loss: bool) -> None:
    """Look at the server's settings.

    Raises:
        UnsafeStoreError: where one of them is not safe and that was not accepted; names each setting to change.
        StoreError: where the server cannot be reached.
    """
    try:
        settings = await client.config_get(*REQUIRED)
    except RedisError as error:
        if type(error).__name__ in {"ResponseError", "NoPermissionError"}:
            log.warning("the store hides its settings; cannot verify that it keeps what it is given")
            return
        raise StoreError(f"CONFIG GET: {type(error).__name__}") from error
    except OSError as error:
        raise StoreError(f"CONFIG GET: {type(error).__name__}") from error
    problems = durability_problems({_text(name): _text(value) for name, value in settings.items()})
    if not problems:
        return
    if accept_data_loss:
        log.warning("the store is not safe, and that was accepted", problems=problems)
        return
    raise UnsafeStoreError(
        "the store is not safe: " + "; ".join(problems) + "; or set redis.accept_data_loss: true"
    )


def durability_problems(settings: Mapping[str, str]) -> list[str]:
    """What is not safe, one sentence each with the setting to change."""
    return [
        f"{name} is {settings[name]!r}, set it to {wanted!r} ({otherwise})"
        for name, (wanted, otherwise) in REQUIRED.items()
        if settings.get(name, wanted) != wanted
    ]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def has_room(memory: Mapping[str, object]) -> bool:
    """Whether new alerts may still be taken, from ``INFO memory``."""
    limit, used = int(str(memory.get("maxmemory", 0))), int(str(memory.get("used_memory", 0)))
    return limit == 0 or used < limit * INTAKE_SHARE
