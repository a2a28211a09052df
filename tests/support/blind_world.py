"""What tests of blind mode share: rules whose levels are near or far, and the wait for every replica's look at the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from waiting import eventually

RULES = """
severities:
  P1: {title: Critical, respond_within: 10m, escalate: {secondary: 25s, executive: 9m}}
escalation:
  database: {primary: dbteam, secondary: platform, executive: cto}
  platform: {primary: platform}
contacts:
  dbteam: {email: db@example.com}
rules:
  - {name: database, match: ['service="database"'], severity: P1, service: database, group_by: [alertname]}
default: {severity: P3, service: platform}
"""
SLOW_RULES = RULES.replace(
    "respond_within: 10m, escalate: {secondary: 25s, executive: 9m}", "respond_within: 15m"
)


async def all_looked(ask: Callable[..., Awaitable[Any]], count: int) -> None:
    """Until so many replicas are there, and each has looked at the store since, to the end of its look."""

    async def seen() -> dict[bytes, bytes]:
        (roll,) = await ask("KEYS", "*:replicas") or ("",)
        return dict(await ask("HGETALL", roll)) if roll else {}

    for _ in range(2):
        before: dict[bytes, bytes] = {}

        async def moved(before: dict[bytes, bytes] = before) -> bool:
            found = await seen()
            if len(found) == count and not before:
                before.update(found)
            return bool(before) and all(found[name] != word for name, word in before.items())

        await eventually(moved, every=0.1)
