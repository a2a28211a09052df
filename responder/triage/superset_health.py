"""Type ``superset.health``: whether Superset's web process answers, and, asked deeply, its login and its database."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import ClassVar

import msgspec

from responder.config import SupersetTarget
from responder.incident.finding import FindingStatus
from responder.targets.base import configured
from responder.targets.http import (
    Answer,
    RefusedError,
    UnclearError,
    UnreachableError,
    answered,
    joined,
)
from responder.targets.superset import signed_in
from responder.text import one_line
from responder.triage.base import PROBES, Circumstances, Observation, ProbeSettings, ProbeTools

#: Any user who sees a dashboard may ask this, and Superset must read its metadata database to answer.
_CHEAP = "/api/v1/dashboard/?q=(columns:!(id),page:0,page_size:1)"


class SupersetHealthSettings(ProbeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``deep`` logs in and asks something that needs the metadata database, which ``/health`` never looks at."""

    TARGET_KIND: ClassVar[str] = "superset"

    target: str
    deep: bool = False
    slow_after: timedelta = timedelta(seconds=2)


@PROBES.register("superset.health")
class SupersetHealth:
    """GET ``/health``, whose body is the plain text ``OK``; it is no JSON and checks the web process only."""

    Settings: ClassVar[type[ProbeSettings]] = SupersetHealthSettings
    per_incident: ClassVar[bool] = False

    def __init__(self, settings: SupersetHealthSettings, tools: ProbeTools) -> None:
        self._settings = settings
        self._tools = tools

    async def look(self, circumstances: Circumstances) -> Observation:
        """Ask; what is refused is an observation too."""
        name = self._settings.target
        target = configured(self._tools.targets.superset, "superset", name)
        try:
            asking = self._tools.session.get(joined(target.url, "/health"), allow_redirects=False)
            answer = await answered(name, asking)
            if answer.status != 200 or answer.body.strip() != b"OK":
                return _not_ok(name, answer)
            if not self._settings.deep:
                return self._timed(f"{name} answers OK", answer.took)
            begun = time.monotonic()
            await self._deeply(target)
            return self._timed(
                f"{name} answers OK, with login and metadata database", time.monotonic() - begun
            )
        except (UnreachableError, UnclearError) as error:
            return Observation(status=FindingStatus.CRITICAL, headline=str(error))
        except RefusedError as error:
            return Observation(status=error.status, headline=f"{name}'s web process is up, but {error}")

    async def _deeply(self, target: SupersetTarget) -> None:
        async with signed_in(self._settings.target, target) as superset:
            await superset.result(_CHEAP, list[msgspec.Raw])

    def _timed(self, text: str, took: float) -> Observation:
        if took > self._settings.slow_after.total_seconds():
            return Observation(status=FindingStatus.WARNING, headline=f"{text}, but slowly: {took:.1f} s")
        return Observation(status=FindingStatus.OK, headline=f"{text} in {took * 1000:.0f} ms")


def _not_ok(name: str, answer: Answer) -> Observation:
    said = one_line(answer.body[:200].decode(errors="replace"), 80)
    expected = "expected 200 and the text OK"
    return Observation(
        status=FindingStatus.CRITICAL, headline=f"{name} answers {answer.status} ({said}), {expected}"
    )
