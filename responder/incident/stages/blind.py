"""Beside stage 1: what a replica did from memory while the store was away counts as done.

The levels that it reached are reached, what it delivered is delivered, and what people said to it is heard: nobody is
paged a second time for it. A report that comes twice changes nothing. Whoever was paged under another id hears under
that one how it ends, whatever else has come of the incident.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from responder.incident.decision import Escalated, Reason
from responder.incident.draft import Draft
from responder.incident.escalation.channels import kept
from responder.incident.facts import Fact, PagedBlind
from responder.incident.reach import Reach
from responder.incident.severity import LEVELS
from responder.incident.state import Episode, Page, PageStatus


def with_answers(facts: Sequence[Fact]) -> Sequence[Fact]:
    """The facts, with what people said while the store was away in its place among them."""
    if not any(isinstance(one, PagedBlind) for one in facts):
        return facts
    return tuple(
        fact for one in facts for fact in (one, *(one.answers if isinstance(one, PagedBlind) else ()))
    )


def take(draft: Draft) -> None:
    """Take each report."""
    for one in draft.news.facts:
        if isinstance(one, PagedBlind):
            _take(draft, one)


def _take(draft: Draft, one: PagedBlind) -> None:
    new = _news(draft, one)
    if not new and not one.answers and (one.pages or not one.born):
        return None
    for page in new:
        text = f"{page.level} {page.contact} over {page.channel}: {page.status}"
        draft.note(
            Reason.PAGED_BLIND,
            f"the store was away, {one.replica} paged {text}",
            at=page.settled_at or one.at,
        )
    if not new and one.answers:
        draft.note(Reason.PAGED_BLIND, f"the store was away, {one.replica} took answers", at=one.at)
    number = draft.incident.episode.number
    if one.episode > number and draft.incident.open:
        _begin(draft, one)
    elif number != one.episode and not (one.born and number != draft.before.episode.number):
        return _keep(draft, new, one, aside=True)  # something else is going on by now
    if not draft.incident.open:
        return _keep(draft, new, one, aside=True)
    if draft.news.opened and one.born and one.opened_at < draft.incident.opened_at:
        draft.change(
            opened_at=one.opened_at, respond_by=one.opened_at + draft.incident.promise.respond_within
        )
        draft.change_episode(began_at=one.began_at)
    _reach(draft, one)
    _keep(draft, new, one)
    return None


def _begin(draft: Draft, one: PagedBlind) -> None:
    """It began anew meanwhile (it fired again, rose, or nothing held it back any more), and was paged for that already.

    The episode's number names its pages: it must not be given to a later one.
    """
    if one.severity is not None:
        draft.change(severity=min(one.severity, draft.incident.severity))
    draft.change(
        episode=Episode(
            number=one.episode, began_at=one.began_at, cause="it began anew while the store was away"
        ),
        respond_by=one.began_at + draft.incident.promise.respond_within,
        holds=(),
    )


def _news(draft: Draft, one: PagedBlind) -> list[Page]:
    """The pages of which the incident does not know yet what became of them."""
    known = {page.id: page.status for page in draft.incident.pages}
    return [page for page in one.pages if known.get(page.id, PageStatus.PENDING) is PageStatus.PENDING]


def _reach(draft: Draft, one: PagedBlind) -> None:
    episode = draft.incident.episode
    known = {reach.level for reach in episode.reached}
    reached = _further((*episode.reached, *one.reached))
    times = [at for at in (episode.round_at, one.round_at) if at is not None]
    draft.change_episode(
        reached=reached, round=max(episode.round, one.round), round_at=max(times, default=None)
    )
    for reach in reached:
        if reach.level not in known and reach is not reached[0]:
            draft.measure(Escalated(reach.level))


def _further(reached: Iterable[Reach]) -> tuple[Reach, ...]:
    """One of each level: the one that has come further."""
    best: dict[str, Reach] = {}
    for reach in reached:
        before = best.get(reach.level)
        if before is None or _progress(reach) > _progress(before):
            best[reach.level] = reach
    return tuple(best[level] for level in LEVELS if level in best)


def _progress(reach: Reach) -> tuple[int, int]:
    return reach.round, sum(len(person.tried) for person in reach.people)


def _keep(draft: Draft, new: Sequence[Page], one: PagedBlind, *, aside: bool = False) -> None:
    """Keep its pages: of the present episode, or ``aside`` of it, so that who got them hears of the end."""
    number = draft.incident.episode.number
    for page in new:
        settled = page if aside else msgspec.structs.replace(page, episode=number)
        if aside or one.incident != draft.incident.id:
            settled = msgspec.structs.replace(settled, known_as=settled.known_as or one.incident)
        if any(old.id == page.id for old in draft.incident.pages):
            draft.set_page(settled)
        else:
            draft.change(pages=kept((*draft.incident.pages, settled), draft.incident))
            draft.came_late.add(page.id)
    for page in draft.incident.pages:
        if one.updates.get(page.id, 0) > page.updates:  # what follows is named by its number
            draft.set_page(msgspec.structs.replace(page, updates=one.updates[page.id]))
    draft.noticed.update(one.noticed)
    delivered = [page.settled_at for page in new if page.status is PageStatus.DELIVERED and page.settled_at]
    if delivered:
        draft.paged_first(min(delivered))
