"""Teams: cards in which nothing that a sender wrote is Markdown, within the size that Teams shows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from conftest import body
from fake_teams import FakeTeams, shown
from pages import message, tools
from providers import serving

from responder.incident.finding import Finding, FindingStatus
from responder.incident.message import Contact, MessageKind, Receipt
from responder.paging.base import ChannelError, ChannelTools
from responder.paging.teams import TeamsChannel, TeamsSettings
from responder.paging.teams_card import encode
from responder.secrets import Secret

__all__ = ["tools"]
DB = Contact(name="dbteam")


@asynccontextmanager
async def fake() -> AsyncIterator[tuple[FakeTeams, Secret]]:
    teams = FakeTeams()
    async with serving(teams.app()) as url:
        yield teams, Secret(f"{url}/workflows/abc/triggers/manual/paths/invoke?api-version=1&sig=secret-sig")


def channel(tools: ChannelTools, **more: Any) -> TeamsChannel:
    return TeamsChannel("room", TeamsSettings(**more), tools)


async def test_a_card_says_in_three_lines_what_is_broken_since_when_and_what_to_press(
    tools: ChannelTools,
) -> None:
    summary = (
        "P1 database: PostgresTooManyConnections: 97 of 100 connections used\n"
        "5 alerts firing, since 2026-11-24 03:00:00 UTC\nAcknowledge by 03:15 UTC, as primary (dbteam)"
    )
    async with fake() as (teams, url):
        await channel(tools, url=url).send(message(summary=summary), DB, Receipt())
    card = teams.cards[0]
    assert shown(card)[:3] == summary.split("\n")
    assert [(action["title"], action["url"]) for action in card["actions"]] == [
        ("Acknowledge", "https://responder.example/ack/token"),
        ("Open the incident", message().incident.url),
    ]
    assert card["body"][0]["inlines"][0]["color"] == "attention"


async def test_what_follows_is_a_card_of_its_own_without_the_button(tools: ChannelTools) -> None:
    done = msgspec.structs.replace(message().incident, state="resolved")
    async with fake() as (teams, url):
        await channel(tools, url=url).send(message(MessageKind.RESOLVED, incident=done), DB, Receipt())
    card = teams.cards[0]
    assert shown(card)[0].startswith("Resolved P1 database")
    assert card["body"][0]["inlines"][0]["color"] == "good"
    assert [action["title"] for action in card["actions"]] == ["Open the incident"]


async def test_a_person_is_mentioned_and_a_name_leads_to_its_own_workflow(tools: ChannelTools) -> None:
    ana = Contact(name="ana <b>*x*", addresses={"teams": "ana@example.com"})
    async with fake() as (teams, url):
        one = channel(tools, url=url, urls={"platform": url})
        await one.send(message(), ana, Receipt())
        await one.send(message(), Contact(name="platform", addresses={"teams": "platform"}), Receipt())
        assert not one.reaches(Contact(name="x", addresses={"teams": "nowhere"}))
    mention = teams.cards[0]["msteams"]["entities"][0]
    assert mention["mentioned"] == {"id": "ana@example.com", "name": "ana b x"}
    assert "entities" not in teams.cards[1]["msteams"]


async def test_a_card_stays_within_the_size_whatever_was_found(tools: ChannelTools) -> None:
    findings = tuple(
        Finding(
            probe=f"p{n}", status=FindingStatus.CRITICAL, headline="\u00fc" * 200, detail="a\n" * 1_000,
            link="https://grafana.example/" + "x" * 1_800,
        )
        for n in range(20)
    )  # fmt: skip
    labels = "嗨" * 1_500
    async with fake() as (teams, url):
        await channel(tools, url=url).send(message(findings=findings, summary=labels), DB, Receipt())
    assert "More findings are in the incident." in shown(teams.cards[0])


def test_markdown_and_mentions_of_a_sender_stay_text() -> None:
    nasty = " ".join(json.loads(body("hostile"))["alerts"][0]["labels"].values())
    text = f"{nasty} [click](http://evil) <at>everybody</at> **x** {{{{DATE(2026)}}}}"
    incident = msgspec.structs.replace(message().incident, title=text, url="javascript:alert(1)")
    content = json.loads(encode(message(incident=incident, summary=f"x\n{text}")))["attachments"][0][
        "content"
    ]
    assert all(block["type"] == "RichTextBlock" for block in content["body"])
    assert [action["title"] for action in content["actions"]] == ["Acknowledge"]
    assert "entities" not in content["msteams"]


async def test_a_workflow_that_is_switched_off_fails_for_good_and_its_address_stays_secret(
    tools: ChannelTools,
) -> None:
    async with fake() as (teams, url):
        said = {
            "error": {"code": "WorkflowTriggerIsNotEnabled", "message": f"trigger of {url.reveal()} is off"}
        }
        teams.answers.append(web.json_response(said, status=400))
        with pytest.raises(ChannelError, match="WorkflowTriggerIsNotEnabled") as caught:
            await channel(tools, url=url).send(message(), DB, Receipt())
        assert caught.value.permanent
        assert "sig" not in str(caught.value)


@pytest.mark.parametrize("more", [{}, {"url": Secret("teams.example/hook")}, {"urls": {"a": Secret("x")}}])
def test_settings_that_could_not_work_are_refused_without_showing_the_address(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"give url|expected http") as caught:
        TeamsSettings(**more)
    assert "teams.example" not in str(caught.value)
