"""A workflow of Teams that takes cards: strict about what it would not show.

Facts from microsoft/AdaptiveCards, schemas 1.4.0, and learn.microsoft.com (messages of about 28 kB; mentions in cards).
"""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

COLOURS = {"default", "dark", "light", "accent", "good", "warning", "attention"}
SIZES = {"default", "small", "medium", "large", "extraLarge"}
SPACINGS = {"default", "none", "small", "medium", "large", "extraLarge", "padding"}
RUN = {"type", "text", "color", "fontType", "isSubtle", "size", "weight"}


class FakeTeams:
    """Cards in the order in which they came."""

    def __init__(self) -> None:
        self.cards: list[dict[str, Any]] = []
        self.answers: list[web.Response] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/workflows/{id}/triggers/manual/paths/invoke", self.invoke)
        return app

    async def invoke(self, request: web.Request) -> web.Response:
        raw = await request.read()
        if self.answers:
            return self.answers.pop(0)
        assert request.query["sig"] == "secret-sig"
        assert len(raw) <= 28_000
        body = await request.json()
        assert set(body) == {"type", "attachments"}
        assert body["type"] == "message"
        (attachment,) = body["attachments"]
        assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        check_card(attachment["content"])
        self.cards.append(attachment["content"])
        return web.Response(status=202)


def check_card(card: dict[str, Any]) -> None:
    assert card["type"] == "AdaptiveCard"
    assert card["version"] == "1.4"
    assert not set(card) - {"$schema", "type", "version", "fallbackText", "msteams", "body", "actions"}
    mentions = {one["text"] for one in card["msteams"].get("entities", [])}
    for block in card["body"]:
        if block["type"] == "TextBlock":  # takes Markdown: nothing but a mention may stand in it
            assert block["text"] in mentions
            assert re.fullmatch(r"<at>[\w .-]+</at>", block["text"])
            continue
        assert block["type"] == "RichTextBlock"
        assert not set(block) - {"type", "inlines", "spacing"}
        assert block.get("spacing", "default") in SPACINGS
        for run in block["inlines"]:
            assert run["type"] == "TextRun"
            assert not set(run) - RUN
            assert isinstance(run["text"], str)
            assert run.get("color", "default") in COLOURS
            assert run.get("size", "default") in SIZES
            assert run.get("weight", "default") in {"lighter", "default", "bolder"}
            assert run.get("fontType", "default") in {"default", "monospace"}
    for action in card["actions"]:
        assert set(action) == {"type", "title", "url"}
        assert action["type"] == "Action.OpenUrl"
        assert action["url"].startswith(("https://", "http://"))


def shown(card: dict[str, Any]) -> list[str]:
    """The lines of a card as they are read."""
    return [
        "".join(run["text"] for run in block.get("inlines", ())) or block.get("text", "")
        for block in card["body"]
    ]
