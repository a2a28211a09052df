"""A storm through a real daemon: what one person gets, what is listed, and what an acknowledgement takes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from daemon import DaemonProcess, Receiver, alert, running, webhook_body
from waiting import eventually, until

RULES = """
severities:
  P1: {title: Critical, respond_within: 30m, escalate: {secondary: 10m, executive: 20m}}
  P2: {title: High, respond_within: 30m, escalate: {secondary: 15s, executive: 20m}}
  P3: {title: Medium, respond_within: 30m, escalate: {secondary: 10m, executive: 20m}}
escalation:
  database: {primary: dbteam, secondary: platform, executive: cto}
  platform: {primary: platform}
contacts: {dbteam: {}, platform: {}, cto: {}}
rules:
  - name: all
    match: ['alertname=~".+"']
    severity: {label: severity, map: {P1: P1, P2: P2, P3: P3}, default: P3}
    service: {label: service}
    group_by: [alertname, part]
default: {severity: P3, service: platform}
"""
BUNDLING = {"after": 3, "within": "5m", "new_kinds": 2, "digest_every": "2s"}


def hooked(hook: Receiver, **more: Any) -> dict[str, Any]:
    return {
        "channels": {"hook": {"type": "webhook", "url": hook.url}}, "hold_down": "0s", "monitor_for": "1s",
        "bundling": BUNDLING, **more,
    }  # fmt: skip


@pytest.fixture
async def daemon(hook: Receiver, tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    async with running(tmp_path / "daemon", hooked(hook), RULES) as found:
        yield found


def one(number: int, kind: str = "Same", **more: Any) -> dict[str, Any]:
    """An alert of an incident of its own, but of the same kind as others."""
    found = alert(number, part=str(number), **more)
    found["labels"]["alertname"] = kind
    return found


def rung(hook: Receiver, to: str = "dbteam") -> list[dict[str, Any]]:
    """Incidents whose page this person got, each once."""
    found = {
        body["incident"]["id"]: body
        for body in hook.bodies
        if body["to"] == to and body["kind"] in ("page", "reminder")
    }
    return list(found.values())


async def typed(daemon: DaemonProcess, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "responder", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "RESPONDER_URL": daemon.url},
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def pages_of(daemon: DaemonProcess) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for incident in await daemon.incidents("?limit=500"):
        _, whole = await daemon.get(f"/api/v1/incidents/{incident['id']}")
        found[incident["id"]] = whole["pages"]
    return found


async def all_told(daemon: DaemonProcess, count: int) -> dict[str, list[dict[str, Any]]]:
    """The pages of each of so many incidents, once every one has arrived."""

    async def look() -> Any:
        found = await pages_of(daemon)
        told = [
            pages
            for pages in found.values()
            if pages and all(page["status"] == "delivered" for page in pages)
        ]
        return found if len(told) == len(found) == count else None

    return await eventually(look, every=0.3)


async def test_a_storm_is_a_few_pages_and_a_digest_that_lists_the_rest_and_is_acknowledged_as_one(
    hook: Receiver, daemon: DaemonProcess
) -> None:
    for first in range(0, 60, 20):
        await daemon.alerts(webhook_body(*(one(n) for n in range(first, first + 20))))
    pages = await all_told(daemon, 60)
    assert len(rung(hook)) == BUNDLING["after"] + 1  # type: ignore[operator]
    folded = {incident for incident, found in pages.items() if found[0]["told_in"]}
    assert len(folded) == 56
    (carrier,) = {found[0]["told_in"] for found in pages.values() if found[0]["told_in"]}
    (page,) = [body for body in rung(hook) if body["incident"]["id"] == carrier]
    _, why, *_ = page["summary"].splitlines()
    assert why.startswith("DIGEST: more than 3 incidents within 5m for dbteam.")
    assert page["incident"]["title"].startswith("DIGEST")

    _, listed = await daemon.get(f"/api/v1/incidents/{carrier}/digest")
    assert {row["id"] for row in listed["incidents"]} == folded
    assert (listed["count"], listed["over"]) == (56, 0)
    assert len({row["line"] for row in listed["incidents"]}) == 56  # told apart by what their rule groups by
    assert {row["state"] for row in listed["incidents"]} == {"triggered"}

    status, _ = await daemon.post(f"/api/v1/incidents/{carrier}/acknowledge", {"by": "ana"})
    assert status == 200

    async def taken() -> Any:
        found = await daemon.incidents("?limit=500&state=acknowledged")
        return len(found) == 57 and found

    for incident in await eventually(taken):
        assert incident["acknowledged_by"] == "ana"
    _, some = await daemon.get(f"/api/v1/incidents/{min(folded)}")
    assert (
        f"acknowledged via the digest of incident {carrier}"
        in [line["text"] for line in some["timeline"]][-1]
    )
    assert len(rung(hook)) == 4
    _, metrics = await daemon.get("/metrics")
    assert 'responder_pages_total{channel="hook",outcome="folded"} 56.0' in metrics


async def test_a_p1_in_the_middle_is_paged_at_once_and_what_is_new_breaks_through(
    hook: Receiver, daemon: DaemonProcess
) -> None:
    await daemon.alerts(webhook_body(*(one(n) for n in range(10))))
    await all_told(daemon, 10)
    await daemon.alerts(webhook_body(one(100, severity="P1"), one(101, "Other"), one(102), one(103, "Other")))
    await until(lambda: {"P1"} <= {body["incident"]["severity"] for body in rung(hook)})
    pages = await all_told(daemon, 14)
    assert sum(bool(found[0]["told_in"]) for found in pages.values()) == 8
    titles = [body["incident"]["title"] for body in rung(hook)]
    assert len(titles) == 4 + 1 + 1
    assert sum("DIGEST" in title for title in titles) == 1


async def test_what_is_in_a_digest_that_ends_unanswered_is_paged_again_as_a_new_one(
    hook: Receiver, daemon: DaemonProcess
) -> None:
    await daemon.alerts(webhook_body(*(one(n) for n in range(12))))
    pages = await all_told(daemon, 12)
    (carrier,) = {found[0]["told_in"] for found in pages.values() if found[0]["told_in"]}
    _, whole = await daemon.get(f"/api/v1/incidents/{carrier}")
    await daemon.alerts(webhook_body(one(int(whole["labels"]["part"]), status="resolved")))

    async def told_again() -> Any:
        found = await pages_of(daemon)
        last = {incident: pages[-1] for incident, pages in found.items() if incident != carrier}
        into = {page["told_in"] for page in last.values()} - {None}
        return into if len(into) == 1 and carrier not in into else None

    (following,) = await eventually(told_again, every=0.3)
    assert len(rung(hook)) == 5
    _, again = await daemon.get(f"/api/v1/incidents/{following}/digest")
    assert again["count"] == 7


async def test_the_next_level_is_told_with_one_page_of_all_that_is_in_the_digest(
    hook: Receiver, daemon: DaemonProcess
) -> None:
    await daemon.alerts(webhook_body(*(one(n, severity="P2") for n in range(20))))
    await all_told(daemon, 20)
    await until(lambda: rung(hook, "platform"))

    async def both_levels() -> Any:
        found = await pages_of(daemon)
        return all(
            {page["to"] for page in pages if page["status"] == "delivered"} == {"dbteam", "platform"}
            for pages in found.values()
        )

    await eventually(both_levels, every=0.3)
    folded = [p for pages in (await pages_of(daemon)).values() for p in pages if p["told_in"]]
    assert len(rung(hook, "platform")) == 4  # those that rang the first level, and the digest
    assert sum(page["to"] == "platform" for page in folded) == 16


async def test_nothing_is_lost_when_the_daemon_is_killed_in_a_storm(hook: Receiver, tmp_path: Path) -> None:
    daemon = DaemonProcess(tmp_path / "killed", hooked(hook), RULES)
    await daemon.start()
    await daemon.alerts(webhook_body(*(one(n) for n in range(40))))
    await until(lambda: len(rung(hook)) >= 2)
    await daemon.kill()
    await daemon.start()
    pages = await all_told(daemon, 40)
    carriers = {page["told_in"] for found in pages.values() for page in found if page["told_in"]}
    assert len(carriers) == 1
    assert len(rung(hook)) <= 5
    rang = {body["incident"]["id"] for body in rung(hook)}
    assert all(found[0]["told_in"] or incident in rang for incident, found in pages.items())
    await daemon.kill()
    (carrier,) = carriers
    await daemon.start()
    assert (await daemon.post(f"/api/v1/incidents/{carrier}/acknowledge", {"by": "ana"}))[0] in (200, 202)
    await daemon.kill()
    await daemon.start()

    async def taken() -> Any:
        return len(await daemon.incidents("?limit=500&state=acknowledged")) == 41 - len(rang)

    await eventually(taken)
    await daemon.stop()


async def test_people_see_what_a_digest_holds_and_that_it_is_acknowledged_as_one(
    hook: Receiver, daemon: DaemonProcess
) -> None:
    await daemon.alerts(webhook_body(*(one(n) for n in range(10))))
    pages = await all_told(daemon, 10)
    folded = [incident for incident, found in pages.items() if found[0]["told_in"]]
    carrier = pages[folded[0]][0]["told_in"]
    (page,) = [body for body in rung(hook) if body["incident"]["id"] == carrier]

    async def counted() -> Any:
        _, whole = await daemon.get(f"/api/v1/incidents/{carrier}")
        return len(whole["digest"]["newest"]) == 6 and whole

    whole = await eventually(counted)
    assert whole["digest"]["text"] == "6 more incidents of 1 service"
    assert (whole["digest"]["count"], whole["digest"]["over"]) == (6, 0)
    _, console = await daemon.get(f"/incidents/{carrier}")
    assert "Digest (6)" in console
    assert all(f"/incidents/{incident}" in console for incident in folded)
    _, shown = await daemon.get(f"/incidents/{folded[0]}")
    assert f'told in the digest of <a href="/incidents/{carrier}">' in shown
    _, link = await daemon.get(page["ack_url"].removeprefix(daemon.url))
    assert "acknowledging takes this incident and 6 more incidents of 1 service" in link

    code, out = await typed(daemon, "incidents", "show", carrier)
    assert (code, "digest: 6 more incidents of 1 service, told with its page" in out) == (0, True)
    _, other = await daemon.get(f"/api/v1/incidents/{folded[0]}")
    fingerprint = other["alerts"][0]["fingerprint"]
    code, out = await typed(daemon, "explain", "--alert", fingerprint)
    assert code == 0, out
    assert (
        f"dbteam was told in the digest of incident {carrier}, and not paged by itself (still holds)" in out
    )
    assert "held back" not in out
    assert f"dbteam over hook: told in the digest of incident {carrier}" in out
    assert (await daemon.get(f"/api/v1/incidents/{folded[0]}/digest"))[0] == 404

    _, said = await daemon.call("POST", page["ack_url"].removeprefix(daemon.url))
    assert (
        "Taken with it: 6 more that were told in its digest. What rang by itself asks for an answer"
        in said.decode()
    )

    async def taken() -> Any:
        return len(await daemon.incidents("?limit=500&state=acknowledged")) == 7

    await eventually(taken)


async def test_without_bundling_everything_rings(hook: Receiver, tmp_path: Path) -> None:
    async with running(tmp_path / "off", hooked(hook, bundling={"after": 0}), RULES) as daemon:
        await daemon.alerts(webhook_body(*(one(n) for n in range(15))))
        await until(lambda: len(rung(hook)) == 15)
        await asyncio.sleep(0)
