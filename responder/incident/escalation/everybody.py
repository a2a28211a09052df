"""Levels on which each person has to acknowledge.

Somebody of the level answers for themselves: they are paged no further, and the incident is acknowledged once all of
the level have answered who could be reached. Anybody else who acknowledges takes the incident for all.
"""

from __future__ import annotations

import msgspec

from responder.incident.draft import Draft
from responder.incident.reach import Person, Reach, is_by
from responder.incident.state import Incident, Triggered


def begun(incident: Incident) -> bool:
    """Whether somebody has acknowledged for themselves in this episode."""
    return any(person.acknowledged_at for reach in incident.episode.reached for person in reach.people)


def has_answered(incident: Incident, name: str) -> bool:
    """Whether a person has acknowledged for themselves, and others have to as well."""
    return isinstance(incident.state, Triggered) and any(
        person.name == name and person.acknowledged_at is not None
        for reach in incident.episode.reached
        for person in reach.people
    )


def asks_each(incident: Incident, reach: Reach) -> bool:
    """Whether each person of a level has to acknowledge."""
    return reach.level in incident.policy.everybody and reach.round > 0


def answer(draft: Draft, by: str) -> str:
    """Take one person's acknowledgement; who has the incident now, or nothing where others have to answer as well."""
    reached = draft.incident.episode.reached
    own = [
        reach
        for reach in reached
        if reach.round > 0 and any(is_by(by, person.name) for person in reach.people)
    ]
    if not own or not all(asks_each(draft.incident, reach) for reach in own):
        return by
    levels = {reach.level for reach in own}
    draft.change_episode(
        reached=tuple(_marked(draft, reach, by) if reach.level in levels else reach for reach in reached)
    )
    return next(
        (who for reach in draft.incident.episode.reached if (who := _all_of(draft.incident, reach))), ""
    )


def answered(incident: Incident) -> str:
    """Who has the incident, where all of a level have answered who could be reached; else nothing."""
    return next((who for reach in incident.episode.reached if (who := _all_of(incident, reach))), "")


def _marked(draft: Draft, reach: Reach, by: str) -> Reach:
    def mark(person: Person) -> Person:
        if person.acknowledged_at is None and is_by(by, person.name):
            return msgspec.structs.replace(person, acknowledged_at=draft.now)
        return person

    return msgspec.structs.replace(reach, people=tuple(mark(person) for person in reach.people))


def _all_of(incident: Incident, reach: Reach) -> str:
    """The names of those who answered, where nobody is waited for any more.

    Who answered before the level was reached did not answer for it: somebody of it has to.
    """
    if not asks_each(incident, reach) or reach.waits_for:
        return ""
    names = [person.name for person in reach.people if person.acknowledged_at is not None]
    here = any(person.acknowledged_at and person.acknowledged_at >= reach.at for person in reach.people)
    return ", ".join(names) if here else ""


def waiting_for(incident: Incident) -> tuple[str, ...]:
    """Who has to acknowledge still, on the levels reached in this episode."""
    names = [
        name for reach in incident.episode.reached if asks_each(incident, reach) for name in reach.waits_for
    ]
    return tuple(dict.fromkeys(names))
