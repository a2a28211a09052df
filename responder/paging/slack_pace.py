"""When a call to Slack may be made, so that pages always find room: pure, the time is a parameter.

A page never waits here. Everything else takes turns: at the pace that Slack allows, after a pause that Slack asked for,
and not while a page waits for the same method and channel. Source: docs.slack.dev, rate limits (``chat.update`` is tier
3, 50 a minute; ``chat.postMessage`` about one a second for each channel).
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

import msgspec

UPDATE, POST = "chat.update", "chat.postMessage"
#: After a page that Slack refused for now, the others leave the room to its next attempt for so long.
ROOM_FOR_PAGE = timedelta(seconds=10)
_TURNS_KEPT = 5_000
_USED_WITHIN = timedelta(minutes=2)


class Rate(msgspec.Struct, frozen=True):
    """One call each ``every``, and ``burst`` at once after a rest."""

    every: timedelta
    burst: int


#: Below what Slack allows: the rest is for pages.
RATES = {UPDATE: Rate(timedelta(seconds=1.5), 5), POST: Rate(timedelta(seconds=2.5), 3)}


class Pacer:
    """The turns of one Slack app. ``channel`` is empty for a method that is limited as a whole."""

    def __init__(self) -> None:
        self._free_at: dict[tuple[str, str], datetime] = {}
        self._shut_until: dict[tuple[str, str], datetime] = {}
        self._turns: OrderedDict[str, datetime] = OrderedDict()

    def refused(self, method: str, channel: str, now: datetime, wait: timedelta, *, page: bool) -> None:
        """Slack asked to wait (429)."""
        until = now + wait + (ROOM_FOR_PAGE if page else timedelta(0))
        key = (method, channel)
        self._shut_until[key] = max(self._shut_until.get(key, until), until)

    def spent(self, method: str, channel: str, now: datetime) -> None:
        """A page made this call without asking: it took a turn, and whatever waited for it goes on."""
        key = (method, channel)
        self._shut_until.pop(key, None)
        self._next(key, RATES[method], now)

    def backlog(self, method: str, channel: str, now: datetime) -> timedelta:
        """How long something that asks now for the first time would wait."""
        key = (method, channel)
        rate = RATES[method]
        start = self._free_at.get(key, now) - rate.every * (rate.burst - 1)
        return max(start, self._shut_until.get(key, now), now) - now

    def turn(self, who: str, method: str, channel: str, now: datetime) -> timedelta:
        """Nothing where the call may be made now; else how long to wait, after which ``who`` has the turn."""
        key = (method, channel)
        shut = self._shut_until.get(key, now)
        at = self._turns.get(f"{method} {channel} {who}")
        if at is None or now - at > _USED_WITHIN:
            at = max(self._next(key, RATES[method], max(now, shut)), shut)
        at = max(at, shut)
        if at <= now:
            self._turns.pop(f"{method} {channel} {who}", None)
            return timedelta(0)
        self._turns[f"{method} {channel} {who}"] = at
        while len(self._turns) > _TURNS_KEPT:
            self._turns.popitem(last=False)
        return at - now

    def _next(self, key: tuple[str, str], rate: Rate, now: datetime) -> datetime:
        """Take the next free place of the row; when it is."""
        free = max(self._free_at.get(key, now), now)
        self._free_at[key] = free + rate.every
        return max(free - rate.every * (rate.burst - 1), now)
