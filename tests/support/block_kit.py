"""Block Kit's limits, as docs.slack.dev and the models of Slack's SDK have them; what breaks one is named."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_MENTION = re.compile(r"<(@[UW][A-Z0-9]+|!subteam\^S[A-Z0-9]+|!date\^[^>]*)>")
_ELEMENTS = {"text", "link", "user", "usergroup", "date", "emoji", "channel", "broadcast"}


def complaints(blocks: Any, *, modal: bool = False) -> list[str]:
    """Everything that Slack would refuse."""
    if not isinstance(blocks, list) or not blocks:
        return ["blocks: expected a list that is not empty"]
    found = [] if len(blocks) <= (100 if modal else 50) else [f"{len(blocks)} blocks"]
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    if len(ids) != len(set(ids)):
        found.append("block_id twice")
    for number, block in enumerate(blocks):
        found += [f"/blocks/{number} {one}" for one in _block(block)]
    text = sum(len(one) for one in texts(blocks))
    return found + (["msg_blocks_too_long"] if text > 10_000 else [])


def texts(node: Any) -> Iterator[str]:
    """Every text in it."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "text" and isinstance(value, str):
                yield value
            else:
                yield from texts(value)
    elif isinstance(node, list):
        for one in node:
            yield from texts(one)


def _block(block: dict[str, Any]) -> Iterator[str]:
    if len(block.get("block_id", "")) > 255:
        yield "block_id too long"
    match block["type"]:
        case "header":
            yield from _text(block["text"], 150, kinds=("plain_text",))
        case "section":
            yield from _text(block["text"], 3_000)
        case "context":
            if not 0 < len(block["elements"]) <= 10:
                yield f"{len(block['elements'])} elements"
            for one in block["elements"]:
                yield from _text(one, 3_000)
        case "actions":
            yield from _actions(block["elements"])
        case "rich_text":
            for section in block["elements"]:
                yield from _section(section)
        case "input":
            yield from _text(block["label"], 2_000, kinds=("plain_text",))
            yield from _text_input(block["element"])
        case other:
            yield f"unknown type {other}"


def _text(
    text: dict[str, Any], limit: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")
) -> Iterator[str]:
    if text["type"] not in kinds:
        yield f"text of type {text['type']}"
    if not 0 < len(text["text"]) <= limit:
        yield f"text of {len(text['text'])} characters"
    unknown = set(text) - {"type", "text", "emoji" if text["type"] == "plain_text" else "verbatim"}
    if unknown:
        yield f"unknown {unknown}"


def _actions(elements: list[dict[str, Any]]) -> Iterator[str]:
    if not 0 < len(elements) <= 25:
        yield f"{len(elements)} elements"
    if len({one["action_id"] for one in elements}) != len(elements):
        yield "action_id twice"
    for one in elements:
        if one["type"] != "button":
            yield f"unknown element {one['type']}"
        yield from _text(one["text"], 75, kinds=("plain_text",))
        for name, limit in (("value", 2_000), ("url", 3_000), ("action_id", 255)):
            if len(one.get(name, "")) > limit:
                yield f"{name} too long"
        if one.get("style", "primary") not in ("primary", "danger"):
            yield "style"
        if confirm := one.get("confirm"):
            for name, limit in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
                yield from _text(confirm[name], limit)


def _section(section: dict[str, Any]) -> Iterator[str]:
    if section["type"] not in (
        "rich_text_section",
        "rich_text_preformatted",
        "rich_text_list",
        "rich_text_quote",
    ):
        yield f"unknown part {section['type']}"
    if not section["elements"]:
        yield "no elements"
    for one in section["elements"]:
        if one["type"] not in _ELEMENTS:
            yield f"unknown element {one['type']}"
        if one["type"] == "text" and not one["text"]:
            yield "empty text"
        if one["type"] == "date" and not (isinstance(one["timestamp"], int) and one["format"]):
            yield "date without time or format"


def _text_input(element: dict[str, Any]) -> Iterator[str]:
    if element["type"] != "plain_text_input" or not 0 < element.get("max_length", 1) <= 3_000:
        yield "input"


def view_complaints(view: dict[str, Any]) -> list[str]:
    """The same for a modal."""
    found = complaints(view["blocks"], modal=True)
    for name in ("title", "submit", "close"):
        found += [f"{name}: {one}" for one in _text(view[name], 24, kinds=("plain_text",))]
    if len(view.get("private_metadata", "")) > 3_000 or len(view["callback_id"]) > 255:
        found.append("private_metadata or callback_id too long")
    return found


def mrkdwn(blocks: list[dict[str, Any]]) -> str:
    """All that Slack would parse, without mentions and times."""
    found = []

    def look(node: Any) -> None:
        if isinstance(node, dict):
            if node.get("type") == "mrkdwn":
                found.append(_MENTION.sub("", node["text"]))
            for value in node.values():
                look(value)
        elif isinstance(node, list):
            for one in node:
                look(one)

    look(json.loads(json.dumps(blocks)))
    return "".join(found)
