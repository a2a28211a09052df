"""What the web is given: everything it may ask, nothing that it could construct."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

import msgspec
from aiohttp import web

from responder.actions.desk import ActionDesk
from responder.chat.desk import ChatDesk
from responder.clock import Clock
from responder.config import AuthConfig
from responder.duty import Duty
from responder.engine.desk import Desk
from responder.holding.keeper import Keeper
from responder.intake.silence_desk import SilenceDesk
from responder.paging.base import Channel, ReplyCodes
from responder.rules.compile import Compiled
from responder.rules.explain import Explanation
from responder.rules.reloading import ReloadOutcome
from responder.signing import AckTokens
from responder.store.digests import FoldedIncident
from responder.store.verified import Verified
from responder.web.credentials import WebhookCredentials


class WebParts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts behind the handlers.

    ``reload`` answers what became of it; ``chart`` a picture by its digest; ``blind`` whether
    the store cannot be seen, and what is shown comes from memory.
    ``beat`` takes a sign of life and answers when the next is due, ``None`` where the name is not configured.
    """

    desk: Desk
    actions: ActionDesk
    silences: SilenceDesk
    duty: Duty
    keeper: Keeper
    auth: AuthConfig
    clock: Clock
    external_url: str
    tokens: AckTokens
    rules: Callable[[], Compiled]
    explain: Callable[[Mapping[str, str]], Awaitable[Explanation]]
    foretell: Callable[[Mapping[str, str], datetime | None], Awaitable[Explanation]]
    """The same, now or at a time, with the silences and dependencies that would hold its pages back."""
    reload: Callable[[], Awaitable[ReloadOutcome]]
    ready: Callable[[], Awaitable[bool]]
    blind: Callable[[], bool]
    metrics: Callable[[str], Awaitable[tuple[bytes, str]]]
    chat: ChatDesk
    chart: Callable[[str], Awaitable[bytes | None]]
    folded: Callable[[str, int], Awaitable[Sequence[FoldedIncident]]]
    """What is told with an incident's page, at most so many."""
    channels: Mapping[str, Channel]
    codes: ReplyCodes
    verified: Verified
    redact: Callable[[str], str]
    page_outcome: Callable[[str, str], None]
    """Told the channel and what became of a message, where that is heard of only later."""
    webhook: WebhookCredentials
    beat: Callable[[str], Awaitable[datetime | None]]


PARTS: web.AppKey[WebParts] = web.AppKey("parts", WebParts)
