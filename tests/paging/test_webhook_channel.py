"""One signed JSON POST per message, and what every kind of answer means."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from pages import DIGEST, LINK, charted, message, tools

from responder.incident.message import Contact, MessageKind, Receipt
from responder.paging.base import ChannelError, ChannelTools
from responder.paging.webhook import WebhookChannel, WebhookSettings
from responder.secrets import Secret

__all__ = ["tools"]
ANA = Contact(name="dbteam")
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/hook", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    await runner.cleanup()


def channel(url: str, tools: ChannelTools) -> WebhookChannel:
    return WebhookChannel("hook", WebhookSettings(url=Secret(url), secret=Secret("s3cret")), tools)


async def test_the_body_is_what_the_interface_promises_signed_over_exactly_its_bytes(
    tools: ChannelTools,
) -> None:
    seen: list[tuple[dict[str, str], bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((dict(request.headers), await request.read()))
        return web.Response()

    async with server(answer) as url:
        await channel(url, tools).send(message(), ANA, Receipt())
    headers, raw = seen[0]
    stamp, signature = (part.partition("=")[2] for part in headers["X-Responder-Signature"].split(","))
    assert signature == hmac.new(b"s3cret", stamp.encode() + b"." + raw, hashlib.sha256).hexdigest()
    body = json.loads(raw)
    for key in (
        "kind",
        "id",
        "incident",
        "level",
        "to",
        "attempt",
        "respond_by",
        "summary",
        "findings",
        "actions",
        "ack_url",
    ):
        assert key in body
    assert set(body["incident"]) == {"id", "title", "severity", "service", "state", "opened_at", "url"}
    assert body["incident"]["opened_at"] == "2026-11-24T03:00:00Z"
    assert [f["status"] for f in body["findings"]] == ["critical", "error", "warning", "ok"]
    assert headers["Idempotency-Key"] == body["id"]


async def test_a_finding_has_the_promised_keys_and_a_picture_and_a_link_only_where_there_are_any(
    tools: ChannelTools,
) -> None:
    bodies: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.Response()

    async with server(answer) as url:
        await channel(url, tools).send(message(findings=(*message().findings, charted())), ANA, Receipt())
    promised = {"probe", "status", "headline", "detail"}
    *plain, with_chart = bodies[0]["findings"]
    assert all(set(one) == promised for one in plain)
    assert set(with_chart) == promised | {"chart_url", "link"}
    assert with_chart["chart_url"] == f"https://responder.example/charts/{DIGEST}.png"
    assert with_chart["link"] == LINK


def answering(status: int, **headers: str) -> Answer:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers)

    return answer


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        (500, False),
        (503, False),
        (429, False),
        (408, False),
        (410, True),
        (404, True),
        (400, True),
        (302, True),
    ],
)
async def test_an_answer_says_whether_trying_again_is_of_use(
    status: int, permanent: bool, tools: ChannelTools
) -> None:
    headers = {"Location": "http://127.0.0.1:9/elsewhere"} if status == 302 else {}
    async with server(answering(status, **headers)) as url:
        with pytest.raises(ChannelError) as caught:
            await channel(url, tools).send(message(), ANA, Receipt())
    assert caught.value.permanent is permanent
    assert url not in str(caught.value)


async def test_the_receivers_wish_to_wait_is_handed_on(tools: ChannelTools) -> None:
    async with server(answering(429, **{"Retry-After": "17"})) as url:
        with pytest.raises(ChannelError) as caught:
            await channel(url, tools).send(message(), ANA, Receipt())
    assert caught.value.retry_after == timedelta(seconds=17)


async def test_nobody_there_a_reset_and_garbage_are_temporary(tools: ChannelTools) -> None:
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def garbage(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xffnot http\r\n\r\n")
        writer.close()

    urls = ["http://127.0.0.1:9/"]
    servers = [await asyncio.start_server(handler, "127.0.0.1", 0) for handler in (reset, garbage)]
    urls += [f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}/" for one in servers]
    for url in urls:
        with pytest.raises(ChannelError) as caught:
            await channel(url, tools).send(message(), ANA, Receipt())
        assert not caught.value.permanent
    for one in servers:
        one.close()


async def test_a_receiver_that_hangs_is_given_up_in_time(
    tools: ChannelTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("responder.paging.http.SEND_LIMIT", 0.2)

    async def hang(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with server(hang) as url:
        with pytest.raises(ChannelError, match="no answer in time"):
            await channel(url, tools).send(message(), ANA, Receipt())


async def test_every_kind_of_message_can_be_posted(tools: ChannelTools) -> None:
    seen: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((await request.json())["kind"])
        return web.Response()

    async with server(answer) as url:
        for kind in MessageKind:
            await channel(url, tools).send(message(kind), ANA, Receipt())
    assert seen == ["page", "update", "acknowledged", "resolved", "reminder"]
