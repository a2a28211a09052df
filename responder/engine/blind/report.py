"""What a replica tells the store of one incident once it is back: what was done, and what people said. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime

import msgspec

from responder.engine.blind.item import Heard, Item
from responder.incident.asking import told_in
from responder.incident.facts import PagedBlind
from responder.incident.ids import derive
from responder.incident.reach import Person, Reach
from responder.incident.state import Incident, PageStatus, Triggered
from responder.store.store import AlertWrite


def report_of(item: Item, replica: str, at: datetime) -> PagedBlind | None:
    """What is to be told once the store is back; ``None`` where nothing was done.

    What only a digest from memory has told of is left to the store, as if nobody had been.
    """
    if item.incident is None:
        return None
    known, anew = item.known, told_here(item)
    incident = _untold(item.incident, anew)
    before = {page.id: page.status for page in known.pages} if known is not None else {}
    pages = tuple(
        page
        for page in incident.pages
        if page.status is not PageStatus.PENDING
        and before.get(page.id, PageStatus.PENDING) is PageStatus.PENDING
    )
    if not pages and not item.answers and not anew:
        return None
    episode = incident.episode
    return PagedBlind(
        at=at,
        id=derive("blind", replica, item.id, at.isoformat()),
        replica=replica,
        born=bool(item.members),
        opened_at=incident.opened_at,
        episode=episode.number,
        began_at=episode.began_at,
        round=episode.round,
        round_at=episode.round_at,
        reached=tuple(_settled(incident, reach) for reach in episode.reached if _has_begun(incident, reach)),
        pages=pages,
        updates={page.id: page.updates for page in incident.pages if page.updates},
        noticed=tuple(item.noticed),
        answers=tuple(item.answers),
        incident=item.id,
        severity=incident.severity if item.under_way else None,
    )


def told_here(item: Item) -> frozenset[str]:
    """The incidents whose digests told of it from memory, and of it nobody has taken; the store does not know them."""
    if item.incident is None or not isinstance(item.incident.state, Triggered):
        return frozenset()
    before = told_in(item.known) if item.known is not None else ()
    return frozenset(told_in(item.incident)) - set(before)


def _untold(incident: Incident, carriers: Container[str]) -> Incident:
    pages = tuple(
        msgspec.structs.replace(page, status=PageStatus.PENDING, settled_at=None, told_in="")
        if page.told_in in carriers
        else page
        for page in incident.pages
    )
    return msgspec.structs.replace(incident, pages=pages)


def _has_begun(incident: Incident, reach: Reach) -> bool:
    """Whether somebody of a level was tried; a level whose pages all wait is left to the store."""
    if reach.exhausted:
        return True
    return any(_tried(incident, reach, person) for person in reach.people)


def _settled(incident: Incident, reach: Reach) -> Reach:
    """The level without the channels whose pages wait still: they are tried again, with the same ids."""
    people = tuple(
        msgspec.structs.replace(person, tried=_tried(incident, reach, person), acknowledged_at=None)
        for person in reach.people
    )
    return msgspec.structs.replace(reach, people=people)


def _tried(incident: Incident, reach: Reach, person: Person) -> tuple[int, ...]:
    waiting = {
        page.step
        for page in incident.pages
        if page.status is PageStatus.PENDING
        and (page.episode, page.round, page.level, page.contact)
        == (incident.episode.number, reach.round, reach.level, person.name)
    }
    return tuple(step for step in person.tried if step not in waiting)


def writes_of(members: Iterable[Heard]) -> list[AlertWrite]:
    """How they are written once the store is back: what has resolved meanwhile has fired before."""
    found: list[AlertWrite] = []
    for one in members:
        fingerprint, _, starts, ends, rank, key, opening, body = one.write
        found.append((fingerprint, "F", starts, 0, rank, key, opening, body))
        if not one.firing:
            found.append((fingerprint, "R", starts, ends, 4, "", "", ""))
    return found


def renamed(incident: Incident, to: str) -> Incident:
    """The incident as the store names it; those who were paged go on to know it by its own id."""
    if incident.id == to:
        return incident
    pages = tuple(
        msgspec.structs.replace(page, known_as=page.known_as or incident.id) for page in incident.pages
    )
    return msgspec.structs.replace(incident, id=to, pages=pages)
