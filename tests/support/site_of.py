"""The web application in this process, on the real store, with its clock turned together with the store's."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from aiohttp.test_utils import TestClient, TestServer
from running import Running

from responder.clock import SystemClock
from responder.config import AuthConfig
from responder.incident.state import Incident
from responder.signing import AckTokens
from responder.web import WebParts, application


class _Turned(SystemClock):
    def __init__(self, run: Running) -> None:
        self._run = run

    def now(self) -> datetime:
        return super().now() + timedelta(milliseconds=self._run.turned())


class Site:
    """A browser and a program before one daemon's pages."""

    def __init__(self, client: TestClient[Any, Any], tokens: AckTokens, clock: _Turned) -> None:
        self._client, self._tokens, self._clock = client, tokens, clock

    async def api(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        answer = await self._client.request(
            method, f"/api/v1{path}", data=json.dumps(body) if body is not None else None, headers=headers
        )
        return answer.status, json.loads(await answer.read())

    async def page(self, path: str) -> str:
        answer = await self._client.get(path)
        assert answer.status == 200
        return await answer.text()

    async def form(self, path: str, form: str, **fields: str) -> tuple[int, str]:
        """Fill in one of the forms of a page."""
        token = re.search(r'name="form_token" value="([0-9a-f]+)"', await self.page(path))
        assert token is not None
        answer = await self._client.post(f"{path}/{form}", data={"form_token": token[1], **fields})
        return answer.status, await answer.text()

    def ack_link(self, incident: str, contact: str) -> str:
        return f"/ack/{self._tokens.issue(incident, contact, self._clock.now(), timedelta(hours=1))}"

    async def press(self, link: str) -> str:
        """The button behind a link."""
        answer = await self._client.post(link)
        assert answer.status == 200
        return await answer.text()


class _NoActions:
    """The rules of these pages offer nothing."""

    def offers(self, _incident: Incident) -> tuple[()]:
        return ()

    async def kill_switch(self) -> None:
        return None


@contextlib.asynccontextmanager
async def site(run: Running) -> AsyncIterator[Site]:
    """The site of a running engine."""
    clock, tokens = _Turned(run), AckTokens(b"k" * 32)

    async def reload() -> tuple[bool, tuple[str, ...]]:
        return True, ()

    async def ready() -> bool:
        return True

    async def metrics(_accept: str) -> tuple[bytes, str]:
        return b"", "text/plain"

    def nothing(*_: Any) -> Any:
        raise NotImplementedError

    unused: Any = nothing
    no_actions: Any = _NoActions()
    parts = WebParts(
        desk=run.desk,
        actions=no_actions,
        duty=unused,
        chart=unused,
        channels={},
        codes=unused,
        verified=unused,
        redact=str,
        page_outcome=nothing,
        auth=AuthConfig(),
        clock=clock,
        external_url="http://localhost",
        tokens=tokens,
        rules=nothing,
        explain=nothing,
        reload=reload,
        ready=ready,
        metrics=metrics,
        slack={},
    )
    async with TestClient(TestServer(application(parts))) as client:
        yield Site(client, tokens, clock)
