"""Stage 6: diagnostics run once an episode, beside the page and never in its way; doubts are put to Alertmanager."""

from __future__ import annotations

from datetime import timedelta

from responder.incident import facts as fact
from responder.incident.decision import Reason
from responder.incident.draft import Draft
from responder.incident.effects import RunTriage, SettleDoubts
from responder.incident.finding import Finding
from responder.incident.ids import derive
from responder.incident.state import Acknowledged, TriageStatus, Triggered

DOUBT_WINDOW = timedelta(seconds=60)
#: Findings are of use while people look; afterwards the probes need not run any more.
TRIAGE_USE = timedelta(minutes=10)


def take(draft: Draft) -> None:
    """Start the episode's diagnostics, take what they saw, and ask about doubtful firings."""
    for one in draft.news.facts:
        _take_fact(draft, one)
    incident = draft.incident
    if isinstance(incident.state, Triggered) and incident.probes and incident.triage is TriageStatus.NONE:
        _start(draft)
    if incident.totals.doubts > draft.before.totals.doubts:
        _ask(draft)


def _take_fact(draft: Draft, one: fact.Fact) -> None:
    match one:
        case fact.FindingArrived(episode=number, finding=finding) if number == draft.incident.episode.number:
            draft.change(findings={**draft.incident.findings, finding.probe: finding})
            draft.note(Reason.FINDING, f"{finding.probe}: {finding.status}: {finding.headline}", at=one.at)
            _raise(draft, finding)
        case fact.TriageEnded(episode=number) if number == draft.incident.episode.number:
            draft.change(triage=TriageStatus.DONE, triage_until=None)
        case _:
            pass


def _raise(draft: Draft, finding: Finding) -> None:
    """Take the worse severity that the rule names for this finding; it never falls."""
    incident = draft.incident
    wanted = [
        one.to for one in incident.raises if one.probe == finding.probe and finding.status in one.status
    ]
    worst = min(wanted, default=incident.severity)
    if not worst.worse_than(incident.severity) or not isinstance(incident.state, (Triggered, Acknowledged)):
        return
    text = f"{incident.severity} rises to {worst}: {finding.probe} is {finding.status}"
    draft.note(Reason.SEVERITY_RAISED_BY_FINDING, text)
    if incident.episode.reached:
        draft.raise_severity(worst, keep_findings=True)
        return
    # Nobody has been paged yet: the first page goes out at the worse severity.
    draft.change(severity=worst)
    draft.change(respond_by=min(incident.respond_by, draft.now + draft.incident.promise.respond_within))


def _start(draft: Draft) -> None:
    incident = draft.incident
    draft.change(triage=TriageStatus.RUNNING, triage_until=draft.now + incident.policy.triage_wait)
    effect_id = derive(incident.id, incident.episode.number, "triage")
    draft.ask(
        RunTriage(
            id=effect_id,
            lane=effect_id,
            incident=incident.id,
            urgent=incident.severity.urgent,
            episode=incident.episode.number,
            requested_at=draft.now,
            expires_at=draft.now + TRIAGE_USE,
            probes=incident.probes,
        )
    )
    draft.because(Reason.TRIAGE_STARTED)


def _ask(draft: Draft) -> None:
    incident = draft.incident
    effect_id = derive(incident.id, "settle", incident.totals.doubts)
    draft.ask(
        SettleDoubts(
            id=effect_id,
            lane=derive(incident.id, "settle"),
            incident=incident.id,
            urgent=incident.severity.urgent,
            episode=incident.episode.number,
            requested_at=draft.now,
            window_ends_at=draft.now + DOUBT_WINDOW,
        )
    )
    draft.note(Reason.DOUBT)
