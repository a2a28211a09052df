"""What people say and hear beside pages, put together: the chat over HTTP and sockets, and hand-overs."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Iterator, Mapping

import aiohttp
import msgspec

from responder.actions.desk import ActionDesk
from responder.chat.desk import ChatDesk
from responder.chat.parts import ChatParts, Silences
from responder.chat.socket import SocketMode
from responder.clock import Clock
from responder.config import Config
from responder.duty import Duty
from responder.engine.desk import Desk
from responder.metrics import Metrics
from responder.paging.base import Channel
from responder.paging.shifts import ShiftParts, Shifts
from responder.paging.slack import SlackChannel
from responder.rules.compile import Compiled
from responder.store.claims import Claims
from responder.store.store import Store


class PeopleParts(msgspec.Struct, frozen=True, kw_only=True):
    """What it is made of. ``silences`` is ``None`` where none can be made."""

    config: Config
    rules: Callable[[], Compiled]
    duty: Duty
    desk: Desk
    actions: ActionDesk
    silences: Silences | None
    channels: Mapping[str, Channel]
    store: Store
    session: aiohttp.ClientSession
    clock: Clock
    chance: random.Random
    metrics: Metrics


class People:
    """The chat's desk, and what has to run beside the engine for people to be heard and told."""

    def __init__(self, parts: PeopleParts) -> None:
        self._parts = parts
        self._slack = {name: one for name, one in parts.channels.items() if isinstance(one, SlackChannel)}
        self.chat = ChatDesk(
            ChatParts(
                desk=parts.desk,
                actions=parts.actions,
                people=parts.config.auth.people,
                rules=parts.rules,
                who=parts.duty.who,
                clock=parts.clock,
                session=parts.session,
                external_url=parts.config.external_url,
                silences=parts.silences,
                spill=parts.metrics.overflowed,
            ),
            self._slack,
        )

    def work(self) -> Iterator[Coroutine[None, None, None]]:
        """What runs for ever: who answers the chat, and who tells of hand-overs."""
        yield self.chat.run()
        yield self._shifts().run()

    def sockets(self) -> Iterator[Coroutine[None, None, None]]:
        """The connections of Socket Mode, each to be run for ever; they end before what they take."""
        for name, channel in self._slack.items():
            if channel.settings.app_token is not None:
                socket = SocketMode(
                    channel,
                    self.chat,
                    self._parts.session,
                    self._parts.clock,
                    chance=self._parts.chance,
                    connected=self._parts.metrics.slack_socket_connected.labels(name).set,
                )
                yield socket.run(channel.settings.app_token)

    def _shifts(self) -> Shifts:
        parts = self._parts
        return Shifts(
            ShiftParts(
                roster=lambda: parts.duty.roster,
                rules=parts.rules,
                desk=parts.desk,
                channels=parts.channels,
                claims=Claims(parts.store),
                clock=parts.clock,
                external_url=parts.config.external_url,
                observe=lambda channel, outcome: parts.metrics.pages.labels(channel, outcome).inc(),
            )
        )
