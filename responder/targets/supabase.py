"""Configured Supabase projects, asked through the Management API: bounded answers, and what a refusal means.

Source: https://supabase.com/docs/reference/api/introduction. A classic access token has all rights of its user; a scoped
one needs no more than ``project_admin_read``, ``edge_functions_read`` and ``analytics_logs_read``. Whoever asks too often
gets 429; searches of the logs have a stricter limit than the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from responder.clock import Clock
from responder.config import SupabaseTarget
from responder.secrets import Redactor
from responder.targets.base import TargetError, Toolbox, configured
from responder.targets.http import Answer, RefusedError, UnclearError, answered, joined
from responder.text import one_line

T = TypeVar("T")

_ANSWER_LIMIT = 2 * 1024 * 1024  # bytes
_REF = re.compile(r"[a-z]{20}")
_OF_A_PROJECT = re.compile(r"https?://[a-z]{20}\.supabase\.(?:co|in)(?:[/:]|$)")
_HINTS = {
    401: "the access token is wrong, expired or revoked",
    403: "the access token may not ask this",
    404: "no such project or function, or not for this access token",
    429: "too many requests",
}


_DAY = timedelta(hours=24)  # the longest span that the logs are searched for
_MINUTE = timedelta(minutes=1)


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """An Edge Function. ``status``: ACTIVE, REMOVED or THROTTLED."""

    id: str
    slug: str
    status: str = ""


class _Log(msgspec.Struct, frozen=True, kw_only=True):
    """``error`` is a text or an object, and comes with status 200."""

    result: list[Any] | None = None
    error: Any = None


def misconfigured(target: SupabaseTarget) -> str | None:
    """What is wrong with a target's settings: the key, and how it should be."""
    if not _REF.fullmatch(target.project_ref):
        return "project_ref: expected the project's reference, 20 small letters"
    if _OF_A_PROJECT.match(target.url):
        return "url: this is a project's own; the Management API is at https://api.supabase.com"
    return None


class Supabase:
    """One project."""

    def __init__(self, name: str, tools: Toolbox) -> None:
        """Raises ``TargetError`` where it is not configured, or not as it must be."""
        target: SupabaseTarget = configured(tools.targets.supabase, "supabase", name)
        if problem := misconfigured(target):
            raise TargetError(f"targets.supabase.{name}.{problem}")
        self.ref = target.project_ref
        self._name = name
        self._url = target.url
        self._token = target.access_token.reveal()
        self._session = tools.session
        self._clock: Clock = tools.clock

    async def functions(self) -> list[Function]:
        """The project's Edge Functions.

        Raises:
            TargetError: where the API refuses.
        """
        return await self.get("functions", [], list[Function])

    async def logs(self, sql: str, since: timedelta, row: type[T]) -> list[T]:
        """The rows of a query on the logs of the time up to now; ``since`` is at most 24 hours.

        ``sql`` is ClickHouse's, on the table ``logs``, and there are no bound parameters: nothing but fixed text and
        what was checked to its last character may stand in it.

        Source: https://supabase.com/docs/guides/observability/advanced-log-filtering and the changelog's entry on
        ``logs.all``, the endpoint that took BigQuery's SQL and is gone since September 2026.

        Raises:
            TargetError: where the API or the query fails.
        """
        # The API rounds to minutes: up to now would leave the newest lines out.
        end = self._clock.now() + _MINUTE
        start = max(end - _MINUTE - since, end - _DAY)
        query = [("sql", sql), ("iso_timestamp_start", _stamp(start)), ("iso_timestamp_end", _stamp(end))]
        found = await self.get("analytics/endpoints/logs", query, _Log)
        if found.error:
            said = found.error.get("message", "") if isinstance(found.error, dict) else str(found.error)
            raise TargetError(f"{self._name} cannot search the logs: {self._said(str(said))}")
        if found.result is None:
            raise TargetError(f"{self._name} gives no log rows")
        try:
            # Counts come as numbers or, being wide, as texts.
            return msgspec.convert(found.result, list[row], strict=False)  # type: ignore[valid-type]
        except msgspec.ValidationError:
            raise TargetError(f"{self._name} gives log rows of another shape") from None

    async def get(self, path: str, query: Sequence[tuple[str, str]], kind: type[T]) -> T:
        """The answer to a GET below the project.

        Raises:
            RefusedError: where the API answers anything but 200.
            TargetError: where it cannot be reached, or its answer is not what it should be.
        """
        url = joined(self._url, f"/v1/projects/{self.ref}/{path}").extend_query(query)
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        try:
            answer = await answered(
                self._name,
                self._session.get(url, headers=headers, allow_redirects=False),
                _ANSWER_LIMIT,
            )
        except UnclearError as error:
            raise TargetError(str(error)) from None
        if answer.status != 200:
            raise self._refusal(answer)
        if not answer.whole:
            raise TargetError(f"{self._name} answers with over {_ANSWER_LIMIT // 1024 // 1024} MB")
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise TargetError(
                f"{self._name} answers with something else than the Management API does"
            ) from None

    def _refusal(self, answer: Answer) -> RefusedError:
        text = f"{self._name} answers {answer.status}"
        if hint := _HINTS.get(answer.status):
            text += f" ({hint})"
        if wait := one_line(answer.headers.get("Retry-After", ""), 20):
            text += f", asks to wait {wait} s"
        try:
            said = msgspec.json.decode(answer.body).get("message", "")
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, AttributeError):
            said = ""
        return RefusedError(f"{text}: {self._said(str(said))}" if said else text, answer.status)

    def _said(self, text: str) -> str:
        return one_line(Redactor([self._token])(text), 150)


def _stamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
