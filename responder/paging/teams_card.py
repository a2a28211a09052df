"""A message as an Adaptive Card for Teams. Pure.

What a sender wrote stands in RichTextBlocks only: their runs are shown as they are, while a TextBlock takes Markdown.
Sources: microsoft/AdaptiveCards, schema 1.4; learn.microsoft.com, messages of about 28 kB at most, mentions in cards.
"""

from __future__ import annotations

from typing import Any

import msgspec

from responder.incident.finding import Finding, FindingStatus
from responder.incident.message import Message, MessageKind
from responder.incident.severity import Severity
from responder.paging.base import asks
from responder.paging.compose import headline
from responder.paging.notices import VERIFY
from responder.text import one_line, truncate, web_address

SIZE_LIMIT = 27_000  # bytes, below the 28 kB that Teams takes
_HEADER_LIMIT = 200
_LINE_LIMIT = 500
_LINES = 32  # of the summary: with all that a morning's list has
_DETAIL_LINES = 12
_DETAIL_WIDTH = 160
_COLOURS = {
    Severity.P1: "attention",
    Severity.P2: "attention",
    Severity.P3: "warning",
    Severity.P4: "default",
}
_FINDING_COLOURS = {
    FindingStatus.CRITICAL: "attention",
    FindingStatus.WARNING: "warning",
    FindingStatus.OK: "good",
}


def encode(message: Message, mention: tuple[str, str] | None = None) -> bytes:
    """The body of a request within the size limit; findings leave it from the end. ``mention``: a name and its id."""
    shown = len(message.findings)
    while True:
        body = msgspec.json.encode(_envelope(card(message, shown, mention)))
        if len(body) <= SIZE_LIMIT or not shown:
            return body
        shown -= 1


def card(message: Message, shown: int, mention: tuple[str, str] | None = None) -> dict[str, Any]:
    """The card with so many of the findings: what is broken, since when, what to press."""
    lines = [line for line in message.summary.split("\n") if line.strip()]
    header = headline(message, _HEADER_LIMIT)
    body = [_line(header, size="large", weight="bolder", color=_colour(message))]
    # The first line of a summary says again what the header says.
    body += [_line(one_line(line, _LINE_LIMIT)) for line in lines[1:_LINES]]
    for finding in message.findings[:shown]:
        body += _finding(finding)
    if shown < len(message.findings):
        body.append(_line("More findings are in the incident.", isSubtle=True))
    if message.actions:
        body.append(
            _line(one_line("Offered actions: " + ", ".join(message.actions), _LINE_LIMIT), isSubtle=True)
        )
    teams: dict[str, Any] = {"width": "Full"}
    if mention is not None:
        name, user = mention
        text = f"<at>{name}</at>"
        body.insert(0, {"type": "TextBlock", "text": text, "wrap": True})
        teams["entities"] = [{"type": "mention", "text": text, "mentioned": {"id": user, "name": name}}]
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": header,
        "msteams": teams,
        "body": body,
        "actions": _actions(message),
    }


def _envelope(content: dict[str, Any]) -> dict[str, Any]:
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": content,
    }
    return {"type": "message", "attachments": [attachment]}


def _actions(message: Message) -> list[dict[str, str]]:
    found = []
    if message.ack_url and asks(message):
        found.append(("Acknowledge", message.ack_url))
    opens = "Yes, it reached me" if message.incident.state == VERIFY else "Open the incident"
    found.append((opens, message.incident.url))
    found += [(one_line(one.probe, 40), one.link) for one in message.findings if one.link][:3]
    return [
        {"type": "Action.OpenUrl", "title": title, "url": url} for title, url in found if web_address(url)
    ]


def _finding(finding: Finding) -> list[dict[str, Any]]:
    colour = _FINDING_COLOURS.get(finding.status, "default")
    runs = [
        {"type": "TextRun", "text": f"{finding.status} ", "weight": "bolder", "color": colour},
        {"type": "TextRun", "text": f"{finding.probe}: {finding.headline}"},
    ]
    found: list[dict[str, Any]] = [{"type": "RichTextBlock", "inlines": runs, "spacing": "medium"}]
    details = finding.detail.split("\n") if finding.detail else []
    shown = [truncate(line, _DETAIL_WIDTH) for line in details[:_DETAIL_LINES]]
    if len(details) > _DETAIL_LINES:
        shown.append(f"… {len(details) - _DETAIL_LINES} more lines")
    found += [_line(line, fontType="monospace", size="small", spacing="none") for line in shown]
    return found


def _line(text: str, *, spacing: str = "small", **style: Any) -> dict[str, Any]:
    run = {"type": "TextRun", "text": text or " ", **style}
    return {"type": "RichTextBlock", "inlines": [run], "spacing": spacing}


def _colour(message: Message) -> str:
    if message.kind is MessageKind.RESOLVED:
        return "good"
    return _COLOURS[message.incident.severity]
