"""Calls of Slack's Web API: bounded, never repeated here, and every error told apart. Source: docs.slack.dev."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from responder.paging.base import ChannelError
from responder.paging.http import asked_wait, is_passing
from responder.secrets import Secret

CALL_LIMIT = 8.0  # seconds for a call
_USUAL_WAIT = timedelta(seconds=5)
_PASSING = frozenset({
    "ratelimited", "rate_limited", "fatal_error", "internal_error", "request_timeout", "service_unavailable",
    "team_added_to_org",
})  # fmt: skip


class SlackRefusedError(ChannelError):
    """An error code of Slack's."""

    def __init__(self, code: str, *, permanent: bool, retry_after: timedelta | None = None) -> None:
        super().__init__(_words(code, retry_after), permanent=permanent, retry_after=retry_after)
        self.code = code

    @property
    def limited(self) -> bool:
        """Whether it is the rate that was refused."""
        return self.code in {"ratelimited", "rate_limited", "status 429"}


def _words(code: str, wait: timedelta | None) -> str:
    return f"slack: {code}" if wait is None else f"slack: {code}, asks to wait {int(wait.total_seconds())} s"


class _Straight:
    """The session for the library, without redirects: Slack sends none, so whoever does is not Slack."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @property
    def closed(self) -> bool:
        """Whether it can be used no more."""
        return self._session.closed

    def request(self, method: str, url: str, **arguments: Any) -> Any:
        """A request whose answer has to be the one of the server that was asked."""
        return self._session.request(
            method, url, allow_redirects=False, raise_for_status=_no_redirect, **arguments
        )


async def _no_redirect(response: aiohttp.ClientResponse) -> None:
    if 300 <= response.status < 400:
        raise ChannelError(f"slack: answered {response.status}, a redirect", permanent=True)


class SlackApi:
    """One app in one workspace."""

    def __init__(
        self,
        token: Secret,
        url: str,
        session: aiohttp.ClientSession,
        limited: Callable[[str, str, timedelta], object] = lambda _method, _channel, _wait: None,
    ) -> None:
        """``limited`` is told the method, the channel (where there is one) and the wait of each 429."""
        self._token = token
        self._limited = limited
        # The library would repeat a post by itself after a lost connection: the outbox retries, nobody else.
        self._client = AsyncWebClient(
            base_url=url,
            timeout=int(CALL_LIMIT),
            session=cast("aiohttp.ClientSession", _Straight(session)),
            retry_handlers=[],
            trust_env_in_session=False,
        )

    async def call(self, method: str, *, limit: float = CALL_LIMIT, **arguments: Any) -> dict[str, Any]:
        """Call a method with JSON; the answer.

        Raises:
            SlackRefusedError: where Slack says no.
            ChannelError: where it was not reached, or did not answer within ``limit`` seconds.
        """
        return await self._ask(method, limit, {"json": arguments}, self._token)

    async def form(self, method: str, fields: dict[str, Any], *, limit: float = CALL_LIMIT) -> dict[str, Any]:
        """The same with a form: the methods for files and those that read take one."""
        return await self._ask(method, limit, {"data": fields}, self._token)

    async def as_app(self, method: str, app_token: Secret) -> dict[str, Any]:
        """A call with the token of the app instead of the bot's."""
        return await self._ask(method, CALL_LIMIT, {"data": {}}, app_token)

    async def _ask(
        self, method: str, limit: float, arguments: dict[str, Any], token: Secret
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token.reveal()}"}
        try:
            async with asyncio.timeout(limit):
                answer = await self._client.api_call(method, headers=headers, **arguments)
        except SlackApiError as error:
            refused = _error_of(error)
            if refused.limited:
                channel = str(arguments.get("json", {}).get("channel", ""))
                self._limited(method, channel, refused.retry_after or _USUAL_WAIT)
            raise refused from None
        except AttributeError:  # the library takes plain text for an object
            raise ChannelError("slack: the answer is not Slack's") from None
        except (aiohttp.ClientError, SlackClientError, TimeoutError, OSError, ValueError) as error:
            raise ChannelError(f"slack: not reachable: {type(error).__name__}") from None
        return answer.data if isinstance(answer.data, dict) else {}


def _error_of(error: SlackApiError) -> SlackRefusedError:
    response = error.response
    data = response.data if hasattr(response, "data") and isinstance(response.data, dict) else {}
    # Where the body is no JSON, the library hands over the answer of aiohttp.
    status = int(getattr(response, "status_code", 0) or getattr(response, "status", 200))
    code = str(data.get("error") or f"status {status}")[:80]
    no_word_of_slack = status < 300 and "error" not in data
    passing = is_passing(status) or code in _PASSING or no_word_of_slack
    wait = asked_wait(getattr(response, "headers", {}))
    return SlackRefusedError(code, permanent=not passing, retry_after=wait if passing else None)
