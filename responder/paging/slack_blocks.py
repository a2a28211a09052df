"""A message as Slack's Block Kit: what is broken, since when, and what to press, in three lines; then what was found.

What a sender wrote stands in plain text or rich text only, which nobody parses. Mrkdwn holds mentions, and nothing else.
Source: docs.slack.dev, Block Kit; limits from the SDK's models.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from responder.incident.finding import Finding, FindingStatus
from responder.incident.message import IncidentBrief, Message, MessageKind
from responder.paging.notices import NOTICES
from responder.paging.slack_buttons import actions
from responder.text import one_line, truncate

HEADER_LIMIT = 150
TEXT_LIMIT = 2_900
TOTAL_LIMIT = 9_000  # characters over all blocks; Slack refuses somewhere above that
#: Findings in the message itself; the thread has them with their details.
FINDINGS_SHOWN = 3
_HEADLINE_LIMIT = 300
_MARKS = {
    FindingStatus.CRITICAL: "🔴",
    FindingStatus.WARNING: "🟠",
    FindingStatus.OK: "🟢",
}
_STATES = {"acknowledged": "👀", "monitoring": "🔎", "resolved": "✅"}
_PAGES = frozenset({MessageKind.PAGE, MessageKind.REMINDER})


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What else the message shows: the mention that it was posted with, and whether silences can be made."""

    mention: str = ""
    silences: bool = False


def escaped(text: str) -> str:
    """As Slack wants text to be escaped: these three characters, and nothing else."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def fallback_text(message: Message, mention: str = "") -> str:
    """The notification and what a screen reader says."""
    text = escaped(truncate(message.summary, 1_000))
    return f"{mention} {text}" if mention else text


def blocks(message: Message, look: Look | None = None) -> list[dict[str, Any]]:
    """The blocks of a message, within Slack's limits."""
    look = look or Look()
    incident = message.incident
    mark = _STATES.get(incident.state, "")
    header = one_line(f"{mark} {incident.severity} {incident.service}: {incident.title}", HEADER_LIMIT)
    found: list[dict[str, Any]] = [{"type": "header", "text": plain(header)}]
    if look.mention:
        found.append({"type": "section", "text": {"type": "mrkdwn", "text": look.mention, "verbatim": True}})
    if incident.state in NOTICES:
        found.append({"type": "section", "text": plain(truncate(message.summary, TEXT_LIMIT))})
    else:
        found.append(_section(_standing(message)))
        if lines := _more(message):
            found.append(
                {"type": "context", "elements": [plain(truncate(line, TEXT_LIMIT)) for line in lines]}
            )
    if buttons := actions(message, silences=look.silences):
        found.append({"type": "actions", "block_id": f"responder-{incident.id}", "elements": buttons})
    if message.findings:
        shown = [headline(one) for one in message.findings[:FINDINGS_SHOWN]]
        if len(message.findings) > FINDINGS_SHOWN:
            shown.append(f"{len(message.findings) - FINDINGS_SHOWN} more in the incident")
        found.append(rich("\n".join(shown)))
    return found


def _standing(message: Message) -> list[dict[str, Any]]:
    """Since when, who has it, and what is asked; times in the reader's own zone."""
    incident = message.incident
    count = incident.firing
    alerts = f"{count} alert{'s' if count != 1 else ''} firing" if count else "Nothing fires now"
    return [
        _text(alerts, bold=True),
        _text(" since " if count else "; it began "),
        _date(incident.since),
        _text("\n"),
        *_asked(message),
    ]


def _asked(message: Message) -> list[dict[str, Any]]:
    incident = message.incident
    match incident.state:
        case "triggered" if incident.held:
            return [_text("Held back", bold=True), _text(f": {incident.held}; nobody further is paged")]
        case "triggered":
            late = message.sent_at > message.respond_by
            return [
                _text("Nobody has it. Press Acknowledge", bold=True),
                _text("; it was due at " if late else " by "),
                _date(message.respond_by, "{time}"),
                *_next_up(incident),
            ]
        case "acknowledged":
            by = one_line(incident.acknowledged_by or message.by or "somebody", 100)
            return [_text(f"{by} has it", bold=True), _text(": nobody further is paged"), *_next_up(incident)]
        case "monitoring":
            return [_text("Every alert has resolved", bold=True), _text("; it is being watched")]
        case _:
            by = f" by {one_line(message.by, 100)}" if message.by else ""
            return [_text(f"Resolved{by}", bold=True)]


def _next_up(incident: IncidentBrief) -> list[dict[str, Any]]:
    if not incident.next_up or incident.next_at is None:
        return []
    words = "; else paged anew: " if incident.state == "acknowledged" else "; then paged: "
    return [_text(f"{words}{one_line(incident.next_up, 150)} at "), _date(incident.next_at, "{time}")]


def _more(message: Message) -> list[str]:
    incident = message.incident
    lines = []
    if incident.paged:
        lines.append(f"Paged: {', '.join(incident.paged)}")
    if incident.assignee:
        lines.append(f"Command: {one_line(incident.assignee, 100)}")
    if incident.cause:
        lines.append(incident.cause)
    if incident.about:
        lines.append(f"Runbook {incident.runbook}: {one_line(incident.about, 500)}")
    return lines


def findings_blocks(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """All that was found, for the thread; what does not fit is counted."""
    found: list[dict[str, Any]] = []
    room, left = TOTAL_LIMIT, 0
    for finding in findings:
        text = truncate(
            f"{headline(finding)}\n{finding.detail}" if finding.detail else headline(finding), TEXT_LIMIT
        )
        if len(text) > room or len(found) >= 40:
            left += 1
            continue
        room -= len(text)
        found.append(rich(text))
    if left:
        found.append({"type": "context", "elements": [plain(f"{left} more in the incident")]})
    return found


def findings_text(findings: Iterable[Finding]) -> str:
    """The same for a notification."""
    return escaped(truncate("; ".join(headline(one) for one in findings), 1_000))


def headline(finding: Finding) -> str:
    """A finding in a line."""
    mark = _MARKS.get(finding.status, "⚪")
    return one_line(f"{mark} {finding.probe}: {finding.headline}", _HEADLINE_LIMIT)


def plain(text: str) -> dict[str, Any]:
    """Text that nobody parses."""
    return {"type": "plain_text", "text": text or " ", "emoji": False}


def rich(text: str) -> dict[str, Any]:
    """A block of text that nobody parses."""
    return _section([_text(text)])


def _section(elements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}


def _text(text: str, *, bold: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "text", "text": text or " "}
    return {**found, "style": {"bold": True}} if bold else found


def _date(at: datetime, form: str = "{date_short_pretty} {time}") -> dict[str, Any]:
    return {
        "type": "date",
        "timestamp": int(at.timestamp()),
        "format": form,
        "fallback": f"{at:%Y-%m-%d %H:%M} UTC",
    }
