"""After an unclear outcome: whether a message is there already. Where that may not be read, it is posted.

Sources: docs.slack.dev of ``conversations.history`` and ``conversations.replies`` (``channels:history`` and its like for
private channels and direct messages), ``conversations.open`` (``im:write``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from responder.incident.message import Message
from responder.paging.base import ChannelError
from responder.paging.notices import NOTICES
from responder.paging.slack_api import SlackApi
from responder.paging.slack_people import is_user

_LOOKED_AT = "100"  # the newest messages
_BEFORE = timedelta(minutes=5)


def topic(message: Message) -> str:
    """What a message in Slack is about: an incident, or itself where it belongs to none."""
    return message.page_id if message.incident.state in NOTICES else message.incident.id


async def page_of(api: SlackApi, address: str, message: Message) -> dict[str, str] | None:
    """Channel and time stamp of the incident's message in a conversation."""
    try:
        where = await _channel(api, address)
        if not where.startswith(("C", "G", "D")):
            return None
        oldest = str((message.incident.opened_at - _BEFORE).timestamp())
        fields = {"channel": where, "oldest": oldest, "limit": _LOOKED_AT, "include_all_metadata": "true"}
        answer = await api.form("conversations.history", fields)
    except ChannelError:
        return None
    found = (one for one in answer.get("messages", []) if _payload(one).get("incident") == topic(message))
    return next(({"channel": where, "ts": str(one["ts"])} for one in found), None)


async def _channel(api: SlackApi, address: str) -> str:
    """The channel of a conversation with a person; a channel is its own."""
    if not is_user(address):
        return address
    channel = (await api.call("conversations.open", users=address)).get("channel")
    return str(channel.get("id", "")) if isinstance(channel, dict) else ""


async def reply_of(api: SlackApi, at: Mapping[str, str], message: Message) -> bool:
    """Whether this message stands in the thread already."""
    fields = {"channel": at["channel"], "ts": at["ts"], "limit": _LOOKED_AT, "include_all_metadata": "true"}
    try:
        answer = await api.form("conversations.replies", fields)
    except ChannelError:
        return False
    return any(_payload(one).get("id") == message.id for one in answer.get("messages", []))


def _payload(message: Any) -> dict[str, Any]:
    """What we noted in a message of ours; nothing in another's."""
    try:
        found = message["metadata"]["event_payload"]
    except (KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
