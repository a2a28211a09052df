"""A whole daemon in this process whose clock, and its store's, is turned by hand; and who calls its pages."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from clocks import Turned, TurnedClock
from daemon import alert, webhook_body
from waiting import eventually, metric_in, until

from responder.app import Daemon, Running
from responder.catalogue import catalogue
from responder.clock import SystemClock
from responder.config_load import load_config
from responder.rulebook import rulebook
from responder.signing import AckTokens


class Site:
    """A browser and a program before one daemon."""

    def __init__(self, session: aiohttp.ClientSession, daemon: Running, clock: SystemClock) -> None:
        self._session, self._clock = session, clock
        self.url = f"http://127.0.0.1:{daemon.port}"
        self.engine, self.store, self.held = daemon.engine, daemon.store, daemon.held

    async def alerts(self, *alerts: dict[str, Any]) -> int:
        """A webhook with these; the status of its answer."""
        url, raw = f"{self.url}/webhooks/alertmanager", webhook_body(*alerts)
        async with self._session.post(url, data=raw) as answer:
            return answer.status

    async def until_taken(self, *alerts: dict[str, Any]) -> None:
        """As Alertmanager does: again until it is answered with 200."""

        async def taken() -> bool:
            return await self.alerts(*alerts) == 200

        await eventually(taken, every=0.1)

    async def fire(self, number: int = 1) -> str:
        """An alert; its incident, once somebody was paged."""
        assert await self.alerts(alert(number)) == 200

        async def paged() -> str | None:
            _, listed = await self.api("GET", "/incidents")
            found = [one["id"] for one in listed["incidents"] if f"Alert{number}" in one["title"]]
            return str(found[0]) if found and await self.reached(found[0]) else None

        return await eventually(paged)

    async def reached(self, incident: str) -> list[Any]:
        """The levels whose pages have all arrived."""
        _, shown = await self.api("GET", f"/incidents/{incident}")
        pending = [page for page in shown["pages"] if page["status"] == "pending"]
        found: list[Any] = shown["reached"]
        return [] if pending else found

    async def until_state(self, incident: str, state: str) -> dict[str, Any]:
        """The incident, once it is in a state."""

        async def arrived() -> dict[str, Any] | None:
            _, shown = await self.api("GET", f"/incidents/{incident}")
            found: dict[str, Any] = shown
            return found if found["state"] == state else None

        return await eventually(arrived)

    async def api(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        data = json.dumps(body) if body is not None else None
        url = f"{self.url}/api/v1{path}"
        async with self._session.request(method, url, data=data, headers=headers) as answer:
            return answer.status, json.loads(await answer.read())

    async def page(self, path: str) -> str:
        async with self._session.get(self.url + path) as answer:
            assert answer.status == 200
            return await answer.text()

    async def form(self, path: str, form: str, **fields: str) -> tuple[int, str]:
        """Fill in one of the forms of a page."""
        token = re.search(r'name="form_token" value="([0-9a-f]+)"', await self.page(path))
        assert token is not None
        data = {"form_token": token[1], **fields}
        async with self._session.post(f"{self.url}{path}/{form}", data=data) as answer:
            return answer.status, await answer.text()

    async def ack_link(self, incident: str, contact: str) -> str:
        """What stands in a page to this contact."""
        key = await self.store.client.get(f"{self.store.base}:ack_key")
        return f"/ack/{AckTokens(key).issue(incident, contact, self._clock.now(), timedelta(hours=1))}"

    async def press(self, link: str, status: int = 200, **fields: str) -> str:
        """The button behind a link."""
        async with self._session.post(self.url + link, data=fields or None) as answer:
            assert answer.status == status
            return await answer.text()

    async def metric(self, name: str) -> float:
        return metric_in(await self.page("/metrics"), name)

    async def until_metric(self, name: str, value: float, limit: float = 60) -> None:
        async def has_it() -> bool:
            return await self.metric(name) == value

        await eventually(has_it, limit, every=0.05)

    async def polled(self) -> None:
        """The engine has looked at all that is due."""
        for _ in range(5):
            await self.engine.poll()
            await until(lambda: self.engine.idle)


@contextlib.asynccontextmanager
async def site(folder: Path, turned: TurnedClock, rules: str, **more: Any) -> AsyncIterator[Site]:
    """The site of a daemon with these rules and settings; by default everybody is reached by the log."""
    (folder / "rules.yaml").write_text(rules)
    config_file = folder / "responder.yaml"
    channels = {"chat": {"type": "log"}, "phone": {"type": "log"}}
    config_file.write_text(
        yaml.safe_dump(
            {
                "listen": "127.0.0.1:0",
                "rules": [str(folder / "rules.yaml")],
                "data_dir": str(folder / "data"),
                "channels": channels,
                "triage_wait": "0s",
                **more,
            }
        )
    )
    config = load_config(config_file, os.environ, catalogue()).config
    book = rulebook(config)
    started: list[Running] = []
    stop = asyncio.Event()
    clock = Turned(turned)
    daemon = Daemon(config, book, clock=clock, shift=turned)
    task = asyncio.create_task(daemon.run(stop, started.append))
    await until(lambda: started or task.done())
    if task.done():
        task.result()
    running = started[0]
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            yield Site(session, running, clock)
    finally:
        stop.set()
        await task
