"""What the chat is given: everything it may ask, nothing that it could construct."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import aiohttp
import msgspec

from responder.actions.desk import ActionDesk
from responder.clock import Clock
from responder.config import PersonConfig
from responder.engine.desk import Desk
from responder.overflow import Spill, unheard
from responder.rules.compile import Compiled


class SilenceError(Exception):
    """A silence was not made; the text is for people."""


class Silences(Protocol):
    """Makes silences in Alertmanager for an incident."""

    async def silence(self, incident_id: str, span: timedelta, *, by: str, comment: str) -> str:
        """Silence what fires in the incident for so long; what was made, in a sentence.

        Raises:
            SilenceError: where it was not made.
        """
        ...


class ChatParts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts behind what people press and type.

    ``who`` answers who stands behind names of the matrix at a time. ``silences`` is ``None`` where none can be made.
    ``spill`` hears of requests that were not taken because too many waited.
    """

    desk: Desk
    actions: ActionDesk
    people: Sequence[PersonConfig]
    rules: Callable[[], Compiled]
    who: Callable[[Collection[str], datetime], Mapping[str, Sequence[str]]]
    clock: Clock
    session: aiohttp.ClientSession
    external_url: str
    silences: Silences | None = None
    spill: Spill = unheard
