"""Who sleeps: on whose wall each person lives, and whether that shows a quiet hour."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo

from responder.incident.around import Asleep
from responder.incident.reach import OnCall
from responder.incident.severity import Severity
from responder.oncall.quiet import morning
from responder.rules.compile import Compiled


def asleep(rules: Compiled, names: Iterable[str], on_call: OnCall, now: datetime) -> Asleep:
    """The people behind names of the matrix who sleep now, for which severity, and until when."""
    found: dict[str, dict[Severity, datetime]] = {}
    known: dict[tuple[tzinfo, Severity], datetime | None] = {}
    for name in names:
        for person in on_call.people.get(name, (name,)):
            for severity, quiet in rules.quiet_hours.items():
                zone = rules.zones.get(person) or rules.zones.get(name) or quiet.zone
                if zone is None:
                    continue
                key = (zone, severity)
                if key not in known:
                    known[key] = morning(quiet.windows, now, zone)
                if (until := known[key]) is not None:
                    found.setdefault(person, {})[severity] = until
    return found
