"""What is true outside an incident at the time of a decision, asked of whoever knows it, and never in the way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog

from responder.engine.on_call import WhoIsOnCall, names_only, on_call_at
from responder.incident.around import Around
from responder.incident.draft import Outside
from responder.incident.hold import Hold
from responder.incident.reach import OnCall
from responder.incident.state import Incident
from responder.rules.model import RuleSet
from responder.store.loaded import Loaded

log = structlog.get_logger(__name__)

#: What holds an incident's pages back at a time, whatever the incident is about: maintenance windows.
WhatHolds = Callable[[Incident, datetime], tuple[Hold, ...]]
#: What other incidents and the night have to do with one at a time, and with who is on call for it.
WhatIsAround = Callable[[Incident, OnCall, datetime], Around]


def nothing_holds(_incident: Incident, _now: datetime) -> tuple[Hold, ...]:
    """Where nothing is configured that could."""
    return ()


def nothing_is_around(_incident: Incident, _on_call: OnCall, _now: datetime) -> Around:
    """Where an incident is alone, and nobody sleeps."""
    return Around()


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to ask: who is on call, what holds pages back, and what is around."""

    on_call: WhoIsOnCall = names_only
    holds: WhatHolds = nothing_holds
    around: WhatIsAround = nothing_is_around

    def at(self, rules: RuleSet, incident: Incident, loaded: Loaded) -> Outside:
        """The answers, with the store's time. Where one cannot be given, rather a page too many than one too few."""
        on_call = on_call_at(self.on_call, rules, incident, loaded)
        incident = msgspec.structs.replace(incident, totals=loaded.totals)  # with what has come since
        return Outside(
            on_call=on_call,
            holds=self._holds(incident, loaded.now),
            around=self._around(incident, on_call, loaded.now),
        )

    def _holds(self, incident: Incident, now: datetime) -> tuple[Hold, ...]:
        try:
            return self.holds(incident, now)
        except Exception:  # whatever is wrong there, it holds nothing back
            log.exception("cannot tell what holds pages back; nothing does", incident=incident.id)
            return ()

    def _around(self, incident: Incident, on_call: OnCall, now: datetime) -> Around:
        try:
            return self.around(incident, on_call, now)
        except Exception:  # whatever is wrong there, the incident is on its own, and nobody sleeps
            log.exception("cannot tell what is around; nothing is", incident=incident.id)
            return Around()
