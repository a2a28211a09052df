"""Whether something that a service stands on is paged already, so that this one need not be.

An incident that was not paged yet is attached to one beneath it that is, and that is at least as severe: a P1 never waits
for what is less than a P1. For the order of arrival a page waits a moment to see whether something beneath comes as well;
that of a P1 does not. A drill stands on nothing: it is to reach a person, and what is in earnest never hears of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from responder.durations import format_duration
from responder.incident.around import Outline
from responder.incident.decision import Reason
from responder.incident.draft import Draft
from responder.incident.hold import Hold, HoldKind
from responder.incident.severity import Severity

#: What a page waits for before anything beneath is known to be paged; else ``by`` is the incident beneath.
ARRIVAL = "order of arrival"


def dependency_holds(draft: Draft) -> tuple[Hold, ...]:
    """The one reason to wait that there is, if any."""
    incident = draft.incident
    known = next((hold for hold in incident.holds if hold.kind is HoldKind.DEPENDENCY), None)
    if incident.drill or (known is None and incident.episode.reached):
        return ()  # it is to reach a person, or its people were paged already: they are not left alone with it
    if known is not None and known.by == ARRIVAL and (incident.episode.reached or incident.episode.hurried):
        return ()  # a person will not wait, or it was paged from memory
    if carried := carried_by(draft.news.outside.around.beneath, incident.service, incident.severity):
        return carried
    if incident.severity is Severity.P1:
        return ()
    if known is None:
        return _arrival(draft)
    return (known,) if known.by == ARRIVAL and not known.over(draft.now) else ()


def carried_by(beneath: Iterable[Outline], service: str, severity: Severity) -> tuple[Hold, ...]:
    """The reason to wait for something of a service that was not paged yet; ``beneath`` in their order."""
    carrier = next((one for one in beneath if _carries(one, severity)), None)
    return (_attached_to(carrier, service),) if carrier is not None else ()


def attached_to(holds: tuple[Hold, ...]) -> str:
    """The id of the incident that these attach to; nothing where they do not."""
    return next((one.by for one in holds if one.kind is HoldKind.DEPENDENCY and one.by != ARRIVAL), "")


def _carries(beneath: Outline, severity: Severity) -> bool:
    return beneath.pages and not severity.worse_than(beneath.severity)


def _attached_to(beneath: Outline, service: str) -> Hold:
    since = f"{beneath.opened_at:%Y-%m-%d %H:%M} UTC"
    paging = f"{beneath.severity} incident {beneath.id}, paging since {since}"
    return Hold(
        kind=HoldKind.DEPENDENCY,
        by=beneath.id,
        text=f"{service} depends on {beneath.service}, which has an incident already ({paging})",
    )


def _arrival(draft: Draft) -> tuple[Hold, ...]:
    """Wait a moment, where it has just begun to fire."""
    length = draft.news.outside.around.hold_down
    if not length or not (draft.news.opened or Reason.REOPENED_BY_FIRING in draft.why):
        return ()
    text = f"it waits {format_duration(length)}, to see whether something that {draft.incident.service} depends on fires as well"
    return (Hold(kind=HoldKind.DEPENDENCY, by=ARRIVAL, text=text, until=draft.now + length),)
