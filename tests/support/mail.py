"""A real SMTP server that keeps what it takes."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP
from daemon import free_port


class Mailbox:
    """The handler: answers as told, keeps every mail."""

    def __init__(self) -> None:
        self.port = free_port()
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.answers: list[str] = []
        self.largest = 0  # bytes; 0: any size

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if self.largest and len(envelope.content) > self.largest:
            answer = "552 5.3.4 message too big"
        if answer.startswith("250"):
            mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
            self.recipients.append(list(envelope.rcpt_tos))
        return answer

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address.startswith("nobody@"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later@"):
            return "450 4.2.0 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"


@contextlib.asynccontextmanager
async def mail_server(**options: Any) -> AsyncIterator[Mailbox]:
    """Listens on loopback; ``tls_context`` offers STARTTLS."""
    box = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(box, enable_SMTPUTF8=True, **options), "127.0.0.1", box.port
    )
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()
