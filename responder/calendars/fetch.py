"""Gets the bytes of a calendar: from a file, or over HTTP with every limit; or learns that they are the same as before."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import aiohttp
import msgspec
from yarl import URL

from responder.calendars.parse import BODY_LIMIT, CalendarError
from responder.calendars.source import CalendarSource
from responder.targets.http import bounded, unreachable

LIMIT = 20.0  # seconds for a feed with all its redirects
_REDIRECTS = 3
_MOVED = frozenset({301, 302, 303, 307, 308})


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """What tells one state of a calendar from another: a feed's ``ETag`` and ``Last-Modified``, or a file's stamp."""

    etag: str = ""
    modified: str = ""


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes and their version."""

    body: bytes
    version: Version


async def fetch(session: aiohttp.ClientSession, source: CalendarSource, known: Version) -> Fetched | None:
    """The calendar as it is now; ``None`` where it is still the known one.

    Raises:
        CalendarError: where it cannot be had; the text names no address, since that may hold a token.
    """
    if source.file is not None:
        return await asyncio.to_thread(_from_file, Path(source.file), known)
    try:
        url = URL(source.url.reveal()) if source.url else URL()
        async with asyncio.timeout(LIMIT):
            return await _follow(session, url, known)
    except TimeoutError:
        raise CalendarError(f"no answer within {LIMIT:g} s") from None
    except (aiohttp.InvalidURL, ValueError):
        raise CalendarError("its address is not valid") from None
    except (aiohttp.ClientError, OSError) as error:
        raise CalendarError(unreachable("the calendar", error)) from None


async def fetch_offline(source: CalendarSource, known: Version) -> Fetched | None:
    """A file; a feed is left to the daemon.

    Raises:
        CalendarError: for every feed, and for a file that cannot be read.
    """
    if source.file is None:
        raise CalendarError("feeds are not fetched by this command; a daemon is asked with --url")
    return await asyncio.to_thread(_from_file, Path(source.file), known)


def _from_file(path: Path, known: Version) -> Fetched | None:
    try:
        found = path.stat()
        version = Version(etag=f"{found.st_ino} {found.st_size} {found.st_mtime_ns}")
        if version == known:
            return None
        with path.open("rb") as file:
            return Fetched(body=_checked(file.read(BODY_LIMIT + 1)), version=version)
    except OSError as error:
        raise CalendarError(f"cannot read {path.name}: {os.strerror(error.errno or 0)}") from None


async def _follow(session: aiohttp.ClientSession, url: URL, known: Version) -> Fetched | None:
    """Redirects are followed a few times, on the same host only and never to a plainer scheme."""
    for _ in range(_REDIRECTS + 1):
        async with session.get(url, headers=_headers(known), allow_redirects=False) as response:
            if response.status == 304 and known != Version():
                return None
            if response.status == 200:
                version = Version(
                    etag=response.headers.get("ETag", ""), modified=response.headers.get("Last-Modified", "")
                )
                return Fetched(
                    body=_checked(await bounded(response.content, BODY_LIMIT + 1)), version=version
                )
            if response.status not in _MOVED:
                raise CalendarError(f"it answers {response.status}")
            url = _same_host(url, response.headers.get("Location", ""))
    raise CalendarError(f"it redirects more than {_REDIRECTS} times")


def _headers(known: Version) -> dict[str, str]:
    headers = {"Accept": "text/calendar, */*;q=0.1", "User-Agent": "responder"}
    if known.etag:
        headers["If-None-Match"] = known.etag
    if known.modified:
        headers["If-Modified-Since"] = known.modified
    return headers


def _same_host(url: URL, location: str) -> URL:
    target = url.join(URL(location))
    kept = target.scheme == url.scheme or (url.scheme, target.scheme) == ("http", "https")
    if target.host != url.host or not kept:
        raise CalendarError("it redirects to another host; give that address")
    return target


def _checked(body: bytes) -> bytes:
    if len(body) > BODY_LIMIT:
        raise CalendarError(f"it is over {BODY_LIMIT // 1024} KiB")
    return body
