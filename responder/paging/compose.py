"""The words of a message: pure, the same for every channel. What is broken, since when, what to press."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from responder.durations import format_duration
from responder.incident.around import Listed
from responder.incident.digest import Digest, present
from responder.incident.effects import SendMessage
from responder.incident.finding import FINDING_ORDER, Finding
from responder.incident.hold import until_words
from responder.incident.message import IncidentBrief, Message, MessageKind, OfferBrief, Wanted
from responder.incident.outlook import next_step, overdue, paged_anew_at
from responder.incident.severity import Severity
from responder.incident.state import Acknowledged, Incident, Triggered
from responder.paging import digest_words
from responder.text import block, one_line

SUMMARY_LIMIT = 1_500
#: With a list of what else has waited; still what one block of Slack's takes.
LIST_LIMIT = 2_900
ATTACHED_SHOWN = 10
FINDINGS_SHOWN = 20
CHARTS_SHOWN = 3
PAGED_SHOWN = 12
HELD_LIMIT = 300
_MINUTE = timedelta(minutes=1)
_WORK = frozenset({MessageKind.PAGE, MessageKind.REMINDER, MessageKind.UPDATE})
_RANK: Mapping[str, int] = {status: rank for rank, status in enumerate(FINDING_ORDER)}


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What a message needs beside the incident and the effect."""

    attempt: int
    sent_at: datetime
    external_url: str
    ack_url: str = ""
    offers: tuple[OfferBrief, ...] = ()


def compose(incident: Incident, effect: SendMessage, words: Words) -> Message:
    """The message of an effect, from the incident as it is now."""
    listed = _listed(incident, effect)
    digest = _digest(incident, effect)
    limit = LIST_LIMIT if listed or digest is not None else SUMMARY_LIMIT
    summary = block("\n".join(_summary(incident, effect, words.sent_at)), limit)
    message = bare(incident, effect, words)
    if listed:  # where a message is a line only, that line says that it is not all
        title = f"{message.incident.title} (and {len(listed)} more that waited)"
        message = msgspec.structs.replace(
            message, incident=msgspec.structs.replace(message.incident, title=title)
        )
    elif digest is not None:
        title = digest_words.title(digest, titled(incident))
        message = msgspec.structs.replace(
            message, incident=msgspec.structs.replace(message.incident, title=title)
        )
    findings = ordered(incident.findings.values())
    return msgspec.structs.replace(
        message, summary=summary, findings=findings, actions=incident.offers, offers=words.offers
    )


def bare(incident: Incident, effect: SendMessage, words: Words) -> Message:
    """The least that a person must hear, where wording the whole failed."""
    return Message(
        kind=effect.kind,
        id=effect.id,
        page_id=effect.page,
        incident=_known(brief(incident, words.external_url), effect),
        level=effect.level,
        to=effect.contact,
        attempt=words.attempt,
        respond_by=incident.respond_by,
        sent_at=words.sent_at,
        summary=f"{incident.severity} {incident.service}: {titled(incident)}",
        ack_url=words.ack_url,
        by=effect.by,
        text=effect.text,
        asked_at=effect.requested_at,
    )


def _known(incident: IncidentBrief, effect: SendMessage) -> IncidentBrief:
    """The incident under the id that its page gave it; its address is the store's."""
    return msgspec.structs.replace(incident, id=effect.known_as) if effect.known_as else incident


def brief(incident: Incident, external_url: str) -> IncidentBrief:
    """The incident as a page shows it."""
    step = next_step(incident)
    return IncidentBrief(
        id=incident.id,
        title=titled(incident),
        severity=incident.severity,
        service=incident.service,
        state=str(incident.state_name),
        opened_at=incident.opened_at,
        url=f"{external_url.rstrip('/')}/incidents/{incident.id}",
        episode=incident.episode.number,
        firing=incident.totals.firing_now,
        labels=incident.labels,
        runbook=incident.runbook,
        about=incident.summary,
        cause=_why(incident),
        acknowledged_by=incident.acknowledged_by,
        assignee=incident.assignee,
        paged=_paged(incident),
        next_up=f"{step.contact} ({step.level})" if step is not None else "",
        next_at=step.at if step is not None else None,
        held=_held(incident),
        drill=incident.drill,
        began_at=incident.since,
    )


def _why(incident: Incident) -> str:
    """Why a later episode pages; nothing for the first. What was held back from its beginning is not paged anew."""
    if not incident.episode.cause:
        return ""
    return f"{'Paged anew' if incident.paged_before else 'Paged only now'}: {incident.episode.cause}"


def _held(incident: Incident) -> str:
    """The first thing that holds pages back, and until when; nothing where nothing does."""
    if not incident.holds:
        return ""
    hold = incident.holds[0]
    return one_line(f"{hold.kind} ({hold.text}){until_words(hold.until)}", HELD_LIMIT)


def _paged(incident: Incident) -> tuple[str, ...]:
    """Who was paged in this episode, each once for a level."""
    found = [
        f"{person.name} ({reach.level})" for reach in incident.episode.reached for person in reach.people
    ]
    return tuple(dict.fromkeys(found))[-PAGED_SHOWN:]


_LEADS = {
    MessageKind.REMINDER: "STILL OPEN ",
    MessageKind.UPDATE: "Update ",
    MessageKind.ACKNOWLEDGED: "Acknowledged ",
    MessageKind.RESOLVED: "Resolved ",
}


def headline(message: Message, limit: int) -> str:
    """One line for a title or a lock screen: what has happened, severity, service and what is broken."""
    incident = message.incident
    lead = _LEADS.get(message.kind, "")
    return one_line(f"{lead}{incident.severity} {incident.service}: {incident.title}", limit)


def titled(incident: Incident) -> str:
    """The title, which says first of all that a drill is one: every channel shows it."""
    return f"DRILL: {incident.title}" if incident.drill else incident.title


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings with the worst first, bounded."""
    return tuple(sorted(findings, key=lambda one: (_RANK[one.status], one.probe))[:FINDINGS_SHOWN])


def charted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings with a picture, each picture once, at most three: what a message can carry."""
    found: dict[str, Finding] = {}
    for finding in findings:
        if finding.chart:
            found.setdefault(finding.chart, finding)
    return tuple(found.values())[:CHARTS_SHOWN]


def chart_url(finding: Finding, external_url: str) -> str:
    """Where the finding's picture is served to who may look; nothing where it has none."""
    return f"{external_url.rstrip('/')}/charts/{finding.chart}.png" if finding.chart else ""


def _summary(incident: Incident, effect: SendMessage, now: datetime) -> list[str]:
    digest, title = _digest(incident, effect), titled(incident)
    lines = [
        f"{incident.severity} {incident.service}: {digest_words.title(digest, title) if digest else title}",
        _since(incident, now),
        _next(incident, effect, now),
    ]
    if effect.text:
        lines.insert(1, effect.text)
    carries = isinstance(incident.state, (Triggered, Acknowledged))
    if incident.attached and carries and effect.kind in _WORK:
        lines.append(_attached(incident))
    if digest is not None:
        lines += digest_words.newest(digest)
    if effect.kind in (MessageKind.PAGE, MessageKind.REMINDER):
        if incident.episode.cause and effect.wanted is Wanted.UNACKNOWLEDGED:
            lines.insert(1, _why(incident))
        if listed := _listed(incident, effect):
            lines += ["Waited as well, and to be acknowledged as well:", *(f"- {one.line}" for one in listed)]
        if incident.summary:
            lines.append(f"Runbook {incident.runbook}: {incident.summary}")
        if incident.drill:
            lines.insert(1, "This is a DRILL: nothing is broken. Acknowledge it as you would in earnest.")
        if digest is not None:
            lines.insert(
                1, digest_words.meaning(digest, effect.contact)
            )  # the first line is a title's, and not shown where there is one
    return [line for line in lines if line]


def _listed(incident: Incident, effect: SendMessage) -> tuple[Listed, ...]:
    """What else has waited for the morning in which this is paged."""
    waited = incident.episode.waited
    asks = effect.kind in (MessageKind.PAGE, MessageKind.REMINDER) and effect.wanted is Wanted.UNACKNOWLEDGED
    return waited.listed if waited is not None and asks else ()


def _digest(incident: Incident, effect: SendMessage) -> Digest | None:
    """The others of which the message tells as well."""
    asks = effect.kind in _WORK and isinstance(incident.state, Triggered)
    found = present(incident.digest) if asks and effect.wanted is not Wanted.ACKNOWLEDGED else None
    return digest_words.shown(found, effect.contact)


def _attached(incident: Incident) -> str:
    """The services that stand on this one, and are not paged by themselves."""
    worst: dict[str, Severity] = {}
    for one in incident.attached:
        worst[one.service] = min(one.severity, worst.get(one.service, one.severity))
    shown = [f"{service} ({severity})" for service, severity in list(worst.items())[:ATTACHED_SHOWN]]
    if len(worst) > ATTACHED_SHOWN:
        shown.append(f"and {len(worst) - ATTACHED_SHOWN} more")
    return f"Attached, and not paged by themselves: {', '.join(shown)}"


def _since(incident: Incident, now: datetime) -> str:
    age = now - incident.since
    ago = f", {format_duration(age - age % _MINUTE)} ago" if age >= _MINUTE else ""
    at = f"{incident.since:%Y-%m-%d %H:%M:%S} UTC{ago}"
    count = incident.totals.firing_now
    return (
        f"{count} alert{'s' if count != 1 else ''} firing, since {at}"
        if count
        else f"nothing fires now; it began {at}"
    )


def _next(incident: Incident, effect: SendMessage, now: datetime) -> str:
    """What is asked of the reader, or what has happened."""
    match effect.kind:
        case MessageKind.REMINDER if effect.wanted is Wanted.ACKNOWLEDGED:
            return _still_at_it(incident)
        case MessageKind.PAGE | MessageKind.REMINDER if effect.wanted is not Wanted.ALWAYS:
            return _asks(incident, effect, now)
        case MessageKind.ACKNOWLEDGED:
            return f"Acknowledged by {effect.by or incident.acknowledged_by}: nobody further is paged"
        case MessageKind.RESOLVED:
            return f"Resolved{' by ' + effect.by if effect.by else ''}"
        case _:
            return f"State: {incident.state_name}"


def _asks(incident: Incident, effect: SendMessage, now: datetime) -> str:
    """Until when an answer is asked for, or since when it is late; and of whom."""
    role = f"as {effect.level} ({_role(incident, effect)})"
    still = "Still nobody" if effect.kind is MessageKind.REMINDER else "Nobody"
    if late := overdue(incident.respond_by, now):
        return f"{still} has answered; it {late}. Acknowledge, {role}"
    by = f"by {incident.respond_by:%H:%M} UTC, {role}"
    return f"Still nobody has answered: acknowledge {by}" if still == "Still nobody" else f"Acknowledge {by}"


def _role(incident: Incident, effect: SendMessage) -> str:
    """For whom of the matrix a person is paged, and whether the others have to answer as well."""
    contact = incident.policy.contacts.get(effect.level, effect.contact)
    role = effect.contact if contact == effect.contact else f"{effect.contact} for {contact}"
    return f"{role}; each of the level has to" if effect.level in incident.policy.everybody else role


def _still_at_it(incident: Incident) -> str:
    """What who has it is asked, where nothing was heard for a while."""
    state = incident.state
    if not isinstance(state, Acknowledged):
        return f"State: {incident.state_name}"
    at = paged_anew_at(incident, state)
    otherwise = f"; at {at:%H:%M} UTC it is paged anew" if at is not None else ""
    return (
        f"{state.by} has it, and nothing was heard since {state.quiet_since:%H:%M} UTC: "
        f"write a note, or acknowledge once more{otherwise}"
    )
