"""What is not urgent waits for the morning of who would be paged, and is then told to them as one list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from responder.incident.around import Listed, Outline, list_line
from responder.incident.decision import Reason
from responder.incident.draft import Draft
from responder.incident.escalation.who import people_of
from responder.incident.hold import Hold, HoldKind
from responder.incident.outline import morning_of, outline_of
from responder.incident.severity import LEVELS
from responder.incident.state import Waited

#: Incidents that one page tells of, itself included: what fits a message. Of more there is another page.
LIST_SIZE = 20
_NAMES_LIMIT = 200


def night_holds(draft: Draft) -> tuple[Hold, ...]:
    """Wait, while all whom the first page would go to sleep; until the first of them gets up."""
    names = _first_people(draft) if draft.news.outside.around.asleep else ()
    until = all_asleep_until(draft, names)
    if until is None:
        return ()
    by = ", ".join(names)[:_NAMES_LIMIT]
    text = f"{draft.incident.severity} waits for the morning of {by}"
    return (Hold(kind=HoldKind.QUIET_HOURS, by=by, text=text, until=until),)


def all_asleep_until(draft: Draft, names: Sequence[str]) -> datetime | None:
    """When the first of these gets up; ``None`` where one of them is awake, or there is nobody."""
    mornings = [morning_for(draft, name) for name in names]
    found = [one for one in mornings if one is not None]
    return min(found) if found and len(found) == len(names) else None


def morning_for(draft: Draft, name: str) -> datetime | None:
    """When somebody who sleeps now can be paged for this; ``None`` for who does not sleep."""
    at = draft.news.outside.around.asleep.get(name, {}).get(draft.incident.severity)
    return at if at is not None and draft.now < at else None


def _first_people(draft: Draft) -> tuple[str, ...]:
    """Those of the first level that has anybody."""
    contacts = draft.incident.policy.contacts
    people = (people_of(draft, contacts[level]) for level in LEVELS if level in contacts)
    return tuple(person.name for person in next((found for found in people if found), ()))


def wait_over(draft: Draft, before: tuple[Hold, ...]) -> Waited | None:
    """What becomes of an incident whose wait for a morning is over: it tells of the others, or one of them of it."""
    morning = morning_of(before)
    own = outline_of(draft.before)
    if morning is None or own is None or not own.only:
        return Waited(morning=morning) if morning else None
    others = [one for one in draft.news.outside.around.beside if one.morning == morning and one.only]
    group = sorted([own, *(one for one in others if one.id != own.id)], key=lambda one: one.order)
    place = group.index(own)
    first = group[place - place % LIST_SIZE]
    if first is not own:
        draft.note(Reason.LISTED, f"told of in the list of the morning, in the page of incident {first.id}")
        return Waited(morning=morning, listed_in=first.id)
    listed = tuple(_listed(one) for one in group[place + 1 : place + LIST_SIZE])
    if listed:
        draft.note(Reason.LISTED, f"its page tells of {len(listed)} more that waited for the morning")
    return Waited(morning=morning, listed=listed)


def _listed(one: Outline) -> Listed:
    return Listed(one.id, list_line(one.severity, one.service, one.title, one.mark))
