"""What the web is given: everything it may ask, nothing that it could construct."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web

from responder.actions.desk import ActionDesk
from responder.clock import Clock
from responder.config import AuthConfig
from responder.engine.desk import Desk
from responder.intake.silence_desk import SilenceDesk
from responder.rules.compile import Compiled
from responder.rules.explain import Explanation
from responder.secrets import Secret
from responder.signing import AckTokens


class WebParts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts behind the handlers.

    ``reload`` answers the problems, and whether the rules were taken; ``chart`` a picture by its digest.
    """

    desk: Desk
    actions: ActionDesk
    silences: SilenceDesk
    auth: AuthConfig
    clock: Clock
    external_url: str
    tokens: AckTokens
    rules: Callable[[], Compiled]
    explain: Callable[[Mapping[str, str]], Explanation]
    reload: Callable[[], Awaitable[tuple[bool, tuple[str, ...]]]]
    ready: Callable[[], Awaitable[bool]]
    metrics: Callable[[str], Awaitable[tuple[bytes, str]]]
    slack: Mapping[str, Secret]
    chart: Callable[[str], Awaitable[bytes | None]]


PARTS: web.AppKey[WebParts] = web.AppKey("parts", WebParts)
