"""Who is on call at a decision: asked of whoever knows the schedules, and never in the way of the decision."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

import structlog

from responder.incident.facts import AcknowledgedBy, SnoozedBy
from responder.incident.policy import Plans
from responder.incident.reach import OnCall, contact_names
from responder.incident.severity import Severity
from responder.incident.state import Incident
from responder.rules.model import RuleSet
from responder.store.loaded import Loaded
from responder.text import one_line

log = structlog.get_logger(__name__)

#: Names of the matrix and a time -> the people behind each of them; a name that is left out stands for itself.
WhoIsOnCall = Callable[[Collection[str], datetime], Mapping[str, Sequence[str]]]


def names_only(_names: Collection[str], _now: datetime) -> Mapping[str, Sequence[str]]:
    """Without schedules each name stands for itself."""
    return {}


def on_call_at(who: WhoIsOnCall, rules: RuleSet, incident: Incident, loaded: Loaded) -> OnCall:
    """Who stands behind the incident's row at the time of this decision, with everybody's channels.

    Where that cannot be said, each name stands for itself: somebody is paged in any case.
    """
    names = sorted(set(incident.policy.contacts.values()))
    try:
        people = {name: tuple(found) for name, found in who(names, loaded.now).items()}
        plans = {name: _plans(rules, name) for name in _acknowledgers(rules, incident, loaded)}
        for name, found in people.items():
            plans |= {person: _plans(rules, person, name) for person in found}
        return OnCall(people=people, plans=plans)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the schedules, the matrix's own names are paged
        # Said at every decision until it is mended, and so without a trace.
        why = one_line(f"{type(error).__name__}: {error}", 300)
        log.warning("who is on call is not known; names are paged", incident=incident.id, error=why)
        return OnCall()


def _plans(rules: RuleSet, person: str, stands_for: str = "") -> Plans:
    return {severity: rules.channels_of(person, severity, stands_for) for severity in Severity}


def _acknowledgers(rules: RuleSet, incident: Incident, loaded: Loaded) -> set[str]:
    """Contacts among those who took the incident: they may have to be reminded."""
    signed = [one.by for one in loaded.facts if isinstance(one, (AcknowledgedBy, SnoozedBy))]
    names = {name for by in (incident.acknowledged_by, *signed) for name in contact_names(by)}
    return names & rules.contacts.keys()
