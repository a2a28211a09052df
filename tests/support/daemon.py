"""A real ``responder serve`` as a process, and the world around it: a webhook receiver, a mail server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web
from waiting import eventually, metric_in

FAST_RULES = """
severities:
  P1: {title: Critical, respond_within: 6s, escalate: {secondary: 2s, executive: 4s}}
escalation:
  database: {primary: dbteam, secondary: platform, executive: cto}
  platform: {primary: platform}
contacts:
  dbteam: {email: db@example.com}
rules:
  - name: database
    match: ['service="database"']
    severity: P1
    service: database
    group_by: [alertname]
default: {severity: P3, service: platform}
"""


#: Below what systems choose from by themselves: no connection and no server on port 0 ever gets one of these.
_BLOCKS = range(20_000, 30_000, 100)
_claims: list[socket.socket] = []


def _ports() -> Iterator[int]:
    """The ports of this process: the first of each hundred is held as long as it lives, and tells others to go on."""
    for first in _BLOCKS:
        claim = socket.socket()
        try:
            claim.bind(("127.0.0.1", first))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        yield from range(first + 1, first + _BLOCKS.step)


_ours = _ports()


def free_port() -> int:
    """A port for a program that starts later, or again and again: nobody else takes it in between."""
    for port in _ours:
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free between 20000 and 30000")


class Receiver:
    """What the webhook channel posts to."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.raw: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        raw = await request.read()
        if self.status == 200:
            self.raw.append((dict(request.headers), raw))
            self.bodies.append(json.loads(raw))
        return web.Response(status=self.status)

    def pages(self, kind: str = "page") -> list[dict[str, Any]]:
        return [body for body in self.bodies if body["kind"] == kind]


@contextlib.asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_post("/hook", found.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield found
    finally:
        await runner.cleanup()


class DaemonProcess:
    """One replica as a process of its own."""

    def __init__(self, folder: Path, config: dict[str, Any], rules: str = FAST_RULES) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rules").mkdir(exist_ok=True)
        (folder / "rules" / "rules.yaml").write_text(rules)
        merged = {"listen": f"127.0.0.1:{self.port}", "external_url": self.url, "data_dir": "data", **config}
        (folder / "responder.yaml").write_text(yaml.safe_dump(merged))
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, *, ready: bool = True) -> None:
        log = (self.folder / "log").open("ab")
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "responder", "serve", "--config", str(self.folder / "responder.yaml"),
            stdout=log, stderr=log, env={**os.environ, "PYTHONWARNINGS": "default"},
        )  # fmt: skip
        log.close()
        if ready:
            await self.until_ready()

    async def until_ready(self, limit: float = 60.0) -> None:
        async with asyncio.timeout(limit):
            while True:
                assert self.process is not None
                assert self.process.returncode is None, self.log()
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    status, _ = await self.get("/-/ready")
                    if status == 200:
                        return
                await asyncio.sleep(0.03)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-8_000:]

    async def stop(self) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            return await self.process.wait()

    async def kill(self) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    def store_pid(self) -> int | None:
        """The embedded store's process."""
        path = self.folder / "data" / "store" / "pid"
        with contextlib.suppress(OSError, ValueError):
            return int(path.read_text())
        return None

    async def call(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        timeout: float = 30,
        **more: Any,
    ) -> tuple[int, bytes]:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session,
            session.request(method, self.url + path, headers=headers, **more) as response,
        ):
            return response.status, await response.read()

    async def get(self, path: str, **more: Any) -> tuple[int, Any]:
        status, raw = await self.call("GET", path, **more)
        with contextlib.suppress(ValueError):
            return status, json.loads(raw)
        return status, raw.decode()

    async def post(self, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        status, raw = await self.call("POST", path, data=data, **more)
        with contextlib.suppress(ValueError):
            return status, json.loads(raw)
        return status, raw.decode()

    async def alerts(self, raw: bytes, **more: Any) -> tuple[int, Any]:
        return await self.post("/webhooks/alertmanager", raw, **more)

    async def incidents(self, query: str = "") -> list[dict[str, Any]]:
        status, answer = await self.get(f"/api/v1/incidents{query}")
        assert status == 200, answer
        found: list[dict[str, Any]] = answer["incidents"]
        return found

    async def metric(self, name: str) -> float:
        return metric_in((await self.get("/metrics"))[1], name)

    async def until_metric(self, name: str, value: float, limit: float = 60) -> None:
        async def has_it() -> bool:
            return await self.metric(name) == value

        await eventually(has_it, limit, every=0.05)

    async def until_taken(self, raw: bytes, limit: float = 60) -> None:
        """As Alertmanager does: again until it is answered with 200."""

        async def taken() -> bool:
            return (await self.alerts(raw))[0] == 200

        await eventually(taken, limit, every=0.1)


@contextlib.asynccontextmanager
async def running(
    folder: Path, config: dict[str, Any], rules: str = FAST_RULES
) -> AsyncIterator[DaemonProcess]:
    daemon = DaemonProcess(folder, config, rules)
    await daemon.start()
    try:
        yield daemon
    finally:
        await daemon.stop()


def alert(
    number: int = 1, *, status: str = "firing", started: str = "2026-11-24T03:00:00Z", **labels: str
) -> dict[str, Any]:
    """One alert as Alertmanager sends it; without a fingerprint the daemon makes its own."""
    return {
        "status": status,
        "labels": {"alertname": f"Alert{number}", "service": "database", **labels},
        "annotations": {"summary": f"number {number} is in trouble"},
        "startsAt": started,
        "endsAt": "0001-01-01T00:00:00Z"
        if status == "firing"
        else labels.pop("ended", "2026-11-24T04:00:00Z"),
        "generatorURL": "",
    }


def webhook_body(*alerts: dict[str, Any]) -> bytes:
    """A webhook of version 4."""
    status = "firing" if any(one["status"] == "firing" for one in alerts) else "resolved"
    return json.dumps(
        {
            "version": "4",
            "groupKey": "{}",
            "receiver": "r",
            "status": status,
            "truncatedAlerts": 0,
            "alerts": alerts,
        }
    ).encode()
