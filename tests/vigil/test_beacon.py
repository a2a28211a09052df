"""Our own sign of life: given while the daemon does its work, and only then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from daemon import alert, webhook_body
from house import House, Replica, house

from responder.clock import SystemClock
from responder.config import CanaryConfig, HeartbeatOutConfig
from responder.secrets import Secret
from responder.store.store import Store
from responder.vigil.beacon import Beacon, BeaconParts
from responder.vigil.canary import Canary

CONFIG = CanaryConfig()


class Monitor:
    """Whoever waits for the sign."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path_qs}")
        headers = {"Location": "/elsewhere"} if self.status == 302 else {}
        return web.Response(status=self.status, headers=headers, text="x" * 1_000_000)


@pytest.fixture
async def monitor() -> AsyncIterator[Monitor]:
    found = Monitor()
    app = web.Application()
    app.router.add_get("/{rest:.*}", found.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/ping/s3cret"
    yield found
    await runner.cleanup()


@pytest.fixture
async def home(store: Store, turned: Any, tmp_path: Path) -> AsyncIterator[House]:
    async with house(store, turned, tmp_path) as found:
        yield found


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as found:
        yield found


def beacon_of(replica: Replica, url: str, session: aiohttp.ClientSession) -> Beacon:
    parts = BeaconParts(signs=replica.signs, session=session, metrics=replica.metrics, clock=SystemClock())
    config = HeartbeatOutConfig(url=Secret(url), timeout=timedelta(seconds=30))
    return Beacon(config, CONFIG, parts)


def outcomes(replica: Replica) -> dict[str, float | None]:
    return {
        outcome: replica.value("responder_heartbeat_out_total", outcome=outcome)
        for outcome in ("sent", "failed", "withheld")
    }


async def test_it_is_given_once_the_canary_has_come_through(
    home: House, monitor: Monitor, session: aiohttp.ClientSession
) -> None:
    replica = await home.replica()
    beacon = beacon_of(replica, monitor.url, session)
    await beacon.once()
    assert monitor.asked == []
    await Canary(CONFIG, replica.road, replica.metrics).once()
    await beacon.once()
    assert monitor.asked == ["GET /ping/s3cret"]
    assert outcomes(replica) == {"sent": 1, "failed": 0, "withheld": 1}
    assert replica.value("responder_heartbeat_out_last_success_timestamp_seconds") != 0


async def test_it_stays_away_while_the_canary_does(
    home: House, monitor: Monitor, session: aiohttp.ClientSession
) -> None:
    replica = await home.replica()
    await Canary(CONFIG, replica.road, replica.metrics).once()
    home.turned.turn(minutes=2)
    beacon = beacon_of(replica, monitor.url, session)
    await beacon.once()
    home.turned.turn(seconds=40)
    await beacon.once()
    assert len(monitor.asked) == 1


async def test_it_stays_away_while_an_incident_is_overdue_or_has_no_next_step(
    home: House, monitor: Monitor, session: aiohttp.ClientSession
) -> None:
    replica = await home.replica()
    await replica.take(webhook_body(alert(1)))
    await home.settle()
    [incident] = await replica.listed()
    beacon = beacon_of(replica, monitor.url, session)
    canary = Canary(CONFIG, replica.road, replica.metrics)
    await canary.once()
    await beacon.once()
    assert len(monitor.asked) == 1
    index = f"{home.store.base}:w:u"
    due = await home.store.client.zscore(index, incident.id)
    await home.store.client.zrem(index, incident.id)
    await beacon.once()
    assert len(monitor.asked) == 1
    await home.store.client.zadd(index, {incident.id: due})
    await beacon.once()
    assert len(monitor.asked) == 2
    await replica.fall_asleep()
    home.turned.turn(minutes=5, seconds=11)
    await home.store.client.set(
        f"{home.store.base}:canary", str(int((await home.store.now()).timestamp() * 1000))
    )
    await beacon.once()
    assert len(monitor.asked) == 2


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_an_answer_that_is_no_success_is_none_and_no_redirect_is_followed(
    home: House, monitor: Monitor, session: aiohttp.ClientSession, status: int
) -> None:
    replica = await home.replica()
    await Canary(CONFIG, replica.road, replica.metrics).once()
    monitor.status = status
    await beacon_of(replica, monitor.url, session).once()
    assert monitor.asked == ["GET /ping/s3cret"]
    assert outcomes(replica) == {"sent": 0, "failed": 1, "withheld": 0}


async def test_nobody_there_is_a_failure_and_the_address_stays_out_of_the_log(
    home: House, session: aiohttp.ClientSession, capsys: pytest.CaptureFixture[str]
) -> None:
    replica = await home.replica()
    await Canary(CONFIG, replica.road, replica.metrics).once()
    await beacon_of(replica, "http://127.0.0.1:9/ping/s3cret", session).once()
    assert outcomes(replica) == {"sent": 0, "failed": 1, "withheld": 0}
    said = capsys.readouterr().out
    assert "no sign of life is given" in said
    assert "s3cret" not in said
