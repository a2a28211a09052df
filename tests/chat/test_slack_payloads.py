"""What Slack posts: its signature, its payloads and commands, and what it would not send."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from fake_slack import SECRET, TEAM, as_form, pressed, typed

from responder.chat.acts import silence_span
from responder.chat.replies import body
from responder.chat.words import Said
from responder.paging.slack_requests import (
    Pressed,
    SlackRequestError,
    Submitted,
    command_of,
    interaction_of,
    verify,
)

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
INCIDENT = "1f" * 8


def signed(raw: bytes, at: datetime = NOW, secret: str = SECRET) -> tuple[str, str]:
    stamp = str(int(at.timestamp()))
    digest = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + raw, hashlib.sha256).hexdigest()
    return stamp, f"v0={digest}"


def test_only_slacks_own_recent_signature_is_taken() -> None:
    raw = b"payload=x"
    assert verify(SECRET, *signed(raw), raw, NOW)
    assert not verify(SECRET, *signed(raw), raw + b"y", NOW)
    assert not verify(SECRET, *signed(raw, secret="other"), raw, NOW)
    assert not verify(SECRET, *signed(raw, NOW - timedelta(minutes=6)), raw, NOW)
    for stamp in ("", "abc", "١٢٣", "-1", "9" * 40, "1e9"):
        assert not verify(SECRET, stamp, signed(raw)[1], raw, NOW)
    assert not verify(SECRET, signed(raw)[0], "v0=\xff", raw, NOW)


def test_a_pressed_button_names_incident_person_and_their_own_workspace() -> None:
    found = interaction_of(as_form(pressed("acknowledge", INCIDENT, team="T0THEIRS")))
    assert isinstance(found, Pressed)
    assert (found.by.id, found.by.name, found.by.team) == ("U0ANA01", "ana", "T0THEIRS")
    assert (found.incident, found.action, found.name) == (INCIDENT, "acknowledge", "")
    without = pressed("acknowledge", INCIDENT)
    del without["user"]["team_id"]
    older = interaction_of(as_form(without))
    assert isinstance(older, Pressed)
    assert older.by.team == TEAM


def test_a_button_of_an_older_message_is_understood() -> None:
    given = pressed("acknowledge", INCIDENT)
    given["actions"][0]["value"] = json.dumps({"incident": INCIDENT, "contact": "dbteam"})
    assert isinstance(interaction_of(as_form(given)), Pressed)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"payload=", b"payload=%7B", b"\xff", b"x=y",
        as_form({**pressed("acknowledge", INCIDENT), "actions": [{"value": "{}"}]}),
        as_form({"type": "block_actions", "user": 7}),
        b"payload=" + b"%5B" * 50_000,
    ],
)  # fmt: skip
def test_what_slack_would_not_send_is_refused(raw: bytes) -> None:
    with pytest.raises(SlackRequestError):
        interaction_of(raw)


def test_a_link_button_and_other_kinds_ask_nothing_of_us() -> None:
    assert interaction_of(as_form({**pressed("open", INCIDENT), "actions": [{"action_id": "open"}]})) is None
    assert interaction_of(as_form({"type": "view_closed", "user": {"id": "U1"}})) is None


def submitted(**values: Any) -> dict[str, Any]:
    """The form for a silence, as Slack sends it."""
    given = {"duration": "2h", "comment": "deploying", **values}
    return {
        "type": "view_submission", "team": {"id": TEAM}, "user": {"id": "U0ANA01", "name": "ana", "team_id": TEAM},
        "view": {
            "id": "V1", "callback_id": "silence",
            "private_metadata": json.dumps({"incident": INCIDENT, "response_url": "https://hooks.slack.com/x"}),
            "state": {
                "values": {name: {name: {"type": "plain_text_input", "value": one}} for name, one in given.items()}
            },
        },
    }  # fmt: skip


def test_a_form_carries_its_incident_and_what_was_typed() -> None:
    found = interaction_of(as_form(submitted()))
    assert isinstance(found, Submitted)
    assert (found.incident, found.span, found.comment) == (INCIDENT, "2h", "deploying")
    assert found.response_url == "https://hooks.slack.com/x"
    empty = interaction_of(as_form(submitted(comment=None)))
    assert isinstance(empty, Submitted)
    assert empty.comment == ""


@pytest.mark.parametrize("text", ["", "2", "0", "soon", "8d", "2h; rm", "-1h"])
def test_a_silence_has_a_length_that_ends(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        silence_span(text)


def test_a_command_is_read_from_its_form_and_slacks_check_of_the_address_is_none() -> None:
    found = command_of(urlencode(typed("ack 1f1f on it")).encode())
    assert found is not None
    assert (found.text, found.by.id, found.by.team) == ("ack 1f1f on it", "U0ANA01", TEAM)
    assert command_of(b"ssl_check=1&token=x") is None
    for raw in (b"", b"\xff", b"text=list"):
        with pytest.raises(SlackRequestError):
            command_of(raw)


def test_an_answer_is_for_its_reader_only_and_never_markup() -> None:
    made = body(Said("<!channel> *x* & y", "https://responder.example/incidents/1"))
    assert (made["response_type"], made["replace_original"]) == ("ephemeral", False)
    assert made["text"] == "&lt;!channel&gt; *x* &amp; y"
    assert "mrkdwn" not in json.dumps(made)
