"""Whatever has a bound says what happens to what finds no place there, and counts it."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from replicas import heard
from stage import START
from world import World, firing

import responder.curves.painter as painting
from responder.chat.desk import WAITING, ChatDesk
from responder.chat.parts import ChatParts
from responder.chat.words import BUSY
from responder.clock import SystemClock
from responder.curves.painter import Painter
from responder.engine.blind import kept, sends
from responder.engine.blind.memory import STRAY_KEPT, Memory
from responder.engine.blind.sends import Sends, SendsHooks
from responder.engine.engine import Engine, EngineHooks
from responder.engine.outbox import Done
from responder.incident.effects import SendMessage
from responder.incident.facts import AcknowledgedBy
from responder.incident.message import MessageKind
from responder.incident.severity import Level, Severity
from responder.intake.heartbeats import Heartbeats
from responder.intake.intake import Intake
from responder.metrics import Metrics
from responder.overflow import Overflow, Spill
from responder.paging.base import ChannelTools
from responder.paging.beside import AT_ONCE
from responder.paging.slack_charts import SlackCharts
from responder.paging.slack_pace import Pacer
from responder.paging.slack_requests import Commanded, Presser
from responder.paging.slack_thread import _GATHERED, SlackThread
from responder.store import reading
from responder.store.errors import StoreBusyError, StoreFullError
from responder.store.group_commit import GroupCommit
from responder.store.loaded import Attempt
from responder.store.reading import Reader
from responder.store.store import AlertWrite, Store, Taken

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
Fill = Callable[[Store, Spill], Awaitable[None]]


async def _never(_alerts: Sequence[AlertWrite]) -> Taken:
    raise AssertionError("refused before it is written")


async def fill_alerts(_store: Store, spill: Spill) -> None:
    commits = GroupCommit(_never, lambda _: None, spill)
    commits._waiting_bytes = 1_000_000_000
    with pytest.raises(StoreBusyError):
        await commits.submit([firing(1, 1)])


async def fill_store(_store: Store, spill: Spill) -> None:
    commits = GroupCommit(_never, lambda _: None, spill)
    commits.full = True
    with pytest.raises(StoreFullError):
        await commits.submit([firing(1, 1)])


async def _engine(store: Store, spill: Spill, fill: Callable[[Engine], object]) -> None:
    world = World(random.Random(1))
    engine = Engine(
        store, lambda: _UNUSED, world.performers(store), queues={"chat": 1}, hooks=EngineHooks(spill=spill)
    )
    async with asyncio.TaskGroup() as group:
        for pool in (engine._incidents, *engine._lanes.values()):
            pool.open(group)
        fill(engine)
        for pool in (engine._incidents, *engine._lanes.values()):
            pool.close()


async def fill_incidents(store: Store, spill: Spill) -> None:
    def fill(engine: Engine) -> None:
        for n in range(2_001):
            engine.look_at(f"{n:016x}", urgent=True)

    await _engine(store, spill, fill)


async def fill_lanes(store: Store, spill: Spill) -> None:
    def fill(engine: Engine) -> None:
        for n in range(501):
            engine.look_at_lane("chat", f"{n:016x}", urgent=True)

    await _engine(store, spill, fill)


async def fill_blind_incidents(_store: Store, spill: Spill) -> None:
    memory = Memory("a", spill)
    memory.hear([heard(n, severity=Severity.P2) for n in range(kept.INCIDENTS_KEPT)], START)
    memory.hear([heard(kept.INCIDENTS_KEPT, severity=Severity.P2)], START)
    assert len(memory.items) == kept.INCIDENTS_KEPT


async def fill_blind_alerts(_store: Store, spill: Spill) -> None:
    memory = Memory("a", spill)
    memory.hear([heard(1, key=1)], START)
    memory.kept.bytes = kept.BYTES_KEPT
    memory.hear([heard(2, key=1)], START)


async def fill_blind_messages(_store: Store, spill: Spill) -> None:
    hooks = SendsHooks(perform=_nobody, incident=lambda _: None, told=lambda *_: None, spill=spill)
    one = SendMessage(
        id="0" * 16, lane="0", incident="1" * 16, episode=1, urgent=True, requested_at=START, kind=MessageKind.PAGE,
        page="0" * 16, level=Level.PRIMARY, contact="ana", channel="chat",
    )  # fmt: skip
    messages = [msgspec.structs.replace(one, lane=f"{n}") for n in range(sends._LINE + 1)]
    Sends(hooks, lambda: START).ask(messages, START)


async def _nobody(_attempt: Attempt) -> Done:
    return Done()


async def fill_blind_answers(_store: Store, spill: Spill) -> None:
    memory = Memory("a", spill)
    fact = AcknowledgedBy(at=START, by="ana", via="link")
    taken = [memory.stray(f"{n:016x}", fact) for n in range(STRAY_KEPT + 1)]
    assert taken == [True] * STRAY_KEPT + [False]


async def fill_chat(_store: Store, spill: Spill) -> None:
    unused: Any = None
    async with aiohttp.ClientSession() as session:
        parts = ChatParts(
            desk=unused, actions=unused, people=(), rules=unused, who=unused, clock=SystemClock(),
            session=session, external_url="", spill=spill,
        )  # fmt: skip
        desk = ChatDesk(parts, {})
        typed = Commanded(by=Presser(id="U1", team="T1"), text="help", event="1")
        answers = [desk.take(unused, typed) for _ in range(WAITING + 1)]
    assert answers[:-1] == [{}] * WAITING
    assert answers[-1] == {"response_type": "ephemeral", "text": BUSY}


async def fill_slack_notices(_store: Store, spill: Spill) -> None:
    unused: Any = None
    thread = SlackThread(unused, Pacer(), SystemClock(), spill)
    for n in range(_GATHERED + 1):
        thread._leave_out("C1", f"notice {n}")
    await thread.close()


async def fill_slack_pictures(_store: Store, spill: Spill) -> None:
    tools: Any = ChannelTools(session=_UNUSED, clock=SystemClock(), external_url="", spill=spill)
    charts = SlackCharts(_UNUSED, tools, "https://slack.example/api/")

    async def for_ever() -> None:
        await asyncio.Event().wait()

    begun = [charts._beside.begin(f"{n}", for_ever) for n in range(AT_ONCE + 1)]
    assert begun == [True] * AT_ONCE + [False]
    await charts.close()


async def fill_pictures(_store: Store, spill: Spill) -> None:
    painter = Painter(spill=spill)
    for _ in range(painting.WAITING):
        painter._seats.acquire()
    assert await painter.paint(_UNUSED) is None
    painter.close()


async def fill_quarantine(store: Store, spill: Spill) -> None:
    reader = Reader(store)
    for n in range(reading.QUARANTINE_KEPT):
        assert await reader.quarantine(b"%d" % n, "no JSON") == (1, 0)
    assert await reader.quarantine(b"0", "no JSON") == (2, 0)
    metrics = Metrics()
    intake = Intake(_UNUSED, reader, _UNUSED, metrics, Heartbeats(()))
    await intake.quarantine(b"one more", "no JSON")
    for _ in range(round(sample(metrics, Overflow.QUARANTINE))):
        spill(Overflow.QUARANTINE)


def sample(metrics: Metrics, queue: Overflow) -> float:
    found = metrics.registry.get_sample_value("responder_overflow_total", {"queue": queue})
    assert found is not None  # there from the start, so that rate() sees the first one
    return found


_UNUSED: Any = None
FILLS: dict[Overflow, Fill] = {
    Overflow.ALERTS: fill_alerts,
    Overflow.STORE: fill_store,
    Overflow.INCIDENTS: fill_incidents,
    Overflow.LANES: fill_lanes,
    Overflow.BLIND_INCIDENTS: fill_blind_incidents,
    Overflow.BLIND_ALERTS: fill_blind_alerts,
    Overflow.BLIND_MESSAGES: fill_blind_messages,
    Overflow.BLIND_ANSWERS: fill_blind_answers,
    Overflow.CHAT: fill_chat,
    Overflow.SLACK_NOTICES: fill_slack_notices,
    Overflow.SLACK_PICTURES: fill_slack_pictures,
    Overflow.PICTURES: fill_pictures,
    Overflow.QUARANTINE: fill_quarantine,
}


@pytest.mark.parametrize("queue", Overflow)
async def test_s5_what_finds_no_place_in_a_bounded_queue_is_counted_once_under_its_name(
    store: Store, queue: Overflow
) -> None:
    metrics = Metrics()
    assert sample(metrics, queue) == 0
    await FILLS[queue](store, metrics.overflowed)
    assert {one: sample(metrics, one) for one in Overflow if sample(metrics, one)} == {queue: 1}


def test_s5_the_operations_manual_says_what_becomes_of_it_in_every_case() -> None:
    table = OPERATIONS.read_text(encoding="utf-8").partition("| `queue` |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [str(one) for one in Overflow]
