"""Requests from Slack: verified over their raw bytes, then decoded. The same ones come over HTTP and over Socket Mode.

Sources: docs.slack.dev, verifying requests, interactivity payloads, slash commands.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from urllib.parse import parse_qs

import msgspec

from responder.paging.slack_buttons import ButtonValue
from responder.paging.slack_views import DURATION, SILENCE_VIEW, ViewNote
from responder.text import one_line

TOLERANCE = timedelta(minutes=5)
_COMMENT_LIMIT = 500
_URL_LIMIT = 1_000


class SlackRequestError(ValueError):
    """A request that is signed but not understood."""


class Presser(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in Slack: ``team`` is their own workspace, which need not be ours."""

    id: str
    name: str = ""
    team: str = ""

    @property
    def signature(self) -> str:
        """How somebody signs whom we have no other name for."""
        return f"slack:{one_line(self.name or self.id, 100)}"


class Pressed(msgspec.Struct, frozen=True, kw_only=True):
    """A pressed button; ``name`` is the action's. ``event`` is the same however often the request comes."""

    by: Presser
    action: str
    incident: str
    name: str
    event: str
    response_url: str = ""
    trigger: str = ""


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """The form for a silence, sent off."""

    by: Presser
    incident: str
    span: str
    comment: str
    event: str
    response_url: str = ""


class Commanded(msgspec.Struct, frozen=True, kw_only=True):
    """A slash command; ``text`` is what follows it."""

    by: Presser
    text: str
    event: str
    response_url: str = ""


SlackRequest = Pressed | Submitted | Commanded


class _User(msgspec.Struct, frozen=True):
    id: str
    username: str = ""
    name: str = ""
    team_id: str = ""


class _Team(msgspec.Struct, frozen=True):
    id: str = ""


class _Action(msgspec.Struct, frozen=True):
    action_id: str = ""
    value: str = ""
    action_ts: str = ""


class _Input(msgspec.Struct, frozen=True):
    value: str | None = None


class _State(msgspec.Struct, frozen=True):
    values: dict[str, dict[str, _Input]] = {}


class _View(msgspec.Struct, frozen=True):
    id: str = ""
    callback_id: str = ""
    private_metadata: str = ""
    state: _State = _State()


class _Payload(msgspec.Struct, frozen=True):
    type: str
    user: _User
    actions: tuple[_Action, ...] = ()
    team: _Team | None = None
    response_url: str = ""
    trigger_id: str = ""
    view: _View | None = None


class _Command(msgspec.Struct, frozen=True):
    user_id: str
    command: str = ""
    text: str = ""
    user_name: str = ""
    team_id: str = ""
    response_url: str = ""
    trigger_id: str = ""


_VALUE = msgspec.json.Decoder(ButtonValue)
_NOTE = msgspec.json.Decoder(ViewNote)


def verify(signing_secret: str, timestamp: str, signature: str, body: bytes, now: datetime) -> bool:
    """Whether Slack signed these bytes within the last five minutes; compared in constant time."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        return False
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE.total_seconds():
        return False
    base = b"v0:" + timestamp.encode() + b":" + body
    expected = "v0=" + hmac.new(signing_secret.encode(), base, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))


def interaction_of(body: bytes) -> Pressed | Submitted | None:
    """What a form of Slack's interactivity holds; ``None`` for a kind that asks nothing of us (a link button).

    Raises:
        SlackRequestError: where the body is not one of Slack's.
    """
    try:
        payload = parse_qs(body.decode(), max_num_fields=20)["payload"][0]
    except (UnicodeDecodeError, ValueError, KeyError):
        raise SlackRequestError("payload: not an interaction of Slack's") from None
    return interaction(payload.encode())


def interaction(payload: bytes) -> Pressed | Submitted | None:
    """The same from the JSON itself."""
    try:
        found = msgspec.json.decode(payload, type=_Payload)
    except (ValueError, RecursionError):
        raise SlackRequestError("payload: not an interaction of Slack's") from None
    user = found.user
    team = user.team_id or (found.team.id if found.team else "")
    by = Presser(id=user.id, name=user.username or user.name, team=team)
    if found.type == "view_submission" and found.view is not None:
        return _submitted(by, found.view)
    if found.type != "block_actions" or not found.actions or not found.actions[0].value:
        return None
    action = found.actions[0]
    try:
        value = _VALUE.decode(action.value)
    except (msgspec.DecodeError, RecursionError):
        raise SlackRequestError("actions[0].value: not one of our buttons") from None
    return Pressed(
        by=by,
        action=action.action_id,
        incident=value.incident,
        name=value.name,
        event=f"{action.action_ts or found.trigger_id} {action.action_id}",
        response_url=found.response_url[:_URL_LIMIT],
        trigger=found.trigger_id,
    )


def _submitted(by: Presser, view: _View) -> Submitted | None:
    if view.callback_id != SILENCE_VIEW:
        return None
    try:
        note = _NOTE.decode(view.private_metadata)
    except (msgspec.DecodeError, RecursionError):
        raise SlackRequestError("view.private_metadata: not one of our forms") from None
    given = {
        block: next((one.value or "" for one in inputs.values()), "")
        for block, inputs in view.state.values.items()
    }
    return Submitted(
        by=by,
        incident=note.incident,
        span=given.get(DURATION, "").strip()[:50],
        comment=one_line(given.get("comment", ""), _COMMENT_LIMIT),
        event=f"view {view.id}",
        response_url=note.response_url,
    )


def command_of(body: bytes) -> Commanded | None:
    """A slash command from its form; ``None`` for Slack's check of the address.

    Raises:
        SlackRequestError: where the body is not one of Slack's.
    """
    try:
        fields = {name: values[0] for name, values in parse_qs(body.decode(), max_num_fields=40).items()}
    except (UnicodeDecodeError, ValueError):
        raise SlackRequestError("body: not a command of Slack's") from None
    return None if fields.get("ssl_check") == "1" else command(msgspec.json.encode(fields))


def command(payload: bytes) -> Commanded:
    """The same from the JSON itself."""
    try:
        found = msgspec.json.decode(payload, type=_Command)
    except (ValueError, RecursionError):
        raise SlackRequestError("payload: not a command of Slack's") from None
    return Commanded(
        by=Presser(id=found.user_id, name=found.user_name, team=found.team_id),
        text=found.text,
        event=f"command {found.trigger_id}",
        response_url=found.response_url[:_URL_LIMIT],
    )
