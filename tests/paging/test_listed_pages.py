"""Pages that another page tells of, and notices that belong to no incident: nothing is lost, and nothing only rings."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any, ClassVar

import msgspec
import pytest
from stage import START, Play

from responder.engine.outbox import Done
from responder.incident.around import Listed, Morning
from responder.incident.effects import SendMessage, SendNotice
from responder.incident.facts import AcknowledgedBy, MessageDelivered
from responder.incident.hold import Hold, HoldKind
from responder.incident.message import Contact, Message, Receipt, Wanted
from responder.incident.severity import Severity
from responder.incident.state import Incident, PageStatus, Waited
from responder.paging.base import ChannelError
from responder.paging.compose import Words, compose
from responder.paging.listed import ListedPages
from responder.paging.notice_sender import NoticeSender
from responder.paging.told import PATIENCE
from responder.store.errors import StoreError
from responder.store.loaded import Attempt

OWN, OTHER = "a" * 16, "1" * 16
MORNING = Morning("dbteam", START)


def effect(incident: str = OWN, listed_in: str = OTHER) -> SendMessage:
    (found,) = [one for _, one in Play(Severity.P3).effects if isinstance(one, SendMessage)]
    return msgspec.structs.replace(found, incident=incident, listed_in=listed_in)


def other(status: PageStatus | None = PageStatus.DELIVERED, *, lists: bool = True, **more: Any) -> Incident:
    """The incident whose page tells of ours, with what became of that page."""
    incident = Play(Severity.P3).incident
    pages = tuple(msgspec.structs.replace(page, status=status) for page in incident.pages) if status else ()
    listed = (Listed(OWN, "P3 database: the other one"),) if lists else ()
    episode = msgspec.structs.replace(incident.episode, waited=Waited(morning=MORNING, listed=listed))
    return msgspec.structs.replace(incident, pages=pages, episode=episode, **more)


class Desk:
    """Stands behind: what is really delivered, and what the store says of the other incident."""

    def __init__(self, found: Incident | Exception | None) -> None:
        self.found, self.delivered, self.observed = found, 0, list[tuple[str, str]]()
        self.pages = ListedPages(self._deliver, self._snapshot, lambda *what: self.observed.append(what))

    async def _deliver(self, _attempt: Attempt) -> Done:
        self.delivered += 1
        return Done()

    async def _snapshot(self, _incident: str) -> Incident | None:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    async def perform(self, what: SendMessage, waited: timedelta = timedelta(0)) -> Done:
        return await self.pages.perform(
            Attempt(lane="l", token="t", effect=what, number=1, first_at=START, now=START + waited)
        )


async def test_a_page_that_was_delivered_tells_of_the_others_and_they_count_as_delivered() -> None:
    desk = Desk(other())
    done = await desk.perform(effect())
    (fact,) = done.facts
    assert isinstance(fact, MessageDelivered)
    assert (fact.listed_in, fact.told_in) == (OTHER, "")
    assert (desk.delivered, desk.observed) == (0, [("chat", "listed")])


async def test_a_page_that_is_under_way_is_waited_for_but_not_for_long() -> None:
    for found in (other(PageStatus.PENDING), other(None), StoreError("away"), other(holds=held())):
        desk = Desk(found)
        done = await desk.perform(effect())
        assert (done.begun, done.retry_in is not None, desk.delivered) == (False, True, 0)
        await desk.perform(effect(), PATIENCE)
        assert desk.delivered == 1


def held() -> tuple[Hold, ...]:
    return (Hold(kind=HoldKind.QUIET_HOURS, by="dbteam", text="t", until=START),)


@pytest.mark.parametrize(
    "found",
    [
        None,  # it is gone
        other(lists=False),  # it does not list ours
        other(PageStatus.FAILED),
        other(PageStatus.DROPPED),
        msgspec.structs.replace(
            other(), episode=Play(Severity.P3).incident.episode
        ),  # it was paged anew meanwhile
    ],
)
async def test_what_no_page_tells_of_is_paged_by_itself_at_once(found: Incident | None) -> None:
    desk = Desk(found)
    await desk.perform(effect())
    assert desk.delivered == 1


async def test_a_page_to_somebody_else_tells_nobody_of_ours() -> None:
    desk = Desk(other())
    await desk.perform(msgspec.structs.replace(effect(), contact="somebody else"))
    assert desk.delivered == 0  # the other one is triggered: its page to them may be about to be asked for
    await desk.perform(msgspec.structs.replace(effect(), contact="somebody else"), PATIENCE)
    assert desk.delivered == 1


async def test_what_is_not_listed_anywhere_takes_no_look() -> None:
    desk = Desk(AssertionError("asked"))
    await desk.perform(effect(listed_in=""))
    assert desk.delivered == 1


def test_the_page_says_that_it_is_not_all_and_lists_the_rest_within_what_a_channel_takes() -> None:
    incident = other()
    listed = tuple(Listed(f"{n:016x}", f"P3 database: {'long title ' * 6}{n}"[:90]) for n in range(19))
    waited = Waited(morning=MORNING, listed=listed)
    incident = msgspec.structs.replace(
        incident, episode=msgspec.structs.replace(incident.episode, waited=waited), summary="s" * 900
    )
    page = msgspec.structs.replace(effect(), incident=incident.id, wanted=Wanted.UNACKNOWLEDGED)
    message = compose(incident, page, Words(attempt=1, sent_at=START, external_url="http://localhost"))
    assert message.incident.title.endswith("(and 19 more that waited)")
    assert all(f"- {one.line}" in message.summary for one in listed)
    assert len(message.summary) <= 2_900
    update = msgspec.structs.replace(page, kind="update", wanted=Wanted.ALWAYS)
    later = compose(incident, update, Words(attempt=1, sent_at=START, external_url="http://localhost"))
    assert "that waited" not in later.incident.title


class Line:
    """A channel that takes a number of messages after as many refusals."""

    address_kind: ClassVar[str] = ""

    def __init__(self, refusals: int = 0, *, reach: bool = True) -> None:
        self.sent: list[Message] = []
        self._refusals, self._reach = refusals, reach

    def reaches(self, contact: Contact) -> bool:
        return self._reach

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        if self._refusals:
            self._refusals -= 1
            raise ChannelError("not now")
        self.sent.append(message)
        return Receipt()


class Bell(Line):
    rings: ClassVar[bool] = True


def notice(*channels: str) -> SendNotice:
    return SendNotice(
        id="b" * 16, lane="b" * 16, incident="b" * 16, urgent=False, episode=1, requested_at=START,
        contact="ana", channels=channels, service="api", title="Maintenance move has begun", text="Until 10:00.",
        begins_at=START, ends_at=START,
    )  # fmt: skip


async def told(channels: dict[str, Any], what: SendNotice, attempts: int = 1) -> list[Done]:
    sender = NoticeSender(
        channels, lambda name, _: Contact(name=name), "http://localhost/", observe=lambda *_: None,
        chance=random.Random(1),
    )  # fmt: skip
    now: datetime = START
    return [
        await sender.perform(Attempt(lane="l", token="t", effect=what, number=n, first_at=now, now=now))
        for n in range(1, attempts + 1)
    ]


async def test_a_notice_goes_over_the_first_channel_that_takes_it_and_rings_nowhere() -> None:
    bell, chat, mail = Bell(), Line(refusals=1), Line()
    first, second = await told({"bell": bell, "chat": chat, "mail": mail}, notice("bell", "chat", "mail"), 2)
    assert first.retry_in is not None
    assert second.retry_in is None
    assert (bell.sent, chat.sent) == ([], [])
    (message,) = mail.sent
    assert (message.id, message.to, message.incident.state) == ("b" * 16, "ana", "notice")
    assert message.summary == "Maintenance move has begun\nUntil 10:00."
    assert message.ack_url == "http://localhost/"


async def test_who_has_only_what_rings_is_told_over_what_else_reaches_them_or_not_at_all() -> None:
    mail = Line()
    await told({"bell": Bell(), "mail": mail}, notice("bell"))
    assert len(mail.sent) == 1
    (done,) = await told({"bell": Bell(), "mail": Line(reach=False)}, notice("bell", "gone"))
    assert done.retry_in is None


async def test_the_other_one_acknowledged_before_its_page_left_is_no_page_for_ours() -> None:
    play = Play(Severity.P3)
    play.at(1, AcknowledgedBy(at=START, by="ana"))
    waited = Waited(morning=MORNING, listed=(Listed(OWN, "x"),))
    gone = msgspec.structs.replace(
        play.incident, pages=(), episode=msgspec.structs.replace(play.incident.episode, waited=waited)
    )
    desk = Desk(gone)
    await desk.perform(effect())
    assert desk.delivered == 1
