"""Who is paged: a receiver of the webhook channel that notes what comes and when; and how a line of the report looks."""

from __future__ import annotations

import json
import time
from typing import Any

from aiohttp import web

from bench.processes import free_port


def say(name: str, value: str) -> None:
    """One line of the report."""
    print(f"{name:<58} {value}", flush=True)


class Hook:
    """Receives pages. ``arrived``: when the first came, by the title's first word; ``pages``: all of them."""

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}
        self.pages: list[dict[str, Any]] = []
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def handle(self, request: web.Request) -> web.Response:
        page = json.loads(await request.read())
        if page["kind"] == "page":
            self.arrived.setdefault(page["incident"]["title"].split(":")[0], time.perf_counter())
        if page["kind"] in ("page", "reminder"):
            self.pages.append(page)
        return web.Response()

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/", self.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        return runner
