"""A message as Slack's Block Kit. What a sender wrote stands in plain text or rich text only, which nobody parses."""

from __future__ import annotations

from typing import Any

import msgspec

from responder.incident.finding import Finding, FindingStatus
from responder.incident.message import Message, MessageKind, OfferBrief
from responder.paging.base import asks_again
from responder.text import one_line, truncate

HEADER_LIMIT = 150
TEXT_LIMIT = 2_900
TOTAL_LIMIT = 9_000  # characters over all blocks; Slack refuses somewhere above that
BUTTON_VALUE_LIMIT = 2_000
URL_LIMIT = 3_000
CONFIRM_LIMIT = 300
ACKNOWLEDGE = "acknowledge"
#: Buttons of actions carry this and a number, since an id may stand once in a block.
RUN_ACTION = "run-action"
_OFFERS_SHOWN = 10
_MARKS = {
    FindingStatus.CRITICAL: "🔴",
    FindingStatus.WARNING: "🟠",
    FindingStatus.OK: "🟢",
}


class ButtonValue(msgspec.Struct, frozen=True):
    """What a button carries; ``name`` is the action's, empty on the acknowledge button."""

    incident: str
    contact: str
    name: str = ""


def fallback_text(message: Message) -> str:
    """The notification and what a screen reader says; escaped as Slack wants it, and nothing else."""
    text = truncate(message.summary, 1_000)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def blocks(message: Message) -> list[dict[str, Any]]:
    """The blocks of a message, within Slack's limits."""
    incident = message.incident
    header = one_line(f"{incident.severity} {incident.service}: {incident.title}", HEADER_LIMIT)
    found: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(header)},
        {"type": "section", "text": _plain(truncate(message.summary, TEXT_LIMIT))},
    ]
    room = TOTAL_LIMIT - len(header) - len(message.summary)
    for finding in message.findings:
        text = _finding(finding)
        if len(text) > room:
            found.append({"type": "context", "elements": [_plain("More findings are in the incident.")]})
            break
        room -= len(text)
        found.append(_rich(text))
    if message.actions:
        offered = one_line("Offered actions: " + ", ".join(message.actions), 500)
        found.append({"type": "context", "elements": [_plain(offered)]})
    found.append({"type": "actions", "block_id": f"responder-{incident.id}", "elements": _buttons(message)})
    return found


def _buttons(message: Message) -> list[dict[str, Any]]:
    incident = message.incident
    buttons: list[dict[str, Any]] = []
    takes_it = incident.state == "triggered" and message.kind not in (
        MessageKind.ACKNOWLEDGED,
        MessageKind.RESOLVED,
    )
    if takes_it or asks_again(message):
        value = msgspec.json.encode(ButtonValue(incident.id, message.to)).decode()
        buttons.append(
            {
                "type": "button",
                "action_id": ACKNOWLEDGE,
                "style": "primary",
                "text": _plain("Acknowledge" if takes_it else "Still at work on it"),
                "value": value[:BUTTON_VALUE_LIMIT],
            }
        )
    if incident.state in ("triggered", "acknowledged", "monitoring"):
        buttons += [_offer(message, number, one) for number, one in enumerate(message.offers[:_OFFERS_SHOWN])]
    if len(incident.url) <= URL_LIMIT:
        buttons.append(
            {"type": "button", "action_id": "open", "text": _plain("Open incident"), "url": incident.url}
        )
    dashboard = next((one.link for one in message.findings if one.link), "")
    if dashboard and len(dashboard) <= URL_LIMIT:
        buttons.append(
            {"type": "button", "action_id": "dashboard", "text": _plain("Dashboard"), "url": dashboard}
        )
    return buttons


def _offer(message: Message, number: int, offer: OfferBrief) -> dict[str, Any]:
    """A button that first says exactly what will happen."""
    value = ButtonValue(message.incident.id, message.to, offer.name)
    return {
        "type": "button",
        "action_id": f"{RUN_ACTION}-{number}",
        "text": _plain(one_line(offer.title, 75)),
        "value": msgspec.json.encode(value).decode()[:BUTTON_VALUE_LIMIT],
        "confirm": {
            "title": _plain(one_line(offer.title, 100)),
            "text": _plain(one_line(offer.text, CONFIRM_LIMIT)),
            "confirm": _plain("Do it"),
            "deny": _plain("Cancel"),
            "style": "danger",
        },
    }


def _finding(finding: Finding) -> str:
    mark = _MARKS.get(finding.status, "⚪")
    text = f"{mark} {finding.probe}: {finding.headline}"
    return truncate(f"{text}\n{finding.detail}" if finding.detail else text, TEXT_LIMIT)


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text or " ", "emoji": False}


def _rich(text: str) -> dict[str, Any]:
    element = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
    return {"type": "rich_text", "elements": [element]}
