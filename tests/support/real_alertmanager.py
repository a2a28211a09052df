"""Real Alertmanagers that a test starts, stops, freezes, cuts off and gives an old disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from daemon import free_port
from fake_alertmanager import rfc
from prometheus import Alertmanager

from responder.clock import SystemClock

INHIBIT = [{"source_matchers": ['role="cause"'], "target_matchers": ['role="symptom"'], "equal": ["cluster"]}]


class RealAlertmanager(Alertmanager):
    """A program of its own, with a disk and a port that stay when it is stopped."""

    def __init__(self, folder: Path, *, receiver: str = "team.a", **route: Any) -> None:
        self.folder = folder
        self.port, self.gossip = free_port(), free_port()
        super().__init__(f"http://127.0.0.1:{self.port}")
        self.peers: list[RealAlertmanager] = []
        self.began: dict[tuple[tuple[str, str], ...], datetime] = {}
        self.process: asyncio.subprocess.Process | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.config: dict[str, Any] = {
            "route": {
                "receiver": receiver, "group_by": ["alertname"],
                "group_wait": "200ms", "group_interval": "1s", "repeat_interval": "4h", **route,
            },
            "receivers": [{"name": receiver}, {"name": "nobody"}],
            "inhibit_rules": INHIBIT,
        }  # fmt: skip

    def posts_to(self, webhook: str) -> None:
        self.config["receivers"][0]["webhook_configs"] = [{"url": webhook, "send_resolved": True}]

    def mutes_always(self, matcher: str, key: str = "mute_time_intervals") -> None:
        """What matches has a route of its own on which nothing is sent: it is always muted, or never active."""
        receiver, always = self.config["route"]["receiver"], key == "mute_time_intervals"
        times = {} if always else {"years": ["1970"]}
        self.config["time_intervals"] = [{"name": "nights", "time_intervals": [times]}]
        self.config["route"]["routes"] = [{"receiver": receiver, "matchers": [matcher], key: ["nights"]}]

    async def start(self) -> None:
        (self.folder / "alertmanager.yml").write_text(yaml.safe_dump(self.config))
        cluster = ["--cluster.listen-address="]
        if self.peers:
            cluster = [
                f"--cluster.listen-address=127.0.0.1:{self.gossip}", "--cluster.peer-timeout=2s",
                "--cluster.settle-timeout=1s", "--cluster.gossip-interval=100ms", "--cluster.pushpull-interval=1s",
                *(f"--cluster.peer=127.0.0.1:{peer.gossip}" for peer in self.peers),
            ]  # fmt: skip
        with (self.folder / "log").open("ab") as out:
            self.process = await asyncio.create_subprocess_exec(
                "prometheus-alertmanager", f"--config.file={self.folder}/alertmanager.yml",
                f"--storage.path={self.folder}/data", f"--web.listen-address=127.0.0.1:{self.port}", *cluster,
                stdout=out, stderr=out,
            )  # fmt: skip
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while True:
                assert self.process.returncode is None, (self.folder / "log").read_text()[-3_000:]
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{self.url}/-/ready") as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(0.05)

    async def stop(self, *, how: signal.Signals = signal.SIGTERM) -> None:
        """In order it writes its silences down; ``SIGKILL`` loses what it has not."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(how)
        await self.process.wait()

    def freeze(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def keep_disk(self) -> Path:
        """A copy of what it has on disk now."""
        copy = self.folder / "old"
        shutil.copytree(self.folder / "data", copy, dirs_exist_ok=True)
        return copy

    def lose_disk(self, old: Path | None = None) -> None:
        """Its disk is empty, or as it was once."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        if old is not None:
            shutil.copytree(old, self.folder / "data")

    async def firing(
        self, labels: Mapping[str, str] | None = None, *, minutes: float = 30, **more: str
    ) -> None:
        """As Prometheus sends it: when it began, and the time at which it would expire."""
        labels, now = {**(labels or {}), **more}, SystemClock().now()
        began = self.began.setdefault(tuple(sorted(labels.items())), now)
        await self._post(labels, began, now + timedelta(minutes=minutes))

    async def resolving(self, labels: Mapping[str, str] | None = None, **more: str) -> None:
        labels, now = {**(labels or {}), **more}, SystemClock().now()
        await self._post(labels, self.began.pop(tuple(sorted(labels.items())), now), now)

    async def _post(self, labels: dict[str, str], began: datetime, ends: datetime) -> None:
        alert = {
            "labels": labels,
            "annotations": {"summary": "in trouble"},
            "startsAt": rfc(began),
            "endsAt": rfc(ends),
        }
        await self.call("POST", "/api/v2/alerts", [alert])

    async def silence(self, seconds: float, *, by: str = "ana", comment: str = "known", **labels: str) -> str:
        """As a person makes it with Alertmanager's own page; its id."""
        now = SystemClock().now()
        matchers = [{"name": k, "value": v, "isRegex": False, "isEqual": True} for k, v in labels.items()]
        body = {"matchers": matchers, "startsAt": rfc(now), "endsAt": rfc(now + timedelta(seconds=seconds)), "createdBy": by, "comment": comment}  # fmt: skip
        made: str = (await self.call("POST", "/api/v2/silences", body))["silenceID"]
        return made

    async def expire(self, silence: str) -> None:
        await self.call("DELETE", f"/api/v2/silence/{silence}")

    async def silences(self, state: str = "active") -> list[dict[str, Any]]:
        found = await self.call("GET", "/api/v2/silences")
        return [one for one in found if one["status"]["state"] == state]


async def together(*members: RealAlertmanager) -> None:
    """Start a cluster, and wait until its members know each other."""
    for one in members:
        one.peers = [other for other in members if other is not one]
    await asyncio.gather(*(one.start() for one in members))
    async with asyncio.timeout(60):
        for one in members:
            while len((await one.call("GET", "/api/v2/status"))["cluster"].get("peers", [])) < len(members):
                await asyncio.sleep(0.1)
