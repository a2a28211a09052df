"""Apprise: the real library, sending to a server on loopback; what it may not do, and that it is not needed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from conftest import body
from pages import message, tools
from providers import serving

from responder.incident.message import Contact, MessageKind, Receipt
from responder.paging import apprise as channel_module
from responder.paging.apprise import AppriseChannel, AppriseSettings, text
from responder.paging.base import ChannelError, ChannelTools
from responder.secrets import Secret

__all__ = ["tools"]
DB = Contact(name="dbteam")


class Service:
    """What Apprise's ``json://`` posts to."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        self.hold: threading.Event | None = None
        self.release = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        given = await request.json()
        if self.hold is not None:
            await self.release.wait()
        self.got.append(given)
        return web.Response(status=self.status)


@asynccontextmanager
async def service() -> AsyncIterator[tuple[Service, str]]:
    found = Service()
    app = web.Application()
    app.router.add_post("/hook", found.handle)
    async with serving(app) as url:
        yield found, url.replace("http://", "json://") + "/hook"


def channel(url: str, tools: ChannelTools) -> AppriseChannel:
    return AppriseChannel("any", AppriseSettings(url=Secret(url)), tools)


async def test_a_page_is_plain_text_with_the_way_to_acknowledge(tools: ChannelTools) -> None:
    async with service() as (found, url):
        one = channel(url, tools)
        assert one.reaches(DB)
        await one.send(message(), DB, Receipt())
        await one.send(message(MessageKind.RESOLVED), DB, Receipt())
    page, resolved = found.got
    assert page["title"] == "P1 database: PostgresTooManyConnections: 97 of 100 connections used"
    assert page["type"] == "failure"
    assert page["message"].startswith("5 alerts firing")
    assert "Acknowledge: https://responder.example/ack/token" in page["message"]
    assert resolved["type"] == "success"


@pytest.mark.parametrize("status", [400, 401, 404, 500, 503])
async def test_whatever_the_service_answers_all_that_is_known_is_that_it_failed(
    status: int, tools: ChannelTools
) -> None:
    async with service() as (found, url):
        found.status = status
        with pytest.raises(ChannelError, match="not delivered") as caught:
            await channel(url, tools).send(message(), DB, Receipt())
    assert not caught.value.permanent


async def test_nobody_there_is_a_passing_failure(tools: ChannelTools) -> None:
    with pytest.raises(ChannelError) as caught:
        await channel("json://127.0.0.1:9/hook", tools).send(message(), DB, Receipt())
    assert not caught.value.permanent


async def test_a_service_that_hangs_is_given_up_and_takes_no_more_than_its_seats(
    tools: ChannelTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_module, "SEND_LIMIT", 0.3)
    async with service() as (found, url):
        found.hold = threading.Event()
        one = channel(f"{url}?rto=5&cto=5", tools)
        sends = (one.send(message(), DB, Receipt()) for _ in range(channel_module.SEATS))
        for error in await asyncio.gather(*sends, return_exceptions=True):
            assert isinstance(error, ChannelError)
            assert "no answer in time" in str(error)
        with pytest.raises(ChannelError, match="have not ended yet") as caught:
            await one.send(message(), DB, Receipt())
        assert not caught.value.permanent
        found.release.set()
        async with asyncio.timeout(30):
            while threading.active_count() > 1 and any(
                "apprise any" in t.name for t in threading.enumerate()
            ):
                await asyncio.sleep(0.02)
        found.hold = None
        await one.send(message(), DB, Receipt())  # the seats are free again


@pytest.mark.parametrize(
    "url",
    [
        "syslog://",
        "rsyslog://host",
        "dbus://",
        "gnome://",
        "macosx://",
        "windows://",
        "SYSLOG://x",
        "qt://",
        "blink1://",
    ],
)
def test_what_shows_on_this_machine_only_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="this machine only"):
        AppriseSettings(url=Secret(url))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "nosuch://host/secret-token",
        "slack://",
        "file:///etc/passwd",
        "json://a json://b",
        "json://a,json://b",
    ],
)
def test_an_address_that_apprise_does_not_understand_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="does not understand") as caught:
        AppriseSettings(url=Secret(url))
    assert "secret-token" not in str(caught.value)


async def test_hostile_texts_are_neither_markup_nor_part_of_the_address(tools: ChannelTools) -> None:
    labels = json.loads(body("hostile"))["alerts"][0]["labels"]
    title = " ".join(labels.values())
    incident = msgspec.structs.replace(message().incident, title=title)
    async with service() as (found, url):
        await channel(url, tools).send(
            message(incident=incident, summary=f"x\n<b>&amp;{title}"), DB, Receipt()
        )
    assert "<b>&amp;" in found.got[0]["message"]
    assert "\n" not in found.got[0]["title"]


def test_a_body_is_bounded() -> None:
    assert len(text(message(summary="x\n" + "s" * 50_000))) <= 3_100


def test_without_the_package_every_other_channel_is_there_and_this_one_says_what_to_install() -> None:
    program = """
import sys
sys.modules["apprise"] = None  # as if it were not installed
from responder.catalogue import catalogue
from responder.paging.apprise import AppriseSettings
from responder.secrets import Secret
assert "apprise" in catalogue().channels
try:
    AppriseSettings(url=Secret("json://x"))
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "type apprise needs a package: pip install 'responder[apprise]'\n"


def test_finding_the_channels_does_not_load_the_package() -> None:
    program = (
        "import sys; from responder.catalogue import catalogue; catalogue(); print('apprise' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
