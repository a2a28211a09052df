"""So that a storm is one page to a person: before a page leaves, it is asked whether it rings by itself or with a digest.

A P1 never asks, and neither does a drill. Where the store does not answer at once, the page leaves (a P3 or P4 asks for a few
seconds before it does) and says so in the time line: a bound that could keep somebody from hearing of an incident would be
worse than none. Whether the digest's own page really reached the person is
read from its incident each time; where it did not, another one becomes the digest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
import structlog

from responder.durations import format_duration
from responder.engine.outbox import Done
from responder.incident.digest import Digest, present
from responder.incident.digest_facts import DigestBegan, IncidentFolded
from responder.incident.effects import SendMessage
from responder.incident.facts import MessageDelivered, MessageWaits
from responder.incident.likeness import own_mark, shown_kind
from responder.incident.message import MessageKind, Wanted
from responder.incident.policy import ChannelStep
from responder.incident.severity import Severity
from responder.incident.state import Incident, Page, PageStatus
from responder.paging.told import (
    ASK_LIMIT,
    PATIENCE,
    Observe,
    Perform,
    Told,
    counts_as_delivered,
    pages_to,
    told_by_page,
)
from responder.store.digests import Answer, Bounds, Carry, Fold, Ring, Wait
from responder.store.errors import StoreError
from responder.store.loaded import Attempt
from responder.store.store import Recorded

log = structlog.get_logger(__name__)

#: What is not urgent asks again for so long before it leaves unasked.
ASK_PATIENCE = timedelta(seconds=5)
#: The page to a person of what carries for somebody else is waited for so long: their levels come at about the same time.
SHARED_PATIENCE = timedelta(seconds=5)
_LOOK_SOON = timedelta(milliseconds=400)
_LOOK_AGAIN = timedelta(seconds=1)
_LONGEST_LOOK = timedelta(seconds=10)
#: Digests that are looked at before a page leaves; more people than this are on no three levels.
_DIGESTS_TRIED = 64
_PAGES = frozenset({MessageKind.PAGE, MessageKind.REMINDER})


class Book(Protocol):
    """What is read of other incidents, and recorded in them. Every call raises ``StoreError`` where the store is away."""

    async def snapshot(self, incident_id: str) -> Incident | None:
        """An incident as it is now; ``None`` where that cannot be read."""
        ...

    async def record(self, incident_id: str, fact: IncidentFolded) -> Recorded:
        """Record a fact in one."""
        ...


class Gate(Protocol):
    """Who says whether a page rings by itself: the store, or in its absence the memory."""

    bounds: Bounds

    async def ask(
        self,
        incident: Incident,
        contact: str,
        *,
        deaf: Collection[str] = (),
        never_rang: bool = False,
        unfit: Collection[str] = (),
    ) -> Answer:
        """What is to be done with a page to a contact. Raises ``StoreError`` where the store is away."""
        ...


class Bundles:
    """Stands before the delivery of messages."""

    def __init__(self, deliver: Perform, digests: Gate, book: Book, observe: Observe) -> None:
        self._deliver = deliver
        self._digests = digests
        self._book = book
        self._observe = observe

    async def perform(self, attempt: Attempt) -> Done:
        """Deliver a message, unless it is told with a digest, or is to be in the next one."""
        effect, incident = attempt.effect, attempt.snapshot
        if not isinstance(effect, SendMessage) or incident is None or not self._asks(effect, incident):
            return await self._deliver(attempt)
        try:
            async with asyncio.timeout(ASK_LIMIT):
                done = await self._asked(effect, incident, attempt)
        except (StoreError, TimeoutError) as error:
            if _can_ask_again(incident, attempt):
                return Done(retry_in=_LOOK_AGAIN, begun=False)
            log.warning(
                "cannot ask for a digest; it is sent", page=effect.page, error=str(error) or "time-out"
            )
            return await self._unasked(effect, attempt)
        except Exception:  # whatever is wrong with what bounds pages, the page leaves
            log.exception("asking for a digest failed; it is sent", page=effect.page)
            return await self._unasked(effect, attempt)
        if isinstance(done, Carry):
            return await self._carry(effect, incident, attempt)
        return done if done is not None else await self._deliver(attempt)

    def _asks(self, effect: SendMessage, incident: Incident) -> bool:
        return (
            self._digests.bounds.after > 0
            and effect.kind in _PAGES
            and effect.wanted is Wanted.UNACKNOWLEDGED
            and incident.severity is not Severity.P1
            and not incident.drill
            and not incident.canary
            and not _is_asked_for(effect, incident)
        )

    async def _unasked(self, effect: SendMessage, attempt: Attempt) -> Done:
        """It is sent, and whoever looks for why it was not told with a digest finds that."""
        done = await self._deliver(attempt)
        facts = [
            msgspec.structs.replace(one, unasked=True) if isinstance(one, MessageDelivered) else one
            for one in done.facts
        ]
        if any(isinstance(one, MessageDelivered) for one in facts):
            self._observe(effect.channel, "unasked")
        return msgspec.structs.replace(done, facts=facts)

    async def _asked(self, effect: SendMessage, incident: Incident, attempt: Attempt) -> Done | Carry | None:
        """What came of it instead of a page of its own; ``None`` where it is to have one."""
        deaf: list[str] = []
        unfit: list[str] = []
        never_rang = False
        for _ in range(_DIGESTS_TRIED):
            answer = await self._digests.ask(
                incident, effect.contact, deaf=deaf, never_rang=never_rang, unfit=unfit
            )
            if not isinstance(answer, Fold):
                return self._not_folded(answer, effect, attempt)
            told = await self._told(answer, effect, incident)
            if told is None:
                unfit.append(answer.into)
                continue
            if told is Told.YES:
                return await self._folded(answer, effect, incident, attempt)
            if told is Told.NOT_YET and _is_patient(answer, attempt):
                return _not_yet(answer, effect, attempt)
            deaf.append(answer.into)
            never_rang = told is Told.NO and answer.carries_for is not None
        return None

    def _not_folded(self, answer: Answer, effect: SendMessage, attempt: Attempt) -> Done | Carry | None:
        match answer:
            case Wait(how_long):
                return _waiting(effect, attempt, attempt.at + how_long, how_long)
            case Carry():
                return answer
            case Ring(new=True):
                log.info("a new kind breaks through a digest", incident=effect.incident, to=effect.contact)
        return None

    async def _told(self, answer: Fold, effect: SendMessage, incident: Incident) -> Told | None:
        """Whether the digest's own page has reached the person; ``None`` where it is no page to be told this with."""
        other = await self._book.snapshot(answer.into)
        if other is None:
            return Told.NO
        pages = pages_to(other, effect.contact)
        same = bool(_plans(other, effect.contact) & _plans(incident, effect.contact)) or not pages
        channel = "" if same else effect.channel
        if incident.severity.worse_than(other.severity) or not (same or _goes_over(pages, channel)):
            return None
        told = told_by_page(other, effect.contact, channel)
        return None if told is Told.YES and _is_mute(pages) else told

    async def _folded(self, answer: Fold, effect: SendMessage, incident: Incident, attempt: Attempt) -> Done:
        """It counts as delivered once the incident that carries it knows of it: nothing is left out of the digest."""
        folded = IncidentFolded(
            at=answer.at,
            incident=effect.incident,
            contact=effect.contact,
            line=answer.line,
            service=incident.service,
            severity=incident.severity,
            count=answer.count,
            over=answer.over,
            kind=shown_kind(incident),
            alike=answer.alike,
            mark=own_mark(incident),
        )
        recorded = await self._book.record(answer.into, folded)
        if recorded.outcome != "ok":
            return Done(retry_in=_LOOK_AGAIN, begun=False)
        self._observe(effect.channel, "folded")
        return counts_as_delivered(effect, attempt, answer.at, answer.into)

    async def _carry(self, effect: SendMessage, incident: Incident, attempt: Attempt) -> Done:
        """Its page says that it is a digest, and the incident knows it no later than that the page arrived."""
        bounds = self._digests.bounds
        now = attempt.at
        why = (
            f"more than {bounds.after} incidents within {format_duration(bounds.within)} for {effect.contact}"
        )
        digest = present(incident.digest) or Digest(began_at=now, why=why)
        others = tuple(name for name in digest.contacts if name != effect.contact)
        theirs = msgspec.structs.replace(digest, why=why, contacts=(effect.contact, *others))
        shown = msgspec.structs.replace(incident, digest=theirs)
        done = await self._deliver(msgspec.structs.replace(attempt, snapshot=shown))
        if effect.contact in digest.contacts or not done.facts:
            return done
        began = DigestBegan(at=now, contact=effect.contact, why=why)
        return msgspec.structs.replace(done, facts=(began, *done.facts))


def _goes_over(pages: list[Page], channel: str) -> bool:
    """Whether a digest went over the channel over which a page would; by the same plan both go as far as is needed."""
    return any(page.channel == channel and page.live for page in pages)


def _is_mute(pages: list[Page]) -> bool:
    """Whether the last news of a digest did not get through: then what is told with it now would not either."""
    reached = [page for page in pages if page.status is PageStatus.DELIVERED and not page.told_in]
    return all(page.mute for page in reached)


def _plans(incident: Incident, contact: str) -> set[tuple[ChannelStep, ...]]:
    """Over what a person is paged for an incident, by the plans of the levels that were reached."""
    return {
        person.plan for reach in incident.episode.reached for person in reach.people if person.name == contact
    }


def _is_asked_for(effect: SendMessage, incident: Incident) -> bool:
    """Whether a person wanted the level to be paged now: that is not told with something else."""
    return any(reach.asked and reach.level is effect.level for reach in incident.episode.reached)


def _can_ask_again(incident: Incident, attempt: Attempt) -> bool:
    """A moment later the store may have caught up, after a restart for instance."""
    return not incident.severity.urgent and attempt.waited < ASK_PATIENCE


def _is_patient(answer: Fold, attempt: Attempt) -> bool:
    """In doubt the digest's page is waited for, but not for long; somebody else's for a moment only."""
    if answer.carries_for is not None:
        return answer.carries_for < PATIENCE
    return attempt.waited < SHARED_PATIENCE


def _not_yet(answer: Fold, effect: SendMessage, attempt: Attempt) -> Done:
    """Look again soon, and less often the longer it takes: there may be hundreds that wait for the same page."""
    age = answer.carries_for
    if age is None or age < SHARED_PATIENCE:
        return Done(retry_in=_LOOK_SOON, begun=False)
    until = attempt.at + PATIENCE - age
    return _waiting(effect, attempt, until, min(_LOOK_AGAIN + age / 4, _LONGEST_LOOK), answer.into)


def _waiting(
    effect: SendMessage, attempt: Attempt, until: datetime, retry_in: timedelta, carrier: str = ""
) -> Done:
    """Put off, which is said once: it is not the channel that is slow."""
    now, page = attempt.at, _page(effect, attempt)
    known = page is not None and page.waits_until is not None and now <= page.waits_until
    waits = MessageWaits(at=now, page=effect.page, kind=effect.kind, until=until, carrier=carrier)
    return Done(facts=() if known else (waits,), retry_in=retry_in, begun=False)


def _page(effect: SendMessage, attempt: Attempt) -> Page | None:
    pages = attempt.snapshot.pages if attempt.snapshot is not None else ()
    return next((page for page in pages if page.id == effect.page), None)
