"""What is sent to PagerDuty: events of the Events API v2, and the keys by which they name our pages. Pure.

Sources: PagerDuty/developer-docs, events-API-v2 (August 2026): fields, lengths, 512 kB; PagerDuty/api-schema,
reference/events-v2.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from responder.incident.finding import Finding
from responder.incident.message import Message
from responder.incident.severity import Severity
from responder.text import one_line, truncate, web_address

SUMMARY_LIMIT = 1_024  # characters
SIZE_LIMIT = 500_000  # bytes, below PagerDuty's 512 kB
_TEXT_LIMIT = 2_000
_LABELS_SHOWN = 50
_SEVERITIES = {Severity.P1: "critical", Severity.P2: "error", Severity.P3: "warning", Severity.P4: "info"}
_KEY = re.compile(r"([0-9a-f]{16})-(?:primary|secondary|executive)-([0-9a-f]{16})")


class PageKey(msgspec.Struct, frozen=True):
    """What a ``dedup_key`` of ours names."""

    incident: str
    page: str


def dedup_key(message: Message) -> str:
    """The key of a page: its incident, its level, and the page itself.

    A trigger whose key has an open alert calls nobody, and one whose incident is acknowledged neither. So each level
    has a key of its own, and so has each later page of a level: after a rise in severity, or as a reminder.
    """
    return f"{message.incident.id}-{message.level}-{message.page_id}"


def read_key(text: str) -> PageKey | None:
    """The page that a key names; ``None`` for a key that is not ours."""
    match = _KEY.fullmatch(text)
    return PageKey(match[1], match[2]) if match else None


def follow_up(action: str, key: str) -> dict[str, Any]:
    """An ``acknowledge`` or a ``resolve``."""
    return {"event_action": action, "dedup_key": key}


def trigger(message: Message, key: str) -> dict[str, Any]:
    """A ``trigger``: it opens an alert and calls somebody, or adds an entry to the log of an open one."""
    incident = message.incident
    summary = one_line(f"{incident.severity} {incident.service}: {incident.title}", SUMMARY_LIMIT)
    labels = incident.labels
    payload = {
        "summary": summary,
        "source": one_line(labels.get("instance") or incident.service, 255),
        "severity": _SEVERITIES[incident.severity],
        "timestamp": incident.opened_at.isoformat(),
        "component": one_line(incident.service, 255),
        "custom_details": _details(message),
    }
    for name, label in (("group", "cluster"), ("class", "alertname")):
        if labels.get(label):
            payload[name] = one_line(labels[label], 255)
    event: dict[str, Any] = {
        "event_action": "trigger",
        "dedup_key": key,
        "client": "responder",
        "client_url": incident.url,
        "payload": payload,
        "links": _links(message),
    }
    return event


def _details(message: Message) -> dict[str, Any]:
    incident = message.incident
    details: dict[str, Any] = {
        "summary": truncate(message.summary, _TEXT_LIMIT),
        "paged": f"{message.level} {message.to}",
        "respond_by": message.respond_by.isoformat(),
        "firing": incident.firing,
    }
    if message.findings:
        details["findings"] = [_finding(one) for one in message.findings]
    if message.actions:
        details["offered_actions"] = list(message.actions)
    if incident.runbook:
        details["runbook"] = incident.runbook
    if incident.labels:
        shown = sorted(incident.labels.items())[:_LABELS_SHOWN]
        details["labels"] = {truncate(name, 200): truncate(value, 500) for name, value in shown}
    return details


def _finding(finding: Finding) -> str:
    text = f"[{finding.status}] {finding.probe}: {finding.headline}"
    return truncate(f"{text}\n{finding.detail}" if finding.detail else text, _TEXT_LIMIT)


def _links(message: Message) -> list[dict[str, str]]:
    """Ours first, then where findings lead; only https, as images must have it too."""
    found = [(message.incident.url, "Open the incident"), (message.ack_url, "Acknowledge")]
    found += [(finding.link, f"{finding.probe}: {finding.headline}") for finding in message.findings]
    return [
        {"href": url, "text": one_line(text, 200)}
        for url, text in found
        if url.startswith("https://") and web_address(url)
    ]


def encode(event: dict[str, Any], routing_key: str) -> bytes:
    """The body of a request; over the limit, the details go before anything that a person needs to be called."""
    body = msgspec.json.encode({"routing_key": routing_key, **event})
    if len(body) > SIZE_LIMIT and "payload" in event:
        payload = {name: value for name, value in event["payload"].items() if name != "custom_details"}
        body = msgspec.json.encode({"routing_key": routing_key, **event, "payload": payload})
    return body
