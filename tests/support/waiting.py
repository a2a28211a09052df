"""Waiting for what a user would notice: poll with a limit, and say what was last seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T | None]], limit: float = 60.0, every: float = 0.02) -> T:
    """Poll until the look returns something true."""
    last: T | None = None
    try:
        async with asyncio.timeout(limit):
            while not (last := await look()):
                await asyncio.sleep(every)
    except TimeoutError:
        raise AssertionError(f"not within {limit} s; last seen: {last!r}") from None
    return last


async def until(look: Callable[[], Any], limit: float = 60.0) -> Any:
    """The same for a plain function."""

    async def looked() -> Any:
        return look()

    return await eventually(looked, limit)


def metric_in(exposition: str, name: str) -> float:
    """The sum of the series whose name and labels begin so."""
    lines = (line for line in exposition.splitlines() if line.startswith(name))
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)
