"""Who is on call, without a daemon: from the configuration, the rule files and a daemon's last good copies."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import msgspec

from responder.calendars.feeds import CalendarState
from responder.cli.loading import configuration, rules_of
from responder.clock import SystemClock
from responder.config import Config, HeartbeatConfig
from responder.duty import judged, offline
from responder.oncall.notation import Moment
from responder.oncall.readiness import Trouble
from responder.oncall.roster import Roster
from responder.paging.base import CHANNELS, Channel, ChannelTools
from responder.paging.reach import reach_of
from responder.rules.compile import Compiled


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the files say of who is on call, and how it stands with calendars."""

    rules: Compiled
    roster: Roster
    calendars: tuple[CalendarState, ...]
    heartbeats: tuple[HeartbeatConfig, ...]


def moment(text: str) -> datetime:
    """A time on the command line: RFC 3339, with an offset."""
    try:
        found = Moment.from_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if found.time.tzinfo is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} does not say where: give an offset, as in 2026-12-24T09:00:00+01:00, or Z for UTC"
        )
    return found.at(found.time.tzinfo)


def known(path: str | None, at: datetime | None) -> Known | None:
    """From a configuration file; ``None`` after its problems were told."""
    config = configuration(path)
    rulebook = rules_of(config) if config else None
    if config is None or rulebook is None:
        return None
    found = asyncio.run(_known(config, rulebook.rules, at or now()))
    for state in found.calendars:
        for line in calendar_lines(state):
            print(f"schedules.{line}", file=sys.stderr)
    return found


async def _known(config: Config, rules: Compiled, at: datetime) -> Known:
    roster, calendars = await offline(rules, Path(config.data_dir), at)
    return Known(rules=rules, roster=roster, calendars=calendars, heartbeats=config.heartbeats)


def calendar_lines(state: CalendarState) -> list[str]:
    """What is to be said of a calendar."""
    as_of = f"as of {state.confirmed_at:%FT%TZ}" if state.confirmed_at else "never read"
    lines = [f"{state.name}: {as_of}: {state.problem}"] if state.problem else []
    lines += [f"{state.name}: {state.warning}"] if state.warning else []
    if state.strangers:
        lines.append(f"{state.name}: events name nobody we know: {', '.join(map(repr, state.strangers))}")
    return lines


def judge(
    config: Config, rules: Compiled, at: datetime, length: timedelta
) -> tuple[Known, tuple[Trouble, ...]]:
    """Everything that would keep a page from finding somebody, from ``at`` on."""
    return asyncio.run(_judge(config, rules, at, length))


async def _judge(
    config: Config, rules: Compiled, at: datetime, length: timedelta
) -> tuple[Known, tuple[Trouble, ...]]:
    found = await _known(config, rules, at)
    async with _channels(config) as channels:
        return found, judged(rules, found.roster, reach_of(rules, channels), at, length)


@contextlib.asynccontextmanager
async def _channels(config: Config) -> AsyncIterator[Mapping[str, Channel]]:
    """The configured channels, only to ask whom they reach: nothing is sent."""
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        tools = ChannelTools(session=session, clock=SystemClock(), external_url=config.external_url)
        channels: dict[str, Channel] = {}
        for name, section in config.channels.items():
            channels[name] = CHANNELS[section.type](name, section.settings, tools)
            stack.push_async_callback(channels[name].close)
        yield channels


def now() -> datetime:
    """The present, to the second."""
    return SystemClock().now().replace(microsecond=0)
