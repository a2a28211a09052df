"""Actions as the daemon makes them, with the wish of one incident."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp

from responder.actions.base import ACTIONS, Action, ActionSettings, Wish
from responder.clock import SystemClock
from responder.config import Targets
from responder.targets.base import Toolbox

ACTIONS.discover("responder.actions")


def wish(**labels: str) -> Wish:
    return Wish(run="r" * 16, incident="1" * 16, labels=labels, now=datetime(2026, 11, 24, tzinfo=UTC))


@asynccontextmanager
async def action(kind: str, settings: ActionSettings, targets: Targets) -> AsyncIterator[Action]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield ACTIONS[kind](settings, Toolbox(targets=targets, session=session, clock=SystemClock()))
