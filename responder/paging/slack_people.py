"""How a contact is mentioned in Slack, so that it rings: by user id, by user group, or by what can be looked up.

Sources: docs.slack.dev of ``users.lookupByEmail`` (``users:read.email``) and ``usergroups.list`` (``usergroups:read``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from responder.clock import Clock
from responder.incident.message import Contact
from responder.paging.base import ChannelError
from responder.paging.slack_api import SlackApi, SlackRefusedError

log = structlog.get_logger(__name__)

_USER = re.compile(r"[UW][A-Z0-9]{5,30}")
_GROUP = re.compile(r"S[A-Z0-9]{5,30}")
_KNOWN_FOR = timedelta(hours=6)
_KEPT = 1_000
_LIMIT = 1.5  # seconds: a page waits for this


def is_user(address: str) -> bool:
    """Whether an address is a person's id."""
    return _USER.fullmatch(address) is not None


class SlackPeople:
    """Looks up once, remembers for hours; what cannot be looked up is a name without a mention."""

    def __init__(self, api: SlackApi, clock: Clock, user_ids: Mapping[str, str]) -> None:
        self._api = api
        self._clock = clock
        self._user_ids = user_ids
        self._known: dict[str, tuple[str, datetime]] = {}
        self._groups: tuple[dict[str, str], datetime] | None = None
        self._denied: set[str] = set()

    async def mention(self, contact: Contact) -> str:
        """``<@U…>`` or ``<!subteam^S…>``; nothing where the contact is nobody whom Slack knows."""
        address = contact.addresses.get("slack", "")
        user = address if is_user(address) else self._user_ids.get(contact.name, "")
        if is_user(user):
            return f"<@{user}>"
        if _GROUP.fullmatch(address):
            return f"<!subteam^{address}>"
        if address.startswith("@") and (group := await self._group(address[1:])):
            return f"<!subteam^{group}>"
        found = await self._by_email(contact.addresses.get("email", ""))
        return f"<@{found}>" if found else ""

    async def _by_email(self, email: str) -> str:
        if not email or "users.lookupByEmail" in self._denied:
            return ""
        now = self._clock.now()
        found, at = self._known.get(email, ("", None))
        if at is not None and now - at < _KNOWN_FOR:
            return found
        try:
            answer = await self._api.form("users.lookupByEmail", {"email": email}, limit=_LIMIT)
            user = answer.get("user")
            found = str(user.get("id", "")) if isinstance(user, dict) else ""
        except ChannelError as error:
            if not self._is_settled("users.lookupByEmail", error):
                return ""
            found = ""
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[email] = (found if is_user(found) else "", now)
        return self._known[email][0]

    async def _group(self, handle: str) -> str:
        now = self._clock.now()
        if self._groups is None or now - self._groups[1] > _KNOWN_FOR:
            if "usergroups.list" in self._denied:
                return ""
            try:
                answer = await self._api.form("usergroups.list", {}, limit=_LIMIT)
            except ChannelError as error:
                self._is_settled("usergroups.list", error)
                return ""
            listed = answer.get("usergroups", [])
            groups = {
                str(one.get("handle", "")): str(one.get("id", "")) for one in listed if isinstance(one, dict)
            }
            self._groups = (groups, now)
        found = self._groups[0].get(handle, "")
        return found if _GROUP.fullmatch(found) else ""

    def _is_settled(self, method: str, error: ChannelError) -> bool:
        """Whether asking again is of no use; a right that is missing is told once."""
        if isinstance(error, SlackRefusedError) and error.code in {"missing_scope", "not_allowed_token_type"}:
            if method not in self._denied:
                log.warning("mentions by name need a right that the app does not have", method=method)
            self._denied.add(method)
        return error.permanent
