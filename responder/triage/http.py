"""Type ``http``: a health check of a configured target; status, JSON and time are looked at."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Any, ClassVar

import aiohttp
import msgspec
from yarl import URL

from responder.incident.finding import FindingStatus
from responder.triage.base import PROBES, Circumstances, Observation, ProbeSettings, ProbeTools
from responder.triage.runner import TargetError

BODY_LIMIT = 64 * 1024
_SHOWN = 500


class HttpSettings(ProbeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``expect_json`` maps dotted paths to the values that they must have."""

    target: str
    path: str = ""
    expect_status: tuple[int, ...] = (200,)
    expect_json: dict[str, Any] = msgspec.field(default_factory=dict)
    expect_text: str | None = None
    slow_after: timedelta = timedelta(seconds=2)
    suggests: str | None = None


@PROBES.register("http")
class HttpProbe:
    """One GET, without redirects, to a configured target."""

    Settings: ClassVar[type[ProbeSettings]] = HttpSettings
    target_kind: ClassVar[str] = "http"

    def __init__(self, settings: HttpSettings, tools: ProbeTools) -> None:
        self._settings = settings
        self._tools = tools

    async def look(self, circumstances: Circumstances) -> Observation:
        """Ask, and compare the answer with what is expected."""
        target = self._tools.targets.http.get(self._settings.target)
        if target is None:
            raise TargetError(f"target {self._settings.target} is not configured under targets.http")
        url = joined(target.url, self._settings.path)
        headers = {name: value.reveal() for name, value in target.headers.items()}
        begun = time.monotonic()
        try:
            async with self._tools.session.get(url, headers=headers, allow_redirects=False) as response:
                body = await _bounded(response.content)
                status, location = response.status, response.headers.get("Location", "")
        except aiohttp.ClientConnectorError as error:
            reason = (
                os.strerror(error.os_error.errno) if error.os_error.errno else type(error.os_error).__name__
            )
            return self._observed(FindingStatus.CRITICAL, f"cannot reach {self._settings.target}: {reason}")
        except aiohttp.ClientError as error:
            text = f"{self._settings.target} broke off: {type(error).__name__}"
            return self._observed(FindingStatus.CRITICAL, text)
        return self._judged(status, location, body, time.monotonic() - begun)

    def _judged(self, status: int, location: str, body: bytes, took: float) -> Observation:
        s = self._settings
        shown = body[:_SHOWN].decode(errors="replace")
        where = f"{s.target}{s.path}"
        if status not in s.expect_status:
            wanted = " or ".join(str(one) for one in s.expect_status)
            more = f" and points to {location[:100]}" if location else ""
            return self._observed(
                FindingStatus.CRITICAL, f"{where} answers {status}{more}, expected {wanted}", shown
            )
        problem = _json_problem(body, s.expect_json)
        if problem is None and s.expect_text is not None and s.expect_text.encode() not in body:
            problem = f"{s.expect_text!r} is not in the answer"
        if problem is not None:
            return self._observed(FindingStatus.CRITICAL, f"{where} answers {status}, but {problem}", shown)
        if took > s.slow_after.total_seconds():
            return self._observed(
                FindingStatus.WARNING, f"{where} answers {status}, but slowly: {took:.1f} s", shown
            )
        return self._observed(FindingStatus.OK, f"{where} answers {status} in {took * 1000:.0f} ms")

    def _observed(self, status: FindingStatus, headline: str, detail: str = "") -> Observation:
        suggests = self._settings.suggests if status is not FindingStatus.OK else None
        return Observation(status=status, headline=headline, detail=detail, suggests=suggests)


def joined(base: str, path: str) -> URL:
    """The target's URL with a path below it.

    Raises:
        TargetError: where the path would leave the target.
    """
    if ".." in path or "//" in path or "\\" in path or path.startswith(("http:", "https:")):
        raise TargetError(f"path {path!r} would leave the target")
    root = URL(base)
    joint = URL(f"{base.rstrip('/')}/{path.lstrip('/')}") if path else root
    if joint.origin() != root.origin():
        raise TargetError(f"path {path!r} would leave the target")
    return joint


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    parts, size = [], 0
    async for part in content.iter_chunked(16_384):
        parts.append(part)
        size += len(part)
        if size >= BODY_LIMIT:
            break
    return b"".join(parts)[:BODY_LIMIT]


def _json_problem(body: bytes, expected: dict[str, Any]) -> str | None:
    """What is wrong with the JSON; ``None`` where all is as expected."""
    if not expected:
        return None
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return "it is not JSON"
    for path, wanted in expected.items():
        value: Any = decoded
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value != wanted:
            return f"{path} is {str(value)[:60]!r}, expected {wanted!r}"
    return None
