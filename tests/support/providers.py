"""Servers in the place of providers: how one is served, and the ways in which any of them can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web


@contextlib.asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """The application on loopback; its address."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def raw_answer(status: int, body: bytes = b"", *, length: int | None = None, **headers: str) -> bytes:
    """An answer byte by byte; a ``length`` above the body's makes one that breaks off."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += ["Content-Type: application/json", "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


#: Behaviour -> the bytes that come back; ``None`` hangs, nothing is a connection that is cut.
MISBEHAVIOURS: dict[str, bytes | None] = {
    "hangs": None,
    "cuts the connection": b"",
    "speaks no HTTP": b"\x00\xffhello\r\n\r\n",
    "breaks off after the status": raw_answer(200, b'{"st', length=500),
    "answers like a proxy": raw_answer(200, b"<html>Please sign in</html>"),
    "redirects": raw_answer(302, Location="http://127.0.0.1:9/elsewhere"),
    "400": raw_answer(400, b'{"status": "invalid event", "message": "no", "code": 21211, "error": "no"}'),
    "401": raw_answer(401, b"{}"),
    "403": raw_answer(403, b"not json"),
    "404": raw_answer(404),
    "413": raw_answer(413),
    "408": raw_answer(408),
    "429": raw_answer(429),
    "429 with a wait": raw_answer(429, Retry_After="17"),
    "500": raw_answer(500, b"{}"),
    "503 with a wait": raw_answer(503, Retry_After="9"),
    "503 with a date": raw_answer(
        503, Date="Wed, 21 Oct 2026 07:28:00 GMT", Retry_After="Wed, 21 Oct 2026 07:28:07 GMT"
    ),
    "huge": raw_answer(500, b"x" * 2_000_000),
}


@contextlib.asynccontextmanager
async def misbehaving(behaviour: str) -> AsyncIterator[str]:
    """A server that answers everything in one way; its address."""
    answer = MISBEHAVIOURS[behaviour]
    over = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read(65_536)
            if answer is None:
                await over.wait()
            elif not answer:
                writer.transport.abort()
                return
            else:
                writer.write(answer)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        over.set()
        server.close()
