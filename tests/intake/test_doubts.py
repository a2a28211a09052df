"""A firing that may be a late copy is put to Alertmanager's real API form; in doubt it is real."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from conftest import FIXTURES
from world import World, firing, resolving, settle

from responder.config import AlertmanagerConfig
from responder.engine.outbox import Performer
from responder.incident.effects import SettleDoubts
from responder.intake.alertmanager import Alertmanagers
from responder.intake.doubts import DoubtSettler
from responder.store.reading import Reader
from responder.store.store import Store, to_ms


class Peer:
    """Answers as an Alertmanager's recorded API does."""

    def __init__(self) -> None:
        self.fingerprints: list[str] = []
        self.up_since = "2026-01-01T00:00:00.000Z"
        self.broken = False
        self.url = ""

    async def alerts(self, _request: web.Request) -> web.Response:
        if self.broken:
            return web.Response(status=503, text="busy")
        shape = json.loads((FIXTURES / "api-alerts.json").read_bytes())[0]
        return web.json_response([{**shape, "fingerprint": one} for one in self.fingerprints])

    async def status(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {**json.loads((FIXTURES / "api-status.json").read_bytes()), "uptime": self.up_since}
        )


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    found = Peer()
    app = web.Application()
    app.router.add_get("/api/v2/alerts", found.alerts)
    app.router.add_get("/api/v2/status", found.status)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


async def doubtful(store: Store, turned: Any, peer: Peer, seconds: float = 0) -> tuple[Any, list[str]]:
    """Fire, resolve, a late copy; then let time pass. The incident, and who was paged."""
    import asyncio
    import random

    world = World(random.Random(1))
    async with aiohttp.ClientSession() as session:
        config = AlertmanagerConfig(urls=(peer.url, f"{peer.url}/"))
        engine = world.replica(store)
        settler = DoubtSettler(store, Alertmanagers(config, session), engine.took)
        performers = {
            **world.performers(store),
            SettleDoubts: Performer(perform=settler.perform, limit=timedelta(seconds=10)),
        }
        engine._outbox._performers = performers
        task = asyncio.create_task(engine.run())
        await asyncio.sleep(0)
        start = to_ms(await store.now())
        for write in (
            firing(1, start - 60_000),
            resolving(1, start - 60_000, start - 1_000),
            firing(1, start - 60_000),
        ):
            engine.took(await store.ingest([write]))
            await settle(engine)
        for _ in range(int(seconds // 5)):
            turned.turn(seconds=5)
            await settle(engine)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        reader = Reader(store)
        [(incident_id, _)] = await reader.ids("all", "+inf", 10)
        incident = await reader.snapshot(incident_id)
    assert incident is not None
    return incident, [sent.effect.kind for sent in world.sent if sent.effect.episode == 2]


async def test_a_late_copy_that_no_peer_lists_pages_nobody(store: Store, turned: Any, peer: Peer) -> None:
    incident, paged = await doubtful(store, turned, peer)
    assert (incident.state_name, paged) == ("monitoring", [])


async def test_a_firing_that_a_peer_lists_is_a_re_fire_at_once(store: Store, turned: Any, peer: Peer) -> None:
    peer.fingerprints = [f"{1:016x}"]
    incident, paged = await doubtful(store, turned, peer)
    assert (incident.state_name, paged[:1]) == ("triggered", ["page"])


async def test_a_peer_that_does_not_answer_means_unknown_and_the_window_ends_as_a_re_fire(
    store: Store, turned: Any, peer: Peer
) -> None:
    peer.broken = True
    incident, _ = await doubtful(store, turned, peer, seconds=50)
    assert incident.state_name == "monitoring"


async def test_after_the_window_it_is_a_re_fire(store: Store, turned: Any, peer: Peer) -> None:
    peer.broken = True
    incident, paged = await doubtful(store, turned, peer, seconds=70)
    assert (incident.state_name, paged[:1]) == ("triggered", ["page"])


async def test_an_alertmanager_that_just_started_knows_nothing_and_is_not_believed(
    store: Store, turned: Any, peer: Peer
) -> None:
    peer.up_since = (await store.now()).isoformat()
    incident, paged = await doubtful(store, turned, peer, seconds=70)
    assert (incident.state_name, paged[:1]) == ("triggered", ["page"])
