"""What docs/channels.md shows is what is sent."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import yaml
from fake_teams import shown
from pages import AT, message

from responder.paging.sms_text import sms
from responder.paging.teams_card import card
from responder.paging.twilio_twiml import Keys, spoken
from responder.paging.webhook import WebhookSettings
from responder.paging.webhook_template import FILTERS
from responder.secrets import Secret

DOCS = (Path(__file__).parents[2] / "docs" / "channels.md").read_text()
PAGE = message(
    respond_by=AT + timedelta(minutes=15),
    ack_url="https://responder.example.com/ack/" + "k" * 86,
    summary=(
        "P1 database: PostgresTooManyConnections: 97 of 100 connections used\n"
        "5 alerts firing, since 2026-11-24 03:00:00 UTC, 2m ago\nAcknowledge by 03:15 UTC, as primary (dbteam)\n"
        "Runbook database-connection-errors: Too many connections"
    ),
)


def test_the_text_message_is_the_one_that_is_shown() -> None:
    assert sms(PAGE, "7f3k").replace("k" * 86, "…") in DOCS


def test_the_card_is_the_one_that_is_shown() -> None:
    lines = shown(card(PAGE, 1))[:6]
    lines[5] = f"  {lines[5]}"  # in a smaller type
    buttons = "  ".join(f"[ {action['title']} ]" for action in card(PAGE, 1)["actions"])
    assert "\n".join([*lines, buttons]) in DOCS


def test_the_call_is_the_one_that_is_shown() -> None:
    said = f"{spoken(PAGE)} {Keys(action='x').prompt}"
    assert said in re.sub(r"\n> ", " ", DOCS)


def test_the_template_that_is_shown_is_taken_and_the_filters_are_those_there_are() -> None:
    block = re.search(r"```yaml\n(channels:.*?)```", DOCS, re.DOTALL)
    assert block is not None
    template = yaml.safe_load(block[1])["channels"]["room"]["template"]
    WebhookSettings(url=Secret("http://x/"), template=Secret(template))
    assert ", ".join(sorted(FILTERS)) in re.sub(r"\s+", " ", DOCS)
