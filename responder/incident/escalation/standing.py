"""Who stands by an acknowledgement: whom to remind of it."""

from __future__ import annotations

from collections.abc import Iterable

from responder.incident.draft import Draft
from responder.incident.reach import Person, Reach, contact_names, is_by
from responder.incident.severity import LEVELS, Level


def stands_by(draft: Draft) -> Reach:
    """Who acknowledged, with their channels, as on the level where they were paged.

    Somebody who was not paged is looked up among the contacts; where there is no such contact (a name typed into the
    console), all who were paged in this episode are meant.
    """
    incident = draft.incident
    paged = [(reach, person) for reach in incident.episode.reached for person in reach.people]
    own = [pair for pair in paged if is_by(incident.acknowledged_by, pair[1].name)]
    each = [pair for pair in paged if pair[1].acknowledged_at is not None]
    found = own[:1] or each or _contact(draft) or paged
    level = found[0][0].level if found else _first_level(draft)
    return Reach(
        level=level, contact=incident.acknowledged_by, at=draft.now, people=_fresh(p for _, p in found)
    )


def _contact(draft: Draft) -> list[tuple[Reach, Person]]:
    incident = draft.incident
    for name in contact_names(incident.acknowledged_by):
        plans = draft.news.outside.on_call.plans.get(name) or incident.policy.channels.get(name)
        if plans:
            reach = Reach(level=_first_level(draft), contact=name, at=draft.now)
            return [(reach, Person(name=name, plan=plans.get(incident.severity, ())))]
    return []


def _first_level(draft: Draft) -> Level:
    return next((level for level in LEVELS if level in draft.incident.policy.contacts), Level.PRIMARY)


def _fresh(people: Iterable[Person]) -> tuple[Person, ...]:
    """Each person once, with nothing tried yet."""
    plans = {person.name: person.plan for person in people}
    return tuple(Person(name=name, plan=plan) for name, plan in plans.items())
