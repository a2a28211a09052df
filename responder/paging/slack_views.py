"""Forms that open in Slack. Source: docs.slack.dev, modals: titles of 24 characters, ``private_metadata`` of 3,000."""

from __future__ import annotations

from typing import Any

import msgspec

from responder.incident.message import IncidentBrief
from responder.text import one_line

SILENCE_VIEW = "silence"
DURATION, COMMENT = "duration", "comment"
_USUAL = "2h"


class ViewNote(msgspec.Struct, frozen=True):
    """What a form carries: the incident, and where its sender is answered."""

    incident: str
    response_url: str = ""


def silence_view(incident: IncidentBrief, response_url: str) -> dict[str, Any]:
    """The form for a silence."""
    note = ViewNote(incident.id, response_url)
    what = one_line(f"{incident.severity} {incident.service}: {incident.title}", 300)
    return {
        "type": "modal",
        "callback_id": SILENCE_VIEW,
        "private_metadata": msgspec.json.encode(note).decode(),
        "title": _plain("Silence"),
        "submit": _plain("Silence"),
        "close": _plain("Cancel"),
        "blocks": [
            {"type": "section", "text": _plain(what)},
            _input(DURATION, "For how long", {"initial_value": _USUAL, "max_length": 20}),
            _input(COMMENT, "Why", {"multiline": True, "max_length": 500}),
        ],
    }


def _input(name: str, label: str, more: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "input",
        "block_id": name,
        "label": _plain(label),
        "element": {"type": "plain_text_input", "action_id": name, **more},
    }


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}
