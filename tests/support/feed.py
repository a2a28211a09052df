"""iCalendar texts in a few words, and a server that hands them out, also badly."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from zoneinfo import ZoneInfo

from aiohttp import web

from responder.calendars.source import CalendarSource
from responder.oncall.calendar import Acquaintances
from responder.secrets import Secret


def event(start: str, end: str, summary: str = "Ana", *more: str, uid: str = "") -> str:
    """``start`` and ``end`` as iCalendar has them, with parameters before a colon: ``TZID=Asia/Manila:20250601T090000``."""
    lines = [
        "BEGIN:VEVENT",
        f"UID:{uid or start + summary}",
        f"SUMMARY:{summary}",
        f"DTSTART{_value(start)}",
        f"DTEND{_value(end)}",
        *more,
        "END:VEVENT",
    ]
    return "\r\n".join(lines)


def _value(text: str) -> str:
    return f";{text}" if ":" in text else f":{text}"


def calendar(*events: str, more: tuple[str, ...] = ()) -> bytes:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//", *more, *events, "END:VCALENDAR", ""]
    return "\r\n".join(lines).encode()


class FeedServer:
    """A calendar server that can be told to misbehave."""

    def __init__(self) -> None:
        self.body = calendar()
        self.status = 200
        self.etag = ""
        self.modified = ""
        self.location = ""
        self.hang = False
        self.asked: list[Mapping[str, str]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.headers))
        if self.hang:
            await asyncio.sleep(60)
        headers = {"Content-Type": "text/calendar"}
        if self.etag:
            headers["ETag"] = self.etag
        if self.modified:
            headers["Last-Modified"] = self.modified
        if self.etag and request.headers.get("If-None-Match") == self.etag:
            return web.Response(status=304)
        if self.location and request.path != "/moved.ics":
            return web.Response(status=302, headers={"Location": self.location})
        return web.Response(status=self.status, body=self.body, headers=headers)


@contextlib.asynccontextmanager
async def feed_server() -> AsyncIterator[FeedServer]:
    server = FeedServer()
    app = web.Application()
    app.router.add_get("/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/token-4711/team.ics"
    try:
        yield server
    finally:
        await runner.cleanup()


def source(
    *, url: str = "", file: str | None = None, zone: str = "Europe/Berlin", **people: str
) -> CalendarSource:
    return CalendarSource(
        file=file,
        url=Secret(url) if url else None,
        refresh=timedelta(minutes=15),
        zone=ZoneInfo(zone),
        who=Acquaintances(people or {"Ana": "ana", "Ben": "ben"}, {}),
    )
