"""What an incident may ask of the world. Results come back as facts (``facts.py``).

Every effect has a derived id that names what is meant, never a revision; a ``lane``, in which effects are performed
one after the other; and, where it is of use only for a while, an ``expires_at``.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec

from responder.incident.action import ActionRole, RunKind
from responder.incident.facts import Fact
from responder.incident.finding import FindingStatus
from responder.incident.message import MessageKind, Wanted
from responder.incident.severity import Level


class _Effect(msgspec.Struct, frozen=True, kw_only=True, tag_field="effect"):
    id: str
    lane: str
    incident: str
    urgent: bool
    episode: int
    requested_at: datetime
    expires_at: datetime | None = None


class SendMessage(_Effect, frozen=True, kw_only=True, tag="send"):
    """Tell one person over one channel; dropped where it is no longer ``wanted`` when its turn comes.

    ``round`` is the round of a page: a later one to the same person over the same channel takes a reminder's place. What
    is told ``aside`` interrupts nobody: only channels that keep a conversation carry it.
    ``listed_in`` is an incident whose own page to the person may tell of this one as well: then that suffices.
    ``known_as`` is the id that the page before gave the incident, where that is another.
    """

    kind: MessageKind
    page: str
    level: Level
    contact: str
    channel: str
    by: str = ""
    text: str = ""
    wanted: Wanted = Wanted.ALWAYS
    round: int = 1
    aside: bool = False
    listed_in: str = ""
    known_as: str = ""

    @property
    def queue(self) -> str:
        """The channel's own queue: one that hangs holds up no other."""
        return self.channel


class RunTriage(_Effect, frozen=True, kw_only=True, tag="triage"):
    """Run the runbook's probes side by side."""

    probes: tuple[str, ...]

    QUEUE: ClassVar[str] = "@triage"

    @property
    def queue(self) -> str:
        """All diagnostics share one queue."""
        return self.QUEUE


class SettleDoubts(_Effect, frozen=True, kw_only=True, tag="settle"):
    """Ask every Alertmanager whether the doubtful firings are real, until ``window_ends_at``."""

    window_ends_at: datetime

    QUEUE: ClassVar[str] = "@settle"

    @property
    def queue(self) -> str:
        """All questions to Alertmanager share one queue."""
        return self.QUEUE


class PassOn(_Effect, frozen=True, kw_only=True, tag="pass_on"):
    """Have a fact recorded in another incident."""

    to: str
    fact: Fact

    QUEUE: ClassVar[str] = "@pass_on"

    @property
    def queue(self) -> str:
        """All that incidents tell each other shares one queue."""
        return self.QUEUE


class _DigestEffect(_Effect, frozen=True, kw_only=True):
    QUEUE: ClassVar[str] = "@digest"

    @property
    def queue(self) -> str:
        """All that digests bring about shares one queue."""
        return self.QUEUE


class Spread(_DigestEffect, frozen=True, kw_only=True, tag="spread"):
    """Tell what was folded into the incident's digest that it is acknowledged, or that it carries nothing any more.

    ``by`` took it ``at`` that time, perhaps until ``snoozed_until`` only; nobody did, where it is empty. Nothing is told where
    the incident is paged again by then.
    """

    by: str = ""
    at: datetime | None = None
    snoozed_until: datetime | None = None


class LeaveDigest(_DigestEffect, frozen=True, kw_only=True, tag="leave_digest"):
    """Tell the incident into whose digest this one was folded that it has ended, was taken, or is paged by itself."""

    carrier: str


class SendNotice(_Effect, frozen=True, kw_only=True, tag="notice"):
    """Tell one person something that belongs to no incident; its own id stands in the incident's place.

    ``stands_for`` is the name of the matrix behind which the person is.
    Each attempt takes the next of ``channels``, and after the last the first again, until one delivers.
    """

    contact: str
    stands_for: str = ""
    channels: tuple[str, ...]
    service: str
    title: str
    text: str
    begins_at: datetime
    ends_at: datetime

    @property
    def queue(self) -> str:
        """The first channel's own queue."""
        return self.channels[0]


class _ActionEffect(_Effect, frozen=True, kw_only=True):
    run: str
    name: str
    kind: RunKind

    QUEUE: ClassVar[str] = "@action"

    @property
    def queue(self) -> str:
        """All actions share one queue."""
        return self.QUEUE


class RunAction(_ActionEffect, frozen=True, kw_only=True, tag="action"):
    """Bring a run through the gates and perform it, at most once; ``undo`` is what an earlier run left for it.

    What was not begun by ``begin_by`` is not begun any more. (It does not expire in the outbox: what was begun is told.)
    """

    begin_by: datetime
    by: str
    role: ActionRole
    automatic: bool = False
    undo: dict[str, str] | None = None


class CheckAction(_ActionEffect, frozen=True, kw_only=True, tag="action_check"):
    """Look, until ``until``, whether what was done has taken effect. ``unsure``: it is not known to have been done."""

    until: datetime
    mark: dict[str, str] = {}
    before_status: FindingStatus | None = None
    unsure: bool = False


Effect = (
    SendMessage | SendNotice | RunTriage | SettleDoubts | PassOn | Spread | LeaveDigest | RunAction | CheckAction
)  # fmt: skip
