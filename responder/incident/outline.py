"""The outline of an incident: what others need to know of it."""

from __future__ import annotations

from responder.incident.around import Morning, Outline
from responder.incident.dependency import ARRIVAL, attached_to
from responder.incident.hold import Hold, HoldKind
from responder.incident.likeness import own_mark
from responder.incident.state import Acknowledged, Incident, Triggered
from responder.text import one_line

_TITLE_LIMIT = 120


def outline_of(incident: Incident) -> Outline | None:
    """What others need to know; ``None`` where nothing fires, it is over, or it is a drill or our own look at the road.

    Of a drill nobody else hears: nothing in earnest is attached to it, or told with it in the list of a morning. One of
    whose row nobody could be reached carries nobody either: then it is not true that people know of it.
    """
    if incident.canary or incident.drill or not isinstance(incident.state, (Triggered, Acknowledged)):
        return None
    holds = tuple(one for one in incident.holds if one.by != ARRIVAL)
    waited = incident.episode.waited if isinstance(incident.state, Triggered) else None
    morning = morning_of(incident.holds) or (waited.morning if waited else None)
    return Outline(
        id=incident.id,
        service=incident.service,
        severity=incident.severity,
        title=one_line(incident.title, _TITLE_LIMIT),
        mark=own_mark(incident),
        opened_at=incident.opened_at,
        pages=not (holds or _reaches_nobody(incident)),
        morning=morning,
        only=morning is not None and all(one.kind is HoldKind.QUIET_HOURS for one in incident.holds),
        carrier=attached_to(holds) if len(holds) == 1 else "",
    )


def _reaches_nobody(incident: Incident) -> bool:
    return isinstance(incident.state, Triggered) and incident.episode.nobody


def morning_of(holds: tuple[Hold, ...]) -> Morning | None:
    """The morning that these wait for."""
    return next(
        (Morning(one.by, one.until) for one in holds if one.kind is HoldKind.QUIET_HOURS and one.until), None
    )
