"""Who stands behind a name of the matrix, and over which channels each of them can be reached."""

from __future__ import annotations

from datetime import datetime

from responder.incident.draft import Draft
from responder.incident.policy import ChannelStep
from responder.incident.reach import Person

#: People of one level; a schedule that names more is cut, and the time line says so.
PEOPLE_LIMIT = 20


def people_of(draft: Draft, contact: str) -> tuple[Person, ...]:
    """The people whom the name stands for now, each once, with their plans; nobody where nobody is on call."""
    names = tuple(dict.fromkeys(draft.news.outside.on_call.people.get(contact, (contact,))))
    acknowledged = _acknowledged(draft)
    return tuple(
        Person(name=name, plan=_plan(draft, name, contact), acknowledged_at=acknowledged.get(name))
        for name in names[:PEOPLE_LIMIT]
    )


def left_out(draft: Draft, contact: str) -> int:
    """How many people of the name are beyond the bound."""
    return max(len(set(draft.news.outside.on_call.people.get(contact, ()))) - PEOPLE_LIMIT, 0)


def _plan(draft: Draft, name: str, contact: str) -> tuple[ChannelStep, ...]:
    """A person's channels; who is not known at all is reached over those of the matrix's name."""
    known = draft.incident.policy.channels
    plans = known.get(name) or draft.news.outside.on_call.plans.get(name) or known.get(contact) or {}
    return plans.get(draft.incident.severity, ())


def _acknowledged(draft: Draft) -> dict[str, datetime]:
    """Who has acknowledged in this episode already: they are not paged on a later level either."""
    return {
        person.name: person.acknowledged_at
        for reach in draft.incident.episode.reached
        for person in reach.people
        if person.acknowledged_at is not None
    }
