"""Actions on the console: who may press, what the page says before, and what it says where it cannot be done."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from daemon import DaemonProcess, alert, running, webhook_body

from responder.store.store import Store

ROLES = ("viewer", "responder", "admin")
RULES = """
escalation: {database: {primary: dbteam}}
default: {severity: P3, service: database}
rules: [{name: database, match: ['service="database"'], severity: P3, service: database, runbook: db}]
runbooks: {db: {summary: Too many connections, offer: [restart]}}
actions: {restart: {type: http, target: api, path: /restart, title: Restart it}}
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
        status, page = await viewer.press(path, path, kind=kind)
        assert (status, "token viewer has the role viewer; actions need responder" in page) == (403, True)
    assert await store.client.llen(f"{store.base}:audit") == 0
    _, shown = await daemon.get(f"/api/v1/incidents/{incident}", headers=viewer.headers)
    assert not [line for line in shown["timeline"] if line["reason"] == "action_refused"]
    assert (await Person(daemon, "responder").press(path, path, kind="rehearse"))[0] == 303
