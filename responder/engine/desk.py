"""What the web and the command line may ask of incidents: one narrow interface, the only way in for people."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from responder.alerts import Alert
from responder.incident.account import Account
from responder.incident.decision import Entry
from responder.incident.facts import Fact
from responder.incident.severity import Severity
from responder.incident.state import Incident, StateName
from responder.store.reading import Quarantined


class IncidentFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which incidents to list; empty means all."""

    states: frozenset[StateName] = frozenset()
    services: frozenset[str] = frozenset()
    severities: frozenset[Severity] = frozenset()


def matches(incident: Incident, wanted: IncidentFilter) -> bool:
    """Whether an incident is one of those."""
    return (
        (not wanted.states or incident.state_name in wanted.states)
        and (not wanted.services or incident.service in wanted.services)
        and (not wanted.severities or incident.severity in wanted.severities)
    )


class IncidentPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the list, newest first; ``next_cursor`` is opaque, ``None`` at the end."""

    incidents: tuple[Incident, ...]
    next_cursor: str | None = None


class IncidentDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One incident with a bounded sample of its alerts, their number, and its time line, oldest first."""

    incident: Incident
    alerts: tuple[Alert, ...]
    alerts_total: int
    timeline: tuple[Entry, ...]


class Outcome(StrEnum):
    """What became of a person's request."""

    DONE = "done"  # taken and decided; the incident is as it is now
    RECORDED = "recorded"  # durable; the decision is still to come
    REFUSED = "refused"  # not allowed in the present state
    UNKNOWN = "unknown"  # no such incident
    KEY_REUSED = "key_reused"  # the idempotency key came with another request


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome, with the incident as it is now where there is one; ``note`` is what people have to know beside it."""

    outcome: Outcome
    incident: Incident | None = None
    note: str = ""


class Desk(Protocol):
    """Incidents as people see them. Every call raises ``StoreError`` where the store is away."""

    async def incidents(self, wanted: IncidentFilter, *, limit: int, cursor: str | None) -> IncidentPage:
        """List, newest first. Raises ``ValueError`` for a cursor that is none of ours."""
        ...

    async def incident(self, incident_id: str, *, alerts: int = 100) -> IncidentDetail | None:
        """One incident, ``None`` where there is none."""
        ...

    async def account(self, fingerprint: str) -> Account | None:
        """What became of an alert, ``None`` where nothing is known of it."""
        ...

    async def record(
        self, incident_id: str, fact: Fact, *, idempotency_key: str | None = None, request_digest: str = ""
    ) -> Answer:
        """Make a person's fact durable, decide it, and answer. A repeated key with the same digest changes nothing."""
        ...

    async def quarantined(self, *, limit: int = 100) -> Sequence[Quarantined]:
        """Bodies that could not be read, newest first."""
        ...

    async def quarantined_body(self, digest: str) -> Quarantined | None:
        """One of them with its raw body."""
        ...

    async def forget_quarantined(self, digest: str) -> bool:
        """Drop one; whether it was there."""
        ...
