"""Incidents as the API shows them; the same structs make the OpenAPI description."""

from __future__ import annotations

import msgspec

from responder.alerts import Alert
from responder.engine.desk import IncidentDetail
from responder.incident import outlook
from responder.incident.action import ActionRun
from responder.incident.decision import Entry, Reason
from responder.incident.finding import Finding
from responder.incident.severity import Level, Severity
from responder.incident.stages.actions import undoable
from responder.incident.state import Acknowledged, Incident, StateName
from responder.paging.compose import chart_url, ordered
from responder.web.hold_views import (
    AttachedView,
    DigestSummary,
    HoldView,
    SilenceView,
    attached_views,
    digest_summary,
    hold_views,
    silence_views,
)
from responder.web.page_views import PageView, page_view
from responder.web.reach_views import ReachView, reach_view
from responder.web.times import rfc3339, rfc3339_or_none


class NextStepView(msgspec.Struct, frozen=True, kw_only=True):
    """Who is paged next unless somebody acts, and when; ``to`` is the row's name."""

    level: Level
    at: str
    to: str


class CountsView(msgspec.Struct, frozen=True, kw_only=True):
    """The incident's alerts."""

    firing: int
    fired: int
    resolved: int


class IncidentView(msgspec.Struct, frozen=True, kw_only=True):
    """An incident in a list. Times are RFC 3339 in UTC."""

    id: str
    title: str
    severity: Severity
    service: str
    state: StateName
    opened_at: str
    acknowledged_at: str | None
    acknowledged_by: str | None
    resolved_at: str | None
    respond_by: str
    rule: str
    labels: dict[str, str]
    counts: CountsView
    next_step: NextStepView | None
    snoozed_until: str | None
    holds: tuple[HoldView, ...]
    flapping_since: str | None
    url: str
    assignee: str | None
    runbook: str | None
    drill: bool


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """An alert; ``ends_at`` is null while it fires."""

    fingerprint: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str
    ends_at: str | None


class FindingView(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe saw; ``chart_url`` is a picture (PNG) of it, ``link`` leads a person further."""

    probe: str
    status: str
    headline: str
    detail: str
    observed_at: str | None
    took: float
    suggests: str | None
    chart_url: str | None
    chart_alt: str | None
    link: str | None


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the time line."""

    at: str
    reason: str
    text: str
    by: str | None


class ChecklistItemView(msgspec.Struct, frozen=True, kw_only=True):
    """An item of the checklist."""

    item: str
    done: bool


class ActionRunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run of an action; ``gate`` is what refused it, ``before`` and ``after`` what the verifying probe saw."""

    id: str
    name: str
    kind: str
    by: str
    via: str
    automatic: bool
    status: str
    gate: str | None
    text: str
    before: str | None
    after: str | None
    requested_at: str
    performed_at: str | None
    can_undo: bool


class DetailView(IncidentView, frozen=True, kw_only=True):
    """One incident with all that is known; ``alerts`` is a sample of ``alerts_total``."""

    summary: str
    actions: tuple[str, ...]
    action_runs: tuple[ActionRunView, ...]
    alerts: tuple[AlertView, ...]
    alerts_total: int
    findings: tuple[FindingView, ...]
    pages: tuple[PageView, ...]
    reached: tuple[ReachView, ...]
    attached: tuple[AttachedView, ...]
    digest: DigestSummary | None
    silences: tuple[SilenceView, ...]
    checklist: tuple[ChecklistItemView, ...]
    timeline: tuple[EntryView, ...]


class ListView(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the list."""

    incidents: tuple[IncidentView, ...]
    next_cursor: str | None


def next_step(incident: Incident) -> NextStepView | None:
    """Who is paged next, as things stand."""
    step = outlook.next_step(incident)
    return NextStepView(level=step.level, at=rfc3339(step.at), to=step.contact) if step is not None else None


def _snoozed_until(incident: Incident) -> str | None:
    return rfc3339_or_none(incident.state.snoozed_until) if isinstance(incident.state, Acknowledged) else None


def _common(incident: Incident, external_url: str) -> dict[str, object]:
    totals = incident.totals
    return {
        "id": incident.id,
        "title": incident.title,
        "severity": incident.severity,
        "service": incident.service,
        "state": incident.state_name,
        "opened_at": rfc3339(incident.opened_at),
        "acknowledged_at": rfc3339_or_none(incident.acknowledged_at),
        "acknowledged_by": incident.acknowledged_by or None,
        "resolved_at": rfc3339_or_none(incident.resolved_at),
        "respond_by": rfc3339(incident.respond_by),
        "rule": incident.rule,
        "labels": incident.labels,
        "counts": CountsView(
            firing=totals.firing_now, fired=sum(totals.fired.values()), resolved=totals.resolved
        ),
        "next_step": next_step(incident),
        "snoozed_until": _snoozed_until(incident),
        "holds": hold_views(incident),
        "flapping_since": rfc3339_or_none(incident.flapping_since),
        "url": f"{external_url.rstrip('/')}/incidents/{incident.id}",
        "assignee": incident.assignee or None,
        "runbook": incident.runbook,
        "drill": incident.drill,
    }


def incident_view(incident: Incident, external_url: str) -> IncidentView:
    """An incident in a list."""
    return IncidentView(**_common(incident, external_url))  # type: ignore[arg-type]


def detail_view(detail: IncidentDetail, external_url: str) -> DetailView:
    """One incident with everything."""
    incident = detail.incident
    return DetailView(
        **_common(incident, external_url),  # type: ignore[arg-type]
        summary=incident.summary,
        actions=incident.offers,
        action_runs=tuple(_run(one) for one in incident.actions),
        alerts=tuple(_alert(one) for one in detail.alerts),
        alerts_total=detail.alerts_total,
        findings=tuple(_finding(one, external_url) for one in ordered(incident.findings.values())),
        pages=tuple(page_view(one) for one in incident.pages),
        reached=tuple(reach_view(incident, one) for one in incident.episode.reached),
        attached=attached_views(incident),
        digest=digest_summary(incident),
        silences=silence_views(incident),
        checklist=(),
        timeline=tuple(_entry(one) for one in detail.timeline),
    )


def _alert(alert: Alert) -> AlertView:
    return AlertView(
        fingerprint=alert.fingerprint,
        status=str(alert.status),
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=rfc3339(alert.starts_at),
        ends_at=rfc3339_or_none(alert.ends_at),
    )


def _finding(finding: Finding, external_url: str) -> FindingView:
    return FindingView(
        probe=finding.probe,
        status=str(finding.status),
        headline=finding.headline,
        detail=finding.detail,
        observed_at=rfc3339_or_none(finding.observed_at),
        took=finding.took,
        suggests=finding.suggests,
        chart_url=chart_url(finding, external_url) or None,
        chart_alt=finding.chart_alt or None,
        link=finding.link or None,
    )


def _run(run: ActionRun) -> ActionRunView:
    return ActionRunView(
        id=run.id,
        name=run.name,
        kind=str(run.kind),
        by=run.by,
        via=run.via,
        automatic=run.automatic,
        status=str(run.status),
        gate=str(run.gate) if run.gate is not None else None,
        text=run.text,
        before=run.before or None,
        after=run.after or None,
        requested_at=rfc3339(run.requested_at),
        performed_at=rfc3339_or_none(run.performed_at),
        can_undo=undoable(run),
    )


def _entry(entry: Entry) -> EntryView:
    # Who or what holds pages back stands in the line; by itself it is an id.
    by = None if entry.reason is Reason.HELD else entry.by or None
    return EntryView(at=rfc3339(entry.at), reason=entry.reason.name.lower(), text=entry.text, by=by)
