"""Each kind of channel in a whole daemon where nothing fails: the page goes out once, and is known to have arrived."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from aiohttp import web
from daemon import DaemonProcess, alert, receiver, running, webhook_body
from fake_ntfy import FakeNtfy
from fake_pagerduty import FakePagerDuty
from fake_slack import TOKEN as SLACK_TOKEN
from fake_slack import fake_slack
from fake_teams import FakeTeams
from fake_twilio import SID, TOKEN, FakeTwilio
from mail import mail_server
from providers import serving
from waiting import eventually

from responder.catalogue import catalogue
from responder.paging.base import CHANNELS

RULES = """
severities:
  P1: {title: Critical, respond_within: 15m, escalate: {secondary: 5m, executive: 10m}}
escalation:
  database: {primary: dbteam, secondary: dbteam, executive: dbteam}
rules:
  - {name: database, match: ['service="database"'], severity: P1, service: database, group_by: [alertname]}
default: {severity: P3, service: database}
"""


class Case(NamedTuple):
    """A channel's settings, its person's address, and how many pages have arrived there."""

    settings: dict[str, Any]
    addresses: dict[str, str]
    arrived: Callable[[], int]


@contextlib.asynccontextmanager
async def webhook() -> AsyncIterator[Case]:
    async with receiver() as hook:
        yield Case({"url": hook.url}, {}, lambda: len(hook.pages()))


@contextlib.asynccontextmanager
async def email() -> AsyncIterator[Case]:
    async with mail_server() as box:
        settings = {"host": "127.0.0.1", "port": box.port, "from": "r@example.com", "starttls": False}
        yield Case(settings, {"email": "db@example.com"}, lambda: len(box.mails))


@contextlib.asynccontextmanager
async def slack() -> AsyncIterator[Case]:
    async with fake_slack() as workspace:
        settings = {"token": SLACK_TOKEN, "channel": "C0123456", "api_url": workspace.url}
        yield Case(settings, {}, lambda: sum("thread_ts" not in one for one in workspace.messages.values()))


@contextlib.asynccontextmanager
async def pagerduty() -> AsyncIterator[Case]:
    found = FakePagerDuty()
    async with serving(found.app()) as url:
        settings = {"routing_key": "r" * 32, "url": url}
        yield Case(settings, {}, lambda: sum(one["event_action"] == "trigger" for one in found.events))


@contextlib.asynccontextmanager
async def twilio(kind: str) -> AsyncIterator[Case]:
    found = FakeTwilio()
    async with serving(found.app()) as url:
        settings = {"account_sid": SID, "auth_token": TOKEN, "from": "+15005550006", "url": url}
        yield Case(settings, {"phone": "+639171234567"}, lambda: len(getattr(found, kind)))


@contextlib.asynccontextmanager
async def teams() -> AsyncIterator[Case]:
    found = FakeTeams()
    async with serving(found.app()) as url:
        yield Case(
            {"url": f"{url}/workflows/x/triggers/manual/paths/invoke?sig=secret-sig"},
            {},
            lambda: len(found.cards),
        )


@contextlib.asynccontextmanager
async def ntfy() -> AsyncIterator[Case]:
    found = FakeNtfy()
    async with serving(found.app()) as url:
        yield Case({"url": url}, {"ntfy": "db-pages"}, lambda: len(found.published))


@contextlib.asynccontextmanager
async def apprise() -> AsyncIterator[Case]:
    taken: list[str] = []

    async def take(request: web.Request) -> web.Response:
        taken.append(await request.text())
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    async with serving(app) as url:
        yield Case({"url": url.replace("http://", "json://") + "/hook"}, {}, lambda: len(taken))


CASES: dict[str, Callable[[], contextlib.AbstractAsyncContextManager[Case]]] = {
    "webhook": webhook,
    "email": email,
    "slack": slack,
    "pagerduty": pagerduty,
    "twilio.sms": lambda: twilio("messages"),
    "twilio.voice": lambda: twilio("calls"),
    "teams": teams,
    "ntfy": ntfy,
    "apprise": apprise,
}


def test_every_channel_that_sends_anything_is_here() -> None:
    catalogue()
    assert set(CASES) == set(CHANNELS) - {"log"}


async def first_page(daemon: DaemonProcess) -> dict[str, Any] | None:
    (incident,) = await daemon.incidents()
    _, shown = await daemon.get(f"/api/v1/incidents/{incident['id']}")
    assert len(shown["pages"]) == 1, shown["pages"]
    (page,) = shown["pages"]
    return page if page["status"] == "delivered" else None


@pytest.mark.parametrize("kind", CASES)
async def test_a_page_over_it_goes_out_once_and_is_known_to_have_arrived(kind: str, tmp_path: Path) -> None:
    async with CASES[kind]() as case:
        channels = {"it": {"type": kind, **case.settings}}
        rules = RULES + yaml.safe_dump({"contacts": {"dbteam": case.addresses}})
        async with running(tmp_path, {"channels": channels, "triage_wait": "0s"}, rules) as daemon:
            assert (await daemon.alerts(webhook_body(alert(1))))[0] == 200
            await eventually(
                lambda: first_page(daemon), limit=10
            )  # less than a lease: it was the first attempt
            assert await daemon.metric('responder_pages_total{channel="it",outcome="delivered"}') == 1
            assert case.arrived() == 1
            (incident,) = await daemon.incidents()
            path = f"/api/v1/incidents/{incident['id']}/acknowledge"
            assert (await daemon.post(path, {"by": "ana"}))[0] == 200
            assert "failed" not in daemon.log()
