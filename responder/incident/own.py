"""Alerts of our own: no rule takes them, so what they are is said instead of which rule matched."""

from __future__ import annotations

from collections.abc import Mapping

from responder.text import one_line

#: The alert of a sign of life that stayed away.
HEARTBEAT_MISSED = "HeartbeatMissed"
#: The alert of an exercise.
DRILL = "ResponderDrill"
#: How the name of every other one begins.
_NOTICE = "Responder"
_NAME_LIMIT = 100


def own_words(labels: Mapping[str, str]) -> str:
    """What an alert with these labels is, where it is one of our own; empty where it is not."""
    name = labels.get("alertname", "")
    if name == HEARTBEAT_MISSED and "heartbeat" in labels:
        which = one_line(labels["heartbeat"], _NAME_LIMIT)
        return (
            f"our own alert: no sign of life of heartbeat {which} came in time; "
            "severity and service are those of the heartbeat in the configuration, no rule was asked"
        )
    if name == DRILL:
        which = one_line(labels.get("name", ""), _NAME_LIMIT)
        return (
            f"our own drill {which}: an exercise, nothing is broken; "
            "severity and service are those of the drill in the rule files, no rule was asked"
        )
    if name.startswith(_NOTICE):
        return "our own notice about responder itself: it has the default rule's severity, no rule was asked"
    return ""
