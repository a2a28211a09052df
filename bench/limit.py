"""The limit of this machine: the same web server, which only decodes the body and answers."""

from __future__ import annotations

import asyncio
import sys

import msgspec
from aiohttp import web

from responder.intake.webhook import decode

_ANSWER = msgspec.json.encode({"received": 1, "changed": 1, "duplicate": 0, "quarantined": 0})


async def _handle(request: web.Request) -> web.Response:
    decode(await request.read())
    return web.Response(body=_ANSWER, content_type="application/json")


async def _main(port: int) -> None:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/webhooks/alertmanager", _handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
