"""Who somebody in Slack is, and what they may do.

A user id proves only that somebody is there: strangers of a shared channel and guests press buttons too. Sources:
docs.slack.dev of ``auth.test`` and ``users.info`` (``users:read``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

import msgspec
import structlog

from responder.clock import Clock
from responder.config import PersonConfig
from responder.incident.action import ActionRole
from responder.incident.message import Contact
from responder.paging.base import ChannelError
from responder.paging.slack_api import SlackApi, SlackRefusedError
from responder.paging.slack_requests import Presser

log = structlog.get_logger(__name__)

_KNOWN_FOR = timedelta(minutes=10)
_KEPT = 2_000
_LIMIT = 2.5  # seconds for a question to Slack
_GUEST = ("is_restricted", "is_ultra_restricted", "is_stranger", "deleted", "is_bot")


class Rank(IntEnum):
    """What a person may do; each may do what those before it may."""

    VIEWER = 1
    RESPONDER = 2
    ADMIN = 3


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may ask; ``name`` is how they sign. ``for_actions`` is their role for actions, if any."""

    name: str
    rank: Rank
    for_actions: ActionRole | None = None


class RefusedError(Exception):
    """Somebody who may not; the text is for them."""


class Members:
    """The people of one Slack app."""

    def __init__(self, api: SlackApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._teams: frozenset[str] = frozenset()
        self._guests: dict[str, tuple[bool, datetime]] = {}
        self._blind = False

    async def member(
        self, by: Presser, people: Sequence[PersonConfig], contacts: Mapping[str, Contact]
    ) -> Member:
        """Who it is.

        Raises:
            RefusedError: where nobody of that kind may ask anything.
        """
        await self._of_our_team(by)
        if person := next((one for one in people if one.slack == by.id), None):
            rank = Rank[person.role.upper()]
            return Member(name=person.name, rank=rank, for_actions=_FOR_ACTIONS.get(rank))
        if contact := next((one for one in contacts.values() if one.addresses.get("slack") == by.id), None):
            return Member(name=contact.name, rank=Rank.RESPONDER)
        if people:
            raise RefusedError("refused (who): auth.people does not name you")
        if await self._is_guest(by.id):
            raise RefusedError("refused (who): guests may not")
        return Member(name=by.signature, rank=Rank.RESPONDER)

    async def _of_our_team(self, by: Presser) -> None:
        """Whether the person is of the workspace that the app is installed in."""
        if not self._teams:
            try:
                answer = await self._api.form("auth.test", {}, limit=_LIMIT)
            except ChannelError as error:
                log.warning("cannot tell which workspace is ours", error=str(error))
                raise RefusedError(
                    "not taken: Slack does not say which workspace is ours; press again"
                ) from None
            named = {str(answer.get(name) or "") for name in ("team_id", "enterprise_id")}
            self._teams = frozenset(named - {""})
        if by.team not in self._teams:
            log.warning("somebody of another workspace was refused", user=by.id, team=by.team)
            raise RefusedError("refused (who): you are of another workspace")

    async def _is_guest(self, user: str) -> bool:
        now = self._clock.now()
        known, at = self._guests.get(user, (False, None))
        if at is not None and now - at < _KNOWN_FOR:
            return known
        try:
            answer = await self._api.form("users.info", {"user": user}, limit=_LIMIT)
        except ChannelError as error:
            return self._unknown(error)
        found: Any = answer.get("user")
        guest = not isinstance(found, dict) or any(found.get(one) for one in _GUEST)
        if len(self._guests) >= _KEPT:
            self._guests.clear()
        self._guests[user] = (guest, now)
        return guest

    def _unknown(self, error: ChannelError) -> bool:
        """Without the right to ask, a member of the workspace is taken at their word; that is said once."""
        if isinstance(error, SlackRefusedError) and error.code == "missing_scope":
            if not self._blind:
                log.warning("guests cannot be told from members: give the app users:read, or set auth.people")
            self._blind = True
            return False
        log.warning("cannot tell whether somebody is a guest", error=str(error))
        raise RefusedError("not taken: Slack does not say who you are; press again") from None


_FOR_ACTIONS = {Rank.RESPONDER: ActionRole.RESPONDER, Rank.ADMIN: ActionRole.ADMIN}
