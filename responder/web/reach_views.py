"""The people of an incident's levels as the API shows them."""

from __future__ import annotations

import msgspec

from responder.incident.escalation.channels import Wish, pages_to
from responder.incident.escalation.everybody import asks_each
from responder.incident.reach import Person, Reach
from responder.incident.severity import Level
from responder.incident.state import Incident, PageStatus
from responder.web.times import rfc3339, rfc3339_or_none


class PersonView(msgspec.Struct, frozen=True, kw_only=True):
    """One of the people of a level.

    ``channels`` is the plan (``phone after 2m``). ``status``: ``acknowledged`` for themselves, ``unreachable``,
    ``delivered`` where a page arrived, ``pending`` where none has yet, ``waiting`` where none was sent yet, or
    ``earlier`` where it was in the episode before.
    """

    name: str
    channels: tuple[str, ...]
    status: str
    acknowledged_at: str | None


class ReachView(msgspec.Struct, frozen=True, kw_only=True):
    """A level that was reached in this episode; ``people`` is who the row's name ``to`` stood for then."""

    level: Level
    to: str
    at: str
    everybody: bool
    people: tuple[PersonView, ...]


def reach_view(incident: Incident, reach: Reach) -> ReachView:
    """A level and its people."""
    return ReachView(
        level=reach.level,
        to=reach.contact,
        at=rfc3339(reach.at),
        everybody=asks_each(incident, reach),
        people=tuple(
            PersonView(
                name=person.name,
                channels=tuple(str(step) for step in person.plan),
                status=_status(incident, reach, person),
                acknowledged_at=rfc3339_or_none(person.acknowledged_at),
            )
            for person in reach.people
        ),
    )


def _status(incident: Incident, reach: Reach, person: Person) -> str:
    if reach.round == 0:
        return "earlier"
    if person.acknowledged_at is not None:
        return "acknowledged"
    if person.exhausted:
        return "unreachable"
    statuses = {page.status for page in pages_to(incident, Wish(reach), person)}
    if PageStatus.DELIVERED in statuses:
        return "delivered"
    return "pending" if statuses else "waiting"
