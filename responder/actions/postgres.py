"""Type ``postgres.terminate_idle``: end sessions that have been idle for long, one by one, and few at a time.

Never our own, never replication, background workers or a superuser's, and only in the database connected to. Each is
looked at again, by pid and start, in the very statement that ends it: a pid may be another session's by then, and an
idle session may have begun to work.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

import msgspec

from responder.actions.base import (
    ACTIONS,
    ActionError,
    ActionSettings,
    Performed,
    Plan,
    Progress,
    Settling,
    Wish,
)
from responder.actions.postgres_sessions import Chosen, Tally, await_end, end, find, groups
from responder.durations import format_duration
from responder.parameters import Parameter, bound_text, resolve
from responder.targets.base import Toolbox
from responder.targets.postgres import RefusedError, connection, through_a_pooler, told

_MOST = 100
_GONE_WITHIN = 2.0  # seconds that ended sessions are waited for
_SHARE_OF_TIME = 0.7  # of the time limit, after which no further session is ended

POOL = "Behind PgBouncer idle server connections are the pool: it opens new ones, and ending them frees nothing for long."


class TerminateIdleSettings(ActionSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``users`` and ``applications`` are allow-lists (empty: any); ``exclude_users`` are never touched.

    Their entries may come from labels, and are bound as values. At most ``max`` sessions are ended in one run.
    """

    TARGET_KIND: ClassVar[str] = "postgres"

    older_than: timedelta = timedelta(minutes=10)
    users: tuple[Parameter, ...] = ()
    applications: tuple[Parameter, ...] = ()
    exclude_users: tuple[Parameter, ...] = ()
    most: int = msgspec.field(default=20, name="max")

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for limits that would be none."""
        if not 1 <= self.most <= _MOST:
            raise ValueError(f"max: expected 1 to {_MOST} sessions, got {self.most}")
        if self.older_than < timedelta(seconds=1):
            raise ValueError(f"older_than: expected at least 1s, got {format_duration(self.older_than)}")


@ACTIONS.register("postgres.terminate_idle")
class TerminateIdle:
    """Ends idle sessions of the target's database."""

    Settings: ClassVar[type[ActionSettings]] = TerminateIdleSettings

    def __init__(self, settings: TerminateIdleSettings, tools: Toolbox) -> None:
        self._settings = settings
        self._targets = tools.targets.postgres

    def plan(self, labels: Mapping[str, str]) -> Plan:
        """All idle sessions of the database are one object: ``sessions``."""
        s = self._settings
        text = (
            f"End up to {s.most} sessions that have been idle for over {format_duration(s.older_than)} "
            f"(target {s.target}{self._chosen(labels)})"
        )
        return Plan(object="sessions", text=text)

    async def rehearse(self, wish: Wish) -> str:
        """Count and list what would be ended; nothing is."""
        s = self._settings
        async with connection(self._targets, s.target, s.timeout) as connected:
            found = await find(connected, self._chosen(wish.labels), s.most, s.timeout)
            with told(s.target):
                pooled = await through_a_pooler(connected)
        long = format_duration(s.older_than)
        if not found:
            return f"Would end 0 sessions: none that may be ended is idle for over {long}."
        more = f" of {found[0].total}" if found[0].total > len(found) else ""
        where = "This target is itself reached through a pooler. " if pooled else ""
        return f"Would end {_sessions(len(found), more)} idle for over {long}: {groups(found)}. {where}{POOL}"

    async def busy(self, wish: Wish) -> str | None:
        """Nothing is ever under way: a session is ended at once."""
        return None

    async def perform(self, wish: Wish) -> Performed:
        """End them, the longest idle first. What was done is told, also where the server refuses on the way."""
        s, chosen, tally = self._settings, self._chosen(wish.labels), Tally()
        until = time.monotonic() + s.timeout.total_seconds() * _SHARE_OF_TIME
        left = 0
        async with connection(self._targets, s.target, s.timeout) as connected:
            for session in await find(connected, chosen, s.most, s.timeout):
                if time.monotonic() > until:
                    tally.stopped = "the time limit came near"
                if tally.stopped or not await end(connected, session, chosen, s.timeout, tally):
                    break
            if tally.ended:
                try:
                    left = await await_end(
                        connected, tally.ended, s.timeout, min(until, time.monotonic() + _GONE_WITHIN)
                    )
                except (RefusedError, TimeoutError):
                    tally.stopped = tally.stopped or "the server does not say whether they are gone"
        long = format_duration(s.older_than)
        if not tally.ended and not tally.stopped:
            gone = f"; {tally.gone} had gone or begun to work already" if tally.gone else ""
            raise ActionError(f"no session that may be ended is idle for over {long}{gone}")
        return Performed(text=_told(tally, left, long))

    async def settled(self, wish: Wish, mark: Mapping[str, str]) -> Settling:
        """At once: what is idle for long by now is a matter of the next run."""
        s = self._settings
        async with connection(self._targets, s.target, s.timeout) as connected:
            found = await find(connected, self._chosen(wish.labels), 1, s.timeout)
        number = found[0].total if found else 0
        text = f"{_sessions(number)} idle for over {format_duration(s.older_than)} {'is' if number == 1 else 'are'} left"
        return Settling(progress=Progress.DONE, text=text)

    async def undo(self, wish: Wish, undo: Mapping[str, str]) -> Performed:
        """There is no way back, and none is needed: clients connect again."""
        raise ActionError("ended sessions cannot be brought back; their clients connect again by themselves")

    def _chosen(self, labels: Mapping[str, str]) -> Chosen:
        s = self._settings
        return Chosen(
            target=s.target,
            older_than=s.older_than,
            users=_values(s.users, labels, "users"),
            applications=_values(s.applications, labels, "applications"),
            exclude_users=_values(s.exclude_users, labels, "exclude_users"),
        )


def _values(parameters: Sequence[Parameter], labels: Mapping[str, str], key: str) -> tuple[str, ...]:
    return tuple(
        resolve(one, labels, f"{key}[{number}]", bound_text) for number, one in enumerate(parameters)
    )


def _sessions(number: int, more: str = "") -> str:
    return f"{number}{more} {'session' if number == 1 and not more else 'sessions'}"


def _told(tally: Tally, left: int, long: str) -> str:
    text = f"Ended {_sessions(len(tally.ended))}"
    if tally.ended:
        text += f" idle for over {long}: {groups(tally.ended)}"
    if tally.gone:
        text += f"; {tally.gone} had gone or begun to work already"
    if left:
        text += f"; {left} told to end {'is' if left == 1 else 'are'} still there"
    if tally.stopped:
        text += f"; stopped there: {tally.stopped}"
    return f"{text}."
