"""The buttons of a message in Slack, and what each carries. Source: docs.slack.dev, block elements and confirm dialog."""

from __future__ import annotations

from typing import Any

import msgspec

from responder.incident.message import Message, OfferBrief
from responder.paging.base import asks_again
from responder.text import one_line

VALUE_LIMIT = 2_000
URL_LIMIT = 3_000
CONFIRM_LIMIT = 300
ACKNOWLEDGE, ESCALATE, COMMAND, SILENCE = "acknowledge", "escalate", "command", "silence"
#: Buttons of actions carry this and a number, since an id may stand once in a block.
RUN_ACTION = "run-action"
_OFFERS_SHOWN = 10
_WAITING = frozenset({"triggered", "acknowledged"})
_OPEN = _WAITING | {"monitoring"}


class ButtonValue(msgspec.Struct, frozen=True):
    """What a button carries; ``name`` is the action's, empty on the others."""

    incident: str
    name: str = ""


def actions(message: Message, *, silences: bool) -> list[dict[str, Any]]:
    """What can be pressed as things stand, the most wanted first."""
    incident = message.incident
    found: list[dict[str, Any]] = []
    if incident.state == "triggered":
        found.append({**_button(message, ACKNOWLEDGE, "Acknowledge"), "style": "primary"})
    elif asks_again(message):
        found.append({**_button(message, ACKNOWLEDGE, "Still at work on it"), "style": "primary"})
    if incident.state in _WAITING:
        found.append(_button(message, ESCALATE, "Escalate"))
    if incident.state in _OPEN:
        found.append(_button(message, COMMAND, "Take command"))
    if incident.state in _WAITING and silences:
        found.append(_button(message, SILENCE, "Silence…"))
    if incident.state in _OPEN:
        found += [_offer(message, number, one) for number, one in enumerate(message.offers[:_OFFERS_SHOWN])]
    found += _link("open", "Open incident", incident.url)
    return found + _link(
        "dashboard", "Dashboard", next((one.link for one in message.findings if one.link), "")
    )


def _button(message: Message, action: str, text: str, name: str = "") -> dict[str, Any]:
    value = msgspec.json.encode(ButtonValue(message.incident.id, name)).decode()
    return {
        "type": "button",
        "action_id": action,
        "text": _plain(one_line(text, 75)),
        "value": value[:VALUE_LIMIT],
    }


def _offer(message: Message, number: int, offer: OfferBrief) -> dict[str, Any]:
    """A button that first says exactly what will happen."""
    return {
        **_button(message, f"{RUN_ACTION}-{number}", offer.title, offer.name),
        "confirm": {
            "title": _plain(one_line(offer.title, 100)),
            "text": _plain(one_line(offer.text, CONFIRM_LIMIT)),
            "confirm": _plain("Do it"),
            "deny": _plain("Cancel"),
            "style": "danger",
        },
    }


def _link(action: str, text: str, url: str) -> list[dict[str, Any]]:
    if not url or len(url) > URL_LIMIT:
        return []
    return [{"type": "button", "action_id": action, "text": _plain(text), "url": url}]


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text or " ", "emoji": False}
