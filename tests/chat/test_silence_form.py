"""The form for a silence: it opens from the button, is checked at once, and tells what was made."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
from fake_slack import TEAM, TOKEN, FakeSlack, fake_slack, pressed, typed
from world import OneRow, World, firing, settle

from responder.chat.desk import ChatDesk
from responder.chat.parts import ChatParts, SilenceError
from responder.clock import SystemClock
from responder.config import PersonConfig
from responder.engine.store_desk import StoreDesk
from responder.paging.base import ChannelTools
from responder.paging.slack import SlackChannel, SlackSettings
from responder.paging.slack_requests import command, interaction
from responder.secrets import Secret
from responder.store.reading import Reader
from responder.store.store import Store, to_ms


class Made:
    """What makes silences: keeps them, or says why not."""

    def __init__(self) -> None:
        self.made: list[tuple[str, timedelta, str, str]] = []
        self.fault = ""

    async def silence(self, incident_id: str, span: timedelta, *, by: str, comment: str) -> str:
        if self.fault:
            raise SilenceError(self.fault)
        self.made.append((incident_id, span, by, comment))
        return "silenced for 2h"


class Stage:
    """A chat on the real store, in a fake workspace."""

    def __init__(self, slack: FakeSlack, desk: ChatDesk, channel: SlackChannel, incident: str) -> None:
        self.slack, self.desk, self.channel, self.incident = slack, desk, channel, incident
        self.silences = Made()

    def takes(self, payload: dict[str, Any]) -> dict[str, Any]:
        found = interaction(msgspec.json.encode(payload))
        assert found is not None
        return self.desk.take(self.channel, found)

    def form(self, span: str, comment: str = "deploying") -> dict[str, Any]:
        """What Slack sends when the form that was opened is sent off."""
        view = self.slack.views[-1]
        values = {"duration": span, "comment": comment}
        return {
            "type": "view_submission", "team": {"id": TEAM},
            "user": {"id": "U0ANA01", "name": "ana", "team_id": TEAM},
            "view": {
                "id": "V1", "callback_id": view["callback_id"], "private_metadata": view["private_metadata"],
                "state": {"values": {name: {name: {"value": one}} for name, one in values.items()}},
            },
        }  # fmt: skip

    async def hears(self, count: int = 1) -> str:
        async with asyncio.timeout(30):
            while len(self.slack.told) < count:
                await asyncio.sleep(0.01)
        return str(self.slack.told[count - 1]["text"])


@pytest.fixture
async def on(store: Store) -> AsyncIterator[Stage]:
    engine = World(random.Random(1)).replica(store)
    await store.ingest([firing(1, to_ms(await store.now()))])
    desk = StoreDesk(store, Reader(store), engine.decide_now)
    async with asyncio.TaskGroup() as group, fake_slack() as slack, aiohttp.ClientSession() as session:
        running = [group.create_task(engine.run())]
        await asyncio.sleep(0)
        await settle(engine)
        tools = ChannelTools(
            session=session, clock=SystemClock(), external_url="https://r.example", silences=True
        )
        settings = SlackSettings(token=Secret(TOKEN), api_url=slack.url, hooks_url=slack.hooks)
        channel, made = SlackChannel("chat", settings, tools), Made()
        parts = ChatParts(
            desk=desk,
            actions=None,  # type: ignore[arg-type]
            people=[
                PersonConfig(name="ana", slack="U0ANA01"),
                PersonConfig(name="vic", slack="U0VIC01", role="viewer"),
            ],
            rules=OneRow,  # type: ignore[arg-type]
            who=lambda _names, _at: {},
            clock=SystemClock(),
            session=session,
            external_url="https://r.example",
            silences=made,
        )
        chat = ChatDesk(parts, {"chat": channel})
        running.append(group.create_task(chat.run()))
        [incident] = [name for name, _ in await Reader(store).ids("open", "+inf", 10)]
        stage = Stage(slack, chat, channel, incident)
        stage.silences = made
        yield stage
        for task in running:
            task.cancel()


async def opened(on: Stage) -> None:
    assert on.takes(pressed("silence", on.incident, hooks=on.slack.hooks)) == {}
    async with asyncio.timeout(30):
        while not on.slack.views:
            await asyncio.sleep(0.01)


async def test_the_form_makes_a_silence_in_the_name_of_whoever_sent_it(on: Stage) -> None:
    await opened(on)
    assert on.slack.told == []  # the form is the answer
    assert on.takes(on.form("2h")) == {}
    assert (await on.hears()).endswith("silenced for 2h")
    assert on.silences.made == [(on.incident, timedelta(hours=2), "ana", "deploying")]


async def test_what_is_no_length_is_told_in_the_form_itself(on: Stage) -> None:
    await opened(on)
    answer = on.takes(on.form("soon"))
    assert answer["response_action"] == "errors"
    assert "expected a duration" in answer["errors"]["duration"]
    assert on.silences.made == []


async def test_a_silence_that_is_not_made_is_told_with_the_reason(on: Stage) -> None:
    await opened(on)
    on.silences.fault = "Alertmanager does not answer"
    on.takes(on.form("2h"))
    assert (await on.hears()).endswith("not silenced: Alertmanager does not answer")


async def test_a_viewer_gets_no_form(on: Stage) -> None:
    on.takes(pressed("silence", on.incident, user="U0VIC01", hooks=on.slack.hooks))
    assert await on.hears() == "refused (role): it needs the role responder"
    assert on.slack.views == []


async def test_the_command_makes_one_too(on: Stage) -> None:
    for number, (text, said) in enumerate(
        ((f"silence {on.incident} 2h deploying now", "silenced for 2h"), (f"silence {on.incident} soon x", "not silenced: ")), 1
    ):  # fmt: skip
        on.desk.take(
            on.channel, command(msgspec.json.encode(typed(text, hooks=on.slack.hooks, trigger=str(number))))
        )
        assert said in await on.hears(number)
    assert on.silences.made == [(on.incident, timedelta(hours=2), "ana", "deploying now")]


async def test_where_slack_does_not_say_whose_workspace_it_is_nobody_is_believed(on: Stage) -> None:
    on.slack.denied = {"auth.test"}
    on.takes(pressed("acknowledge", on.incident, hooks=on.slack.hooks))
    assert (await on.hears()).startswith("not taken: Slack does not say")


async def test_more_than_can_be_done_is_refused_at_once(on: Stage) -> None:
    on.slack.hangs = {"auth.test"}
    answers = [
        on.desk.take(on.channel, command(msgspec.json.encode(typed("list", trigger=str(n)))))
        for n in range(400)
    ]
    assert answers[0] == {}
    assert answers[-1]["text"].startswith("not taken: too much is going on")
