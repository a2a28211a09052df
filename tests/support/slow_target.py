"""A target that takes a question and never answers it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web


class Slow:
    """A target that answers nobody."""

    def __init__(self) -> None:
        self.asked = 0

    async def handle(self, _request: web.Request) -> web.Response:
        self.asked += 1
        await asyncio.Event().wait()
        return web.Response()


@contextlib.asynccontextmanager
async def slow_target() -> AsyncIterator[tuple[Slow, str]]:
    slow = Slow()
    app = web.Application()
    app.router.add_get("/health", slow.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield slow, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
