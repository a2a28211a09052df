"""``responder demo``: plays a short incident through the real daemon, and keeps it running for a look around."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from responder import logs
from responder.alerts import fingerprint
from responder.app import Daemon, Running
from responder.catalogue import catalogue
from responder.clock import Clock, SystemClock
from responder.config import Config, HttpTarget, Targets
from responder.config_load import with_a_channel
from responder.rulebook import rulebook
from responder.rules.load import RulesError
from responder.store.errors import UnsafeStoreError

_LABELS = {
    "alertname": "HighAPILatency",
    "severity": "critical",
    "service": "api",
    "cluster": "demo",
    "job": "api-gateway",
}
_PATIENCE = 15.0


class DemoClock:
    """A clock that the demo turns forward, so that nobody has to wait five minutes for an escalation."""

    def __init__(self) -> None:
        self._own: Clock = SystemClock()
        self.forward = timedelta(0)

    def now(self) -> datetime:
        """The present, as the demo has it."""
        return self._own.now() + self.forward

    async def sleep(self, seconds: float) -> None:
        """Wait in real time."""
        await self._own.sleep(seconds)

    def shift(self) -> int:
        """The same turn for the store's clock, in ms."""
        return round(self.forward / timedelta(milliseconds=1))


def add_parser(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser(
        "demo",
        help="play a short incident on the embedded store and keep running",
        description="Play a short incident through a daemon on the embedded store (alerts, triage, a page, an escalation, an "
        "acknowledgement, a resolve), and keep running so that the console can be opened.",
    )
    command.add_argument(
        "--listen",
        default="127.0.0.1:8080",
        metavar="HOST:PORT",
        help="where the console and the API are (default: %(default)s)",
    )
    command.add_argument(
        "--data-dir",
        default="./data/demo",
        metavar="DIR",
        help="where its store lives (default: %(default)s)",
    )
    command.add_argument(
        "--rules", default="rules/", metavar="DIR", help="the rule files (default: %(default)s)"
    )
    command.add_argument("--once", action="store_true", help="end after the incident instead of keeping on")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Play; 1 where the daemon does not start."""
    logs.set_up("warning")
    told: list[object] = []
    try:
        asyncio.run(_demo(args))
    except* RulesError as group:
        told += [problem for error in group.exceptions for problem in getattr(error, "problems", ())]
    except* (UnsafeStoreError, OSError) as group:  # the daemon runs beside the story, in a group
        told += [f"responder: {error}" for error in group.exceptions]
    print(*told, sep="\n", end="\n" if told else "", file=sys.stderr)
    return 1 if told else 0


async def _demo(args: argparse.Namespace) -> None:
    clock = DemoClock()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with _failing_api() as api:
        config = with_a_channel(
            Config(
                listen=args.listen,
                external_url=f"http://{args.listen}",
                data_dir=args.data_dir,
                rules=(args.rules,),
                targets=Targets(http={"api": HttpTarget(url=api)}),
            ),
            catalogue(),
        )
        daemon = Daemon(config, rulebook(config), clock=clock, shift=clock.shift)
        running: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:
            group.create_task(daemon.run(stop, running.set_result), name="daemon")
            found = await running
            async with aiohttp.ClientSession(f"http://127.0.0.1:{found.port}") as session:
                await Story(session, clock).play()
            print(f"\nThe console: http://127.0.0.1:{found.port}/   (Ctrl-C ends the demo)", flush=True)
            if args.once:
                stop.set()


@contextlib.asynccontextmanager
async def _failing_api() -> AsyncIterator[str]:
    """The system that is in trouble: its health check answers 503."""

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({"status": "degraded", "database": "pool exhausted"}, status=503)

    app = web.Application()
    app.router.add_get("/{anything:.*}", health)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Story:
    """One incident from its first alert to its end, told line by line."""

    def __init__(self, session: aiohttp.ClientSession, clock: DemoClock) -> None:
        self._session = session
        self._clock = clock
        self._told = 0
        self._started = self._clock.now().replace(microsecond=0)

    async def play(self) -> None:
        """The whole story."""
        self._say("Alertmanager posts: HighAPILatency fires")
        answer = await self._post("/webhooks/alertmanager", self._webhook("firing"))
        self._say(f"answered when it was on disk: {msgspec.json.encode(answer).decode()}")
        incident = await self._incident()
        self._say(f"incident {incident}: {self._clock.now():%H:%M:%S} UTC")
        await self._until(
            incident, lambda one: bool(one["pages"]) and one["pages"][0]["status"] == "delivered"
        )
        self._say("the same alert again (a retry, an HA pair): nothing happens twice")
        answer = await self._post("/webhooks/alertmanager", self._webhook("firing"))
        self._say(f"answered: {msgspec.json.encode(answer).decode()}")
        self._say("nobody answers, and five minutes pass (the demo turns the clock)")
        self._clock.forward += timedelta(minutes=5, seconds=1)
        await self._until(incident, lambda one: len(one["pages"]) > 1)
        self._say("Ana acknowledges: nobody further is paged")
        await self._post(
            f"/api/v1/incidents/{incident}/acknowledge", {"by": "ana", "note": "scaling the gateway"}
        )
        await self._until(incident, lambda one: one["state"] == "acknowledged")
        self._say("Alertmanager posts: it has resolved")
        await self._post("/webhooks/alertmanager", self._webhook("resolved"))
        await self._until(incident, lambda one: one["state"] == "monitoring")
        self._say("quiet for half an hour (the demo turns the clock again)")
        self._clock.forward += timedelta(minutes=30, seconds=1)
        await self._until(incident, lambda one: one["state"] == "resolved")
        self._say("resolved")

    def _say(self, text: str) -> None:
        print(f"\n== {text}", flush=True)

    async def _post(self, path: str, body: Any) -> Any:
        async with self._session.post(path, json=body) as response:
            answer = await response.json(content_type=None)
            if response.status >= 400:
                raise SystemExit(f"{path}: {response.status}: {answer}")
            return answer

    async def _incident(self) -> str:
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(_PATIENCE):
            while not found:
                async with self._session.get("/api/v1/incidents?state=triggered") as response:
                    found = (await response.json())["incidents"]
                await asyncio.sleep(0.02)
        return str(found[0]["id"])

    async def _until(self, incident: str, seen: Any) -> None:
        """Wait for it, telling each new line of the time line."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                async with self._session.get(f"/api/v1/incidents/{incident}") as response:
                    one = await response.json()
                for entry in one["timeline"][self._told :]:
                    print(f"   {entry['at'][11:19]}  {entry['text']}", flush=True)
                self._told = len(one["timeline"])
                if seen(one):
                    return
                await asyncio.sleep(0.05)

    def _webhook(self, status: str) -> dict[str, Any]:
        ended = status == "resolved"
        alert = {
            "status": status,
            "labels": _LABELS,
            "annotations": {"summary": "p99 latency of api-gateway is 2.4s"},
            "startsAt": _rfc3339(self._started),
            "endsAt": _rfc3339(self._clock.now()) if ended else "0001-01-01T00:00:00Z",
            "generatorURL": "",
            "fingerprint": fingerprint(_LABELS),
        }
        return {
            "version": "4",
            "status": status,
            "receiver": "responder",
            "groupKey": '{}:{alertname="HighAPILatency"}',
            "truncatedAlerts": 0,
            "groupLabels": {"alertname": "HighAPILatency"},
            "commonLabels": _LABELS,
            "commonAnnotations": {},
            "externalURL": "",
            "alerts": [alert],
        }


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
