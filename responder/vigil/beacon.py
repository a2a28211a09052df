"""Our own sign of life: a URL that is fetched only while the daemon does its work.

Whoever waits for it (another responder, a monitoring service) says when it stays away; nobody can report their own death.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import aiohttp
import msgspec
import structlog

from responder.clock import Clock
from responder.config import CanaryConfig, HeartbeatOutConfig
from responder.durations import format_duration
from responder.metrics import Metrics
from responder.store.errors import StoreError
from responder.store.signs import Signs, Vitals

log = structlog.get_logger(__name__)

#: An incident that is overdue for longer means that nobody works.
LAG_LIMIT = timedelta(seconds=10)


def ailment(vitals: Vitals, canary: CanaryConfig) -> str:
    """Why no sign of life is given; empty where all is well."""
    if vitals.forgotten:
        return f"{vitals.forgotten} open incident(s) have no next step"
    if vitals.overdue > LAG_LIMIT:
        return f"an incident has been due for {_rounded(vitals.overdue)}"
    if vitals.canary_at is None:
        return "the canary has not come through yet"
    if vitals.now - vitals.canary_at > canary.every * 2 + canary.timeout:
        return f"the canary last came through {_rounded(vitals.now - vitals.canary_at)} ago"
    return ""


def _rounded(duration: timedelta) -> str:
    return format_duration(timedelta(seconds=round(duration.total_seconds())))


class BeaconParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the beacon looks at and speaks through."""

    signs: Signs
    session: aiohttp.ClientSession
    metrics: Metrics
    clock: Clock


class Beacon:
    """Gives the sign, or says why not."""

    def __init__(self, config: HeartbeatOutConfig, canary: CanaryConfig, parts: BeaconParts) -> None:
        self._config = config
        self._canary = canary
        self._parts = parts
        self._why = ""

    async def once(self) -> None:
        """Look, and fetch the URL where all is well."""
        try:
            why = ailment(await self._parts.signs.vitals(), self._canary)
        except StoreError as error:
            why = f"the store does not answer ({error})"
        outcome = "withheld" if why else "failed"
        if not why:
            why = await self._fetched()
            outcome = outcome if why else "sent"
        self._parts.metrics.heartbeat_out.labels(outcome).inc()
        if outcome == "sent":
            self._parts.metrics.heartbeat_out_success.set(self._parts.clock.now().timestamp())
        self._say(outcome, why)

    async def _fetched(self) -> str:
        """Why the URL could not be fetched; nothing of the URL itself, which is a secret. Its answer is not read."""
        try:
            async with (
                asyncio.timeout(self._config.timeout / timedelta(seconds=1)),
                self._parts.session.get(self._config.url.reveal(), allow_redirects=False) as response,
            ):
                return "" if 200 <= response.status < 300 else f"answered {response.status}"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return type(error).__name__

    def _say(self, outcome: str, why: str) -> None:
        """A line when it begins or ends to stay away, not at every interval."""
        if why and not self._why:
            log.error("no sign of life is given", outcome=outcome, why=why)
        elif self._why and not why:
            log.info("the sign of life is given again")
        self._why = why
