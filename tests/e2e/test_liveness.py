"""Signs of life at real daemons: pings, the Watchdog of a real Prometheus, restarts, replicas; drills and our own sign."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from daemon import FAST_RULES, DaemonProcess, Receiver, alert, running, webhook_body
from prometheus import alertmanager, prometheus
from waiting import until

PING = {"name": "backup", "every": "8s", "severity": "P1", "service": "database"}
#: Only the first level is paged within a test.
RULES = FAST_RULES.replace(
    "respond_within: 6s, escalate: {secondary: 2s, executive: 4s}", "respond_within: 10m"
)
WATCHDOG = {**PING, "name": "prometheus", "match": ['alertname="Watchdog"']}


def config(hook: Receiver, *heartbeats: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "channels": {"hook": {"type": "webhook", "url": hook.url}},
        "heartbeats": list(heartbeats),
        **more,
    }


def watchdog() -> bytes:
    one = alert(1)
    one["labels"] = {"alertname": "Watchdog", "severity": "none"}
    return webhook_body(one)


async def last_seen(daemon: DaemonProcess, name: str) -> float:
    _, metrics = await daemon.get("/metrics")
    pattern = rf'^responder_heartbeat_last_seen_timestamp_seconds\{{name="{name}"\}} (\S+)$'
    found = re.search(pattern, metrics, re.MULTILINE)
    assert found, metrics
    return float(found[1])


async def beats(give: Callable[[], Any], seconds: float) -> None:
    """Signs of life for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await give()
        await asyncio.sleep(0.5)


async def states(daemon: DaemonProcess, *wanted: str, limit: float = 60) -> list[dict[str, Any]]:
    """Poll until the incidents are in these states."""
    async with asyncio.timeout(limit):
        while True:
            found = await daemon.incidents()
            if [one["state"] for one in found] == list(wanted):
                return found
            await asyncio.sleep(0.05)


async def test_a_ping_that_stops_pages_and_the_next_one_resolves_it(hook: Receiver, tmp_path: Path) -> None:
    async with running(tmp_path, config(hook, PING, monitor_for="1s"), RULES) as daemon:
        assert await last_seen(daemon, "backup") == 0
        methods = itertools.cycle(("GET", "POST"))

        async def ping() -> None:
            status, raw = await daemon.call(next(methods), "/heartbeats/backup")
            assert status == 200, raw

        await beats(ping, 12)
        assert await daemon.incidents() == []
        assert time.time() - await last_seen(daemon, "backup") < 8  # noqa: TID251 - the daemon's own clock
        page = (await until(hook.pages))[0]
        assert page["incident"]["title"] == "HeartbeatMissed: no sign of life from backup within 8s"
        assert (page["incident"]["service"], page["to"]) == ("database", "dbteam")
        before = await last_seen(daemon, "backup")
        for _ in range(3):
            status, _ = await daemon.call("HEAD", "/heartbeats/backup")
            assert status == 405
        assert await last_seen(daemon, "backup") == before
        await states(daemon, "triggered")
        await ping()
        keep = asyncio.create_task(beats(ping, 4))
        await states(daemon, "resolved")
        await keep
        assert [one["level"] for one in hook.pages()] == ["primary"]


async def test_a_watchdog_alert_that_stops_pages_once_whatever_restarts_in_between(
    hook: Receiver, tmp_path: Path
) -> None:
    daemon = DaemonProcess(tmp_path, config(hook, WATCHDOG))
    await daemon.start()
    for _ in range(2):
        status, answer = await daemon.alerts(watchdog())
        assert (status, answer) == (200, {"received": 1, "changed": 1, "duplicate": 0, "quarantined": 0})
    assert await last_seen(daemon, "prometheus") > 0
    await daemon.kill()
    down = time.monotonic() + 9  # longer than the heartbeat
    await until(lambda: time.monotonic() > down)
    back = time.monotonic()
    await daemon.start()
    page = (await until(hook.pages))[0]
    assert time.monotonic() - back > 8  # one more interval since it is back
    assert "prometheus" in page["incident"]["title"]
    await daemon.kill()
    await daemon.start()
    again = time.monotonic() + 9
    await until(lambda: time.monotonic() > again)
    assert [one["level"] for one in hook.pages()].count("primary") == 1
    assert len(await daemon.incidents()) == 1
    await daemon.alerts(watchdog())
    await states(daemon, "monitoring")
    await daemon.stop()


async def test_two_replicas_page_once_and_take_each_others_signs(
    hook: Receiver, tmp_path: Path, store_url: str, store_name: str
) -> None:
    slow = {**PING, "every": "10s"}
    shared = config(hook, slow, redis={"url": store_url}, name=store_name)
    async with running(tmp_path / "a", shared) as first, contextlib.AsyncExitStack() as stack:
        alone = asyncio.create_task(beats(lambda: first.call("POST", "/heartbeats/backup"), 120))
        second = await stack.enter_async_context(running(tmp_path / "b", shared))  # it takes a while
        alone.cancel()
        await asyncio.gather(alone, return_exceptions=True)
        turns = itertools.cycle((first, second))

        async def ping() -> None:
            assert (await next(turns).call("POST", "/heartbeats/backup"))[0] == 200

        await beats(ping, 12)
        assert await first.incidents() == []
        await until(hook.pages)
        await first.kill()
        settled = time.monotonic() + 1.5
        await until(lambda: time.monotonic() > settled)
        assert [one["level"] for one in hook.pages()].count("primary") == 1
        assert len(await second.incidents()) == 1
        await second.post("/heartbeats/backup")
        await states(second, "monitoring")


async def test_a_ping_needs_the_webhooks_credentials_or_a_token_that_may_change_things(
    hook: Receiver, tmp_path: Path
) -> None:
    auth = {
        "webhook": {"bearer_token": "hook-token", "basic": {"username": "am", "password": "pw"}},
        "tokens": [
            {"name": "cron", "token": "cron-token", "role": "responder"},
            {"name": "tv", "token": "tv-token", "role": "viewer"},
        ],
    }
    basic = base64.b64encode(b"am:pw").decode()
    cases = [
        (None, "backup", 401),
        ("Bearer wrong", "backup", 401),
        ("Bearer tv-token", "backup", 403),
        ("Bearer wrong", "unknown", 401),  # who may not ping does not learn what there is
        ("Bearer hook-token", "unknown", 404),
        ("Bearer hook-token", "backup", 200),
        (f"Basic {basic}", "backup", 200),
        ("Bearer cron-token", "backup", 200),
    ]
    async with running(tmp_path, config(hook, {**PING, "every": "1h"}, auth=auth)) as daemon:
        for header, name, expected in cases:
            before = await last_seen(daemon, "backup")
            headers = {"Authorization": header} if header else {}
            status, _ = await daemon.call("GET", f"/heartbeats/{name}", headers=headers)
            assert status == expected, (header, name)
            assert (await last_seen(daemon, "backup") > before) is (expected == 200)


PROMETHEUS_RULES = {
    "groups": [
        {
            "name": "general",
            "rules": [
                {
                    "alert": "Watchdog", "expr": "vector(1)", "labels": {"severity": "none"},
                    "annotations": {"summary": "always fires"},
                }
            ],
        }
    ]
}  # fmt: skip


@pytest.mark.debian("prometheus-alertmanager", "prometheus")
async def test_the_real_watchdog_of_a_real_prometheus_that_dies_and_comes_back(
    hook: Receiver, tmp_path: Path
) -> None:
    heartbeat = {**WATCHDOG, "every": "8s"}
    async with (
        running(tmp_path / "daemon", config(hook, heartbeat)) as daemon,
        alertmanager(tmp_path / "am", f"{daemon.url}/webhooks/alertmanager", repeat="1s") as am,
    ):
        async with prometheus(tmp_path / "prom", am.url, PROMETHEUS_RULES, "127.0.0.1:9"):
            async with asyncio.timeout(60):
                while not (first := await last_seen(daemon, "prometheus")):
                    await asyncio.sleep(0.1)
            over = time.monotonic() + 10  # longer than the heartbeat: only repeats keep it alive
            await until(lambda: time.monotonic() > over)
            assert await last_seen(daemon, "prometheus") > first + 5
            assert await daemon.incidents() == []
        page = (await until(hook.pages))[0]
        assert "no sign of life from prometheus within 8s" in page["incident"]["title"]
        assert [one["title"].split(":")[0] for one in await daemon.incidents()] == ["HeartbeatMissed"]
        async with prometheus(tmp_path / "prom2", am.url, PROMETHEUS_RULES, "127.0.0.1:9"):
            await states(daemon, "monitoring")


async def test_our_own_sign_of_life_is_given_while_all_is_well(hook: Receiver, tmp_path: Path) -> None:
    asked: list[str] = []

    async def monitor(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_get("/ping", monitor)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/ping"
    more = {
        "heartbeat_out": {"url": url, "every": "1s", "timeout": "1s"},
        "canary": {"every": "5s", "timeout": "5s"},
    }
    async with running(tmp_path, config(hook, **more)) as daemon:
        await until(lambda: len(asked) >= 3)
        _, metrics = await daemon.get("/metrics")
        flown = re.search(r"^responder_canary_seconds_count (\S+)$", metrics, re.MULTILINE)
        assert flown
        assert float(flown[1]) >= 1
        assert "responder_canary_failures_total 0.0" in metrics
        assert "@null" not in metrics
        assert await daemon.incidents() == []
        assert hook.bodies == []
        assert '"decided"' not in daemon.log()
    await runner.cleanup()


def drill_of(page: dict[str, Any]) -> bool:
    return bool(page["incident"].get("drill"))


async def test_a_drill_says_so_wherever_it_is_seen_and_counts_in_no_report(
    hook: Receiver, tmp_path: Path
) -> None:
    async with running(tmp_path, config(hook)) as daemon:
        await daemon.alerts(webhook_body(alert(1, drill="true"), alert(2)))

        def primary() -> list[dict[str, Any]]:
            return [one for one in hook.pages() if one["level"] == "primary"]

        await until(lambda: len(primary()) >= 2)
        by_drill = {drill_of(one): one for one in primary()}
        assert by_drill[True]["incident"]["title"] == "DRILL: Alert1: number 1 is in trouble"
        assert "This is a DRILL" in by_drill[True]["summary"]
        assert "DRILL" not in str(by_drill[False])
        # It needs an acknowledgement: without one the next level is paged.
        await until(lambda: any(p["level"] == "secondary" and drill_of(p) for p in hook.pages()))
        path = by_drill[True]["ack_url"].removeprefix(daemon.url)
        _, shown = await daemon.get(path)
        assert "DRILL" in shown
        assert (await daemon.call("POST", path))[0] == 200
        listed = {one["drill"]: one for one in await daemon.incidents()}
        assert listed[True]["state"] == "acknowledged"
        for page in ("/", f"/incidents/{listed[True]['id']}"):
            assert "DRILL" in (await daemon.get(page))[1]
        assert "DRILL" not in (await daemon.get(f"/incidents/{listed[False]['id']}"))[1]
        _, metrics = await daemon.get("/metrics")
        assert 'responder_sla_response_total{outcome="met",service="database",severity="P1"} 0.0' in metrics
        assert 'responder_time_to_page_seconds_count{severity="P1"} 1.0' in metrics


async def test_scheduled_drills_are_shown_from_the_start(hook: Receiver, tmp_path: Path) -> None:
    rules = FAST_RULES + "drills: [{name: weekly, service: database, severity: P1, at: 'Wed 10:00'}]\n"
    async with running(tmp_path, config(hook), rules) as daemon:
        _, metrics = await daemon.get("/metrics")
        assert 'responder_drill_last_run_timestamp_seconds{name="weekly"} 0.0' in metrics
