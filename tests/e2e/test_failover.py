"""The store restarts or fails over under load, replicas race, the daemon dies while a page waits: nothing stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from daemon import DaemonProcess, Receiver, alert, free_port, running, webhook_body
from redis.exceptions import RedisError
from slow_target import slow_target
from stores import StoreProcess, store_process
from waiting import eventually, until

from responder.store.connection import close, connect

RULES = """
severities:
  P1: {title: Critical, respond_within: 10m, escalate: {secondary: 6s, executive: 9m}}
escalation:
  database: {primary: dbteam, secondary: platform, executive: cto}
  platform: {primary: platform}
rules:
  - {name: database, match: ['service="database"'], severity: P1, service: database, group_by: [alertname]}
  - {name: cluster, match: ['service="cluster"'], severity: P1, service: database, group_by: [cluster]}
default: {severity: P3, service: platform}
"""


def config(hook: Receiver, url: str, **more: Any) -> dict[str, Any]:
    return {"channels": {"hook": {"type": "webhook", "url": hook.url}}, "redis": {"url": url}, **more}


async def post_until_taken(daemon: DaemonProcess, raw: bytes) -> dict[str, Any]:
    """As Alertmanager does."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                status, answer = await daemon.alerts(raw, timeout=6)
                if status == 200:
                    found: dict[str, Any] = answer
                    return found
                assert status == 503, answer
            await asyncio.sleep(0.1)


async def load(daemon: DaemonProcess, numbers: range, pace: float = 0.05) -> None:
    async with asyncio.TaskGroup() as group:
        for number in numbers:
            group.create_task(post_until_taken(daemon, webhook_body(alert(number))))
            await asyncio.sleep(pace)


def reached(hook: Receiver) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for page in hook.pages():
        found.setdefault(page["incident"]["title"].split(":")[0], set()).add(page["level"])
    return found


async def until_all_reached(hook: Receiver, numbers: range) -> None:
    wanted = {f"Alert{number}" for number in numbers}
    await until(
        lambda: all({"primary", "secondary"} <= reached(hook).get(name, set()) for name in wanted), limit=100
    )


async def test_l20_workers_come_back_after_the_store_restarts_under_load(
    hook: Receiver, tmp_path: Path
) -> None:
    async with (
        store_process(tmp_path / "store") as store,
        running(tmp_path / "d", config(hook, store.url), RULES) as daemon,
    ):
        numbers = range(60)
        loading = asyncio.create_task(load(daemon, numbers))
        for _ in range(2):
            await asyncio.sleep(0.8)
            await store.kill()
            await asyncio.sleep(0.5)
            await store.start()
        await loading
        await until_all_reached(hook, numbers)
        await daemon.until_ready()
        ids = [page["id"] for page in hook.pages()]
        meaning = {page["id"]: (page["incident"]["id"], page["level"]) for page in hook.pages()}
        assert len(set(ids)) == len(set(meaning.values())) == 2 * len(numbers)
        assert await daemon.stop() == 0
        assert "Traceback" not in daemon.log()


@contextlib.asynccontextmanager
async def sentinel(folder: Path, primary: int) -> AsyncIterator[int]:
    folder.mkdir()
    port = free_port()
    (folder / "sentinel.conf").write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor main 127.0.0.1 {primary} 1\n"
        "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n"
    )
    process = await asyncio.create_subprocess_exec(
        "redis-sentinel", str(folder / "sentinel.conf"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield port
    finally:
        process.kill()
        await process.wait()


async def until_replicating(store: StoreProcess) -> None:
    async def linked() -> bool:
        found = await store.ask("INFO", "replication")
        text = json.dumps(found) if isinstance(found, dict) else found.decode()
        return "master_link_status" in text and "up" in text

    await eventually(linked, limit=30, every=0.1)


async def until_known(sentinel: int, replica: StoreProcess) -> None:
    """Sentinel learns of replicas from its primary now and then; what it does not know it cannot promote."""

    async def known() -> bool:
        client = connect(f"redis://127.0.0.1:{sentinel}/0")
        try:
            found = await client.execute_command("SENTINEL", "REPLICAS", "main")
        except RedisError:  # it is not up yet
            return False
        finally:
            await close(client)
        return str(replica.port) in str(found)

    await eventually(known, every=0.1)


@pytest.mark.debian("redis-server", "redis-sentinel")
async def test_l20_workers_come_back_after_sentinel_fails_the_store_over_under_load(
    hook: Receiver, tmp_path: Path
) -> None:
    async with (
        store_process(tmp_path / "one", "redis-server") as primary,
        store_process(
            tmp_path / "other", "redis-server", "--replicaof", "127.0.0.1", str(primary.port)
        ) as replica,
        sentinel(tmp_path / "sentinel", primary.port) as port,
    ):
        await until_replicating(replica)
        await until_known(port, replica)
        url = f"redis+sentinel://127.0.0.1:{port}/main"
        async with running(tmp_path / "d", config(hook, url), RULES) as daemon:
            numbers = range(60)
            loading = asyncio.create_task(load(daemon, numbers, pace=0.1))
            await asyncio.sleep(2)
            await primary.kill()
            await loading
            assert (await replica.ask("ROLE"))[0] in (b"master", "master")
            await daemon.until_ready()
            # The last writes before the failover may be lost; Alertmanager says it all again.
            await load(daemon, numbers, pace=0.01)
            await until_all_reached(hook, numbers)
            await primary.start()  # it comes back as a replica, and is not written to
            await post_until_taken(daemon, webhook_body(alert(100)))
            await until_all_reached(hook, range(100, 101))
            assert await daemon.stop() == 0
            assert "Traceback" not in daemon.log()


WAITING_RULES = (
    (
        RULES
        + """
runbooks: {look: {summary: Look., diagnose: [health]}}
probes: {health: {type: http, target: api, path: /health}}
"""
    )
    .replace("group_by: [alertname]}", "group_by: [alertname], runbook: look}")
    .replace("secondary: 6s", "secondary: 8m")
)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
async def test_l4_a_daemon_that_ends_while_the_page_waits_for_findings_pages_after_its_restart(
    hook: Receiver, tmp_path: Path, ending: signal.Signals
) -> None:
    """The alert was answered with 200; nobody sends it again."""
    async with slow_target() as (slow, url):
        settings = {
            "channels": {"hook": {"type": "webhook", "url": hook.url}}, "triage_wait": "15s",
            "targets": {"http": {"api": {"url": url}}}, "shutdown_grace": "1s",
        }  # fmt: skip
        daemon = DaemonProcess(tmp_path / "d", settings, WAITING_RULES)
        await daemon.start()
        assert (await daemon.alerts(webhook_body(alert(1))))[0] == 200
        await until(lambda: slow.asked)
        assert hook.pages() == []
        assert daemon.process is not None
        daemon.process.send_signal(ending)
        async with asyncio.timeout(40):
            await daemon.process.wait()
        assert hook.pages() == []
        await daemon.start()
        await until(hook.pages, limit=90)
        assert [page["level"] for page in hook.pages()][:1] == ["primary"]
        assert len({page["id"] for page in hook.pages()}) == len(hook.pages())
        await daemon.stop()


async def test_l15_alerts_of_one_incident_that_race_through_two_replicas_and_a_store_that_fails_lose_no_transition(
    hook: Receiver, tmp_path: Path
) -> None:
    """Elsewhere two rows matched, the answer was 500, and the transition was lost; here each comes again until 200."""
    async with store_process(tmp_path / "store") as store:
        settings = config(hook, store.url)
        async with (
            running(tmp_path / "a", settings, RULES) as one,
            running(tmp_path / "b", settings, RULES) as other,
        ):

            def member(number: int, **more: str) -> dict[str, Any]:
                return alert(number, service="cluster", cluster="main", **more)

            async def race(bodies: list[bytes]) -> None:
                posts = [post_until_taken(daemon, raw) for raw in bodies for daemon in (one, other, one)]
                trouble = asyncio.create_task(hiccup(store))
                await asyncio.gather(*posts)
                await trouble
                await asyncio.gather(one.until_ready(), other.until_ready())

            await race([webhook_body(member(number)) for number in range(30)])
            (incident,) = await eventually(lambda: listed(one))

            async def counts(daemon: DaemonProcess, **wanted: int) -> None:
                """Alerts that join or leave are decided once a second, and later where the store was gone meanwhile."""
                shown: dict[str, int] = {}

                async def are() -> bool:
                    nonlocal shown
                    _, answer = await daemon.get(f"/api/v1/incidents/{incident['id']}")
                    shown = {name: answer.get("counts", {}).get(name) for name in wanted}
                    return shown == wanted

                await eventually(are, every=0.1)

            await counts(other, firing=30, fired=30)
            await race([webhook_body(member(number, status="resolved")) for number in range(0, 30, 2)])
            await counts(one, firing=15, resolved=15)
            assert [page["level"] for page in hook.pages()].count("primary") == 1
            await race([webhook_body(member(number, status="resolved")) for number in range(1, 30, 2)])

            async def watched() -> bool:
                return [found["state"] for found in await listed(other)] == ["monitoring"]

            await eventually(watched, every=0.1)


async def listed(daemon: DaemonProcess) -> list[dict[str, Any]]:
    """What is there; nothing while a replica notices that its connection went with the store."""
    status, answer = await daemon.get("/api/v1/incidents")
    assert status in (200, 503), answer
    return list(answer.get("incidents", ()))


async def hiccup(store: StoreProcess) -> None:
    """The store is gone for a moment, in the middle of it."""
    await asyncio.sleep(0.02)
    await store.kill()
    await asyncio.sleep(0.3)
    await store.start()
