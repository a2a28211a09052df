"""How an incident begins: from the first alert, what the rules say of it, and the policy as it is then."""

from __future__ import annotations

from datetime import datetime

import msgspec

from responder.alerts import Alert
from responder.incident.action import Raise
from responder.incident.policy import Policy
from responder.incident.severity import Severity
from responder.incident.state import Episode, Incident, Triggered
from responder.text import block, one_line

TITLE_LIMIT = 200
LABELS_LIMIT = 40


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules said of the alert that opened the incident; kept in the store until the first decision.

    ``drill``: it is an exercise. ``canary``: it is our own look whether the road is open.
    """

    rule: str
    service: str
    service_label: str
    severity: Severity
    runbook: str | None = None
    group: tuple[tuple[str, str], ...] = ()
    drill: bool = False
    canary: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules in force add when it opens: the policy and the runbook, copied once.

    ``automatic`` are those of ``offers`` that need nobody's approval.
    """

    policy: Policy
    summary: str = ""
    probes: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    automatic: tuple[str, ...] = ()
    raises: tuple[Raise, ...] = ()


def title_of(alert: Alert) -> str:
    """``alertname: summary``, with what there is of the two; else its labels."""
    name = alert.labels.get("alertname", "")
    summary = alert.annotations.get("summary") or alert.annotations.get("message") or ""
    title = ": ".join(part for part in (name, summary) if part)
    return one_line(title or ", ".join(f"{k}={v}" for k, v in sorted(alert.labels.items())), TITLE_LIMIT)


def open_incident(
    incident_id: str, key: str, opening: Opening, alert: Alert, plan: Plan, at: datetime
) -> Incident:
    """The incident as it is before its first decision: nothing counted, nobody paged."""
    labels = {
        one_line(name, 200): one_line(value, 500)
        for name, value in sorted(alert.labels.items())[:LABELS_LIMIT]
    }
    return Incident(
        id=incident_id,
        key=key,
        opened_at=at,
        rule=opening.rule,
        service=opening.service,
        service_label=opening.service_label,
        title=title_of(alert),
        labels=labels,
        group=tuple((one_line(name, 200), one_line(value, 200)) for name, value in opening.group),
        severity=opening.severity,
        policy=plan.policy,
        state=Triggered(),
        episode=Episode(number=1, began_at=at),
        runbook=opening.runbook,
        summary=block(plan.summary, 1_000),
        probes=plan.probes,
        offers=plan.offers,
        automatic=plan.automatic,
        raises=plan.raises,
        drill=opening.drill,
        canary=opening.canary,
        respond_by=at + plan.policy.severities[opening.severity].respond_within,
        now=at,
    )
