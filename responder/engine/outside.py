"""What is true outside an incident at the time of a decision, asked of whoever knows it, and never in the way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog

from responder.engine.on_call import WhoIsOnCall, names_only, on_call_at
from responder.incident.draft import Outside
from responder.incident.hold import Hold
from responder.incident.state import Incident
from responder.rules.model import RuleSet
from responder.store.loaded import Loaded

log = structlog.get_logger(__name__)

#: What holds an incident's pages back at a time: windows, dependencies, the night.
WhatHolds = Callable[[Incident, datetime], tuple[Hold, ...]]


def nothing_holds(_incident: Incident, _now: datetime) -> tuple[Hold, ...]:
    """Where nothing is configured that could."""
    return ()


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to ask: who is on call, and what holds pages back."""

    on_call: WhoIsOnCall = names_only
    holds: WhatHolds = nothing_holds

    def at(self, rules: RuleSet, incident: Incident, loaded: Loaded) -> Outside:
        """The answers, with the store's time. Where one cannot be given, rather a page too many than one too few."""
        return Outside(
            on_call=on_call_at(self.on_call, rules, incident, loaded), holds=self._holds(incident, loaded.now)
        )

    def _holds(self, incident: Incident, now: datetime) -> tuple[Hold, ...]:
        try:
            return self.holds(incident, now)
        except Exception:  # whatever is wrong there, it holds nothing back
            log.exception("cannot tell what holds pages back; nothing does", incident=incident.id)
            return ()
