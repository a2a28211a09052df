"""``make bench``: everything in one run, printed as figures and ratios. ``--quick`` takes smaller numbers.

``flood`` is as many incidents as there are alerts; ``storm`` is the recorded one (:mod:`bench.storm`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from bench.hook import Hook, say
from bench.load import alert, bodies, body, post_all
from bench.processes import HEALTHY, HUNG, Daemon, daemon, free_port, limit, rules
from bench.storm import storm
from responder.rules.compile import Compiled, Timing
from responder.rules.load import Surroundings, load

CONNECTIONS = 32


async def throughput(folder: Path, scale: float) -> None:
    """The whole road against the limit, for 1, 10 and 100 alerts a body; new alerts, then the same again."""
    for size, count in ((1, 20_000), (10, 60_000), (100, 120_000)):
        count = int(count * scale)
        payloads = bodies(0, count, size)
        async with limit() as port:
            await post_all(port, payloads[: len(payloads) // 10], CONNECTIONS)
            took, _ = await post_all(port, payloads, CONNECTIONS)
            best = count / took
        async with daemon(folder / f"road-{size}") as one:
            await prime(one)
            took, answers = await post_all(one.port, payloads, CONNECTIONS)
            refused = sum(code != 200 for code in answers)
            new = count / took
            took, _ = await post_all(one.port, payloads, CONNECTIONS)
            again = count / took
        say(f"{size} a body: limit", f"{best:,.0f} alerts/s")
        say(
            f"{size} a body: new alerts, durable",
            f"{new:,.0f} alerts/s  ratio {new / best:.2f}  refused {refused}",
        )
        say(f"{size} a body: repeats", f"{again:,.0f} alerts/s  ratio {again / best:.2f}")


async def prime(one: Daemon) -> None:
    """Open an incident for each rule and let it be paged: what is measured is the road of an alert, not of a page."""
    await post_all(one.port, bodies(50_000_000, 1_000, 100), CONNECTIONS)
    await wait_for(lambda: one.metric("responder_incidents_opened_total") >= 1_000, 60)
    await wait_for(lambda: one.metric("responder_outbox_depth") == 0, 60)


def matching(folder: Path) -> None:
    """The cost of a match with few and many rules."""
    import yaml

    labels: Any = alert(7)["labels"]
    for count in (10, 1_000, 10_000):
        file = folder / f"rules-{count}.yaml"
        file.write_text(yaml.safe_dump({**rules(count), "severities": {}}))
        raw = load([str(file)], Surroundings()).raw
        assert raw is not None
        compiled = Compiled(raw, Timing())
        took = min(timeit.repeat(lambda c=compiled: c.match(labels), number=5_000, repeat=5)) / 5_000  # type: ignore[misc]
        say(f"match with {count} rules", f"{took * 1e6:.2f} µs")


async def known_alerts(folder: Path, scale: float) -> None:
    """Ingest beside 1,000 and beside many known alerts; bytes of store per alert."""
    many = int(1_000_000 * scale)
    async with daemon(folder / "known") as one:
        await post_all(one.port, bodies(10_000_000, 1_000, 100), CONNECTIONS)
        took, _ = await post_all(one.port, bodies(20_000_000, 20_000, 100), CONNECTIONS)
        say("new alerts/s beside 1,000 known (100 a body)", f"{20_000 / took:,.0f}")
        before = store_memory(one)
        for at in range(0, many, 100_000):
            await post_all(one.port, bodies(30_000_000 + at, min(100_000, many - at), 100), CONNECTIONS)
        say("bytes of store per alert", f"{(store_memory(one) - before) / many:,.0f}")
        took, _ = await post_all(one.port, bodies(20_100_000, 20_000, 100), CONNECTIONS)
        say(f"new alerts/s beside {many:,} known", f"{20_000 / took:,.0f}")


def store_memory(one: Daemon) -> int:
    """The store's own count of its memory, in bytes."""
    import redis

    client = redis.Redis(unix_socket_path=str(one.folder / "data" / "store" / "socket"))
    used: int = client.info("memory")["used_memory"]
    client.close()
    return used


async def page_times(folder: Path) -> None:
    """From the webhook to the page on the wire, quiet."""
    hook = Hook()
    runner = await hook.start()
    async with daemon(folder / "quiet", hook.url) as one:
        times = []
        for number in range(300):
            begun = time.perf_counter()
            await post_all(one.port, [body([number], "critical")], 1)
            name = f"Rule{number % 1000}"
            async with asyncio.timeout(10):
                while name not in hook.arrived:
                    await asyncio.sleep(0.0005)
            times.append(hook.arrived[name] - begun)
            await asyncio.sleep(0.01)
        cuts = statistics.quantiles(times, n=100)
        say(
            "webhook to page, quiet",
            f"p50 {cuts[49] * 1000:.1f} ms  p99 {cuts[98] * 1000:.1f} ms  max {max(times) * 1000:.1f} ms",
        )
        await asyncio.sleep(2)
        say("idle, memory of daemon and store", "  ".join(f"{rss(pid):.0f} MB" for pid in one.pids()))
        before, begun = [cpu(pid) for pid in one.pids()], time.perf_counter()
        await asyncio.sleep(5)
        span = time.perf_counter() - begun
        used = [(cpu(pid) - b) / span * 100 for pid, b in zip(one.pids(), before, strict=True)]
        say("idle, processor use of daemon and store", "  ".join(f"{share:.1f}%" for share in used))
    await runner.cleanup()


async def hung_target(folder: Path) -> None:
    """Pages of incidents whose diagnosis is well, alone and beside fifty whose probes all hang."""
    hook = Hook()
    runner = await hook.start()
    app = web.Application()
    app.router.add_get("/hang", _hang)
    app.router.add_get("/ok", _ok)
    targets = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await targets.setup()
    port = free_port()
    await web.TCPSite(targets, "127.0.0.1", port).start()
    async with daemon(folder / "hung", hook.url, targets_at=port) as one:
        await _diagnosed_pages(one, hook, "Warm", 5)
        alone = await _diagnosed_pages(one, hook, "Alone", 100)
        hanging = [_diagnosed(f"Hung{number}", HUNG) for number in range(50)]
        await post_all(one.port, hanging, 8)
        beside = await _diagnosed_pages(one, hook, "Beside", 100)
    for name, times in (("alone", alone), ("beside 50 hung ones", beside)):
        cuts = statistics.quantiles(times, n=100)
        text = f"p50 {cuts[49] * 1000:.1f} ms  p99 {cuts[98] * 1000:.1f} ms  max {max(times) * 1000:.1f} ms"
        say(f"webhook to page with its finding, {name}", text)
    await targets.cleanup()
    await runner.cleanup()


async def _hang(_request: web.Request) -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


async def _ok(_request: web.Request) -> web.Response:
    return web.Response(text="OK")


def _diagnosed(name: str, kind: str) -> bytes:
    made = {**alert(0), "labels": {"alertname": name, "kind": kind, "pod": name}}
    del made["fingerprint"]  # the daemon makes it from the labels
    return json.dumps({"version": "4", "receiver": "r", "status": "firing", "alerts": [made]}).encode()


async def _diagnosed_pages(one: Daemon, hook: Hook, name: str, count: int) -> list[float]:
    """Seconds from each webhook to its page."""
    times = []
    for number in range(count):
        title = f"{name}{number}"
        begun = time.perf_counter()
        await post_all(one.port, [_diagnosed(title, HEALTHY)], 1)
        async with asyncio.timeout(20):
            while title not in hook.arrived:
                await asyncio.sleep(0.0005)
        times.append(hook.arrived[title] - begun)
    return times


async def flood(folder: Path, scale: float) -> None:
    """Many alerts, each an incident of its own, and a P1 in the middle; then a restart with all of them open."""
    count = int(100_000 * scale)
    hook = Hook()
    runner = await hook.start()
    async with daemon(folder / "flood", hook.url, own_incidents=True) as one:
        payloads = bodies(0, count, 100)
        posting = asyncio.create_task(post_all(one.port, payloads, 8))
        delays = []
        for number in range(5):
            await asyncio.sleep(1.0)
            name = f"Rule{number}"
            begun = time.perf_counter()
            await post_all(one.port, [body([90_000_000 + number], "critical")], 1)
            async with asyncio.timeout(60):
                while name not in hook.arrived:
                    await asyncio.sleep(0.002)
            delays.append(hook.arrived[name] - begun)
        took, answers = await posting
        say(
            f"flood of {count:,} alerts in as many incidents: taken in",
            f"{took:.1f} s, {sum(c != 200 for c in answers)} refused",
        )
        say("P1 during the flood: webhook to page", "  ".join(f"{delay * 1000:.0f} ms" for delay in delays))
        begun = time.perf_counter()
        await wait_for(lambda: one.metric("responder_incidents_opened_total") >= count, 900)
        say("until every incident of the flood was decided", f"{time.perf_counter() - begun:.1f} s more")
        await wait_for(lambda: one.metric("responder_outbox_depth") == 0, 300)
        await one.stop()
        say(f"start to ready with {count:,} open incidents", f"{await one.start():.2f} s")
        await asyncio.sleep(3)
        say("wake lag with them", f"{one.metric('responder_wake_lag_seconds'):.3f} s")
        say("memory of daemon and store with them", "  ".join(f"{rss(pid):.0f} MB" for pid in one.pids()))
    await runner.cleanup()


async def wait_for(look: Callable[[], bool], patience: float) -> None:
    """Poll until it is true."""
    async with asyncio.timeout(patience):
        while not await asyncio.to_thread(look):
            await asyncio.sleep(0.5)


def rss(pid: int) -> float:
    """Resident memory in MB."""
    line = next(
        one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024


def cpu(pid: int) -> float:
    """Processor seconds so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def main() -> None:
    """The whole report."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--quick", action="store_true", help="a tenth of the numbers")
    parser.add_argument("--only", choices=["throughput", "match", "known", "pages", "hung", "flood", "storm"])
    parser.add_argument(
        "--seconds", type=int, default=60, help="how long the recorded storm takes; it took 300"
    )
    args = parser.parse_args()
    scale = 0.1 if args.quick else 1.0
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        scenarios: dict[str, Callable[[], Any]] = {
            "match": lambda: asyncio.to_thread(matching, folder),
            "throughput": lambda: throughput(folder, scale),
            "pages": lambda: page_times(folder),
            "hung": lambda: hung_target(folder),
            "known": lambda: known_alerts(folder, scale),
            "flood": lambda: flood(folder, scale),
            "storm": lambda: storm(folder, args.seconds),
        }
        for name, scenario in scenarios.items():
            if args.only in (None, name):
                await scenario()


if __name__ == "__main__":
    asyncio.run(main())
