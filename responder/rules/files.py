"""The shapes of the rule files' keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from responder.incident.action import Raise
from responder.incident.severity import Level, Severity
from responder.rules.schedule_files import ScheduleShape


class _Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class StepShape(_Shape, frozen=True, kw_only=True):
    """A channel of a plan that is tried so long after the person was reached."""

    channel: str
    after: timedelta | None = None


#: Channels in the order in which they are tried: a name, or a name with its time.
PlanShape = tuple[StepShape | str, ...]


class AcknowledgementShape(_Shape, frozen=True, kw_only=True):
    """How long an acknowledgement stands while nobody does anything."""

    remind_after: timedelta | None = None
    lapse_after: timedelta | None = None


class SeverityShape(_Shape, frozen=True, kw_only=True):
    """One severity; the levels' times default to a third of the response time and to the response time."""

    title: str = ""
    respond_within: timedelta
    update_every: timedelta = timedelta(minutes=30)
    escalate: dict[Level, timedelta] = {}
    acknowledgement: AcknowledgementShape = AcknowledgementShape()
    channels: PlanShape = ()


class RowShape(_Shape, frozen=True, kw_only=True):
    """A row of the escalation matrix; on the levels of ``everybody`` (``true``: all) each person has to acknowledge."""

    primary: str
    secondary: str | None = None
    executive: str | None = None
    everybody: tuple[Level, ...] | bool = False


class ContactShape(_Shape, frozen=True, kw_only=True):
    """Where a name can be reached: addresses by channel type, and channels by severity; or the ``members`` of a team."""

    slack: str | None = None
    email: str | None = None
    phone: str | None = None
    pagerduty: str | None = None
    ntfy: str | None = None
    teams: str | None = None
    members: tuple[str, ...] = ()
    channels: dict[Severity, PlanShape] = {}


class SeverityFromLabel(_Shape, frozen=True, kw_only=True):
    """The severity that a label's value stands for; an unknown value falls to ``default``."""

    label: str
    map: dict[str, Severity]
    default: Severity


class ServiceFromLabel(_Shape, frozen=True, kw_only=True):
    """The service that a label names; a missing label falls to ``default``, else to the default rule's service."""

    label: str
    default: str | None = None


class RuleShape(_Shape, frozen=True, kw_only=True):
    """One rule."""

    name: str
    match: tuple[str, ...] = ()
    severity: SeverityFromLabel | Severity
    service: ServiceFromLabel | str
    group_by: tuple[str, ...] = ()
    runbook: str | None = None
    raises: tuple[Raise, ...] = msgspec.field(default=(), name="raise")


class DefaultShape(_Shape, frozen=True, kw_only=True):
    """What no rule takes."""

    severity: SeverityFromLabel | Severity = Severity.P3
    service: ServiceFromLabel | str = "platform"
    group_by: tuple[str, ...] = ()
    runbook: str | None = None


class RunbookShape(_Shape, frozen=True, kw_only=True):
    """A runbook: what to look at, what to offer."""

    summary: str = ""
    diagnose: tuple[str, ...] = ()
    offer: tuple[str, ...] = ()


class ServiceShape(_Shape, frozen=True, kw_only=True):
    """A service and what it stands on."""

    depends_on: tuple[str, ...] = ()


#: Keys whose entries are named; a name defined twice is an error.
NAMED: dict[str, Any] = {
    "severities": SeverityShape,
    "escalation": RowShape,
    "contacts": ContactShape,
    "schedules": ScheduleShape,
    "runbooks": RunbookShape,
    "services": ServiceShape,
    "probes": None,
    "actions": None,
}
#: Keys whose entries are typed by the plug-in that their ``type`` names.
TYPED = ("probes", "actions")
LISTED = ("rules", "checklist", "drills")
SINGLE = ("default",)
KEYS = (*NAMED, *LISTED, *SINGLE)
