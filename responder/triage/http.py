"""Type ``http``: a health check of a configured target; status, JSON and time are looked at."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any, ClassVar

import aiohttp
import msgspec

from responder.incident.finding import FindingStatus
from responder.targets.base import configured
from responder.targets.http import bounded, joined, unreachable
from responder.triage.base import PROBES, Circumstances, Observation, ProbeSettings, ProbeTools

_SHOWN = 500


class HttpSettings(ProbeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``expect_json`` maps dotted paths to the values that they must have."""

    TARGET_KIND: ClassVar[str] = "http"

    target: str
    path: str = ""
    expect_status: tuple[int, ...] = (200,)
    expect_json: dict[str, Any] = msgspec.field(default_factory=dict)
    expect_text: str | None = None
    slow_after: timedelta = timedelta(seconds=2)


@PROBES.register("http")
class HttpProbe:
    """One GET, without redirects, to a configured target."""

    Settings: ClassVar[type[ProbeSettings]] = HttpSettings
    per_incident: ClassVar[bool] = False

    def __init__(self, settings: HttpSettings, tools: ProbeTools) -> None:
        self._settings = settings
        self._tools = tools

    async def look(self, circumstances: Circumstances) -> Observation:
        """Ask, and compare the answer with what is expected."""
        target = configured(self._tools.targets.http, "http", self._settings.target)
        url = joined(target.url, self._settings.path)
        headers = {name: value.reveal() for name, value in target.headers.items()}
        begun = time.monotonic()
        try:
            async with self._tools.session.get(url, headers=headers, allow_redirects=False) as response:
                body = await bounded(response.content)
                status, location = response.status, response.headers.get("Location", "")
        except (aiohttp.ClientError, OSError) as error:
            return Observation(
                status=FindingStatus.CRITICAL, headline=unreachable(self._settings.target, error)
            )
        return self._judged(status, location, body, time.monotonic() - begun)

    def _judged(self, status: int, location: str, body: bytes, took: float) -> Observation:
        s = self._settings
        shown = body[:_SHOWN].decode(errors="replace")
        where = f"{s.target}{s.path}"
        if status not in s.expect_status:
            wanted = " or ".join(str(one) for one in s.expect_status)
            more = f" and points to {location[:100]}" if location else ""
            return _observed(
                FindingStatus.CRITICAL, f"{where} answers {status}{more}, expected {wanted}", shown
            )
        problem = _json_problem(body, s.expect_json)
        if problem is None and s.expect_text is not None and s.expect_text.encode() not in body:
            problem = f"{s.expect_text!r} is not in the answer"
        if problem is not None:
            return _observed(FindingStatus.CRITICAL, f"{where} answers {status}, but {problem}", shown)
        if took > s.slow_after.total_seconds():
            return _observed(
                FindingStatus.WARNING, f"{where} answers {status}, but slowly: {took:.1f} s", shown
            )
        return _observed(FindingStatus.OK, f"{where} answers {status} in {took * 1000:.0f} ms")


def _observed(status: FindingStatus, headline: str, detail: str = "") -> Observation:
    return Observation(status=status, headline=headline, detail=detail)


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
