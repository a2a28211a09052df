"""Type ``supabase.logs``: the calls of an Edge Function and what it wrote: how many failed, how slowly, saying what.

The command line has no such command; this asks the Management API. Lines arrive there some 10 to 60 seconds late.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

import msgspec

from responder.durations import format_duration
from responder.incident.finding import FindingStatus
from responder.parameters import Parameter, check_known, resolve, slug
from responder.registry import closest
from responder.targets.base import TargetError
from responder.targets.http import RefusedError
from responder.targets.supabase import Function, Supabase
from responder.triage.base import PROBES, Circumstances, Observation, ProbeSettings, ProbeTools
from responder.triage.log_lines import Group, grouped
from responder.triage.thresholds import check_order, check_share

_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(hours=24)
_LINES = 500  # lines that are fetched


class Level(StrEnum):
    """The least level of lines that are shown."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class SupabaseLogsSettings(ProbeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``warning`` and ``critical`` are shares of calls that ended with 5xx; ``since`` is at most 24 hours.

    ``limit`` is how many kinds of lines are shown.
    """

    TARGET_KIND: ClassVar[str] = "supabase"

    target: str
    function: Parameter
    since: timedelta = timedelta(hours=1)
    level: Level = Level.WARNING
    warning: float = 0.01
    critical: float = 0.2
    limit: int = 10
    timeout: timedelta = timedelta(seconds=10)

    def __post_init__(self) -> None:
        """Refuse what is no slug, what is no share, and a ``critical`` before ``warning``."""
        check_known(self.function, "function", slug)
        check_share("warning", self.warning)
        check_share("critical", self.critical)
        check_order(self.warning, self.critical)


class _Calls(msgspec.Struct, frozen=True, kw_only=True):
    """The calls that ended with one status; ``slowest`` in milliseconds."""

    status: int
    calls: int
    slowest: float = 0.0


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    event_message: str | None = None


# Sources: the field reference of ``function_edge_logs`` and ``function_logs``,
# https://supabase.com/docs/guides/observability/log-field-reference. Every value of the map is a text.
_CALLS = """
select toInt32OrZero(log_attributes['response.status_code']) as status, count() as calls,
  max(toFloat64OrZero(log_attributes['execution_time_ms'])) as slowest
from logs
where source = 'function_edge_logs' and log_attributes['function_id'] = '{function}'
group by status order by calls desc limit 100
"""
_WRITTEN = """
select event_message
from logs
where source = 'function_logs' and log_attributes['function_id'] = '{function}' and {which}
order by timestamp desc limit {lines}
"""
_WHICH = {
    Level.ERROR: "log_attributes['level'] in ('error', 'fatal')",
    Level.WARNING: "log_attributes['level'] in ('error', 'fatal', 'warning', 'warn')",
    Level.INFO: "log_attributes['event_type'] not in ('Boot', 'Shutdown')",
}
#: Source: https://supabase.com/docs/guides/functions/status-codes.
_MEANINGS = {
    401: "no valid JWT",
    503: "it did not start",
    504: "no answer within the idle limit",
    546: "out of CPU time or memory",
}


@PROBES.register("supabase.logs")
class SupabaseLogs:
    """The Edge Function's calls by status, and its lines, equal ones once."""

    Settings: ClassVar[type[ProbeSettings]] = SupabaseLogsSettings
    per_incident: ClassVar[bool] = False

    def __init__(self, settings: SupabaseLogsSettings, tools: ProbeTools) -> None:
        self._settings = settings
        self._tools = tools

    async def look(self, circumstances: Circumstances) -> Observation:
        """Find the function by its slug, then count its calls and read its lines."""
        s = self._settings
        if not _SHORTEST <= s.since <= _LONGEST:
            raise TargetError(f"since: from 1m to 24h is expected, got {format_duration(s.since)}")
        wanted = resolve(s.function, circumstances.labels, "function", slug)
        project = Supabase(s.target, self._tools)
        try:
            function = _named(await project.functions(), wanted)
            where = str(_uuid(function))
            calls = await project.logs(_CALLS.format(function=where), s.since, _Calls)
            written = _WRITTEN.format(function=where, which=_WHICH[s.level], lines=_LINES)
            lines = await project.logs(written, s.since, _Line)
        except RefusedError as error:
            return Observation(status=error.status, headline=str(error))
        return self._judged(function, calls, grouped((one.event_message or "" for one in lines), s.limit))

    def _judged(self, function: Function, calls: Sequence[_Calls], lines: Sequence[Group]) -> Observation:
        s = self._settings
        span = f"in the last {format_duration(s.since)}"
        total = sum(one.calls for one in calls)
        failed = sum(one.calls for one in calls if one.status >= 500)
        status = self._status(failed, total, throttled=function.status not in {"", "ACTIVE"})
        if total == 0:
            headline = f"no call of {function.slug} {span}"
        else:
            slowest = max(one.slowest for one in calls) / 1000
            headline = (
                f"{failed} of {total} calls of {function.slug} failed (5xx) {span}, slowest {slowest:.1f} s"
            )
        if function.status not in {"", "ACTIVE"}:
            headline += f"; the function is {function.status}"
        detail = [_by_status(calls)] if calls else []
        detail += [f"{group.count} x {group.text}" for group in lines]
        return Observation(status=status, headline=headline, detail="\n".join(detail))

    def _status(self, failed: int, total: int, *, throttled: bool) -> FindingStatus:
        share = failed / total if total else 0.0
        if total and share >= self._settings.critical:
            return FindingStatus.CRITICAL
        if throttled or (failed and share >= self._settings.warning):
            return FindingStatus.WARNING
        return FindingStatus.OK if total else FindingStatus.NO_DATA


def _named(functions: Sequence[Function], wanted: str) -> Function:
    for function in functions:
        if function.slug == wanted:
            return function
    raise TargetError(
        f"the project has no Edge Function {wanted}{closest(wanted, [one.slug for one in functions])}"
    )


def _uuid(function: Function) -> UUID:
    """The function's id, which goes into the text of a query: a UUID and nothing else."""
    try:
        return UUID(function.id)
    except ValueError:
        raise TargetError(f"the id of {function.slug} is no UUID") from None


def _by_status(calls: Sequence[_Calls]) -> str:
    parts = []
    for one in sorted(calls, key=lambda one: one.calls, reverse=True):
        meaning = f" ({_MEANINGS[one.status]})" if one.status in _MEANINGS else ""
        parts.append(f"{one.calls} x {one.status or 'no status'}{meaning}")
    return ", ".join(parts)
