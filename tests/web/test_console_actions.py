"""Actions on the console: who may press, what the page says before, and what it says where it cannot be done."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from daemon import DaemonProcess, alert, running, webhook_body

from responder.signing import AckTokens
from responder.store.store import Store

ROLES = ("viewer", "responder", "admin")
RULES = """
escalation: {database: {primary: dbteam}}
default: {severity: P3, service: database}
rules: [{name: database, match: ['service="database"'], severity: P3, service: database, runbook: db}]
runbooks: {db: {summary: Too many connections, offer: [restart, wipe]}}
actions:
  restart: {type: http, target: api, path: /restart, title: Restart it}
  wipe: {type: http, target: api, path: /restart, title: Wipe it, role: admin}
"""


@pytest.fixture
async def daemon(
    tmp_path: Path, store_url: str, store: Store, store_name: str
) -> AsyncIterator[DaemonProcess]:
    """Over the test's own store, with one incident."""
    config = {
        "name": store_name,
        "redis": {"url": store_url},
        "auth": {
            "webhook": {},
            "tokens": [{"name": role, "token": f"{role}-token", "role": role} for role in ROLES],
        },
        "targets": {"http": {"api": {"url": "http://127.0.0.1:1", "allow": ["POST /restart"]}}},
    }
    async with running(tmp_path, config, RULES) as found:
        await found.alerts(webhook_body(alert(1)))
        yield found


class Person:
    """Somebody at the console."""

    def __init__(self, daemon: DaemonProcess, role: str) -> None:
        self.daemon, self.headers = daemon, {"Authorization": f"Bearer {role}-token"}

    async def page(self, path: str) -> str:
        status, raw = await self.daemon.call("GET", path, headers=self.headers)
        assert status == 200
        return raw.decode()

    async def press(self, page: str, path: str, **fields: str) -> tuple[int, str]:
        """Post the form of a page."""
        token = re.search(r'name="form_token" value="([0-9a-f]+)"', await self.page(page))
        assert token is not None
        data = {"form_token": token[1], **fields}
        status, raw = await self.daemon.call(
            "POST", path, headers=self.headers, data=data, allow_redirects=False
        )
        return status, raw.decode()

    async def incident(self) -> str:
        _, listed = await self.daemon.get("/api/v1/incidents", headers=self.headers)
        found: str = listed["incidents"][0]["id"]
        return found


async def test_the_switch_holds_where_the_audit_was_changed_and_is_not_released_unseen(
    daemon: DaemonProcess, store: Store
) -> None:
    boss = Person(daemon, "admin")
    assert (await boss.press("/", "/kill-switch/off"))[0] == 303
    await store.client.delete(f"{store.base}:audit")
    status, page = await boss.press("/", "/kill-switch/on")
    assert (status, "Actions stay off" in page, "changed from outside" in page) == (409, True, True)
    status, page = await boss.press("/", "/kill-switch/off")
    assert (status, "Actions are off, and the audit does not tell of it" in page) == (200, True)
    await store.client.delete(f"{store.base}:audit:head")
    assert (await boss.press("/", "/kill-switch/on"))[0] == 303


async def test_who_may_only_look_is_refused_and_leaves_nothing_in_the_audit_or_the_time_line(
    daemon: DaemonProcess, store: Store
) -> None:
    viewer = Person(daemon, "viewer")
    incident = await viewer.incident()
    path = f"/incidents/{incident}/actions/restart"
    for kind in ("perform", "rehearse", "undo"):
        status, page = await viewer.press("/login", path, kind=kind)  # where a form token is
        assert (status, "token viewer has the role viewer; actions need responder" in page) == (403, True)
    assert await store.client.llen(f"{store.base}:audit") == 0
    seen = await viewer.page(f"/incidents/{incident}")
    assert "to change something you need the role responder" in seen
    assert ">Acknowledge<" not in seen
    assert ">Acknowledge<" in await Person(daemon, "responder").page(f"/incidents/{incident}")
    _, shown = await daemon.get(f"/api/v1/incidents/{incident}", headers=viewer.headers)
    assert not [line for line in shown["timeline"] if line["reason"] == "action_refused"]
    assert (await Person(daemon, "responder").press(path, path, kind="rehearse"))[0] == 303


async def test_nobody_is_offered_a_button_that_refuses(daemon: DaemonProcess) -> None:
    path = f"/incidents/{await Person(daemon, 'admin').incident()}/actions"
    shown = {
        (role, name): await Person(daemon, role).page(f"{path}/{name}")
        for role in ROLES
        for name in ("restart", "wipe")
    }
    offered = [who for who, page in shown.items() if "Do it now" in page and "Dry run" in page]
    assert offered == [("responder", "restart"), ("admin", "restart"), ("admin", "wipe")]
    assert not [who for who, page in shown.items() if who not in offered and "<button" in page]
    assert "to start it you need the role responder" in shown["viewer", "wipe"]
    assert "To start it you need the role admin" in shown["responder", "wipe"]


async def test_every_page_that_leads_to_an_action_says_that_actions_are_switched_off(
    daemon: DaemonProcess, store: Store
) -> None:
    boss = Person(daemon, "admin")
    incident = await boss.incident()
    now = await store.now()
    key = await store.client.get(f"{store.base}:ack_key")
    link = f"/ack/{AckTokens(key).issue(incident, 'dbteam', now, timedelta(hours=1))}"
    says, button, way = "Actions were switched off by", "Do it now", f"/incidents/{incident}/actions/restart"
    assert says not in await boss.page(way)
    assert way in await boss.page(link)
    assert (await boss.press("/", "/kill-switch/off", by="ana", note="<b>moving"))[0] == 303
    confirming = await boss.page(way)
    assert f"{says} ana (token admin)" in confirming
    assert "&lt;b&gt;moving" in confirming
    assert button not in confirming
    assert "<button" not in confirming
    acknowledging = await boss.page(link)
    assert says in acknowledging
    assert way not in acknowledging
    assert "Acknowledge as dbteam" in acknowledging
    assert says in await boss.page(f"/incidents/{incident}")
    assert says in await boss.page("/")
    assert (await boss.press("/", "/kill-switch/on"))[0] == 303
    assert button in await boss.page(way)
    assert way in await boss.page(link)
