"""Which of a person's channels is next, and when.

A plan is cut into runs: the channels from the beginning, and from each ``after`` on. A run begins at its own time,
whatever became of the runs before it; within a run the first channel that delivers suffices, one that fails for good
hands over to the next, and one that does not deliver in time is joined by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

import msgspec

from responder.durations import format_duration
from responder.incident.decision import Reason
from responder.incident.draft import Draft
from responder.incident.effects import SendMessage
from responder.incident.ids import derive
from responder.incident.message import MessageKind, Wanted
from responder.incident.night import morning_for
from responder.incident.policy import ChannelStep
from responder.incident.reach import Person, Reach
from responder.incident.state import Incident, Page, PageStatus

#: Pages that the snapshot keeps; older ones that are settled leave it (the time line keeps them).
PAGES_KEPT = 40
#: Pages of the present round are needed to go on, and stay up to this many.
PAGES_LIMIT = 200


class Wish(msgspec.Struct, frozen=True):
    """What the people of a level are told: a page, or a reminder to who has acknowledged."""

    reach: Reach
    wanted: Wanted = Wanted.UNACKNOWLEDGED

    @property
    def kind(self) -> MessageKind:
        """A page; from the second round on, and after an acknowledgement, a reminder."""
        first = self.reach.round == 1 and self.wanted is Wanted.UNACKNOWLEDGED
        return MessageKind.PAGE if first else MessageKind.REMINDER


def follow(draft: Draft, wish: Wish) -> Reach:
    """Page each person of the level over the channels whose time has come; the level as it is then."""
    people = tuple(
        person if person.exhausted or person.acknowledged_at else _follow_person(draft, wish, person)
        for person in wish.reach.people
    )
    return msgspec.structs.replace(wish.reach, people=people)


def _follow_person(draft: Draft, wish: Wish, person: Person) -> Person:
    if not wish.reach.asked and (morning := morning_for(draft, person.name)) is not None:
        draft.wake(morning)
        return person
    for run in _runs(person.plan):
        due = wish.reach.at + (person.plan[run[0]].after or timedelta(0))
        if draft.now < due:
            draft.wake(due)
            continue
        step = _next_of(draft, wish, person, run)
        if step is not None:
            _ask(draft, wish, person, step)
            person = msgspec.structs.replace(person, tried=(*person.tried, step))
            if step != run[-1]:
                draft.wake(draft.now + draft.incident.policy.channel_patience)
    if len(person.tried) == len(person.plan) and not any(
        page.live for page in pages_to(draft.incident, wish, person)
    ):
        why = "every channel failed" if person.plan else "there is no channel"
        draft.note(
            Reason.PERSON_UNREACHABLE, f"{person.name} ({wish.reach.level}) could not be reached: {why}"
        )
        return msgspec.structs.replace(person, exhausted=True)
    return person


def _runs(plan: Sequence[ChannelStep]) -> Iterator[list[int]]:
    """The numbers of the plan's steps, run by run."""
    run: list[int] = []
    for number, step in enumerate(plan):
        if run and step.after is not None:
            yield run
            run = []
        run.append(number)
    if run:
        yield run


def _next_of(draft: Draft, wish: Wish, person: Person, run: list[int]) -> int | None:
    """The step of a run whose time has come, with the reason told; ``None`` where it is not time, or was enough."""
    following = next((step for step in run if step not in person.tried), None)
    if following is None:
        return None
    if following == run[0]:
        _note_due(draft, wish, person, person.plan[following])
        return following
    pages = {page.step: page for page in pages_to(draft.incident, wish, person) if page.step in run}
    if any(page.status is PageStatus.DELIVERED for page in pages.values()):
        return None
    return following if _has_failed(draft, person, following - 1, pages.get(following - 1)) else None


def _note_due(draft: Draft, wish: Wish, person: Person, step: ChannelStep) -> None:
    if step.after is not None:
        ago = format_duration(step.after)
        draft.note(
            Reason.CHANNEL_DUE, f"{step.channel} for {person.name} ({wish.reach.level}) is due after {ago}"
        )


def _has_failed(draft: Draft, person: Person, step: int, page: Page | None) -> bool:
    """Whether a channel that was tried has failed, or has had its time."""
    channel = person.plan[step].channel
    if page is None or not page.live:
        draft.note(Reason.CHANNEL_FAILED, f"{channel} failed for {person.name}; trying the next one")
        return True
    if page.failover:
        draft.note(
            Reason.CHANNEL_DOWN, f"{channel} is down; trying the next channel of {person.name} as well"
        )
        return True
    begun = max(page.requested_at, page.waits_until or page.requested_at)
    patient_until = begun + draft.incident.policy.channel_patience
    if draft.now >= patient_until:
        text = f"no delivery to {person.name} over {channel} yet; trying the next channel as well"
        draft.note(Reason.CHANNEL_SLOW, text)
        return True
    draft.wake(patient_until)
    return False


def pages_to(incident: Incident, wish: Wish, person: Person) -> tuple[Page, ...]:
    """The pages to a person for this wish."""
    wanted = (incident.episode.number, wish.reach.round, wish.reach.level, person.name, wish.wanted)
    return tuple(
        page
        for page in incident.pages
        if (page.episode, page.round, page.level, page.contact, page.wanted) == wanted
    )


def _ask(draft: Draft, wish: Wish, person: Person, step: int) -> None:
    """Ask for the page, and keep it."""
    incident, reach = draft.incident, wish.reach
    channel = person.plan[step].channel
    page = Page(
        id=derive(incident.id, incident.episode.number, *_name(wish, person, step), *_anew(incident)),
        level=reach.level,
        contact=person.name,
        channel=channel,
        episode=incident.episode.number,
        round=reach.round,
        requested_at=draft.now,
        step=step,
        wanted=wish.wanted,
    )
    draft.change(pages=kept((*incident.pages, page), incident))
    draft.ask(
        SendMessage(
            id=page.id,
            lane=page.id,
            incident=incident.id,
            urgent=incident.severity.urgent,
            episode=page.episode,
            requested_at=draft.now,
            kind=wish.kind,
            page=page.id,
            level=page.level,
            contact=page.contact,
            channel=page.channel,
            wanted=wish.wanted,
            round=page.round,
            listed_in=_listed_in(incident, wish),
        )
    )


def _listed_in(incident: Incident, wish: Wish) -> str:
    """The incident whose page may tell of this one: in the morning for which both have waited, the first page only."""
    episode = incident.episode
    first = wish.kind is MessageKind.PAGE and wish.reach.level is episode.reached[0].level
    return episode.waited.listed_in if first and episode.waited else ""


def _name(wish: Wish, person: Person, step: int) -> tuple[str | int, ...]:
    """What names a page within its episode; a channel that a plan names twice is told apart by its place."""
    what = "page" if wish.wanted is Wanted.UNACKNOWLEDGED else "remind"
    channel = person.plan[step].channel
    again = sum(one.channel == channel for one in person.plan[:step])
    return (what, wish.reach.level, person.name, channel, wish.reach.round, *([again] if again else []))


def _anew(incident: Incident) -> tuple[str, ...]:
    """What tells a page apart from the one in whose place a digest stood that is over."""
    return (f"anew {incident.episode.anew}",) if incident.episode.anew else ()


def kept(pages: tuple[Page, ...], incident: Incident) -> tuple[Page, ...]:
    """The newest pages; what is pending or of the present round stays as long as there is room for it.

    What a later page to the same person over the same channel has replaced goes first: the others still have to be
    told how it ends.
    """
    if len(pages) <= PAGES_KEPT:
        return pages
    present = (incident.episode.number, incident.episode.round)
    latest = {(page.contact, page.channel): page.id for page in pages}
    settled = [
        number
        for number, page in enumerate(pages)
        if page.status is not PageStatus.PENDING and (page.episode, page.round) != present
    ]
    replaced = [n for n in settled if latest[pages[n].contact, pages[n].channel] != pages[n].id]
    gone = next(iter([*replaced, *settled]), 0 if len(pages) > PAGES_LIMIT else None)
    return pages if gone is None else (*pages[:gone], *pages[gone + 1 :])
