"""What a person is told: the content of a page and of what follows it, before any channel's own form."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from responder.incident.finding import Finding
from responder.incident.severity import Level, Severity


class MessageKind(StrEnum):
    """Why a person hears from us."""

    PAGE = "page"
    UPDATE = "update"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    REMINDER = "reminder"


class Wanted(StrEnum):
    """Until when a message is of use: the last look before it is sent goes by this.

    The first two hold within the episode that asked for the message.
    """

    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    ALWAYS = "always"


class IncidentBrief(msgspec.Struct, frozen=True, kw_only=True):
    """The incident as a page shows it. All text is bounded and free of control characters, but not escaped.

    ``cause`` says what began this episode, ``about`` is the runbook in a line. ``paged`` are who was paged in it, with
    their level; ``next_up`` is who is paged next unless somebody acts, at ``next_at``. ``held`` says
    what holds its pages back. The title of a ``drill`` says so. ``began_at`` is since when it is broken, as its alerts say.
    """

    id: str
    title: str
    severity: Severity
    service: str
    state: str
    opened_at: datetime
    url: str
    episode: int = 1
    firing: int = 0
    labels: dict[str, str] = {}
    runbook: str | None = None
    about: str = ""
    cause: str = ""
    acknowledged_by: str = ""
    assignee: str = ""
    paged: tuple[str, ...] = ()
    next_up: str = ""
    next_at: datetime | None = None
    held: str = ""
    drill: bool = False
    began_at: datetime | None = None

    @property
    def since(self) -> datetime:
        """Since when it is broken, as far as that is known."""
        return self.began_at or self.opened_at


class OfferBrief(msgspec.Struct, frozen=True, kw_only=True):
    """An action that a person may start from a message: a short title, and exactly what would happen."""

    name: str
    title: str
    text: str
    url: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one contact over one channel.

    ``actions`` are the names of all that the runbook offers, ``offers`` those that can be started as things stand.
    ``id`` names this message and is the same on every retry; ``page_id`` names the page that it belongs to (equal to
    ``id`` for a page). ``respond_by`` is the promised response time's end. ``attempt`` counts from 1. ``text`` is what
    this message alone has to say; ``summary`` holds it too. ``asked_at`` is the time of the decision that asked for it.
    """

    kind: MessageKind
    id: str
    page_id: str
    incident: IncidentBrief
    level: Level
    to: str
    attempt: int
    respond_by: datetime
    sent_at: datetime
    summary: str
    findings: tuple[Finding, ...] = ()
    actions: tuple[str, ...] = ()
    offers: tuple[OfferBrief, ...] = ()
    ack_url: str = ""
    by: str = ""
    text: str = ""
    asked_at: datetime | None = None


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """A name of the matrix and where it can be reached; ``addresses`` maps a channel type to an address."""

    name: str
    addresses: dict[str, str] = {}


class Receipt(msgspec.Struct, frozen=True):
    """What a channel needs to find its page again (a Slack message's channel and time stamp, a mail's message id)."""

    reference: dict[str, str] = {}
