"""The recorded storm, once for real: to a daemon that bundles nothing, and to one as it is configured by default.

What people get is counted by person; each incident of the storm has to be paged, listed in a digest, or held with a reason.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from bench.hook import Hook, say
from bench.load import post_all
from bench.processes import Daemon, daemon
from responder.clock import SystemClock
from tests.support.recorded_storm import LENGTH, RULES, SERVICES, THICK, read

#: Neither folded nor counted as flapping; without services nothing stands on anything.
OFF = {"bundling": {"after": 0}, "flapping": {"count": 50, "within": "1m"}}
#: What waits for the order of arrival, or for its turn to be a digest, has been told by then.
_AFTERWARDS = 65.0


async def storm(folder: Path, seconds: int) -> None:
    """Play it in so many seconds, before and after."""
    say(f"recorded storm, {LENGTH.seconds} s played in {seconds} s", f"{_alerts():,} alerts of 12 services")
    for name, rules, settings in (("before", RULES, OFF), ("after", RULES + SERVICES, {})):
        hook = Hook()
        runner = await hook.start()
        made = yaml.safe_load(rules)
        async with daemon(folder / f"storm-{name}", hook.url, made=made, settings=settings) as one:
            delay = await _play(one, hook, seconds)
            people = Counter(page["to"] for page in hook.pages)
            shown = "  ".join(f"{person} {count}" for person, count in sorted(people.items()))
            say(f"{name}: pages by person", f"{shown}  together {people.total()}")
            say(f"{name}: P1 in the thick of it, webhook to page", f"{delay * 1000:.0f} ms")
            told = await asyncio.to_thread(_told, one, hook)
            say(f"{name}: incidents", "  ".join(f"{count} {how}" for how, count in told.most_common()))
        await runner.cleanup()


def _alerts() -> int:
    return len({(one.name, one.shard, instance) for one in read() for instance in one.instances})


async def _play(one: Daemon, hook: Hook, seconds: int) -> float:
    """Each webhook at its time, none waiting for another; how long the P1 took to be paged."""
    loop, pace = asyncio.get_running_loop(), seconds / LENGTH.total_seconds()
    began, start = SystemClock().now(), loop.time()
    posted_at = 0.0

    async def send(body: bytes) -> None:
        _, answers = await post_all(one.port, [body], 1)
        assert answers == [200], answers

    async with asyncio.TaskGroup() as group:
        for webhook in read():
            await asyncio.sleep(max(start + webhook.at / 1000 * pace - loop.time(), 0.0))
            if webhook.name == THICK and not posted_at:
                posted_at = time.perf_counter()
            body = webhook.body(lambda ms: began + timedelta(milliseconds=ms * pace))
            group.create_task(send(body))
    await asyncio.sleep(_AFTERWARDS)
    return next(at for title, at in hook.arrived.items() if title.startswith(THICK)) - posted_at


def _told(one: Daemon, hook: Hook) -> Counter[str]:
    """How people hear of each incident."""
    incidents, cursor = [], ""
    while True:
        page: Any = one.get(f"/api/v1/incidents?limit=100{cursor}")
        incidents += page["incidents"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    paged = {page["incident"]["id"] for page in hook.pages}
    details = [one.get(f"/api/v1/incidents/{found['id']}") for found in incidents]
    folded = {
        listed["id"]
        for carrier in details
        if carrier["digest"] is not None
        for listed in one.get(f"/api/v1/incidents/{carrier['id']}/digest")["incidents"]
    }
    return Counter(_how(detail, paged, folded) for detail in details)


def _how(detail: dict[str, Any], paged: set[str], folded: set[str]) -> str:
    if detail["id"] in paged:
        return "paged"
    if detail["id"] in folded:
        return "in a digest"
    if detail["holds"]:
        return f"held ({detail['holds'][0]['kind']})"
    lines = " ".join(line["text"] for line in detail["timeline"])
    if "waits for the next digest" in lines:
        return "waits for a digest" if detail["state"] == "triggered" else "over while it waited for a digest"
    return "over while held" if "held back" in lines else "LOST"
