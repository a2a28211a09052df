"""Type ``supabase.health``: the health of a project's services, as Supabase sees it from inside."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar

import msgspec

from responder.incident.finding import FindingStatus
from responder.targets.http import RefusedError
from responder.targets.supabase import Supabase
from responder.text import one_line
from responder.triage.base import PROBES, Circumstances, Observation, ProbeSettings, ProbeTools


class Service(StrEnum):
    """The services that the Management API knows."""

    AUTH = "auth"
    DB = "db"
    DB_POSTGRES_USER = "db_postgres_user"
    POOLER = "pooler"
    REALTIME = "realtime"
    REST = "rest"
    STORAGE = "storage"
    PG_BOUNCER = "pg_bouncer"


class SupabaseHealthSettings(ProbeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``services`` are those that are asked about; ``pooler`` is Supavisor, ``pg_bouncer`` the dedicated pooler."""

    TARGET_KIND: ClassVar[str] = "supabase"

    target: str
    services: tuple[Service, ...] = (
        Service.DB,
        Service.POOLER,
        Service.REST,
        Service.AUTH,
        Service.REALTIME,
        Service.STORAGE,
    )


class _Health(msgspec.Struct, frozen=True, kw_only=True):
    """``healthy`` is there too, and deprecated."""

    name: str
    status: str
    error: str | None = None


#: Source: V1ServiceHealthResponse of the Management API's description. What is not here is a warning.
_STATES = {
    "ACTIVE_HEALTHY": FindingStatus.OK,
    "COMING_UP": FindingStatus.WARNING,
    "UNHEALTHY": FindingStatus.CRITICAL,
}
_WORST = (FindingStatus.CRITICAL, FindingStatus.WARNING)


@PROBES.register("supabase.health")
class SupabaseHealth:
    """One question to the Management API about all services."""

    Settings: ClassVar[type[ProbeSettings]] = SupabaseHealthSettings
    per_incident: ClassVar[bool] = False

    def __init__(self, settings: SupabaseHealthSettings, tools: ProbeTools) -> None:
        self._settings = settings
        self._tools = tools

    async def look(self, circumstances: Circumstances) -> Observation:
        """Ask; a refusal tells of the access token or the Management API, not of the project."""
        s = self._settings
        patience = max(min(round(s.timeout.total_seconds() * 800), 10_000), 1)
        query = [("services", str(service)) for service in s.services]
        try:
            found = await Supabase(s.target, self._tools).get(
                "health", [*query, ("timeout_ms", str(patience))], list[_Health]
            )
        except RefusedError as error:
            return Observation(status=error.status, headline=str(error))
        return self._judged(found)

    def _judged(self, found: Sequence[_Health]) -> Observation:
        wanted = self._settings.services
        known = {one.name: one for one in found}
        states = {service: _state(known.get(service)) for service in wanted}
        ill = [service for status in _WORST for service in wanted if states[service] is status]
        lines = [
            _line(service, known.get(service)) for service in [*ill, *(s for s in wanted if s not in ill)]
        ]
        if not ill:
            count = f"{len(wanted)} services are" if len(wanted) != 1 else f"{wanted[0]} is"
            return Observation(status=FindingStatus.OK, headline=f"{self._settings.target}: {count} healthy")
        headline = f"{self._settings.target}: {'; '.join(lines[: len(ill)])}"
        if len(wanted) > len(ill):
            headline += f"; {len(wanted) - len(ill)} of {len(wanted)} healthy"
        return Observation(status=states[ill[0]], headline=headline, detail="\n".join(lines))


def _state(health: _Health | None) -> FindingStatus:
    return FindingStatus.WARNING if health is None else _STATES.get(health.status, FindingStatus.WARNING)


def _line(service: Service, health: _Health | None) -> str:
    if health is None:
        return f"{service}: no word of it"
    error = f" ({one_line(health.error, 100)})" if health.error else ""
    return f"{service}: {one_line(health.status, 40)}{error}"
