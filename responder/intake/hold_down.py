"""What was inhibited a moment ago and is sent now waits for the next comparison; what is urgent never does.

An Alertmanager that was restarted or reloaded sends alerts that it inhibits again as soon as it has heard of what
inhibits them. And a daemon that was restarted does not know yet whether what it was told before still holds.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from responder.alerts import fingerprint
from responder.incident.hold import Hold, HoldKind
from responder.incident.state import Incident

_UNCONFIRMED = "it was inhibited when Alertmanager was last asked; waiting for the next comparison"


class HoldDown:
    """Asked at each decision, answered from memory."""

    def __init__(self, span: timedelta) -> None:
        """``span``: how long anything is held back for this at the most."""
        self._span = span
        self._started: datetime | None = None
        self._compared = False
        self._inhibited: frozenset[str] = frozenset()

    def learn(self, now: datetime, compared_at: datetime | None, inhibited: frozenset[str]) -> None:
        """What is known at ``now``: when the last comparison was made, and what was inhibited then."""
        self._started = self._started or now
        self._compared = compared_at is not None and compared_at >= self._started
        self._inhibited = inhibited

    def holds(self, incident: Incident, now: datetime) -> tuple[Hold, ...]:
        """The reason to wait, where there is one: from the first question on, should no comparison ever be made."""
        if incident.severity.urgent:
            return ()
        self._started = self._started or now
        until = self._until(incident, self._started)
        if until is None or now >= until:
            return ()
        return (Hold(kind=HoldKind.INHIBITION, by="last comparison", text=_UNCONFIRMED, until=until),)

    def _until(self, incident: Incident, started: datetime) -> datetime | None:
        if incident.muted:
            inhibited = any(hold.kind is HoldKind.INHIBITION for hold in incident.muted)
            return started + self._span if inhibited and not self._compared else None
        if self._inhibited and fingerprint(incident.labels) in self._inhibited:
            return incident.episode.began_at + self._span
        return None
