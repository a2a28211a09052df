"""Servers on loopback that stand in for what cannot run here, and the broken ones that everybody meets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The address of a server that answers every method and path in one way."""
    app = web.Application(client_max_size=2**20)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def saying(status: int = 200, text: str = "", **headers: str) -> Answer:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return answer


async def hanging(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def endless(request: web.Request) -> web.StreamResponse:
    """An answer that never ends."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b'"' * 65_536)


async def dropping(request: web.Request) -> web.StreamResponse:
    """Reads the request and cuts the connection without a word."""
    await request.read()
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
