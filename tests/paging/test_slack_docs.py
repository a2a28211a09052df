"""What docs/slack.md shows is what is sent, and what it promises is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import block_kit
import yaml
from slack_page import LOOK, PAGE

from responder.chat.commands import USAGE
from responder.paging.slack_blocks import blocks

DOCS = (Path(__file__).parents[2] / "docs" / "slack.md").read_text()


def test_the_json_is_the_one_that_is_posted_and_slack_would_take_it() -> None:
    block = re.search(r"```json\n(.*?)```", DOCS, re.DOTALL)
    assert block is not None
    shown = json.loads(block[1])
    assert shown == json.loads(json.dumps(blocks(PAGE, LOOK)))
    assert block_kit.complaints(shown) == []


def test_the_manifest_is_yaml_and_asks_for_every_scope_that_is_explained() -> None:
    block = re.search(r"```yaml\n(   display.*?)```", DOCS, re.DOTALL)
    assert block is not None
    manifest = yaml.safe_load(block[1])
    scopes = set(manifest["oauth_config"]["scopes"]["bot"])
    table = DOCS.split("| scope | without it |")[1].split("\n\n")[0]
    explained = set(re.findall(r"`([a-z]+:[a-z.]+|commands)`", table)) - {"chat:write.public"}
    assert scopes == explained


def test_every_command_is_listed() -> None:
    for line in USAGE.splitlines()[:-1]:
        assert f"`{line.split()[0].rstrip(':')}" in DOCS, line
