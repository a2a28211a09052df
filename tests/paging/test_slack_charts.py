"""Charts in Slack: shared in the thread of the incident's message, beside the page and never in its way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from aiohttp import web
from fake_slack import TOKEN, FakeSlack, fake_slack
from pages import DIGEST, charted, drawn, message, tools

from responder.clock import SystemClock
from responder.incident.message import Contact, Message, MessageKind, Receipt
from responder.paging.base import ChannelTools, NotYetError
from responder.paging.beside import AT_ONCE
from responder.paging.slack import SlackChannel, SlackSettings
from responder.secrets import Secret

__all__ = ["tools"]
DB = Contact(name="dbteam", addresses={"slack": "C0123456"})


def channel(slack: FakeSlack, tools: ChannelTools) -> SlackChannel:
    return SlackChannel("chat", SlackSettings(token=Secret(TOKEN), api_url=slack.url), tools)


class HurriedClock(SystemClock):
    """Does not wait."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def with_picture(tools: ChannelTools, png: bytes | None) -> ChannelTools:
    async def chart(digest: str) -> bytes | None:
        return png if digest == DIGEST else None

    return msgspec.structs.replace(tools, chart=chart, clock=HurriedClock())


async def sends(one: SlackChannel, message: Message, contact: Contact, receipt: Receipt) -> Receipt:
    """As the engine does: what has to wait for its turn comes again."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await one.send(message, contact, receipt)
            except NotYetError:
                await asyncio.sleep(0.1)


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not look():
            await asyncio.sleep(0.01)


async def test_a_picture_is_shared_once_in_the_pages_thread_after_the_page(tools: ChannelTools) -> None:
    png = drawn()
    async with fake_slack() as slack:
        one = channel(slack, with_picture(tools, png))
        page = await one.send(message(findings=(charted(), charted(probe="again"))), DB, Receipt())
        await until(lambda: slack.shared)
        assert slack.methods() == [
            "chat.postMessage", "chat.postMessage", "files.getUploadURLExternal", "files.completeUploadExternal",
        ]  # fmt: skip
        [shared] = slack.shared
        assert (shared["channel_id"], shared["thread_ts"]) == (
            page.reference["channel"],
            page.reference["ts"],
        )
        assert shared["files"][0]["title"] == "alert-graph: 2.4 s now, threshold 0.5 s, rising for 20m"
        assert list(slack.uploads.values()) == [png]
        assert slack.calls[2][1]["alt_txt"] == "Line chart of HighAPILatency"
        assert page.reference["charts"] == DIGEST

        # Another replica, or this one after a restart, knows it from the receipt.
        again = channel(slack, with_picture(tools, png))
        later = await sends(again, message(MessageKind.UPDATE, id="u1", findings=(charted(),)), DB, page)
        assert later == page
        await again.close()
        assert len(slack.shared) == 1
        await one.close()


async def test_a_picture_that_comes_with_an_update_is_shared_then(tools: ChannelTools) -> None:
    async with fake_slack() as slack:
        one = channel(slack, with_picture(tools, b"png"))
        page = await one.send(message(), DB, Receipt())
        assert "charts" not in page.reference
        page = await sends(one, message(MessageKind.UPDATE, id="u1", findings=(charted(),)), DB, page)
        await until(lambda: slack.shared)
        assert page.reference["charts"] == DIGEST
        await one.close()


@pytest.mark.parametrize("method", ["files.getUploadURLExternal", "files.completeUploadExternal"])
async def test_a_page_is_out_whatever_becomes_of_its_picture(method: str, tools: ChannelTools) -> None:
    async with fake_slack() as slack:
        slack.only = method
        slack.answers += [web.json_response({"ok": False, "error": "not_in_channel"})]
        one = channel(slack, with_picture(tools, b"png"))
        page = await one.send(message(findings=(charted(),)), DB, Receipt())
        assert page.reference["ts"] in slack.messages
        await until(lambda: not slack.answers)
        await one.close()
        assert slack.shared == []


async def test_a_passing_failure_is_tried_again_and_missing_rights_are_not(tools: ChannelTools) -> None:
    async with fake_slack() as slack:
        slack.only = "files.getUploadURLExternal"
        slack.answers += [
            web.json_response(
                {"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": "30"}
            ),
            web.Response(status=502, text="bad gateway"),
        ]
        one = channel(slack, with_picture(tools, b"png"))
        await one.send(message(findings=(charted(),)), DB, Receipt())
        await until(lambda: slack.shared)
        slack.answers.append(
            web.json_response({"ok": False, "error": "missing_scope", "needed": "files:write"})
        )
        await one.send(message(findings=(charted(),)), DB, Receipt())
        await until(lambda: not slack.answers)
        asked = len(slack.calls)
        page = await one.send(message(findings=(charted(),)), DB, Receipt())
        assert "charts" not in page.reference
        assert len(slack.calls) == asked + 1  # the page, and no further try to share
        await one.close()


async def test_a_picture_that_hangs_does_not_hold_the_page_and_ends_with_the_channel(
    tools: ChannelTools,
) -> None:
    hanging = asyncio.Event()

    async def chart(_digest: str) -> bytes | None:
        hanging.set()
        await asyncio.Event().wait()
        return None

    async with fake_slack() as slack:
        one = channel(slack, msgspec.structs.replace(tools, chart=chart))
        async with asyncio.timeout(30):
            await one.send(message(findings=(charted(),)), DB, Receipt())
            await hanging.wait()
            pages = [await one.send(message(findings=(charted(),)), DB, Receipt()) for _ in range(AT_ONCE)]
            assert "charts" not in pages[-1].reference  # too many are under way: left out, not queued
            await one.close()


async def test_the_bytes_go_to_slack_only(tools: ChannelTools) -> None:
    for elsewhere in (
        "http://127.0.0.1:9/upload",
        "https://files.slack.com.evil.example/x",
        "https://evil.example/.slack.com",
        "",
        "::",
    ):
        async with fake_slack() as slack:
            slack.elsewhere = elsewhere or "nothing"
            one = channel(slack, with_picture(tools, b"png"))
            await one.send(message(findings=(charted(),)), DB, Receipt())
            await until(lambda: len(slack.calls) == 2)
            await one.close()
            assert slack.shared == []
