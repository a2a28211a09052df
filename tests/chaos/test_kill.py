"""``kill -9`` of the daemon and of its store at random moments under load, in a loop; then the promises are checked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from daemon import DaemonProcess, Receiver, alert, webhook_body
from waiting import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

RULES = """
severities:
  P1: {title: Critical, respond_within: 10s, escalate: {secondary: 3s, executive: 6s}}
escalation:
  database: {primary: dbteam, secondary: platform, executive: cto}
  platform: {primary: platform}
rules:
  - {name: database, match: ['service="database"'], severity: P1, service: database, group_by: [alertname]}
"""
LONGER = 60.0  # seconds
LOAD_FOR = 14.0
LEVELS = {"primary", "secondary", "executive"}


class Sender:
    """Posts as Alertmanager does: again and again until it is answered 200."""

    def __init__(self, daemon: DaemonProcess, chance: random.Random) -> None:
        self._daemon = daemon
        self._chance = chance
        self.taken: set[int] = set()
        self.refused = 0

    async def post_until_taken(self, numbers: list[int]) -> None:
        raw = webhook_body(*(alert(number) for number in numbers))
        while not self.taken.issuperset(numbers):
            try:
                status, answer = await self._daemon.alerts(raw, timeout=6)
            except (aiohttp.ClientError, OSError, TimeoutError):
                status, answer = 0, {}
            if status == 200:
                assert answer["received"] == len(numbers)
                self.taken.update(numbers)
            else:
                self.refused += 1
                await asyncio.sleep(self._chance.uniform(0.02, 0.2))

    async def load(self, end: float) -> None:
        number = 0
        async with asyncio.TaskGroup() as group:
            while time.monotonic() < end:
                batch = [number + i for i in range(self._chance.randrange(1, 4))]
                number += len(batch)
                group.create_task(self.post_until_taken(batch))
                await asyncio.sleep(self._chance.uniform(0.05, 0.25))


async def killer(daemon: DaemonProcess, chance: random.Random, end: float) -> dict[str, int]:
    kills = {"daemon": 0, "store": 0}
    # On a busy machine a start takes long: a few kills of each are wanted in any case.
    while time.monotonic() < end or (min(kills.values()) < 2 and time.monotonic() < end + LONGER):
        await asyncio.sleep(chance.uniform(0.3, 1.5))
        if chance.random() < 0.5:
            await daemon.kill()
            kills["daemon"] += 1
            await daemon.start(ready=False)
        elif (pid := daemon.store_pid()) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                kills["store"] += 1
    return kills


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_alert_answered_with_200_is_lost_and_every_level_is_reached(
    hook: Receiver, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    daemon = DaemonProcess(tmp_path, {"channels": {"hook": {"type": "webhook", "url": hook.url}}}, RULES)
    try:
        await daemon.start()
        await play(daemon, hook, chance)
        assert await daemon.stop() == 0
    finally:
        await daemon.kill()  # whatever went wrong, nothing is left behind


async def play(daemon: DaemonProcess, hook: Receiver, chance: random.Random) -> None:
    sender, end = Sender(daemon, chance), time.monotonic() + LOAD_FOR
    loading = asyncio.create_task(sender.load(end))
    kills = await killer(daemon, chance, end)
    await supervised(daemon)
    await loading
    assert kills["daemon"] > 1
    assert kills["store"] > 1

    incidents = await incidents_of(daemon, sender.taken)

    # The last ones opened just now: every unacknowledged incident reaches each level within its times.
    def levels() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {one["id"]: set() for one in incidents.values()}
        for page in hook.pages():
            found.setdefault(page["incident"]["id"], set()).add(page["level"])
        return found

    await until(lambda: all(reached >= LEVELS for reached in levels().values()), limit=90)
    check_ids(hook)
    await check_acknowledged(daemon, hook, next(iter(incidents.values())))


async def supervised(daemon: DaemonProcess) -> None:
    """Ready in the end: a daemon whose store is killed before it has answered once ends, and is started again."""
    for _ in range(3):
        if daemon.process is None or daemon.process.returncode is not None:
            await daemon.start(ready=False)
        with contextlib.suppress(AssertionError):
            return await daemon.until_ready()
    pytest.fail(daemon.log())


async def incidents_of(daemon: DaemonProcess, taken: set[int]) -> dict[str, dict[str, Any]]:
    """Every alert answered with 200 is in an incident; what a dead replica had leased is decided once that lease ends."""
    missing: list[int] = []
    try:
        async with asyncio.timeout(60):
            while True:
                found = {one["title"].split(":")[0]: one for one in await all_incidents(daemon)}
                missing = [number for number in taken if f"Alert{number}" not in found]
                if not missing:
                    return found
                await asyncio.sleep(0.2)
    except TimeoutError:
        pytest.fail(f"answered 200, and in no incident: {missing}")


async def all_incidents(daemon: DaemonProcess) -> list[dict[str, Any]]:
    found, cursor = [], ""
    while True:
        status, answer = await daemon.get(f"/api/v1/incidents?limit=200{cursor}")
        assert status == 200
        found += answer["incidents"]
        if answer["next_cursor"] is None:
            return found
        cursor = f"&cursor={answer['next_cursor']}"


def check_ids(hook: Receiver) -> None:
    """A page that came twice carries the same id, and no id means two pages."""
    meaning: dict[str, tuple[str, str, str]] = {}
    for page in hook.pages() + hook.pages("reminder"):
        what = (page["incident"]["id"], page["level"], page["kind"])
        assert meaning.setdefault(page["id"], what) == what


async def check_acknowledged(daemon: DaemonProcess, hook: Receiver, incident: dict[str, Any]) -> None:
    """After the acknowledgement no further page or reminder of it comes."""
    status, _ = await daemon.post(f"/api/v1/incidents/{incident['id']}/acknowledge", {"by": "ana"})
    assert status in (200, 202)  # where the decision takes long, it is still to come

    def asked() -> int:
        return sum(
            one["incident"]["id"] == incident["id"] and one["kind"] in ("page", "reminder")
            for one in hook.bodies
        )

    before = await at_rest(asked)  # what was on the wire may still arrive
    others = len(hook.bodies)
    await until(lambda: len(hook.bodies) > others)  # the rest goes on
    await asyncio.sleep(1)
    assert asked() == before


async def at_rest(count: Callable[[], int], still: float = 3.0) -> int:
    """What is counted, once it has not changed for so long."""
    async with asyncio.timeout(60):
        while True:
            before = count()
            await asyncio.sleep(still)
            if count() == before:
                return before
