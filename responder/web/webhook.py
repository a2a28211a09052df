"""``POST /webhooks/alertmanager``: answered with 200 only when every alert of the body is on disk."""

from __future__ import annotations

import asyncio

import msgspec
import structlog
from aiohttp import web

from responder.intake.intake import Intake
from responder.intake.webhook import BodyError, decode
from responder.metrics import Metrics
from responder.store.errors import StoreError
from responder.web.credentials import WebhookCredentials
from responder.web.problems import RETRY_AFTER

log = structlog.get_logger(__name__)

ANSWER_LIMIT = (
    4.5  # seconds from the first byte to our answer: Alertmanager holds the whole group while it waits
)
BODY_LIMIT = 4  # seconds of these for the body itself
_JSON = msgspec.json.Encoder()


class _SlowSenderError(Exception):
    """The body did not arrive in time: nothing is wrong with the store."""


class Webhook:
    """The handler and what it needs."""

    def __init__(
        self, intake: Intake, metrics: Metrics, credentials: WebhookCredentials, max_body: int
    ) -> None:
        self._intake = intake
        self._codes = metrics.webhooks
        self._ok = metrics.webhooks.labels("200")
        self._credentials = credentials
        self._max_body = max_body

    async def handle(self, request: web.Request) -> web.Response:
        """One webhook."""
        kept_out = self._kept_out(request)
        if kept_out is not None:
            return kept_out
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                return await self._answered(request)
        except _SlowSenderError:  # 503 as well, and not 408: Alertmanager drops what gets a 4xx
            text = f"the body did not arrive within {BODY_LIMIT} s: the sender or the network is slow; send it again"
            log.warning("webhook refused; Alertmanager tries again", reason=text)
            return self._problem(503, text, RETRY_AFTER)
        except (StoreError, TimeoutError) as error:
            log.warning("webhook refused; Alertmanager tries again", reason=str(error) or "time-out")
            return self._problem(503, "the store is away or overloaded; send it again", RETRY_AFTER)
        except (ConnectionResetError, web.RequestPayloadError):
            return self._problem(400, "body: broken off or not decodable")
        except Exception:  # our own mistake: Alertmanager brings the body again
            log.exception("webhook failed")
            return self._problem(500, "an error of our own; see the log")

    def _kept_out(self, request: web.Request) -> web.Response | None:
        """The answer to a sender without the credentials; ``None`` where it is let in."""
        credentials = self._credentials
        try:
            if not credentials.required or credentials.match(request.headers.get("Authorization", "")):
                return None
        except OSError as error:  # 503: Alertmanager drops what gets a 4xx
            log.warning("webhook refused: its credentials cannot be read", error=str(error))
            return self._problem(503, "the credentials cannot be read here; send it again", RETRY_AFTER)
        return self._problem(401, "credentials: missing or wrong", {"WWW-Authenticate": "Bearer, Basic"})

    async def _answered(self, request: web.Request) -> web.Response:
        refusal = self._refused_unread(request)
        if refusal == 415:
            return self._problem(415, "Content-Encoding: send it plain")
        raw = None if refusal == 413 else await self._read_in_time(request)
        if raw is None:
            return await self._too_large()
        try:
            body = decode(raw)
        except BodyError as error:
            return await self._bad(raw, str(error))
        summary = await self._intake.take(body)
        self._ok.inc()
        return web.Response(body=_JSON.encode(summary), content_type="application/json")

    async def _bad(self, raw: bytes, reason: str) -> web.Response:
        await self._intake.quarantine(raw, reason)
        await self._intake.notices.tell(
            "ResponderWebhookRejected", f"a webhook body could not be read: {reason}"
        )
        return self._problem(400, reason)

    async def _too_large(self) -> web.Response:
        text = f"a webhook body was over {self._max_body} bytes: set max_alerts in Alertmanager, or raise max_body_bytes"
        await self._intake.notices.tell("ResponderWebhookTooLarge", text)
        return self._problem(413, f"body: over the limit of {self._max_body} bytes")

    def _refused_unread(self, request: web.Request) -> int | None:
        if request.content_length is not None and request.content_length > self._max_body:
            return 413
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        return None if encoding in {"", "identity"} else 415

    async def _read_in_time(self, request: web.Request) -> bytes | None:
        try:
            async with asyncio.timeout(BODY_LIMIT):
                return await self._read(request)
        except TimeoutError:
            raise _SlowSenderError from None

    async def _read(self, request: web.Request) -> bytes | None:
        """The body; ``None`` where it is over the limit."""
        if request.content_length is not None:
            return await request.content.read(-1) if request.can_read_body else b""
        parts, size = [], 0
        async for part in request.content.iter_any():
            size += len(part)
            if size > self._max_body:
                return None
            parts.append(part)
        return b"".join(parts)

    def _problem(self, code: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
        self._codes.labels(str(code)).inc()
        body = {
            "type": "about:blank",
            "title": web.Response(status=code).reason,
            "status": code,
            "detail": detail,
        }
        return web.Response(
            status=code, body=_JSON.encode(body), content_type="application/problem+json", headers=headers
        )
