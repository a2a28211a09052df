"""Blind mode on real processes: the store is gone, hangs, is full or read-only, and P1 and P2 are paged all the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from daemon import DaemonProcess, Receiver, alert, receiver, running, until, webhook_body
from stores import StoreProcess, store_process

RULES = """
severities:
  P1: {title: Critical, respond_within: 60s, escalate: {secondary: 8s, executive: 40s}}
escalation:
  database: {primary: dbteam, secondary: platform, executive: cto}
  platform: {primary: platform}
contacts:
  dbteam: {email: db@example.com}
rules:
  - {name: database, match: ['service="database"'], severity: P1, service: database, group_by: [alertname]}
default: {severity: P3, service: platform}
"""


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver() as found:
        yield found


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[StoreProcess]:
    async with store_process(tmp_path / "store") as found:
        yield found


def config(hook: Receiver, store: StoreProcess, **more: Any) -> dict[str, Any]:
    return {
        "channels": {"hook": {"type": "webhook", "url": hook.url}}, "redis": {"url": store.url},
        "blind_after": "1s", "triage_wait": "0s", **more,
    }  # fmt: skip


async def metric(daemon: DaemonProcess, name: str) -> float:
    _, text = await daemon.get("/metrics")
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


async def until_metric(daemon: DaemonProcess, name: str, value: float, limit: float = 20) -> None:
    async with asyncio.timeout(limit):
        while await metric(daemon, name) != value:
            await asyncio.sleep(0.05)


async def test_a_new_p1_is_paged_while_the_store_hangs_and_once_only_after_it_is_back(
    hook: Receiver, store: StoreProcess, tmp_path: Path
) -> None:
    async with running(tmp_path / "d", config(hook, store), RULES) as daemon:
        store.freeze()
        raw = webhook_body(alert(1))
        assert (await daemon.alerts(raw))[0] == 503
        await until_metric(daemon, "responder_blind_mode", 1)
        assert (await daemon.alerts(raw))[0] == 503
        page = (await until(hook.pages))[0]
        assert page["incident"]["title"].startswith("Store away: Alert1")
        assert "The store is away" in page["summary"]
        assert (page["level"], page["to"]) == ("primary", "dbteam")
        assert (await daemon.get("/-/ready"))[0] == 503
        assert await metric(daemon, "responder_blind_pages_total") == 1.0
        store.thaw()
        await until_metric(daemon, "responder_blind_mode", 0)
        begun = time.monotonic()
        assert (await daemon.alerts(raw))[0] == 200
        await until(lambda: len(hook.pages()) >= 2, limit=20)  # the level after it, and not the same again
        print(time.monotonic() - begun, hook.pages(), daemon.log())
        assert [one["level"] for one in hook.pages()] == ["primary", "secondary"]
        (incident,) = await daemon.incidents()
        assert incident["id"] == page["incident"]["id"]
