"""Errors as ``application/problem+json`` (RFC 9457), and a bounded reading of bodies."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from responder.text import note_text, one_line

T = TypeVar("T")
BODY_LIMIT = 256 * 1024
NAME_LIMIT = 100
#: Of an answer that may be another one soon: seconds.
RETRY_AFTER = {"Retry-After": "5"}
_READ_LIMIT = 10.0


class ProblemError(Exception):
    """A request that cannot be served; ``more`` goes into the answer beside the standard members."""

    def __init__(
        self, status: int, detail: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.more = status, detail, headers or {}, more


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> web.Response:
    """The answer of an error."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type="application/problem+json",
        headers=headers,
    )


def answer(value: Any, status: int = 200) -> web.Response:
    """A value as JSON."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


async def read(request: web.Request, limit: int = BODY_LIMIT) -> bytes:
    """The body, bounded in size and time."""
    if request.content_length is not None and request.content_length > limit:
        raise ProblemError(413, f"body: over the limit of {limit} bytes")
    parts, size = [], 0
    try:
        async with asyncio.timeout(_READ_LIMIT):
            async for part in request.content.iter_any():
                size += len(part)
                if size > limit:
                    raise ProblemError(413, f"body: over the limit of {limit} bytes")
                parts.append(part)
    except TimeoutError:
        raise ProblemError(408, "body: not sent in time") from None
    except (ConnectionResetError, web.RequestPayloadError):
        raise ProblemError(400, "body: broken off or not decodable") from None
    return b"".join(parts)


async def form_fields(request: web.Request) -> dict[str, str]:
    """The fields of a posted form, bounded."""
    raw = await read(request, 16 * 1024)
    try:
        return dict(parse_qsl(raw.decode(), max_num_fields=20))
    except ValueError:
        raise ProblemError(400, "form: not readable") from None


def noted(field: str, text: str) -> str:
    """What a person says, whole; 422 where it is longer than is kept."""
    try:
        return note_text(text)
    except ValueError as error:
        raise ProblemError(422, f"{field}: {error}") from None


def limited(field: str, text: str, limit: int) -> None:
    """Raises ``ProblemError`` (422) for a text that is longer than what is kept of it."""
    if len(text) > limit:
        raise ProblemError(
            422, f"{field}: {len(text):,} characters are more than the limit of {limit:,}; shorten it"
        )


def named(field: str, text: str) -> str:
    """A name that a person gives, on one line and whole; 422 where it is longer than is kept."""
    name = one_line(text, max(len(text), 1))
    limited(field, name, NAME_LIMIT)
    return name


def decoded(raw: bytes, kind: type[T]) -> T:
    """The body as a typed value; an error names the field."""
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except RecursionError:
        raise ProblemError(400, "body: nested too deeply") from None
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        text, _, path = str(error).partition(" - at `$")
        raise ProblemError(400, f"body{path.rstrip('`')}: {text}"[:300]) from None
