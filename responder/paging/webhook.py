"""Type ``webhook``: one signed JSON POST per message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from responder.incident.finding import Finding, FindingStatus
from responder.incident.message import Contact, Message, Receipt
from responder.paging.base import CHANNELS, ChannelTools
from responder.paging.compose import chart_url
from responder.paging.http import post
from responder.secrets import Secret
from responder.signing import sign_webhook

#: The wire knows five states; what is finer here is told in the headline.
_WIRE_STATUS = {FindingStatus.NO_DATA: "warning", FindingStatus.DENIED: "error"}
_ENCODE = msgspec.json.Encoder()


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``secret`` signs each body; ``headers`` are added to each request."""

    url: Secret
    secret: Secret | None = None
    headers: dict[str, Secret] = {}


@CHANNELS.register("webhook")
class WebhookChannel:
    """Posts each message; it reaches everybody, since the receiver knows whom ``to`` means."""

    Settings: ClassVar[type[msgspec.Struct]] = WebhookSettings
    concurrency: ClassVar[int] = 16

    def __init__(self, name: str, settings: WebhookSettings, tools: ChannelTools) -> None:
        self.name = name
        self._settings = settings
        self._tools = tools

    def reaches(self, contact: Contact) -> bool:
        """Everybody."""
        return True

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        """Post the message, signed anew at each attempt."""
        body = _ENCODE.encode(wire(message, self._tools.external_url))
        headers = {name: value.reveal() for name, value in self._settings.headers.items()}
        headers |= {
            "Content-Type": "application/json",
            "Idempotency-Key": message.id,
            "User-Agent": "responder",
        }
        if self._settings.secret is not None:
            secret = self._settings.secret.reveal().encode()
            headers["X-Responder-Signature"] = sign_webhook(secret, body, self._tools.clock.now())
        await post(self._tools.session, self._settings.url.reveal(), body, headers)
        return Receipt()

    async def close(self) -> None:
        """The session is its owner's."""


def wire(message: Message, external_url: str) -> dict[str, Any]:
    """The JSON object of a message."""
    incident = message.incident
    return {
        "kind": message.kind,
        "id": message.id,
        "page_id": message.page_id,
        "incident": {
            "id": incident.id,
            "title": incident.title,
            "severity": incident.severity,
            "service": incident.service,
            "state": incident.state,
            "opened_at": rfc3339(incident.opened_at),
            "url": incident.url,
            "drill": incident.drill,
        },
        "level": message.level,
        "to": message.to,
        "attempt": message.attempt,
        "respond_by": rfc3339(message.respond_by),
        "sent_at": rfc3339(message.sent_at),
        "summary": message.summary,
        "findings": [_finding(finding, external_url) for finding in message.findings],
        "actions": list(message.actions),
        "ack_url": message.ack_url,
        "by": message.by,
    }


def _finding(finding: Finding, external_url: str) -> dict[str, str]:
    """``chart_url`` and ``link`` are there only where the finding has them."""
    more = {"chart_url": chart_url(finding, external_url), "link": finding.link}
    return {
        "probe": finding.probe,
        "status": _WIRE_STATUS.get(finding.status, str(finding.status)),
        "headline": finding.headline,
        "detail": finding.detail,
    } | {name: value for name, value in more.items() if value}


def rfc3339(at: datetime) -> str:
    """RFC 3339 in UTC with ``Z``."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
