"""Type ``slack``: one message per page, kept true by updates, with an acknowledge button; pictures in its thread.

Sources: docs.slack.dev of ``chat.postMessage``, ``chat.update`` and Block Kit; limits from the SDK's models.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import aiohttp
import msgspec
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from responder.incident.message import Contact, Message, MessageKind, Receipt
from responder.paging.base import CHANNELS, ChannelError, ChannelTools
from responder.paging.slack_blocks import blocks, fallback_text
from responder.paging.slack_charts import SlackCharts
from responder.secrets import Secret

_LIMIT = 8  # seconds for a call
_PASSING = frozenset({
    "ratelimited", "rate_limited", "fatal_error", "internal_error", "request_timeout", "service_unavailable",
    "team_added_to_org",
})  # fmt: skip
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
_ASKS = frozenset({MessageKind.PAGE, MessageKind.REMINDER})


class SlackSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Slack app. ``channel`` takes the pages of contacts whose ``slack`` is an ``@name`` or missing."""

    token: Secret
    signing_secret: Secret | None = None
    channel: str | None = None
    api_url: str = "https://slack.com/api/"


@CHANNELS.register("slack")
class SlackChannel:
    """Posts pages and keeps them true.

    A contact's ``slack`` is a channel (``C…``, ``#name``) or a person (``U…``); an ``@name`` is no address in Slack's
    API, so such a page goes to the ``channel`` of the settings and names the contact.
    """

    Settings: ClassVar[type[msgspec.Struct]] = SlackSettings
    concurrency: ClassVar[int] = 4
    address_kind: ClassVar[str] = "slack"

    def __init__(self, name: str, settings: SlackSettings, tools: ChannelTools) -> None:
        self.name = name
        self._settings = settings
        # The library would repeat a post by itself after a lost connection: the outbox retries, nobody else.
        self._client = AsyncWebClient(
            base_url=settings.api_url,
            timeout=_LIMIT,
            session=tools.session,
            retry_handlers=[],
            trust_env_in_session=False,
        )
        self._charts = SlackCharts(self._form, tools, settings.api_url)

    def reaches(self, contact: Contact) -> bool:
        """Whether there is a channel for the contact."""
        return self._address(contact) is not None

    def _address(self, contact: Contact) -> str | None:
        own = contact.addresses.get("slack", "")
        return own if own and not own.startswith("@") else self._settings.channel

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        """Post a page, or bring its message up to date; a notice goes into its thread as well."""
        where = self._address(contact)
        if where is None:
            raise ChannelError(
                f"{contact.name} has no Slack channel: set contacts.{contact.name}.slack", permanent=True
            )
        if message.kind in _ASKS or not page.reference:
            known = await self._posted_before(where, message) if message.attempt > 1 else None
            return self._charts.begin(message, known or await self._post(where, message))
        if not await self._update(message, page.reference):
            return self._charts.begin(message, await self._post(where, message))
        if message.kind is not MessageKind.UPDATE:
            await self._reply(message, page.reference)
        return self._charts.begin(message, page)

    async def close(self) -> None:
        """Give up pictures that are under way; the session is its owner's."""
        await self._charts.close()

    async def _post(self, where: str, message: Message) -> Receipt:
        answer = await self._call(
            "chat.postMessage",
            channel=where,
            text=fallback_text(message),
            blocks=blocks(message),
            unfurl_links=False,
            unfurl_media=False,
            metadata={"event_type": "responder_page", "event_payload": {"id": message.id}},
        )
        return Receipt({"channel": str(answer["channel"]), "ts": str(answer["ts"])})

    async def _update(self, message: Message, page: dict[str, str]) -> bool:
        try:
            await self._call(
                "chat.update",
                channel=page["channel"],
                ts=page["ts"],
                text=fallback_text(message),
                blocks=blocks(message),
            )
        except _SlackRefusedError as error:
            if error.code in _GONE:
                return False
            raise
        return True

    async def _reply(self, message: Message, page: dict[str, str]) -> None:
        await self._call(
            "chat.postMessage",
            channel=page["channel"],
            thread_ts=page["ts"],
            text=fallback_text(message),
            unfurl_links=False,
            unfurl_media=False,
        )

    async def _posted_before(self, where: str, message: Message) -> Receipt | None:
        """After an unclear outcome: whether the page is there already. Where that may not be read, it is posted."""
        if not where.startswith(("C", "G", "D")):
            return None
        oldest = str((message.incident.opened_at - timedelta(minutes=5)).timestamp())
        try:
            answer = await self._call(
                "conversations.history", channel=where, oldest=oldest, limit=50, include_all_metadata=True
            )
        except ChannelError:
            return None
        for one in answer.get("messages", []):
            if one.get("metadata", {}).get("event_payload", {}).get("id") == message.id:
                return Receipt({"channel": where, "ts": str(one["ts"])})
        return None

    async def _call(self, method: str, **arguments: Any) -> Any:
        return await self._asked(method, {"json": arguments})

    async def _form(self, method: str, fields: dict[str, Any]) -> Any:
        """The methods for files take forms."""
        return await self._asked(method, {"data": fields})

    async def _asked(self, method: str, arguments: dict[str, Any]) -> Any:
        try:
            answer = await self._client.api_call(
                method, headers={"Authorization": self._bearer()}, **arguments
            )
        except SlackApiError as error:
            raise _error_of(error) from None
        except (aiohttp.ClientError, SlackClientError, TimeoutError, OSError, ValueError) as error:
            raise ChannelError(f"slack: not reachable: {type(error).__name__}") from None
        return answer.data if isinstance(answer.data, dict) else {}

    def _bearer(self) -> str:
        return f"Bearer {self._settings.token.reveal()}"


class _SlackRefusedError(ChannelError):
    """An error code of Slack's."""

    def __init__(self, code: str, *, permanent: bool, retry_after: timedelta | None = None) -> None:
        super().__init__(f"slack: {code}", permanent=permanent, retry_after=retry_after)
        self.code = code


def _error_of(error: SlackApiError) -> _SlackRefusedError:
    response = error.response
    data = response.data if hasattr(response, "data") and isinstance(response.data, dict) else {}
    status = int(getattr(response, "status_code", 200) or 200)
    code = str(data.get("error") or f"status {status}")[:80]
    wait = str(getattr(response, "headers", {}).get("Retry-After", ""))
    retry_after = timedelta(seconds=int(wait)) if wait.isdigit() and len(wait) < 6 else None
    passing = status == 429 or status >= 500 or code in _PASSING
    return _SlackRefusedError(code, permanent=not passing, retry_after=retry_after)
