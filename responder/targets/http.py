"""Configured HTTP targets: an address that no path leaves, answers of bounded size, errors without addresses."""

from __future__ import annotations

import aiohttp
from yarl import URL

from responder.targets.base import TargetError, os_reason

BODY_LIMIT = 64 * 1024  # bytes of an answer that are read


def joined(base: str, path: str) -> URL:
    """The target's URL with a path below it.

    Raises:
        TargetError: where the path would leave the target.
    """
    if ".." in path or "//" in path or "\\" in path or path.startswith(("http:", "https:")):
        raise TargetError(f"path {path!r} would leave the target")
    root = URL(base)
    joint = URL(f"{base.rstrip('/')}/{path.lstrip('/')}") if path else root
    if joint.origin() != root.origin():
        raise TargetError(f"path {path!r} would leave the target")
    return joint


async def bounded(content: aiohttp.StreamReader, limit: int = BODY_LIMIT) -> bytes:
    """The beginning of an answer, at most ``limit`` bytes of it."""
    parts, size = [], 0
    async for part in content.iter_chunked(16_384):
        parts.append(part)
        size += len(part)
        if size >= limit:
            break
    return b"".join(parts)[:limit]


def unreachable(name: str, error: aiohttp.ClientError | OSError) -> str:
    """Why a target could not be reached, without its address."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError):
        return f"cannot reach {name}: {os_reason(cause)}"
    return f"{name} broke off: {type(error).__name__}"
