"""Socket Mode: requests from Slack over a connection that we open, where nothing of ours can be reached from outside.

Slack hands each request to one of an app's connections, so every replica opens its own. Source: docs.slack.dev, Socket
Mode; slack-sdk's client, which starts tasks and a queue that nobody owns, and asks a used address again, is not used.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import aiohttp
import msgspec
import structlog
from yarl import URL

from responder.chat.desk import ChatDesk
from responder.clock import Clock
from responder.engine.outbox import back_off
from responder.paging.base import ChannelError
from responder.paging.slack import SlackChannel
from responder.paging.slack_requests import SlackRequest, SlackRequestError, command, interaction
from responder.secrets import Secret

log = structlog.get_logger(__name__)

_PING = 10.0  # seconds; without an answer in half of it the connection is dead
_HELLO = 10.0  # seconds until Slack has to say that it is there
_OPEN_LIMIT = 10.0
_LINGER = 15.0  # seconds that a connection which Slack will end is still read
_ACK_LIMIT = 2.0
_LARGEST = 512 * 1024  # bytes of a message
_STEADY = timedelta(seconds=30)


class _Envelope(msgspec.Struct, frozen=True):
    type: str = ""
    envelope_id: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    reason: str = ""


_DECODE = msgspec.json.Decoder(_Envelope)


class SocketMode:
    """Keeps one connection of an app open. ``connected`` is told whether there is one."""

    def __init__(
        self,
        channel: SlackChannel,
        desk: ChatDesk,
        session: aiohttp.ClientSession,
        clock: Clock,
        *,
        chance: random.Random,
        connected: Callable[[bool], object],
    ) -> None:
        self._channel = channel
        self._desk = desk
        self._session = session
        self._clock = clock
        self._chance = chance
        self._connected = connected
        self._live = 0

    async def run(self, app_token: Secret) -> None:
        """Connect, serve and connect again, for ever; cancelled at the end."""
        self._connected(False)
        tries = 0
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    began = self._clock.now()
                    if await self._served(group, app_token) and self._clock.now() - began >= _STEADY:
                        tries = 0
                    else:
                        tries += 1
                        await self._clock.sleep(back_off(tries, self._chance).total_seconds())
        finally:
            self._connected(False)

    async def _served(self, group: asyncio.TaskGroup, app_token: Secret) -> bool:
        """One connection, until it ends or Slack says that it will; whether it came to be."""
        try:
            socket = await self._open(app_token)
        except (ChannelError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            why = str(error) if isinstance(error, ChannelError) else type(error).__name__
            log.warning("Socket Mode is not connected", channel=self._channel.name, reason=why)
            return False
        over = asyncio.Event()
        group.create_task(self._read(socket, over), name=f"socket of {self._channel.name}")
        await over.wait()
        return True

    async def _open(self, app_token: Secret) -> aiohttp.ClientWebSocketResponse:
        """A new connection; its address is good for one use only."""
        answer = await self._channel.api.as_app("apps.connections.open", app_token)
        url = self._slacks(str(answer.get("url", "")))
        async with asyncio.timeout(_OPEN_LIMIT):
            return await self._session.ws_connect(
                url, heartbeat=_PING, max_msg_size=_LARGEST, timeout=aiohttp.ClientWSTimeout(ws_close=2.0)
            )

    def _slacks(self, address: str) -> URL:
        """The address where it is Slack's, or on the host of the API that is configured instead."""
        url, api = URL(address), URL(self._channel.settings.api_url)
        own = url.scheme == "wss" and (url.host or "").endswith(".slack.com")
        if own or (url.scheme in {"ws", "wss"} and (url.host, url.port) == (api.host, api.port)):
            return url
        raise ChannelError("slack: the address of the socket is not Slack's", permanent=True)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse, over: asyncio.Event) -> None:
        """Serve a connection to its end; ``over`` is set as soon as another one is needed."""
        self._count(1)
        try:
            await self._messages(socket, over)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            log.info("socket ended", channel=self._channel.name, reason=type(error).__name__)
        except Exception:  # one connection is lost; the next one may do better
            log.exception("socket failed", channel=self._channel.name)
        finally:
            over.set()
            self._count(-1)
            await socket.close()

    async def _messages(self, socket: aiohttp.ClientWebSocketResponse, over: asyncio.Event) -> None:
        async with asyncio.timeout(_HELLO) as limit:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                envelope = _decoded(message.data)
                if envelope is None:
                    continue
                if envelope.type == "hello":
                    limit.reschedule(None)
                    log.info("Socket Mode is connected", channel=self._channel.name)
                elif envelope.type == "disconnect":
                    log.info("Slack ends the socket", channel=self._channel.name, reason=envelope.reason[:50])
                    over.set()  # the next one opens while this one is still read
                    limit.reschedule(asyncio.get_running_loop().time() + _LINGER)
                elif envelope.envelope_id:
                    await self._serve(socket, envelope)

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse, envelope: _Envelope) -> None:
        """Acknowledge at once; the work is done elsewhere."""
        answer: dict[str, Any] = {"envelope_id": envelope.envelope_id}
        if request := _request(envelope):
            answer |= {"payload": said} if (said := self._desk.take(self._channel, request)) else {}
        async with asyncio.timeout(_ACK_LIMIT):
            await socket.send_str(msgspec.json.encode(answer).decode())

    def _count(self, change: int) -> None:
        self._live += change
        self._connected(self._live > 0)


def _decoded(data: str) -> _Envelope | None:
    try:
        return _DECODE.decode(data)
    except (msgspec.DecodeError, RecursionError):
        log.warning("a message of the socket is not readable")
        return None


def _request(envelope: _Envelope) -> SlackRequest | None:
    """What was asked; ``None`` for what asks nothing of us, or is not understood."""
    try:
        match envelope.type:
            case "interactive":
                return interaction(bytes(envelope.payload))
            case "slash_commands":
                return command(bytes(envelope.payload))
            case _:
                return None
    except SlackRequestError as error:
        log.warning("a request of Slack's is not understood", error=str(error))
        return None
