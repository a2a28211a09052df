"""The real Alertmanager and Prometheus as processes of a test."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from daemon import free_port


@contextlib.asynccontextmanager
async def program(*command: str, log: Path, ready: str) -> AsyncIterator[None]:
    """A program that answers 200 at ``ready`` once it is there; ended with the block."""
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=out)
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while True:
                assert process.returncode is None, log.read_text(errors="replace")[-3_000:]
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(ready) as response:
                        if response.status == 200:
                            break
                await asyncio.sleep(0.05)
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Alertmanager:
    """One Alertmanager that posts to a webhook."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def fire(
        self, labels: dict[str, str], *, ends: str | None = None, summary: str = "in trouble"
    ) -> None:
        """Post an alert to its API, as Prometheus does."""
        alert: dict[str, Any] = {"labels": labels, "annotations": {"summary": summary}}
        if ends is not None:
            alert["endsAt"] = ends
        await self.call("POST", "/api/v2/alerts", [alert])

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.url + path, json=body) as response,
        ):
            assert response.status < 300, await response.text()
            text = await response.text()
            return json.loads(text) if text else None


@contextlib.asynccontextmanager
async def alertmanager(
    folder: Path, webhook: str, *, repeat: str = "4h", **http: Any
) -> AsyncIterator[Alertmanager]:
    """Groups by alertname, flushes fast, sends resolves."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = {
        "route": {
            "receiver": "responder", "group_by": ["alertname"],
            "group_wait": "200ms", "group_interval": "1s", "repeat_interval": repeat,
        },
        "receivers": [
            {"name": "responder", "webhook_configs": [{"url": webhook, "send_resolved": True, "http_config": http or {}}]}
        ],
    }  # fmt: skip
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    url = f"http://127.0.0.1:{port}"
    async with program(
        "prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/am",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
        log=folder / "alertmanager.log", ready=f"{url}/-/ready",
    ):  # fmt: skip
        yield Alertmanager(url)


@contextlib.asynccontextmanager
async def prometheus(
    folder: Path, alertmanager_url: str, rules: dict[str, Any], scrape: str, *, port: int = 0
) -> AsyncIterator[str]:
    """Scrapes one target each second and evaluates the rules as often."""
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s", "scrape_timeout": "1s"},
        "rule_files": [str(folder / "rules.yml")],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [alertmanager_url.removeprefix("http://")]}]}]
        },
        "scrape_configs": [{"job_name": "app", "static_configs": [{"targets": [scrape]}]}],
    }
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    url = f"http://127.0.0.1:{port}"
    async with program(
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}", "--rules.alert.resend-delay=1s",
        log=folder / "prometheus.log", ready=f"{url}/-/ready",
    ):  # fmt: skip
        yield url


@contextlib.asynccontextmanager
async def remembering(folder: Path, samples: str) -> AsyncIterator[str]:
    """A Prometheus that scrapes nothing and remembers these samples (OpenMetrics text with times)."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    (folder / "prometheus.yml").write_text("{}")
    (folder / "samples").write_text(f"{samples}# EOF\n")
    maker = await asyncio.create_subprocess_exec(
        "promtool", "tsdb", "create-blocks-from", "openmetrics", str(folder / "samples"), str(folder / "tsdb"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await maker.communicate()
    assert maker.returncode == 0, said.decode()
    url = f"http://127.0.0.1:{port}"
    async with program(
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=10y",
        log=folder / "prometheus.log", ready=f"{url}/-/ready",
    ):  # fmt: skip
        yield url
