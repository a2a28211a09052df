"""Type ``http``: a health check of a configured target; status, headers, JSON and time are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

import msgspec

from responder.config_load import configured_secrets
from responder.incident.finding import FindingStatus
from responder.secrets import Redactor
from responder.targets.base import configured
from responder.targets.http import (
    DENIALS,
    Answer,
    UnclearError,
    UnreachableError,
    answered,
    joined,
    json_problem,
)
from responder.targets.paths import path_objection
from responder.targets.requests import check_headers, check_statuses
from responder.triage.base import PROBES, Circumstances, Observation, ProbeSettings, ProbeTools

#: Bytes of an answer that are handed on: more than is shown, since a secret is only found whole before it is cut.
_SHOWN = 8_000


class HttpSettings(ProbeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked and what is expected.

    ``expect_json`` maps dotted paths to the values that they must have; ``expect_headers`` maps names to values, where
    a ``*`` at the end stands for anything.
    """

    TARGET_KIND: ClassVar[str] = "http"

    target: str
    path: str = ""
    expect_status: tuple[int, ...] = (200,)
    expect_headers: dict[str, str] = msgspec.field(default_factory=dict)
    expect_json: dict[str, Any] = msgspec.field(default_factory=dict)
    expect_text: str | None = None
    slow_after: timedelta = timedelta(seconds=2)

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for a path that leaves the target, and for what no answer can have."""
        check_statuses(self.expect_status)
        check_headers("expect_headers", self.expect_headers)
        if objection := path_objection(self.path):
            raise ValueError(objection)


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
        name = self._settings.target
        target = configured(self._tools.targets.http, "http", name)
        url = joined(target.url, self._settings.path)
        headers = {header: value.reveal() for header, value in target.headers.items()}
        # The secrets as they are now: what a file holds may have changed since the daemon began.
        clean = Redactor(configured_secrets(target))
        try:
            asking = self._tools.session.get(url, headers=headers, allow_redirects=False)
            return self._judged(await answered(name, asking), clean)
        except (UnreachableError, UnclearError) as error:
            return Observation(status=FindingStatus.CRITICAL, headline=str(error))

    def _judged(self, answer: Answer, clean: Redactor) -> Observation:
        s = self._settings
        says = f"{s.target}{s.path} answers {answer.status}"
        if answer.status not in s.expect_status:
            wanted = " or ".join(str(one) for one in s.expect_status)
            status = FindingStatus.DENIED if answer.status in DENIALS else FindingStatus.CRITICAL
            return _observed(status, f"{says}{_pointing(answer, clean)}, expected {wanted}", answer, clean)
        problem = self._problem(answer, clean)
        if problem is not None:
            return _observed(FindingStatus.CRITICAL, f"{says}, but {problem}", answer, clean)
        if answer.took > s.slow_after.total_seconds():
            slowly = f"{says}, but slowly: {answer.took:.1f} s"
            return _observed(FindingStatus.WARNING, slowly, answer, clean)
        return Observation(status=FindingStatus.OK, headline=f"{says} in {answer.took * 1000:.0f} ms")

    def _problem(self, answer: Answer, clean: Redactor) -> str | None:
        s = self._settings
        problem = _header_problem(answer.headers, s.expect_headers, clean) or json_problem(
            answer.body, s.expect_json, clean
        )
        if problem is None and s.expect_text is not None and s.expect_text.encode() not in answer.body:
            return f"{s.expect_text!r} is not in the answer"
        return problem


def _observed(status: FindingStatus, headline: str, answer: Answer, clean: Redactor) -> Observation:
    detail = clean(answer.body[:_SHOWN].decode(errors="replace"))
    return Observation(status=status, headline=headline, detail=detail)


def _pointing(answer: Answer, clean: Redactor) -> str:
    """Where a redirect points to, without its query, which may hold a token."""
    location = answer.headers.get("Location", "").partition("?")[0]
    return f" and points to {clean(location)[:100]}" if location else ""


def _header_problem(headers: Mapping[str, str], expected: Mapping[str, str], clean: Redactor) -> str | None:
    for name, wanted in expected.items():
        value = headers.get(name)
        if value is None:
            return f"the header {name} is missing"
        fits = value.startswith(wanted[:-1]) if wanted.endswith("*") else value == wanted
        if not fits:
            return f"the header {name} is {clean(value)[:60]!r}, expected {wanted!r}"
    return None
