"""What can happen to an incident. Each fact is durable before anybody is told that it was taken.

Alerts are not among them: they are folded into :class:`~responder.incident.state.Totals` on the way in.
The counterpart of a fact is an effect (``effects.py``).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from responder.incident.action_facts import (
    ActionDenied,
    ActionFailed,
    ActionPerformed,
    ActionRefused,
    ActionRehearsed,
    ActionRequested,
    ActionSettled,
    ActionUnknown,
)
from responder.incident.digest_facts import CarrierGone, DigestBegan, FoldedEnded, IncidentFolded
from responder.incident.fact_base import FactBase as _Fact
from responder.incident.fact_base import HumanFact as _Human
from responder.incident.finding import Finding
from responder.incident.hold import Hold
from responder.incident.message import MessageKind, Receipt
from responder.incident.reach import Reach
from responder.incident.severity import Severity
from responder.incident.state import Page

#: The longest snooze.
SNOOZE_LIMIT = timedelta(hours=24)


class AcknowledgedBy(_Human, frozen=True, kw_only=True, tag="acknowledged"):
    """A person took the incident; or the ``digest`` (an incident) into which this one's ``episode`` was folded.

    ``snoozed_until``: the digest was taken until then only.
    """

    digest: str = ""
    episode: int = 0
    snoozed_until: datetime | None = None


class EscalatedBy(_Human, frozen=True, kw_only=True, tag="escalated"):
    """A person asked for the next level now."""


class ResolvedBy(_Human, frozen=True, kw_only=True, tag="resolved"):
    """A person declared it over."""


class ReopenedBy(_Human, frozen=True, kw_only=True, tag="reopened"):
    """A person says that it is not over."""


class NoteAdded(_Human, frozen=True, kw_only=True, tag="note"):
    """A person wrote something down."""


class AssignedTo(_Human, frozen=True, kw_only=True, tag="assigned"):
    """A person put a name on it."""

    to: str


class SnoozedBy(_Human, frozen=True, kw_only=True, tag="snoozed"):
    """A person took the incident until a time, at most :data:`SNOOZE_LIMIT` later; then it pages anew if it fires."""

    until: datetime


class SeveritySet(_Human, frozen=True, kw_only=True, tag="severity"):
    """A person judged how bad it is."""

    severity: Severity


class MessageDelivered(_Fact, frozen=True, kw_only=True, tag="delivered"):
    """A channel accepted a message; or the person was told by the digest of incident ``told_in``.

    ``listed_in`` is the incident whose page told the person in its list of what had waited for the same morning.
    ``unasked``: the store did not say in time whether a digest tells of it.
    """

    effect: str
    page: str
    kind: MessageKind
    attempt: int
    receipt: Receipt = Receipt()
    told_in: str = ""
    listed_in: str = ""
    unasked: bool = False


class MessageFailed(_Fact, frozen=True, kw_only=True, tag="failed"):
    """A channel refused a message for good, or reports that what it accepted never arrived.

    ``reason`` is for people and free of secrets.
    """

    effect: str
    page: str
    kind: MessageKind
    reason: str


class MessageDelayed(_Fact, frozen=True, kw_only=True, tag="delayed"):
    """The first attempt of a page failed for now; it is tried again.

    ``failover``: the provider is known to be down, and waiting for it is of no use.
    """

    effect: str
    page: str
    kind: MessageKind
    reason: str
    failover: bool = False


class MessageWaits(_Fact, frozen=True, kw_only=True, tag="waits"):
    """A page waits for the next digest, or for the page of incident ``carrier`` to arrive; until then at the latest."""

    page: str
    kind: MessageKind
    until: datetime
    carrier: str = ""


class MessageDropped(_Fact, frozen=True, kw_only=True, tag="dropped"):
    """A message was overtaken before it was sent."""

    effect: str
    page: str
    kind: MessageKind
    reason: str


class FindingArrived(_Fact, frozen=True, kw_only=True, tag="finding"):
    """A probe answered."""

    episode: int
    finding: Finding


class TriageEnded(_Fact, frozen=True, kw_only=True, tag="triage_ended"):
    """Every probe of the episode has answered or was given up."""

    episode: int


class SilencedBy(_Human, frozen=True, kw_only=True, tag="silenced"):
    """A person made a silence in Alertmanager that matches every alert of the incident that fires.

    ``note`` is its comment; ``fired`` as in :class:`AlertsMuted`.
    """

    silence: str
    until: datetime
    fired: int | None = None


class UnsilencedBy(_Human, frozen=True, kw_only=True, tag="unsilenced"):
    """A person withdrew silences that were made from the incident."""

    silences: tuple[str, ...]


class Compared(_Fact, frozen=True, kw_only=True, tag="compared"):
    """Alerts of the incident changed because a comparison with Alertmanager found something else; ``text`` says what."""

    text: str


class SilenceReturned(_Fact, frozen=True, kw_only=True, tag="silence_returned"):
    """A silence that was withdrawn is active in Alertmanager again. It is not obeyed."""

    silence: str
    text: str


class AlertsMuted(_Fact, frozen=True, kw_only=True, tag="muted"):
    """Alertmanager mutes every alert of the incident that fires; ``by`` says what does.

    ``fired`` is how often alerts of the incident had fired when that was seen: where more have since, it is not true.
    """

    by: tuple[Hold, ...]
    fired: int | None = None


class AlertsUnmuted(_Fact, frozen=True, kw_only=True, tag="unmuted"):
    """Alertmanager would send an alert of the incident again."""


class ServiceAttached(_Fact, frozen=True, kw_only=True, tag="attached"):
    """An incident of a service that stands on this one's is not paged while this one is."""

    incident: str
    service: str
    severity: Severity


class ServiceDetached(_Fact, frozen=True, kw_only=True, tag="detached"):
    """An incident that was attached goes its own way again."""

    incident: str
    service: str


class LateCopySettled(_Fact, frozen=True, kw_only=True, tag="late_copy"):
    """Alertmanager was asked about doubtful firings: ``late`` of them were late copies, ``refired`` were real."""

    late: int
    refired: int
    reason: str


class DecisionFailed(_Fact, frozen=True, kw_only=True, tag="decision_failed"):
    """Our own code failed on this incident; the fallback paged."""

    error: str


#: What people may say while the store is away: nothing that pages somebody, since it is taken a second time afterwards.
Said = AcknowledgedBy | ResolvedBy | NoteAdded | AssignedTo | SnoozedBy


class PagedBlind(_Fact, frozen=True, kw_only=True, tag="paged_blind"):
    """A replica paged from memory while the store was away, and took what people said meanwhile (``answers``, in order).

    ``reached`` and ``pages`` are how far it came in its ``episode``, which began at ``began_at``; pages that are still
    to be tried are not among them. ``updates`` is how often something followed each page by now, and ``noticed`` who of
    them have heard how it ended. ``born``: it did not know the incident, and opened it in memory at ``opened_at``.
    ``incident`` is the id under which it paged; the store may have another. ``severity`` is what an incident that it knew
    has risen to by then.
    """

    id: str
    replica: str
    born: bool
    opened_at: datetime
    episode: int
    began_at: datetime
    round: int = 1
    round_at: datetime | None = None
    reached: tuple[Reach, ...] = ()
    pages: tuple[Page, ...] = ()
    updates: dict[str, int] = msgspec.field(default_factory=dict)
    noticed: tuple[tuple[str, MessageKind], ...] = ()
    answers: tuple[Said, ...] = ()
    incident: str = ""
    severity: Severity | None = None


Fact = (
    AcknowledgedBy | EscalatedBy | ResolvedBy | ReopenedBy | NoteAdded | AssignedTo | SnoozedBy
    | SeveritySet | MessageDelivered | MessageFailed | MessageDelayed | MessageDropped | FindingArrived
    | TriageEnded | SilencedBy | UnsilencedBy | Compared | SilenceReturned | AlertsMuted | AlertsUnmuted
    | ServiceAttached | ServiceDetached | MessageWaits | DigestBegan | IncidentFolded | FoldedEnded | CarrierGone
    | LateCopySettled | ActionRequested | ActionDenied | ActionRefused
    | ActionRehearsed | ActionPerformed | ActionFailed | ActionUnknown | ActionSettled | DecisionFailed | PagedBlind
)  # fmt: skip


def is_by_person(fact: Fact) -> bool:
    """Whether a person did this: a sign that somebody is there."""
    return isinstance(fact, _Human)
