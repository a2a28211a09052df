"""When it all begins again: after the last level that one is paged anew, at the pace of the promised response time."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from responder.incident.decision import Reason
from responder.incident.draft import Draft
from responder.incident.escalation.who import people_of
from responder.incident.reach import Reach
from responder.incident.state import Incident

#: Where nobody at all could be reached, the whole row is tried again at least this often.
NOBODY_RETRY = timedelta(minutes=5)


def current(incident: Incident) -> tuple[Reach, ...]:
    """The levels of the present round; earlier rounds and episodes are not followed any more."""
    return tuple(reach for reach in incident.episode.reached if reach.round == incident.episode.round)


def all_failed(incident: Incident) -> bool:
    """Whether nobody of the present round could be reached."""
    reached = current(incident)
    return bool(reached) and all(reach.exhausted for reach in reached)


def last_reached(incident: Incident) -> Reach | None:
    """The last level on which somebody could be reached; the very last where nobody could."""
    reached = incident.episode.reached
    return next(
        (reach for reach in reversed(reached) if not reach.exhausted), reached[-1] if reached else None
    )


def again_at(incident: Incident) -> datetime | None:
    """When the next round begins; ``None`` while there are levels to come."""
    episode = incident.episode
    if incident.next_level is not None or not episode.reached:
        return None
    pace = incident.promise.respond_within
    if all_failed(incident):
        pace = min(pace, NOBODY_RETRY)
    return (episode.round_at or episode.began_at) + pace


def again(draft: Draft) -> bool:
    """Begin another round, where the last one is over and still nobody has answered; whether it was time."""
    incident = draft.incident
    at, last = again_at(incident), last_reached(incident)
    if at is None or last is None or (draft.now < at and not incident.episode.hurried):
        return False
    number = incident.episode.round + 1
    reached: tuple[Reach, ...] = ()
    if not all_failed(incident):
        reached = tuple(_anew(draft, one, number) if one is last else one for one in incident.episode.reached)
    draft.change_episode(round=number, round_at=draft.now, reached=reached, hurried=False, nobody=False)
    draft.note(
        Reason.ROUND_AGAIN, f"round {number}: still unacknowledged; paging again{_whom(reached, number)}"
    )
    return True


def _anew(draft: Draft, reach: Reach, number: int) -> Reach:
    """The level once more, with who is on call by now; with who was, where that is nobody or not known."""
    known = reach.contact in draft.news.outside.on_call.people and people_of(draft, reach.contact)
    people = known or tuple(
        msgspec.structs.replace(person, tried=(), exhausted=False) for person in reach.people
    )
    return msgspec.structs.replace(reach, people=people, at=draft.now, round=number)


def _whom(reached: tuple[Reach, ...], number: int) -> str:
    names = [person.name for reach in reached if reach.round == number for person in reach.people]
    return f": {', '.join(names)}" if names else ""
