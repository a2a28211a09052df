"""ntfy: JSON to the root address, within its sizes, with a button that acknowledges."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from conftest import body
from fake_ntfy import FakeNtfy, error
from pages import message, tools
from providers import serving

from responder.incident.finding import Finding, FindingStatus
from responder.incident.message import Contact, MessageKind, Receipt
from responder.incident.severity import Severity
from responder.paging.base import ChannelError, ChannelTools
from responder.paging.ntfy import NtfyChannel, NtfySettings, cut, encode
from responder.secrets import Secret

__all__ = ["tools"]
ANA = Contact(name="ana", addresses={"ntfy": "ana-pages"})


@asynccontextmanager
async def fake(authorization: str | None = None) -> AsyncIterator[tuple[FakeNtfy, str]]:
    ntfy = FakeNtfy(authorization)
    async with serving(ntfy.app()) as url:
        yield ntfy, url


def channel(url: str, tools: ChannelTools, **more: Any) -> NtfyChannel:
    return NtfyChannel("push", NtfySettings(url=url, **more), tools)


async def test_a_page_is_loud_and_can_be_acknowledged_on_the_lock_screen(tools: ChannelTools) -> None:
    async with fake() as (ntfy, url):
        await channel(url, tools).send(message(), ANA, Receipt())
    made = ntfy.published[0]
    assert made["topic"] == "ana-pages"
    assert made["title"] == "P1 database: PostgresTooManyConnections: 97 of 100 connections used"
    assert made["priority"] == 5
    assert made["message"].startswith("5 alerts firing\n[critical] connections: 97 of 100")
    assert made["actions"][0] == {
        "action": "http", "label": "Acknowledge", "url": "https://responder.example/ack/token", "method": "POST",
        "clear": True,
    }  # fmt: skip
    assert made["click"] == message().incident.url


async def test_what_follows_is_quiet_and_has_nothing_to_press(tools: ChannelTools) -> None:
    done = msgspec.structs.replace(message().incident, state="acknowledged")
    async with fake() as (ntfy, url):
        await channel(url, tools).send(
            message(MessageKind.ACKNOWLEDGED, incident=done, by="ben"), ANA, Receipt()
        )
    made = ntfy.published[0]
    assert made["priority"] == 2
    assert made["title"].startswith("Acknowledged P1 database")
    assert [action["label"] for action in made["actions"]] == ["Open"]


@pytest.mark.parametrize(("severity", "priority"), [("P1", 5), ("P2", 4), ("P3", 3), ("P4", 2)])
def test_the_priority_follows_the_severity(severity: str, priority: int) -> None:
    incident = msgspec.structs.replace(message().incident, severity=Severity(severity))
    assert json.loads(encode(message(incident=incident), "t"))["priority"] == priority


@pytest.mark.parametrize(
    ("more", "header"),
    [
        ({"token": Secret("tk_abc")}, "Bearer tk_abc"),
        ({"username": "ops", "password": Secret("pä:ss")}, "Basic b3BzOnDDpDpzcw=="),
        ({}, None),
    ],
)
async def test_it_signs_in_by_token_by_password_or_not_at_all(
    more: dict[str, Any], header: str | None, tools: ChannelTools
) -> None:
    async with fake(header) as (ntfy, url):
        await channel(url, tools, **more).send(message(), ANA, Receipt())
        assert len(ntfy.published) == 1
    async with fake("Bearer other") as (ntfy, url):
        with pytest.raises(ChannelError, match="unauthorized") as caught:
            await channel(url, tools, **more).send(message(), ANA, Receipt())
        assert caught.value.permanent


@pytest.mark.parametrize("letter", ["x", "é", "嗨", "🔥", '"', "\\", "\x02"])
async def test_a_text_is_cut_by_bytes_and_never_within_a_character(letter: str, tools: ChannelTools) -> None:
    findings = tuple(
        Finding(probe=f"p{n}", status=FindingStatus.WARNING, headline=letter * 200) for n in range(20)
    )
    long = message(summary=f"first\n{letter * 5_000}", findings=findings)
    async with fake() as (ntfy, url):
        await channel(url, tools).send(long, ANA, Receipt())  # the fake refuses what would be an attachment
    assert ntfy.published[0]["message"].endswith("…")


def test_cutting_keeps_what_fits() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("ééé", 5) == "é…"
    assert cut("嗨嗨", 5) == "…"


async def test_hostile_texts_are_only_texts(tools: ChannelTools) -> None:
    labels = json.loads(body("hostile"))["alerts"][0]["labels"]
    title = " ".join(labels.values())
    incident = msgspec.structs.replace(message().incident, title=title, url="javascript:alert(1)")
    async with fake() as (ntfy, url):
        await channel(url, tools).send(message(incident=incident, summary=f"x\n{title}"), ANA, Receipt())
    assert "click" not in ntfy.published[0]
    assert "\n" not in ntfy.published[0]["title"]
    assert "markdown" not in ntfy.published[0]


def test_only_a_topic_that_ntfy_would_take_is_reached(tools: ChannelTools) -> None:
    one = channel("http://127.0.0.1:9", tools)
    assert one.reaches(ANA)
    for topic in ("", "two words", "a/b", "x" * 65, "ü"):
        assert not one.reaches(Contact(name="x", addresses={"ntfy": topic}))
    assert channel("http://127.0.0.1:9", tools, topic=Secret("all")).reaches(Contact(name="x"))


async def test_a_quota_that_comes_back_tomorrow_fails_over_now(tools: ChannelTools) -> None:
    async with fake() as (ntfy, url):
        ntfy.answers += [
            error(42908, "limit reached: daily message quota reached"),
            error(42901, "too many requests"),
        ]
        with pytest.raises(ChannelError, match="daily message quota") as caught:
            await channel(url, tools).send(message(), ANA, Receipt())
        assert caught.value.permanent
        with pytest.raises(ChannelError) as caught:
            await channel(url, tools).send(message(), ANA, Receipt())
        assert not caught.value.permanent


@pytest.mark.parametrize(
    "more",
    [
        {"url": "ntfy.sh"},
        {"topic": Secret("no topic")},
        {"username": "x"},
        {"token": Secret("t"), "username": "x", "password": Secret("y")},
    ],
)
def test_settings_that_could_not_work_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected|give"):
        NtfySettings(**more)
