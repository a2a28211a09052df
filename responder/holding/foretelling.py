"""What would hold the pages of an alert back at a time: for explanations, without any incident."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from responder.holding.nights import asleep
from responder.incident.hold import Hold, HoldKind
from responder.incident.maintenance import MaintenanceWindow
from responder.incident.reach import OnCall
from responder.incident.severity import LEVELS
from responder.rules.compile import Compiled
from responder.rules.explain import Who
from responder.rules.model import Verdict


def foretelling(
    rules: Compiled, windows: Iterable[MaintenanceWindow], who: Who, at: datetime
) -> Callable[[Verdict, Mapping[str, str]], Sequence[Hold]]:
    """A question for :func:`responder.rules.explain.explain`: windows that run at the time, and the night then."""

    def would_hold(verdict: Verdict, labels: Mapping[str, str]) -> Sequence[Hold]:
        found = [
            window.hold(stretch)
            for window in windows
            if window.concerns(labels, verdict.service) and (stretch := window.when.at(at)) is not None
        ]
        return [*found, *_night(rules, verdict, who, at)]

    return would_hold


def _night(rules: Compiled, verdict: Verdict, who: Who, at: datetime) -> list[Hold]:
    contacts = rules.policy(verdict.service).contacts
    people = {name: tuple(found) for name, found in who(tuple(contacts.values())).items()}
    names = [contacts[level] for level in LEVELS if level in contacts]
    first = next((name for name in names if people.get(name, (name,))), None)
    if first is None:
        return []
    found = asleep(rules, [first], OnCall(people=people), at)
    mornings = [found.get(one, {}).get(verdict.severity) for one in people.get(first, (first,))]
    known = [one for one in mornings if one is not None]
    if len(known) < len(mornings):
        return []
    text = f"{verdict.severity} waits for the morning of {', '.join(people.get(first, (first,)))}"
    return [Hold(kind=HoldKind.QUIET_HOURS, by=first, text=text, until=min(known))]
