"""Whether a provider is down: several passing failures in a row, until the first success; and what a page does then."""

from __future__ import annotations

import asyncio
import random
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec
import pytest
from pages import AT
from stage import Play

from responder.engine.outbox import Done
from responder.incident.effects import SendMessage
from responder.incident.facts import MessageDelayed, MessageDelivered, MessageFailed
from responder.incident.message import Contact, Message, MessageKind, Receipt
from responder.incident.severity import Level
from responder.incident.state import Page, PageStatus
from responder.paging.base import ChannelError
from responder.paging.delivery import Delivery, DeliveryHooks, Links
from responder.paging.health import DOWN_AFTER, WINDOW, Health, after_failure
from responder.store.loaded import Attempt

SECOND = timedelta(seconds=1)


def test_some_failures_in_a_row_make_a_channel_down_and_one_success_makes_it_up() -> None:
    health = Health()
    told = [health.failed("chat", AT + n * SECOND) for n in range(5)]
    assert told == [False, False, True, False, False]
    assert health.down_since("chat") == AT
    assert health.down_since("mail") is None
    assert health.delivered("chat")
    assert not health.delivered("chat")
    assert health.down_since("chat") is None
    assert not health.failed("chat", AT)


def test_a_success_between_failures_begins_the_count_anew() -> None:
    health = Health()
    for n in range(10):
        assert not health.failed("chat", AT + n * SECOND)
        assert not health.failed("chat", AT + n * SECOND)
        assert not health.delivered("chat")


def test_failures_that_are_far_apart_are_not_one_outage_but_a_known_one_lasts_until_a_success() -> None:
    run = after_failure(after_failure(None, AT), AT + SECOND)
    assert after_failure(run, AT + SECOND + WINDOW + SECOND).count == 1
    for n in range(2, DOWN_AFTER + 1):
        run = after_failure(run, AT + n * SECOND)
    assert run.down
    assert after_failure(run, AT + timedelta(hours=5)).down


def test_a_clock_that_jumps_back_changes_nothing() -> None:
    run = after_failure(after_failure(None, AT), AT - timedelta(hours=1))
    assert (run.count, run.last) == (2, AT)


class Flaky:
    """A channel that does what it is told."""

    Settings: ClassVar[type[msgspec.Struct]] = msgspec.Struct
    concurrency: ClassVar[int] = 1
    address_kind: ClassVar[str] = ""

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.hangs = False
        self.sent: list[tuple[Message, Receipt]] = []

    def reaches(self, contact: Contact) -> bool:
        return True

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails is not None:
            raise self.fails
        self.sent.append((message, page))
        return Receipt({"n": str(len(self.sent))})

    async def close(self) -> None:
        pass


class World:
    """A delivery over one flaky channel, and what it told."""

    def __init__(self) -> None:
        self.channel = Flaky()
        self.outcomes: list[str] = []
        self.up: list[bool] = []
        hooks = DeliveryHooks(
            observe=lambda _channel, outcome: self.outcomes.append(outcome),
            up=lambda _channel, up: self.up.append(up),
            redact=lambda text: text.replace("hunter2-secret", "<redacted>"),
        )
        links = Links(
            external_url="https://r.example",
            acknowledge=lambda _incident, _contact: "https://r.example/ack/t",
        )
        self.delivery = Delivery(
            {"chat": self.channel},
            lambda name, _: Contact(name=name),
            links,
            hooks=hooks,
            chance=random.Random(1),
        )
        play = Play()
        self.incident = play.incident

    async def attempt(
        self, page: str = "ab" * 8, number: int = 1, kind: MessageKind = MessageKind.PAGE, after: float = 0
    ) -> Done:
        effect = SendMessage(
            id=page, lane=page, incident=self.incident.id, urgent=True, episode=1, requested_at=AT, kind=kind,
            page=page, level=Level.PRIMARY, contact="dbteam", channel="chat",
        )  # fmt: skip
        now: datetime = AT + timedelta(seconds=after)
        return await self.delivery.perform(
            Attempt(lane=page, token="t", effect=effect, number=number, now=now, snapshot=self.incident)
        )

    async def goes_down(self) -> None:
        self.channel.fails = ChannelError("no answer in time")
        for number in range(1, DOWN_AFTER + 1):
            await self.attempt(number=number, after=number)


async def test_a_channel_that_went_down_is_told_once_and_shows_in_the_gauge() -> None:
    world = World()
    assert world.up == [True]
    world.channel.fails = ChannelError("no answer in time")
    told = [await world.attempt(number=number, after=number) for number in range(1, 6)]
    assert [len(done.facts) for done in told] == [1, 0, 1, 0, 0]
    assert world.up == [True, False]
    (fact,) = told[2].facts
    assert isinstance(fact, MessageDelayed)
    assert fact.reason == "channel chat is down since 03:00:01 UTC: no answer in time"
    world.channel.fails = None
    done = await world.attempt(number=6, after=9)
    assert isinstance(done.facts[0], MessageDelivered)
    assert world.up == [True, False, True]


async def test_a_page_to_a_channel_that_is_down_fails_at_once_and_is_then_tried_for_real() -> None:
    world = World()
    await world.goes_down()
    world.channel.hangs = True  # whoever tried now would wait
    done = await world.attempt(page="c" * 16, after=10)
    (fact,) = done.facts
    assert isinstance(fact, MessageDelayed)
    assert fact.reason == "channel chat is down since 03:00:01 UTC"
    assert done.retry_in == SECOND
    world.channel.hangs, world.channel.fails = False, None
    done = await world.attempt(page="c" * 16, number=2, after=11)
    assert isinstance(done.facts[0], MessageDelivered)
    assert isinstance((await world.attempt(page="d" * 16, after=12)).facts[0], MessageDelivered)


async def test_what_follows_a_page_is_tried_even_so() -> None:
    world = World()
    await world.goes_down()
    world.channel.fails = None
    done = await world.attempt(kind=MessageKind.RESOLVED, after=10)
    assert isinstance(done.facts[0], MessageDelivered)


async def test_a_refusal_for_good_says_nothing_of_the_provider() -> None:
    world = World()
    world.channel.fails = ChannelError("no such number", permanent=True)
    for number in range(10):
        done = await world.attempt(page=f"{number:016x}")
        assert isinstance(done.facts[0], MessageFailed)
        assert done.retry_in is None
    assert world.up == [True]


async def test_a_channel_that_hangs_is_given_up_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("responder.paging.delivery.SEND_LIMIT", 0.05)
    world = World()
    world.channel.hangs = True
    for number in range(1, DOWN_AFTER + 1):
        done = await world.attempt(number=number, after=number)
        assert done.retry_in is not None
    assert world.up == [True, False]


async def test_a_mistake_of_the_channels_own_is_a_failure_like_any_other_and_names_no_more_than_its_kind() -> (
    None
):
    world = World()
    world.channel.fails = KeyError("hunter2-secret")
    told = [await world.attempt(number=number, after=number) for number in range(1, DOWN_AFTER + 1)]
    assert [done.retry_in is None for done in told] == [False] * DOWN_AFTER
    (fact,) = told[0].facts
    assert isinstance(fact, MessageDelayed)
    assert fact.reason == "a mistake of our own (KeyError)"
    assert world.up == [True, False]
    assert world.outcomes == ["retried"] * DOWN_AFTER


async def test_a_secret_in_an_error_reaches_neither_the_time_line_nor_the_page() -> None:
    world = World()
    world.channel.fails = ChannelError("cannot log in with hunter2-secret", permanent=True)
    (fact,) = (await world.attempt()).facts
    assert isinstance(fact, MessageFailed)
    assert fact.reason == "cannot log in with <redacted>"


async def test_a_page_is_told_the_receipt_of_the_page_before_it_and_a_notice_that_of_its_own() -> None:
    world = World()
    pages = tuple(
        Page(
            id=page, level=Level.PRIMARY, contact=contact, channel="chat", episode=1, round=1, requested_at=AT,
            status=PageStatus.DELIVERED, receipt=Receipt({"of": page}),
        )
        for page, contact in (("a", "dbteam"), ("b", "dbteam"), ("c", "platform"))
    )  # fmt: skip
    world.incident = msgspec.structs.replace(world.incident, pages=pages)
    await world.attempt(page="d", kind=MessageKind.REMINDER)
    await world.attempt(page="b", kind=MessageKind.PAGE)
    await world.attempt(page="a", kind=MessageKind.RESOLVED)
    assert [receipt.reference for _, receipt in world.channel.sent] == [{"of": "b"}, {"of": "a"}, {"of": "a"}]
