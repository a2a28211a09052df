"""Type ``email``: plain text and HTML, one thread per incident, readable on a lock screen.

Sources: RFC 5322 (headers), RFC 3834 (automatic mail), RFC 5321 and 3463 (replies), RFC 2387 and 2392 (pictures).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, ClassVar

import aiosmtplib
import jinja2
import msgspec

from responder.addresses import is_host
from responder.incident.message import Contact, Message, MessageKind, Receipt
from responder.paging.base import CHANNELS, ChannelError, ChannelTools
from responder.paging.compose import charted, headline
from responder.ranges import Range
from responder.secrets import Secret
from responder.text import one_line

SUBJECT_LIMIT = 150
LOCK_SCREEN = 80
_LIMIT = 8.0  # seconds for a command, and for the whole below the engine's limit
_GREYLISTED = timedelta(minutes=1)
_ADDRESS = re.compile(r"[^@\s<>\"',;:\\]{1,64}@[A-Za-z0-9.-]{1,253}")
_PORTS = Range(1, 65_535)
_AUTHENTICATION = frozenset({530, 534, 535, 538})


class EmailSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The mail server. ``starttls: true`` requires encryption; ``tls`` speaks it from the first byte (port 465)."""

    host: str
    sender: str = msgspec.field(name="from")
    port: int = 587
    username: str | None = None
    password: Secret | None = None
    starttls: bool = True
    tls: bool = False
    validate_certs: bool = True
    ca_file: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no mail could be sent with."""
        if not is_host(self.host):
            raise ValueError(
                "host: expected the name or the IP address of a mail server, such as smtp.example.com"
            )
        if objection := _PORTS.objection(self.port):
            raise ValueError(f"port: {objection}")
        sender_of(self.sender)


def sender_of(text: str) -> Address:
    """The one address that mail comes from; it may stand behind a name, as in ``Responder <responder@example.com>``.

    Raises:
        ValueError: where it is none.
    """
    mail = EmailMessage()
    if text.isprintable():
        mail["From"] = text
    found: tuple[Address, ...] = mail["From"].addresses if "From" in mail else ()
    if len(found) != 1 or not _ADDRESS.fullmatch(found[0].addr_spec):
        raise ValueError("from: expected one address such as responder@example.com")
    return found[0]


_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("responder.paging"), autoescape=True, undefined=jinja2.StrictUndefined
)


@CHANNELS.register("email")
class EmailChannel:
    """Sends each message as a mail; it reaches whoever has an ``email`` address."""

    Settings: ClassVar[type[msgspec.Struct]] = EmailSettings
    concurrency: ClassVar[int] = 4
    address_kind: ClassVar[str] = "email"

    def __init__(self, name: str, settings: EmailSettings, tools: ChannelTools) -> None:
        self.name = name
        self._settings = settings
        self._tools = tools
        self._domain = sender_of(settings.sender).domain

    def reaches(self, contact: Contact) -> bool:
        """Whether the contact has a usable address."""
        return bool(_ADDRESS.fullmatch(contact.addresses.get("email", "")))

    async def send(self, message: Message, contact: Contact, page: Receipt) -> Receipt:
        """Hand the mail to the server. A retry carries the same Message-ID, which most mailboxes fold."""
        address = contact.addresses["email"]
        pictures = await self._pictures(message)
        mail = self.mail(message, contact, page, pictures)
        try:
            await self._deliver(mail, address)
        except _TooLargeError:
            if not pictures:
                raise
            await self._deliver(self.mail(message, contact, page, {}), address)
        first = page.reference.get("message_id") or mail["Message-ID"]
        return Receipt({"message_id": first, "subject": mail["Subject"]})

    async def close(self) -> None:
        """Each mail has a connection of its own."""

    async def _pictures(self, message: Message) -> dict[str, bytes]:
        """The pictures of its findings that are there now; a mail never waits for one."""
        digests = [finding.chart for finding in charted(message.findings)]
        found = await asyncio.gather(*(self._tools.chart(digest) for digest in digests))
        return {digest: png for digest, png in zip(digests, found, strict=True) if png}

    def mail(
        self, message: Message, contact: Contact, page: Receipt, pictures: Mapping[str, bytes]
    ) -> EmailMessage:
        """The mail itself; ``pictures`` by their digest, shown where their findings are."""
        mail = EmailMessage()
        user, _, domain = contact.addresses["email"].rpartition("@")
        mail["From"] = self._settings.sender
        mail["To"] = Address(one_line(contact.name, 80), user, domain)
        # One subject for the whole thread: some mailboxes split it where the subject changes, as with a risen severity.
        mail["Subject"] = one_line(page.reference.get("subject", ""), SUBJECT_LIMIT) or subject(message)
        mail["Date"] = format_datetime(message.sent_at)
        mail["Message-ID"] = f"<{message.id}@{self._domain}>"
        thread = f"<incident-{message.incident.id}@{self._domain}>"
        previous = page.reference.get("message_id")
        if previous:
            mail["In-Reply-To"] = previous
        mail["References"] = f"{thread} {previous}" if previous else thread
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Auto-Response-Suppress"] = "All"
        if message.incident.severity == "P1" and message.kind in (MessageKind.PAGE, MessageKind.REMINDER):
            mail["X-Priority"] = "1"
            mail["Importance"] = "high"
        cids = {digest: f"{digest}@charts" for digest in pictures}
        offered = {one.name for one in message.offers}
        values = {
            "message": message,
            "first": headline(message, LOCK_SCREEN),
            "rest": message.summary.partition("\n")[2],
            "others": [name for name in message.actions if name not in offered],
            "cids": cids,
        }
        mail.set_content(_TEMPLATES.get_template("mail.txt").render(values))
        mail.add_alternative(_TEMPLATES.get_template("mail.html").render(values), subtype="html")
        html: Any = mail.get_payload(1)
        for number, (digest, png) in enumerate(pictures.items(), 1):
            name = f"chart-{number}.png"
            html.add_related(
                png, "image", "png", cid=f"<{cids[digest]}>", disposition="inline", filename=name
            )
        return mail

    async def _deliver(self, mail: EmailMessage, address: str) -> None:
        s = self._settings
        options: dict[str, Any] = {"cert_bundle": s.ca_file} if s.ca_file else {}
        try:
            refused, _ = await aiosmtplib.send(
                mail,
                recipients=[address],
                hostname=s.host,
                port=s.port,
                username=s.username,
                password=s.password.reveal() if s.password else None,
                start_tls=s.starttls and not s.tls,
                use_tls=s.tls,
                validate_certs=s.validate_certs,
                timeout=_LIMIT,
                **options,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refusal(error.recipients[0].code, "recipient refused") from None
        except aiosmtplib.SMTPResponseException as error:
            if error.code == 552 or "5.3.4" in error.message:
                raise _TooLargeError(f"mail server: too large ({error.code})", permanent=True) from None
            raise _refusal(error.code, "refused") from None
        except aiosmtplib.SMTPException as error:  # such as that it knows no STARTTLS
            raise ChannelError(f"mail server: {one_line(error.message, 160)}") from None
        except (OSError, TimeoutError, ValueError) as error:
            raise ChannelError(f"mail server: {type(error).__name__}") from None
        for response in refused.values():
            raise _refusal(response.code, "recipient refused")


class _TooLargeError(ChannelError):
    """The server takes no mail of this size."""


def _refusal(code: int, what: str) -> ChannelError:
    """4xx passes by itself (greylisting wants a later try); 5xx and a refused login do not."""
    if code // 100 == 4 and code not in _AUTHENTICATION:
        wait = None if code == 421 else _GREYLISTED
        return ChannelError(f"mail server: {what} for now ({code})", retry_after=wait)
    return ChannelError(f"mail server: {what} ({code})", permanent=True)


def subject(message: Message) -> str:
    """The subject of an incident's first mail: it sorts by severity and service."""
    incident = message.incident
    return one_line(f"[{incident.severity}] {incident.service}: {incident.title}", SUBJECT_LIMIT)
