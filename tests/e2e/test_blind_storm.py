"""A digest whose store goes away: what a person takes with it stays taken, and what is listed can still be read."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from conftest import eventually
from daemon import Receiver, alert, until
from site_of import Site, site
from test_blind import all_looked, until_polled

RULES = """
severities:
  P2: {title: High, respond_within: 60m, escalate: {secondary: 20m, executive: 40m}}
escalation:
  database: {primary: dbteam, secondary: platform, executive: cto}
  platform: {primary: platform}
contacts: {dbteam: {}, platform: {}, cto: {}}
rules:
  - {name: all, match: ['alertname=~".+"'], severity: P2, service: database, group_by: [alertname, part]}
default: {severity: P3, service: platform}
"""
AFTER, FOLDED = 2, 5


def settings(hook: Receiver) -> dict[str, Any]:
    return {
        "channels": {"hook": {"type": "webhook", "url": hook.url}}, "blind_after": "1s", "hold_down": "0s",
        "bundling": {"after": AFTER, "within": "1h", "new_kinds": 1, "digest_every": "1s"},
    }  # fmt: skip


def one(number: int) -> dict[str, Any]:
    found = alert(number, part=str(number))
    found["labels"]["alertname"] = "Same"
    return found


async def stormy(site: Site) -> str:
    """A storm of one kind; the incident that tells of the others, once all are told."""
    assert await site.alerts(*(one(number) for number in range(AFTER + 1 + FOLDED))) == 200

    async def carrier() -> Any:
        _, listed = await site.api("GET", "/incidents?limit=50")
        found = [row["id"] for row in listed["incidents"]]
        shown = [(await site.api("GET", f"/incidents/{name}"))[1] for name in found]
        told = [page["told_in"] for row in shown for page in row["pages"] if page["told_in"]]
        done = all(page["status"] == "delivered" for row in shown for page in row["pages"])
        return told[0] if done and len(told) == FOLDED else None

    found: str = await eventually(carrier, every=0.1)
    return found


async def test_who_takes_a_digest_from_memory_takes_all_that_is_told_with_it(
    hook: Receiver, tmp_path: Path, turned: Any
) -> None:
    async with site(tmp_path, turned, RULES, **settings(hook)) as found:
        carrier = await stormy(found)
        link = await found.ack_link(carrier, "dbteam")
        await all_looked(found.store.client.execute_command, 1)
        pid = int((tmp_path / "data" / "store" / "pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        try:
            assert await found.alerts(one(0)) == 503
            await until(found.held)
            status, listed = await found.api("GET", f"/incidents/{carrier}/digest")
            assert (status, listed["count"], len(listed["incidents"])) == (200, FOLDED, FOLDED)
            assert {row["state"] for row in listed["incidents"]} == {"triggered"}
            console = await found.page(f"/incidents/{carrier}")
            assert all(row["id"] in console for row in listed["incidents"])
            said = await found.press(link, 202)
            assert "nor for what it knows to be told with its digest" in said
            turned.turn(minutes=20, seconds=5)
            await until(lambda: sum(page["to"] == "platform" for page in hook.pages()) == AFTER)
            turned.turn(minutes=1)
            await found.until_metric("responder_blind_pages_total", AFTER)
        finally:
            os.kill(pid, signal.SIGCONT)
        await found.until_metric("responder_blind_mode", 0)
        await found.until_state(carrier, "acknowledged")
        await until_polled(found)
        _, listed = await found.api("GET", f"/incidents/{carrier}/digest")
        assert [row["state"] for row in listed["incidents"]] == ["acknowledged"] * FOLDED
        turned.turn(minutes=10)
        await until_polled(found)
        escalated = [page["incident"]["id"] for page in hook.pages() if page["to"] == "platform"]
        assert len(escalated) == AFTER
        assert carrier not in escalated
