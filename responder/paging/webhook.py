"""Type ``webhook``: one signed JSON POST per message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from typing import Any, ClassVar

import msgspec

from responder.addresses import http_objection
from responder.incident.finding import Finding, FindingStatus
from responder.incident.message import Contact, IncidentBrief, Message, MessageKind, Receipt
from responder.incident.severity import Level, Severity
from responder.paging.base import CHANNELS, ChannelError, ChannelTools
from responder.paging.compose import chart_url
from responder.paging.http import post
from responder.paging.webhook_template import HOSTILE, BodyTemplate
from responder.secrets import Secret
from responder.signing import sign_webhook
from responder.targets.requests import check_headers

#: The wire knows five states; what is finer here is told in the headline.
_WIRE_STATUS = {FindingStatus.NO_DATA: "warning", FindingStatus.DENIED: "error"}
_ENCODE = msgspec.json.Encoder()
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[A-Za-z0-9.+-]{1,80}(; ?charset=[A-Za-z0-9-]{1,20})?")


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``secret`` signs each body; ``headers`` are added to each request.

    ``template`` (or ``template_file``) words the body instead of ours, as ``content_type``; it may hold secrets.
    """

    url: Secret
    secret: Secret | None = None
    headers: dict[str, Secret] = {}
    template: Secret | None = None
    content_type: str = "application/json"

    def __post_init__(self) -> None:
        """Refuse a template that some message could break: every kind of one is rendered, with hostile texts."""
        if objection := http_objection(self.url.reveal()):
            raise ValueError(f"url: {objection}")
        check_headers("headers", {name: value.reveal() for name, value in self.headers.items()})
        if not _MEDIA_TYPE.fullmatch(self.content_type):
            raise ValueError(f"content_type: expected a media type, got {self.content_type!r}")
        _checked(self)


def _checked(settings: WebhookSettings) -> BodyTemplate | None:
    """The template, after every sample was rendered; ``None`` where there is none. Raises ``ValueError``."""
    if settings.template is None:
        return None
    samples = [wire(sample, "https://responder.example.com") for sample in _samples()]
    try:
        template = BodyTemplate(settings.template.reveal(), settings.content_type, samples[0])
        for sample in samples:
            template.render(sample)
    except ValueError as error:
        raise ValueError(f"template: {error}") from None
    return template


@CHANNELS.register("webhook")
class WebhookChannel:
    """Posts each message; it reaches everybody, since the receiver knows whom ``to`` means."""

    Settings: ClassVar[type[msgspec.Struct]] = WebhookSettings
    concurrency: ClassVar[int] = 16
    address_kind: ClassVar[str] = ""

    def __init__(self, name: str, settings: WebhookSettings, tools: ChannelTools) -> None:
        self.name = name
        self._settings = settings
        self._tools = tools
        self._template = _checked(settings)

    def reaches(self, contact: Contact) -> bool:
        """Everybody."""
        return True

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        """Post the message, signed anew at each attempt."""
        body = self._body(message)
        headers = {name: value.reveal() for name, value in self._settings.headers.items()}
        headers |= {
            "Content-Type": self._settings.content_type,
            "Idempotency-Key": message.id,
            "User-Agent": "responder",
        }
        if self._settings.secret is not None:
            secret = self._settings.secret.reveal().encode()
            headers["X-Responder-Signature"] = sign_webhook(secret, body, self._tools.clock.now())
        await post(self._tools.session, self._settings.url.reveal(), body, headers)
        return Receipt()

    def _body(self, message: Message) -> bytes:
        content = wire(message, self._tools.external_url)
        if self._template is None:
            return _ENCODE.encode(content)
        try:
            return self._template.render(content)
        except ValueError as error:
            raise ChannelError(f"the template {error}", permanent=True) from None

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
            **({"drill": True} if incident.drill else {}),
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


def _samples() -> Iterator[Message]:
    """Every kind of message, with everything in it and with as little as there can be."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    finding = Finding(probe="p", status=FindingStatus.CRITICAL, headline=HOSTILE, detail=HOSTILE)
    for kind, whole in product(MessageKind, (True, False)):
        incident = IncidentBrief(
            id="0" * 16,
            title=HOSTILE,
            severity=Severity.P1,
            service=HOSTILE,
            state="triggered",
            opened_at=at,
            url="https://responder.example/incidents/0",
        )
        yield Message(
            kind=kind,
            id="0" * 16,
            page_id="0" * 16,
            incident=incident,
            level=Level.PRIMARY,
            to="somebody",
            attempt=1,
            respond_by=at,
            sent_at=at,
            summary=HOSTILE,
            findings=(finding, finding) if whole else (),
            actions=("an-action", "another") if whole else (),
            ack_url="https://responder.example/ack/token" if whole else "",
            by=HOSTILE if whole else "",
        )
