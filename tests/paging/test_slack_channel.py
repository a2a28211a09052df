"""Slack: its real HTTP protocol, spoken by a fake that holds messages to Slack's published limits."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from aiohttp import web
from conftest import body
from pages import DIGEST, LINK, charted, drawn, message, tools

from responder.clock import SystemClock
from responder.incident.finding import Finding, FindingStatus
from responder.incident.message import Contact, MessageKind, Receipt
from responder.paging.base import ChannelError, ChannelTools
from responder.paging.slack import SlackChannel, SlackSettings
from responder.paging.slack_blocks import blocks
from responder.paging.slack_charts import AT_ONCE
from responder.paging.slack_requests import SlackRequestError, decode_interaction, verify
from responder.secrets import Secret

__all__ = ["tools"]
DB = Contact(name="dbteam", addresses={"slack": "C0123456"})


def check_blocks(given: list[dict[str, Any]]) -> None:
    """Limits of Block Kit: docs.slack.dev, and the models of the SDK."""
    assert len(given) <= 50
    total = 0
    for block in given:
        match block["type"]:
            case "header":
                assert block["text"]["type"] == "plain_text"
                assert len(block["text"]["text"]) <= 150
            case "section":
                assert len(block["text"]["text"]) <= 3_000
            case "actions":
                assert len(block["elements"]) <= 25
                assert len({one["action_id"] for one in block["elements"]}) == len(block["elements"])
                for one in block["elements"]:
                    assert len(one["text"]["text"]) <= 75
                    assert len(one.get("value", "")) <= 2_000
                    assert len(one.get("url", "")) <= 3_000
            case "context":
                assert len(block["elements"]) <= 10
            case "rich_text":
                pass
            case other:
                pytest.fail(f"unknown block {other}")
        total += len(json.dumps(block, ensure_ascii=False))
    assert total < 16_000


class FakeSlack:
    """Keeps channels' messages; answers are told by the test."""

    def __init__(self) -> None:
        self.messages: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[web.Response] = []
        self.only = ""  # the one method that the answers are for
        self.url = ""
        self.waiting: dict[str, dict[str, Any]] = {}  # uploads by the id of their file
        self.uploads: dict[str, bytes] = {}
        self.shared: list[dict[str, Any]] = []
        self.elsewhere = ""  # where an upload is sent instead

    async def handle(self, request: web.Request) -> web.StreamResponse:
        method, given = request.match_info["method"], await arguments(request)
        assert request.headers["Authorization"] == "Bearer xoxb-test"
        self.calls.append((method, given))
        if self.answers and (not self.only or method == self.only):
            return self.answers.pop(0)
        return self._files(method, given) if method.startswith("files.") else self._chats(method, given)

    def _chats(self, method: str, given: dict[str, Any]) -> web.Response:
        if "blocks" in given:
            check_blocks(given["blocks"])
        assert len(given.get("text", "")) < 4_000
        match method:
            case "chat.postMessage":
                ts = f"1700000000.{len(self.calls):06d}"
                self.messages[ts] = given
                return web.json_response({"ok": True, "channel": "C0123456", "ts": ts})
            case "chat.update":
                if given["ts"] not in self.messages:
                    return web.json_response({"ok": False, "error": "message_not_found"})
                self.messages[given["ts"]].update(given)
                return web.json_response({"ok": True, "channel": given["channel"], "ts": given["ts"]})
            case "conversations.history":
                found = [{"ts": ts, "metadata": m.get("metadata", {})} for ts, m in self.messages.items()]
                return web.json_response({"ok": True, "messages": found})
            case _:
                return web.json_response({"ok": False, "error": "unknown_method"})

    def _files(self, method: str, given: dict[str, Any]) -> web.Response:
        """As docs.slack.dev describes both methods; what they do not know is refused."""
        if method == "files.getUploadURLExternal":
            assert set(given) <= {"filename", "length", "alt_txt", "snippet_type"}, given
            assert given["filename"]
            assert int(given["length"]) > 0
            assert len(given.get("alt_txt", "")) <= 1_000
            file_id = f"F{len(self.waiting) + 1:08d}"
            self.waiting[file_id] = given
            address = self.elsewhere or f"{self.url.removesuffix('/api/')}/upload/{file_id}"
            return web.json_response({"ok": True, "upload_url": address, "file_id": file_id})
        assert method == "files.completeUploadExternal"
        assert set(given) <= {"files", "channel_id", "thread_ts", "initial_comment", "channels", "blocks"}, (
            given
        )
        files = json.loads(given["files"])
        if not all(set(one) <= {"id", "title"} and one["id"] in self.uploads for one in files):
            return web.json_response({"ok": False, "error": "file_not_found"})
        if not given["channel_id"].startswith(("C", "G", "D")):
            return web.json_response({"ok": False, "error": "channel_not_found"})
        if given["thread_ts"] not in self.messages:
            return web.json_response({"ok": False, "error": "invalid_thread_ts"})
        self.shared.append({**given, "files": files})
        return web.json_response({"ok": True, "files": files})

    async def upload(self, request: web.Request) -> web.Response:
        """Slack's upload address: the bytes themselves, without credentials, of the announced length."""
        assert "Authorization" not in request.headers
        raw, file_id = await request.read(), request.match_info["id"]
        if len(raw) != int(self.waiting[file_id]["length"]):
            return web.Response(status=400, text="length mismatch")
        self.uploads[file_id] = raw
        return web.Response(text=f"OK - {len(raw)}")


async def arguments(request: web.Request) -> dict[str, Any]:
    """JSON for most methods; the methods for files take a form."""
    if not request.match_info["method"].startswith("files."):
        given: dict[str, Any] = await request.json()
        return given
    assert request.content_type == "application/x-www-form-urlencoded"
    return {name: str(value) for name, value in (await request.post()).items()}


@asynccontextmanager
async def fake() -> AsyncIterator[FakeSlack]:
    slack = FakeSlack()
    app = web.Application()
    app.router.add_post("/api/{method}", slack.handle)
    app.router.add_post("/upload/{id}", slack.upload)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slack.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/"
    try:
        yield slack
    finally:
        await runner.cleanup()


def channel(slack: FakeSlack, tools: ChannelTools, default: str | None = None) -> SlackChannel:
    return SlackChannel(
        "chat", SlackSettings(token=Secret("xoxb-test"), channel=default, api_url=slack.url), tools
    )


async def test_a_page_is_posted_with_a_button_and_updates_keep_the_one_message_true(
    tools: ChannelTools,
) -> None:
    async with fake() as slack:
        one = channel(slack, tools)
        page = await one.send(message(findings=()), DB, Receipt())
        assert await one.send(message(MessageKind.UPDATE, id="u1"), DB, page) == page
        assert [method for method, _ in slack.calls] == ["chat.postMessage", "chat.update"]
        posted = slack.calls[0][1]
        assert posted["unfurl_links"] is False
        assert "acknowledge" in json.dumps(posted["blocks"])
        assert "61 idle" in json.dumps(slack.calls[1][1]["blocks"])


async def test_an_acknowledgement_takes_the_button_away_and_is_told_in_the_thread(
    tools: ChannelTools,
) -> None:
    async with fake() as slack:
        one = channel(slack, tools)
        page = await one.send(message(), DB, Receipt())
        done = message(MessageKind.ACKNOWLEDGED, id="a1")
        done = msgspec.structs.replace(
            done, incident=msgspec.structs.replace(done.incident, state="acknowledged")
        )
        await one.send(done, DB, page)
        assert [method for method, _ in slack.calls] == [
            "chat.postMessage",
            "chat.update",
            "chat.postMessage",
        ]
        assert '"action_id": "acknowledge"' not in json.dumps(slack.calls[1][1]["blocks"])
        assert slack.calls[2][1]["thread_ts"] == page.reference["ts"]


async def test_a_message_that_was_deleted_is_posted_anew(tools: ChannelTools) -> None:
    async with fake() as slack:
        gone = Receipt({"channel": "C0123456", "ts": "1.2"})
        page = await channel(slack, tools).send(message(MessageKind.UPDATE), DB, gone)
        assert page.reference["ts"] in slack.messages


async def test_d5_after_an_unclear_answer_the_page_is_looked_for_before_it_is_posted_again(
    tools: ChannelTools,
) -> None:
    async with fake() as slack:
        one = channel(slack, tools)
        first = await one.send(message(), DB, Receipt())  # it got through, and then the answer was lost
        again = await one.send(message(attempt=2), DB, Receipt())
        assert again == first
        assert len(slack.messages) == 1


@pytest.mark.parametrize(
    ("error", "permanent"),
    [
        ("invalid_auth", True),
        ("channel_not_found", True),
        ("is_archived", True),
        ("fatal_error", False),
        ("ratelimited", False),
    ],
)
async def test_slacks_errors_come_with_status_200_and_are_told_apart(
    error: str, permanent: bool, tools: ChannelTools
) -> None:
    async with fake() as slack:
        slack.answers.append(web.json_response({"ok": False, "error": error}))
        with pytest.raises(ChannelError, match=error) as caught:
            await channel(slack, tools).send(message(), DB, Receipt())
        assert caught.value.permanent is permanent
        assert len(slack.calls) == 1  # nobody repeats but the outbox


async def test_a_rate_limit_hands_the_wait_on_and_a_server_error_is_temporary(tools: ChannelTools) -> None:
    async with fake() as slack:
        limited = web.json_response(
            {"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": "7"}
        )
        slack.answers += [limited, web.Response(status=502, text="bad gateway")]
        with pytest.raises(ChannelError) as caught:
            await channel(slack, tools).send(message(), DB, Receipt())
        assert caught.value.retry_after == timedelta(seconds=7)
        with pytest.raises(ChannelError) as caught:
            await channel(slack, tools).send(message(), DB, Receipt())
        assert not caught.value.permanent


async def test_an_at_name_goes_to_the_default_channel_and_without_one_is_not_reached(
    tools: ChannelTools,
) -> None:
    named = Contact(name="dbteam", addresses={"slack": "@dbteam"})
    async with fake() as slack:
        assert not channel(slack, tools).reaches(named)
        one = channel(slack, tools, default="C999")
        assert one.reaches(named)
        await one.send(message(), named, Receipt())
        assert slack.calls[0][1]["channel"] == "C999"


class HurriedClock(SystemClock):
    """Does not wait."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def with_picture(tools: ChannelTools, png: bytes | None) -> ChannelTools:
    async def chart(digest: str) -> bytes | None:
        return png if digest == DIGEST else None

    return msgspec.structs.replace(tools, chart=chart, clock=HurriedClock())


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not look():
            await asyncio.sleep(0.01)


async def test_a_picture_is_shared_once_in_the_pages_thread_after_the_page(tools: ChannelTools) -> None:
    png = drawn()
    async with fake() as slack:
        one = channel(slack, with_picture(tools, png))
        page = await one.send(message(findings=(charted(), charted(probe="again"))), DB, Receipt())
        await until(lambda: slack.shared)
        assert [method for method, _ in slack.calls] == [
            "chat.postMessage", "files.getUploadURLExternal", "files.completeUploadExternal",
        ]  # fmt: skip
        [shared] = slack.shared
        assert (shared["channel_id"], shared["thread_ts"]) == (
            page.reference["channel"],
            page.reference["ts"],
        )
        assert shared["files"][0]["title"] == "alert-graph: 2.4 s now, threshold 0.5 s, rising for 20m"
        assert list(slack.uploads.values()) == [png]
        assert slack.calls[1][1]["alt_txt"] == "Line chart of HighAPILatency"
        assert page.reference["charts"] == DIGEST

        # Another replica, or this one after a restart, knows it from the receipt.
        again = channel(slack, with_picture(tools, png))
        later = await again.send(message(MessageKind.UPDATE, id="u1", findings=(charted(),)), DB, page)
        assert later == page
        await again.close()
        assert len(slack.shared) == 1
        await one.close()


async def test_a_picture_that_comes_with_an_update_is_shared_then(tools: ChannelTools) -> None:
    async with fake() as slack:
        one = channel(slack, with_picture(tools, b"png"))
        page = await one.send(message(), DB, Receipt())
        assert "charts" not in page.reference
        page = await one.send(message(MessageKind.UPDATE, id="u1", findings=(charted(),)), DB, page)
        await until(lambda: slack.shared)
        assert page.reference["charts"] == DIGEST
        await one.close()


@pytest.mark.parametrize("method", ["files.getUploadURLExternal", "files.completeUploadExternal"])
async def test_a_page_is_out_whatever_becomes_of_its_picture(method: str, tools: ChannelTools) -> None:
    async with fake() as slack:
        slack.only = method
        slack.answers += [web.json_response({"ok": False, "error": "not_in_channel"})]
        one = channel(slack, with_picture(tools, b"png"))
        page = await one.send(message(findings=(charted(),)), DB, Receipt())
        assert page.reference["ts"] in slack.messages
        await until(lambda: not slack.answers)
        await one.close()
        assert slack.shared == []


async def test_a_passing_failure_is_tried_again_and_missing_rights_are_not(tools: ChannelTools) -> None:
    async with fake() as slack:
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

    async with fake() as slack:
        one = channel(slack, msgspec.structs.replace(tools, chart=chart))
        async with asyncio.timeout(2):
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
        async with fake() as slack:
            slack.elsewhere = elsewhere or "nothing"
            one = channel(slack, with_picture(tools, b"png"))
            await one.send(message(findings=(charted(),)), DB, Receipt())
            await until(lambda: len(slack.calls) == 2)
            await one.close()
            assert slack.shared == []


def test_a_dashboard_is_a_button() -> None:
    made = blocks(message(findings=(charted(),)))
    check_blocks(made)
    assert {"dashboard"} <= {one["action_id"] for one in made[-1]["elements"]}
    assert LINK in json.dumps(made)


def test_blocks_stay_within_the_limits_whatever_the_findings_say() -> None:
    huge = tuple(
        Finding(probe=f"p{n}", status=FindingStatus.CRITICAL, headline="x" * 200, detail="y" * 2_000)
        for n in range(20)
    )
    check_blocks(blocks(message(findings=huge, summary="s" * 5_000)))


def test_what_a_sender_wrote_is_never_markup() -> None:
    nasty = json.loads(body("hostile"))["alerts"][0]["labels"]
    title = " ".join(nasty.values())
    made = message(incident=msgspec.structs.replace(message().incident, title=title), summary=title)
    for block in blocks(made):
        assert "mrkdwn" not in json.dumps(block)


SECRET, NOW = "8f742231b10e8888abcd99yyyzzz85a5", datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def signed(raw: bytes, at: datetime = NOW, secret: str = SECRET) -> tuple[str, str]:
    stamp = str(int(at.timestamp()))
    digest = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + raw, hashlib.sha256).hexdigest()
    return stamp, f"v0={digest}"


def test_only_slacks_own_recent_signature_is_taken() -> None:
    raw = b"payload=x"
    assert verify(SECRET, *signed(raw), raw, NOW)
    assert not verify(SECRET, *signed(raw), raw + b"y", NOW)
    assert not verify(SECRET, *signed(raw, secret="other"), raw, NOW)
    assert not verify(SECRET, *signed(raw, NOW - timedelta(minutes=6)), raw, NOW)
    for stamp in ("", "abc", "١٢٣", "-1", "9" * 40, "1e9"):
        assert not verify(SECRET, stamp, signed(raw)[1], raw, NOW)
    assert not verify(SECRET, signed(raw)[0], "v0=\xff", raw, NOW)


def interaction(**more: Any) -> bytes:
    value = json.dumps({"incident": "1f" * 8, "contact": "dbteam"})
    payload = {
        "type": "block_actions", "user": {"id": "U1", "username": "ana"}, "team": {"id": "T1"},
        "actions": [{"action_id": "acknowledge", "value": value}],
        "response_url": "https://hooks.slack.com/actions/T1/1/x", **more,
    }  # fmt: skip
    return f"payload={quote(json.dumps(payload))}".encode()


def test_a_pressed_button_names_incident_and_person_and_only_slacks_own_answer_address() -> None:
    pressed = decode_interaction(interaction())
    assert pressed is not None
    assert (pressed.user_name, pressed.incident, pressed.action) == ("ana", "1f" * 8, "acknowledge")
    elsewhere = decode_interaction(interaction(response_url="https://hooks.slack.com.evil.example/x"))
    assert elsewhere is not None
    assert elsewhere.response_url == ""


@pytest.mark.parametrize(
    "raw", [b"", b"payload=", b"payload=%7B", b"\xff", b"x=y", interaction(actions=[{"value": "{}"}])]
)
def test_what_slack_would_not_send_is_refused(raw: bytes) -> None:
    with pytest.raises(SlackRequestError):
        decode_interaction(raw)


def test_a_link_button_asks_nothing_of_us() -> None:
    assert decode_interaction(interaction(actions=[{"action_id": "open"}])) is None
