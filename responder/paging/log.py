"""Type ``log``: pages as log lines; where no other channel is configured, and as a last resort."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import structlog

from responder.incident.message import Contact, Message, MessageKind, Receipt
from responder.paging.base import CHANNELS, ChannelTools

log = structlog.get_logger(__name__)


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing to set."""


@CHANNELS.register("log")
class LogChannel:
    """Writes each message as one line; it reaches everybody."""

    Settings: ClassVar[type[msgspec.Struct]] = LogSettings
    concurrency: ClassVar[int] = 8
    address_kind: ClassVar[str] = ""

    def __init__(self, name: str, settings: msgspec.Struct, tools: ChannelTools) -> None:
        self.name = name

    def reaches(self, contact: Contact) -> bool:
        """Everybody."""
        return True

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        """Write the line."""
        loud = message.kind in (MessageKind.PAGE, MessageKind.REMINDER)
        (log.warning if loud else log.info)(
            str(message.kind),
            channel=self.name,
            to=message.to,
            level=str(message.level),
            incident=message.incident.id,
            severity=str(message.incident.severity),
            service=message.incident.service,
            state=message.incident.state,
            summary=message.summary,
            findings=[f"{finding.status}: {finding.headline}" for finding in message.findings],
            url=message.incident.url,
        )
        return Receipt()

    async def close(self) -> None:
        """Nothing is held."""
