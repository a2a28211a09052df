"""What has a bound, and who is told when something found no place there. What happens to it then is written beside each."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Overflow(StrEnum):
    """A bounded queue or memory of this process: a closed set, used as a metric label."""

    ALERTS = "alerts"
    """Webhooks that wait for the store: refused with 503, Alertmanager brings them again."""
    STORE = "store"
    """The store itself, at 90% of its memory: alerts are refused with 503."""
    INCIDENTS = "incidents"
    """Incidents that wait for a decision: they stay due in the store, and the next look finds them."""
    LANES = "lanes"
    """Effects that wait for a seat: they stay due in the store, and the next look finds them."""
    BLIND_INCIDENTS = "blind_incidents"
    """Incidents remembered for blind mode: what matters least is left out, and stays with Alertmanager."""
    BLIND_ALERTS = "blind_alerts"
    """Alerts remembered for blind mode: left out, and stay with Alertmanager."""
    BLIND_MESSAGES = "blind_messages"
    """Messages to be sent from memory: not sent before the store is back."""
    BLIND_ANSWERS = "blind_answers"
    """What people say in blind mode: refused, and the person hears it."""
    CHAT = "chat"
    """Requests from Slack: refused, and the person is asked to try again."""
    SLACK_NOTICES = "slack_notices"
    """Replies in Slack's threads that wait for a turn: left out, since the message itself says how it stands."""
    SLACK_PICTURES = "slack_pictures"
    """Pictures to be shared in Slack: left out."""
    PICTURES = "pictures"
    """Pictures to be drawn: the finding goes without one."""
    QUARANTINE = "quarantine"
    """Bodies that could not be read: the oldest are dropped."""


Spill = Callable[[Overflow], object]
"""Hears of each thing that found no place."""


def unheard(_where: Overflow) -> None:
    """Tell nobody."""
