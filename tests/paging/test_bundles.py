"""Before a page leaves: what asks and what never does, and that in doubt it leaves."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from stage import START, Play, plan

from responder.engine.outbox import Done
from responder.incident.around import Listed
from responder.incident.digest import Digest
from responder.incident.digest_facts import DigestBegan, IncidentFolded
from responder.incident.effects import SendMessage
from responder.incident.facts import MessageDelivered, MessageWaits
from responder.incident.message import MessageKind, Wanted
from responder.incident.severity import Severity
from responder.incident.state import Incident, PageStatus
from responder.paging import bundles
from responder.paging.bundles import Bundles
from responder.paging.compose import Words, compose, headline
from responder.paging.teams_card import card
from responder.paging.told import PATIENCE
from responder.store.digests import Answer, Bounds, Carry, Digests, Fold, Ring, Wait
from responder.store.errors import StoreError
from responder.store.loaded import Attempt, NewerSchemaError
from responder.store.store import Recorded

CARRIER = "2" * 16
BOUNDS = Bounds(after=3, within=timedelta(minutes=5), new_kinds=2, digest_every=timedelta(minutes=1))


def page(severity: Severity = Severity.P3) -> tuple[SendMessage, Incident]:
    play = Play(severity)
    (found,) = [one for _, one in play.effects if isinstance(one, SendMessage)]
    return found, play.incident


def asked_for() -> Incident:
    """A person asked for the level."""
    _, incident = page()
    reached = tuple(msgspec.structs.replace(one, asked=True) for one in incident.episode.reached)
    return msgspec.structs.replace(
        incident, episode=msgspec.structs.replace(incident.episode, reached=reached)
    )


def fold(age: float | None = 1.0) -> Fold:
    carries_for = timedelta(seconds=age) if age is not None else None
    return Fold(into=CARRIER, line="P3 database: t", count=7, carries_for=carries_for, at=START)


def carrier(status: PageStatus | None, **more: Any) -> Incident:
    incident = msgspec.structs.replace(Play(Severity.P3).incident, id=CARRIER)
    pages = (
        tuple(msgspec.structs.replace(one, status=status, **more) for one in incident.pages) if status else ()
    )
    return msgspec.structs.replace(incident, pages=pages)


class Door(Digests):
    """Answers what it is told to, one after the other, the last one for ever."""

    def __init__(self, *answers: Answer | Exception | None, bounds: Bounds = BOUNDS) -> None:
        self.bounds, self.answers, self.asked = bounds, list(answers), list[dict[str, Any]]()

    async def ask(self, incident: Incident, contact: str, **more: Any) -> Answer:
        self.asked.append({name: tuple(v) if isinstance(v, list) else v for name, v in more.items()})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            await asyncio.sleep(60)
            raise AssertionError("waited for")
        return answer


class Room:
    """What stands behind and beside: what is really delivered, and the digest's incident."""

    def __init__(self, door: Door, other: Incident | None = None) -> None:
        self.door, self.other = door, other
        self.delivered: list[Attempt] = []
        self.recorded: list[IncidentFolded] = []
        self.observed: list[tuple[str, str]] = []
        self.outcome: Any = "ok"
        self.bundles = Bundles(self._deliver, door, self, lambda *what: self.observed.append(what))

    async def _deliver(self, attempt: Attempt) -> Done:
        self.delivered.append(attempt)
        effect = attempt.effect
        assert isinstance(effect, SendMessage)
        done = MessageDelivered(at=START, effect=effect.id, page=effect.page, kind=effect.kind, attempt=1)
        return Done(facts=(done,))

    async def snapshot(self, incident_id: str) -> Incident | None:
        return self.other

    async def record(self, incident_id: str, fact: IncidentFolded) -> Recorded:
        self.recorded.append(fact)
        return Recorded(self.outcome)

    async def perform(
        self,
        severity: Severity = Severity.P3,
        waited: float = 0,
        incident: Incident | None = None,
        **more: Any,
    ) -> Done:
        effect, own = page(severity)
        effect = msgspec.structs.replace(effect, **more)
        now = START + timedelta(seconds=waited)
        return await self.bundles.perform(
            Attempt(
                lane="l",
                token="t",
                effect=effect,
                number=1,
                first_at=START,
                now=now,
                snapshot=incident or own,
            )
        )


@pytest.mark.parametrize(
    "more",
    [
        {"severity": Severity.P1},
        {"wanted": Wanted.ACKNOWLEDGED, "kind": MessageKind.REMINDER},
        {"wanted": Wanted.ALWAYS, "kind": MessageKind.UPDATE},
        {"wanted": Wanted.ALWAYS, "kind": MessageKind.RESOLVED},
        {"incident": msgspec.structs.replace(page()[1], drill=True)},
        {"incident": msgspec.structs.replace(page()[1], canary=True)},
        {"incident": asked_for()},
    ],
)
async def test_what_is_urgent_is_no_page_or_is_nobodys_never_asks(more: dict[str, Any]) -> None:
    incident = more.pop("incident", None)
    room = Room(Door(AssertionError("asked")))
    await room.perform(incident=incident, **more)
    assert (len(room.delivered), room.door.asked) == (1, [])


async def test_with_after_zero_nothing_asks() -> None:
    room = Room(Door(AssertionError("asked"), bounds=msgspec.structs.replace(BOUNDS, after=0)))
    await room.perform()
    assert (len(room.delivered), room.door.asked) == (1, [])


UNANSWERED = [StoreError("away"), None]


@pytest.mark.parametrize("answer", UNANSWERED)
async def test_where_it_cannot_be_asked_a_p2_leaves_within_a_second_and_its_time_line_says_so(
    answer: Answer | Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "ASK_LIMIT", 0.05)
    room = Room(Door(answer))
    done = await room.perform(Severity.P2)
    assert len(room.delivered) == 1
    assert room.observed == [("chat", "unasked")]
    play = Play(Severity.P2)
    play.at(0, *done.facts)
    assert play.decisions[-1].entries[-1].text == (
        "page to dbteam (primary) over chat delivered by itself: the store did not say in time whether a digest tells of it"
    )


@pytest.mark.parametrize("answer", UNANSWERED)
async def test_where_it_cannot_be_asked_a_p3_asks_for_a_few_seconds_and_then_leaves(
    answer: Answer | Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "ASK_LIMIT", 0.05)
    room = Room(Door(answer))
    done = await room.perform(Severity.P3, waited=4)
    assert (room.delivered, room.observed, done.facts, done.begun) == ([], [], (), False)
    assert done.retry_in is not None
    await room.perform(Severity.P3, waited=5)
    assert len(room.delivered) == 1
    assert room.observed == [("chat", "unasked")]


@pytest.mark.parametrize("answer", [NewerSchemaError("newer"), TypeError("our own")])
async def test_what_asking_again_does_not_mend_keeps_no_page_waiting(answer: Exception) -> None:
    room = Room(Door(answer))
    await room.perform(Severity.P3)
    assert len(room.delivered) == 1


async def test_a_page_that_rings_is_delivered_and_one_that_carries_says_so_and_is_known_to() -> None:
    room = Room(Door(Ring()))
    done = await room.perform()
    assert [type(one) for one in done.facts] == [MessageDelivered]
    room = Room(Door(Carry()))
    done = await room.perform()
    assert [type(one) for one in done.facts] == [DigestBegan, MessageDelivered]
    shown = room.delivered[0].snapshot
    assert shown is not None
    assert shown.digest is not None
    assert shown.digest.why == "more than 3 incidents within 5m for dbteam"


async def test_what_carries_again_after_its_digest_was_over_says_so_anew() -> None:
    room = Room(Door(Carry()))
    over = Digest(began_at=START, why="then", contacts=("dbteam",), count=7, ended=True)
    done = await room.perform(incident=msgspec.structs.replace(page()[1], digest=over), waited=60)
    assert [type(one) for one in done.facts] == [DigestBegan, MessageDelivered]
    shown = room.delivered[0].snapshot
    assert shown is not None
    assert shown.digest is not None
    assert (shown.digest.count, shown.digest.ended) == (0, False)


async def test_what_is_told_counts_as_delivered_once_the_digest_knows_of_it() -> None:
    room = Room(Door(fold()), carrier(PageStatus.DELIVERED))
    room.outcome = "full"
    done = await room.perform()
    assert (done.facts, done.retry_in is not None, room.observed) == ((), True, [])
    room.outcome = "ok"
    done = await room.perform()
    (delivered,) = done.facts
    assert isinstance(delivered, MessageDelivered)
    assert (delivered.told_in, delivered.at) == (CARRIER, START)
    assert (room.recorded[-1].count, room.recorded[-1].line) == (7, "P3 database: t")
    assert (room.delivered, room.observed) == ([], [("chat", "folded")])


async def test_the_digests_page_is_waited_for_and_that_is_said_once() -> None:
    room = Room(Door(fold(10)), carrier(PageStatus.PENDING))
    done = await room.perform()
    (waits,) = done.facts
    assert isinstance(waits, MessageWaits)
    assert (waits.carrier, waits.until, done.begun) == (
        CARRIER,
        START + PATIENCE - timedelta(seconds=10),
        False,
    )
    _, own = page()
    pages = tuple(msgspec.structs.replace(one, waits_until=waits.until) for one in own.pages)
    again = await room.perform(incident=msgspec.structs.replace(own, pages=pages))
    assert (again.facts, again.retry_in is not None, room.delivered) == ((), True, [])
    moment = await Room(Door(fold(0.1)), carrier(PageStatus.PENDING)).perform()
    assert (moment.facts, moment.begun) == ((), False)


@pytest.mark.parametrize(
    ("other", "age", "never_rang"),
    [
        (carrier(PageStatus.FAILED), 3, True),
        (carrier(PageStatus.DROPPED), 3, True),
        (carrier(PageStatus.DELIVERED, told_in="3" * 16), 3, True),  # a digest told of it: it is none itself
        (None, 3, True),
        (carrier(PageStatus.PENDING), 61, False),
    ],
)
async def test_a_digest_that_does_not_reach_the_person_is_none_and_the_next_one_is_asked_for(
    other: Incident | None, age: float, never_rang: bool
) -> None:
    room = Room(Door(fold(age), Carry()), other)
    await room.perform()
    assert room.door.asked == [
        {"deaf": (), "never_rang": False, "unfit": ()},
        {"deaf": (CARRIER,), "never_rang": never_rang, "unfit": ()},
    ]
    assert len(room.delivered) == 1


async def test_however_many_digests_tell_somebody_else_the_page_leaves() -> None:
    """Each attempt begins with the same ones: what gave up after a few of them would never come to an end."""
    others = [msgspec.structs.replace(fold(None), into=f"{number:016x}") for number in range(9)]
    room = Room(Door(*others, Ring()), carrier(PageStatus.FAILED))
    await room.perform(waited=6)
    assert len(room.delivered) == 1
    assert room.door.asked[-1]["deaf"] == tuple(one.into for one in others)
    room = Room(Door(fold(None)), carrier(PageStatus.FAILED))
    await room.perform(waited=6)
    assert len(room.delivered) == 1


def over(
    *channels: str, severity: Severity = Severity.P3, status: PageStatus = PageStatus.DELIVERED
) -> Incident:
    """A digest's incident whose page went to the person over other channels, by another plan."""
    incident = carrier(status)
    pages = tuple(msgspec.structs.replace(incident.pages[0], channel=one) for one in channels)
    (reach,) = incident.episode.reached
    people = tuple(msgspec.structs.replace(one, plan=plan(*channels)) for one in reach.people)
    reached = (msgspec.structs.replace(reach, people=people),)
    episode = msgspec.structs.replace(incident.episode, reached=reached)
    return msgspec.structs.replace(incident, pages=pages, episode=episode, severity=severity)


@pytest.mark.parametrize(
    "other",
    [
        over("hook"),
        over("chat", severity=Severity.P4),
        over("chat", "phone", severity=Severity.P4),
        carrier(PageStatus.DELIVERED, mute=True),
    ],
)
async def test_nothing_is_told_with_a_page_that_is_less_severe_went_over_another_channel_or_whose_news_is_lost(
    other: Incident,
) -> None:
    room = Room(Door(fold(), Carry()), other)
    await room.perform()
    assert room.door.asked[-1] == {"deaf": (), "never_rang": False, "unfit": (CARRIER,)}
    assert len(room.delivered) == 1


async def test_what_went_over_the_same_channel_by_another_plan_counts_over_that_channel_only() -> None:
    room = Room(Door(fold()), over("phone", "chat", severity=Severity.P2))
    done = await room.perform()
    assert (len(room.delivered), len(done.facts)) == (0, 1)
    other = over("phone", "chat", severity=Severity.P2)
    pages = (other.pages[0], msgspec.structs.replace(other.pages[1], status=PageStatus.PENDING))
    room = Room(Door(fold()), msgspec.structs.replace(other, pages=pages))
    assert (await room.perform()).retry_in is not None


async def test_somebody_elses_digest_is_waited_for_a_moment_only() -> None:
    room = Room(Door(fold(None), Ring()), carrier(None))
    assert (await room.perform()).retry_in is not None
    room = Room(Door(fold(None), Ring()), carrier(None))
    await room.perform(waited=6)
    assert len(room.delivered) == 1


async def test_the_next_digest_waits_for_its_turn_and_the_time_line_says_until_when() -> None:
    room = Room(Door(Wait(timedelta(seconds=40))))
    done = await room.perform()
    (waits,) = done.facts
    assert isinstance(waits, MessageWaits)
    assert (done.retry_in, waits.until, waits.carrier) == (
        timedelta(seconds=40), START + timedelta(seconds=40), "",
    )  # fmt: skip


def test_a_digest_says_in_its_first_lines_what_it_is_and_what_an_acknowledgement_takes() -> None:
    effect, incident = page()
    listed = tuple(Listed(f"{n:016x}", f"P3 api: {'<b>&' * 15} {n}") for n in range(20))
    digest = Digest(
        began_at=START, why="more than 10 incidents within 5m for dbteam", contacts=("dbteam",), count=60, over=3,
        newest=listed, services=("api", "database"), worst=Severity.P2,
    )  # fmt: skip
    incident = msgspec.structs.replace(incident, digest=digest)
    words = Words(attempt=1, sent_at=START, external_url="http://localhost")
    message = compose(incident, effect, words)
    first, second = message.summary.splitlines()[:2]
    assert first == headline(message, 200)
    assert second == (
        "DIGEST: 60 more incidents of 2 services, 3 of them over or paged by themselves, the worst P2 (more than 10 incidents within 5m for "
        "dbteam). None of them is paged by itself; acknowledging takes all of them."
    )
    assert second in json.dumps(
        card(message, 0)
    )  # a channel with a title of its own leaves out the first line only
    assert headline(message, 80).startswith("P3 database: DIGEST of 61: ")
    assert all(f"- {one.line}" in message.summary for one in listed)
    assert message.summary.endswith("and 40 more, listed with the incident")
    assert len(message.summary) <= 2_900
    resolved = msgspec.structs.replace(effect, kind=MessageKind.RESOLVED, wanted=Wanted.ALWAYS)
    assert "DIGEST" not in compose(incident, resolved, words).incident.title
