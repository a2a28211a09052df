"""The processes under measurement: the daemon with a thousand rules, and the limit's server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import yaml


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def rules(count: int) -> dict[str, Any]:
    """So many rules, each for an alertname of its own; storms are P3 to the log, what is urgent is P1 to the hook."""
    return {
        "severities": {
            "P1": {"respond_within": "15m", "channels": ["hook"]},
            "P3": {"respond_within": "4h", "channels": ["log"]},
        },
        "escalation": {"api": {"primary": "backend"}, "platform": {"primary": "platform"}},
        "rules": [
            {
                "name": f"rule-{n}",
                "match": [f'alertname="Rule{n}"', 'env="prod"'],
                "severity": {
                    "label": "severity",
                    "map": {"critical": "P1", "warning": "P3"},
                    "default": "P3",
                },
                "service": "api",
                "group_by": ["alertname", "cluster"],
            }
            for n in range(count)
        ],
    }


HUNG, HEALTHY = "hung", "healthy"


def diagnosed(port: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Rules in which one alert's probe asks a target that hangs and another's one that answers; and the targets.

    Incidents of the hung kind differ by their pod, so that each runs a probe of its own.
    """
    made = rules(0)
    made["probes"] = {
        HUNG: {"type": "http", "target": HUNG, "path": "/hang", "timeout": "5s"},
        HEALTHY: {"type": "http", "target": HEALTHY, "path": "/ok", "timeout": "5s"},
    }
    made["runbooks"] = {name: {"diagnose": [name]} for name in (HUNG, HEALTHY)}
    made["rules"] = [
        {
            "name": name, "match": [f'kind="{name}"'], "severity": "P1", "service": "api", "runbook": name,
            "group_by": ["alertname", "pod"],
        }
        for name in (HUNG, HEALTHY)
    ]  # fmt: skip
    return made, {"http": {name: {"url": f"http://127.0.0.1:{port}"} for name in (HUNG, HEALTHY)}}


class Daemon:
    """A real daemon on the embedded store."""

    def __init__(
        self,
        folder: Path,
        hook: str,
        own_incidents: bool = False,
        targets_at: int | None = None,
        *,
        made: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        """``made`` are other rules than the thousand, ``settings`` more of the configuration."""
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder.mkdir(parents=True)
        (folder / "rules").mkdir()
        made = made or rules(1000)
        if own_incidents:
            for rule in made["rules"]:
                rule["group_by"] = ["alertname", "cluster", "pod"]
        targets: dict[str, Any] = {}
        if targets_at is not None:
            made, targets = diagnosed(targets_at)
        (folder / "rules" / "rules.yaml").write_text(yaml.safe_dump(made))
        config = {
            "targets": targets,
            "listen": f"127.0.0.1:{self.port}", "data_dir": "data", "log_level": "error",
            "channels": {"hook": {"type": "webhook", "url": hook}, "log": {"type": "log"}},
            **(settings or {}),
        }  # fmt: skip
        (folder / "responder.yaml").write_text(yaml.safe_dump(config))
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> float:
        """Seconds until it is ready."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "responder", "serve", "--config", str(self.folder / "responder.yaml"),
                stdout=log, stderr=log,
            )  # fmt: skip
        async with asyncio.timeout(120):
            while not await asyncio.to_thread(self._ready):
                await asyncio.sleep(0.01)
        return loop.time() - begun

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    async def stop(self) -> None:
        """In order."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            await self.process.wait()

    def get(self, path: str) -> Any:
        """JSON, or text."""
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            raw = answer.read().decode()
        return json.loads(raw) if raw.startswith("{") else raw

    def metric(self, name: str) -> float:
        """The value of a metric without labels, or the sum over its labels."""
        lines = [line for line in self.get("/metrics").splitlines() if line.startswith(name)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def pids(self) -> list[int]:
        """The daemon and its store."""
        store = int((self.folder / "data" / "store" / "pid").read_text())
        assert self.process is not None
        return [self.process.pid, store]


@contextlib.asynccontextmanager
async def daemon(
    folder: Path,
    hook: str = "http://127.0.0.1:9/",
    *,
    own_incidents: bool = False,
    targets_at: int | None = None,
    made: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
) -> AsyncIterator[Daemon]:
    """A daemon for the length of a block."""
    one = Daemon(folder, hook, own_incidents, targets_at, made=made, settings=settings)
    await one.start()
    try:
        yield one
    finally:
        await one.stop()


@contextlib.asynccontextmanager
async def limit() -> AsyncIterator[int]:
    """The limit's server; its port."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.limit", str(port))
    try:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.02)
        yield port
    finally:
        process.kill()
        await process.wait()
