"""A client of the store whose calls fail when a test says so: before they are made, or after, so that the answer is lost."""

from __future__ import annotations

import random
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError


class Unsteady:
    """Passes on to a real client."""

    def __init__(self, client: Any, chance: random.Random) -> None:
        self._client, self._chance = client, chance
        self.away = False
        #: The share of calls whose answer is lost.
        self.loses = 0.0

    def _before(self) -> None:
        if self.away:
            raise RedisConnectionError("away")

    def _after(self) -> None:
        if self.away or self._chance.random() < self.loses:
            raise RedisConnectionError("the answer is lost")

    async def evalsha(self, *args: Any) -> Any:
        self._before()
        answer = await self._client.evalsha(*args)
        self._after()
        return answer

    async def eval(self, *args: Any) -> Any:
        self._before()
        answer = await self._client.eval(*args)
        self._after()
        return answer

    async def execute_command(self, *args: Any) -> Any:
        self._before()
        answer = await self._client.execute_command(*args)
        self._after()
        return answer

    def pipeline(self, **more: Any) -> Any:
        self._before()
        return self._client.pipeline(**more)
