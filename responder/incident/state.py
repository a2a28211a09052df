"""The incident: a small, bounded snapshot that says everything a decision needs.

Its alerts are kept beside it in the store; here are only counts, the worst severity and a bounded sample.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from responder.incident.action import ActionRun, Raise
from responder.incident.around import Listed, Morning
from responder.incident.digest import Digest
from responder.incident.finding import Finding
from responder.incident.hold import Hold, Silence
from responder.incident.message import Receipt, Wanted
from responder.incident.policy import Policy, SeverityPolicy
from responder.incident.reach import Reach
from responder.incident.severity import LEVELS, Level, Severity

SCHEMA_VERSION = 2


class Triggered(msgspec.Struct, frozen=True, tag="triggered"):
    """Nobody has taken it yet; people are paged."""


class Acknowledged(msgspec.Struct, frozen=True, tag="acknowledged"):
    """A person has taken it.

    ``active_at`` is when a person last did something; ``reminder`` the last one to who has it, its round counting them.
    ``digest`` is the incident with whose digest it was taken: one reminder stands for all that were.
    """

    by: str
    at: datetime
    active_at: datetime | None = None
    snoozed_until: datetime | None = None
    reminder: Reach | None = None
    digest: str = ""

    @property
    def quiet_since(self) -> datetime:
        """When a person last did something."""
        return max(self.at, self.active_at or self.at)


class Monitoring(msgspec.Struct, frozen=True, tag="monitoring"):
    """Every alert has resolved; it is watched until ``until``. ``taken``: who had it, and has it again where it flaps."""

    since: datetime
    until: datetime
    taken: Acknowledged | None = None


class Resolved(msgspec.Struct, frozen=True, tag="resolved"):
    """Over. ``by`` is a person's name, or empty where it ended by itself."""

    at: datetime
    by: str = ""


State = Triggered | Acknowledged | Monitoring | Resolved


class StateName(StrEnum):
    """The four states by their name outside."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


class PageStatus(StrEnum):
    """What is known of a page."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    DROPPED = "dropped"


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page to one person over one channel, and what became of it.

    ``step`` is its number in the person's plan. ``failover``: its provider is known to be down. ``told_in`` is the incident
    whose digest told the person of this one instead; until ``waits_until`` it waits for one. ``listed_in`` is the one whose
    page told of it in its list. ``mute``: what followed it last did not get through, so that it tells of nothing new.
    ``known_as`` is the id under which its person knows the incident, where a page from memory gave it.
    """

    id: str
    level: Level
    contact: str
    channel: str
    episode: int
    round: int
    requested_at: datetime
    status: PageStatus = PageStatus.PENDING
    settled_at: datetime | None = None
    receipt: Receipt = Receipt()
    updates: int = 0
    error: str = ""
    step: int = 0
    wanted: Wanted = Wanted.UNACKNOWLEDGED
    failover: bool = False
    told_in: str = ""
    listed_in: str = ""
    waits_until: datetime | None = None
    known_as: str = ""
    mute: bool = False

    @property
    def live(self) -> bool:
        """Whether it reached its person, or still may."""
        return self.status in (PageStatus.PENDING, PageStatus.DELIVERED)


class Waited(msgspec.Struct, frozen=True, kw_only=True):
    """An episode that began in the morning for which its incident had waited.

    Of all that waited for it, one incident is paged and ``listed`` tells of the others; they are ``listed_in`` that one.
    """

    morning: Morning
    listed: tuple[Listed, ...] = ()
    listed_in: str = ""


class Attached(msgspec.Struct, frozen=True, kw_only=True):
    """An incident of a service that stands on this one's: it is not paged while this one is."""

    incident: str
    service: str
    severity: Severity
    since: datetime


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """A run of pages: it begins when an incident opens, reopens, rises in severity or is taken by nobody any more.

    ``cause`` says what began it, or why people are paged anew in it, for people; empty for the first. ``anew`` counts how
    often a digest that had told of it was over.
    """

    number: int
    began_at: datetime
    round: int = 1
    round_at: datetime | None = None
    # Its name in the snapshot is another than schema 1's, whose readers then see the newer schema, not damage.
    reached: tuple[Reach, ...] = msgspec.field(name="reaches", default=())
    hurried: bool = False
    nobody: bool = False
    cause: str = ""
    waited: Waited | None = None
    anew: int = 0


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What the store has counted of the incident's alerts since it opened.

    ``firing`` is what fires now by severity, ``fired`` every firing ever taken by severity (re-fires included),
    ``resolved`` every resolve, ``doubts`` every doubtful firing. The difference to the totals of the last decision is
    what is new. ``since`` is the earliest time at which an alert that fired in it began, as its sender says, where one says so.
    """

    firing: dict[Severity, int] = {}
    fired: dict[Severity, int] = {}
    resolved: int = 0
    doubts: int = 0
    heard_at: datetime | None = None
    since: datetime | None = None

    @property
    def firing_now(self) -> int:
        """Alerts that fire at present, of any severity."""
        return sum(self.firing.values())

    @property
    def fired_ever(self) -> int:
        """How often an alert has fired, of any severity."""
        return sum(self.fired.values())

    @property
    def worst_firing(self) -> Severity | None:
        """The worst severity among what fires, ``None`` where nothing does."""
        return min((s for s, n in self.firing.items() if n > 0), default=None)


class TriageStatus(StrEnum):
    """Where the diagnostics of the present episode are."""

    NONE = "none"
    RUNNING = "running"
    DONE = "done"


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of one incident and needed to decide.

    ``group`` are the labels by which it is grouped. ``fires`` are the latest times at which it began to fire; ``flapping_since`` is set while these are too many.
    ``digest`` is what others were folded into its page; ``carriers_gone`` are those into whose digest this one was folded and
    that tell nobody any more, with when that was seen.
    A ``drill`` goes the whole way in earnest and counts in no report; the ``canary`` is seen by nobody.
    """

    id: str
    key: str
    opened_at: datetime
    rule: str
    service: str
    service_label: str = "other"
    title: str
    labels: dict[str, str]
    group: tuple[tuple[str, str], ...] = ()
    severity: Severity
    policy: Policy
    state: State
    episode: Episode
    schema: int = SCHEMA_VERSION
    runbook: str | None = None
    summary: str = ""
    probes: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    automatic: tuple[str, ...] = ()
    raises: tuple[Raise, ...] = ()
    drill: bool = False
    canary: bool = False
    actions: tuple[ActionRun, ...] = ()
    actions_asked: int = 0
    muted: tuple[Hold, ...] = ()
    mute_notice_at: datetime | None = None
    silences: tuple[Silence, ...] = ()
    holds: tuple[Hold, ...] = ()
    attached: tuple[Attached, ...] = ()
    attached_untold: bool = False
    attached_told_at: datetime | None = None
    digest: Digest | None = None
    carriers_gone: dict[str, datetime] = {}
    fires: tuple[datetime, ...] = ()
    flapping_since: datetime | None = None
    totals: Totals = Totals()
    pages: tuple[Page, ...] = ()
    findings: dict[str, Finding] = {}
    first_paged_at: datetime | None = None
    triage: TriageStatus = TriageStatus.NONE
    triage_until: datetime | None = None
    assignee: str = ""
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    respond_by: datetime
    response_judged: bool = False
    broken: int = 0
    joined_untold: int = 0
    joined_told_at: datetime | None = None
    wake_at: datetime | None = None
    now: datetime

    @property
    def state_name(self) -> StateName:
        """The state's name outside."""
        return StateName(str(self.state.__struct_config__.tag))

    @property
    def since(self) -> datetime:
        """Since when it is broken, as the alerts say; never later than we heard of it, whatever a sender's clock shows."""
        return min(self.totals.since or self.opened_at, self.opened_at)

    @property
    def open(self) -> bool:
        """Whether it still needs somebody's or the clock's attention."""
        return not isinstance(self.state, Resolved)

    @property
    def is_paged(self) -> bool:
        """Whether people are paged for it just now: only then can its page tell of others."""
        return isinstance(self.state, Triggered) and not self.holds

    @property
    def paged_before(self) -> bool:
        """Whether anybody was paged before the present episode."""
        return self.first_paged_at is not None and self.first_paged_at < self.episode.began_at

    @property
    def to_be_paged_since(self) -> datetime:
        """Since when its first page was due to go out: where it was held back from its beginning, since nothing holds it."""
        number = self.episode.number
        held = number > 1 and not any(page.episode < number for page in self.pages)
        return self.episode.began_at if held else self.opened_at

    @property
    def promise(self) -> SeverityPolicy:
        """What the present severity promises."""
        return self.policy.severities[self.severity]

    @property
    def resolved_at(self) -> datetime | None:
        """When it ended."""
        return self.state.at if isinstance(self.state, Resolved) else None

    def due_at(self, level: Level) -> datetime | None:
        """When a level is due in this episode; ``None`` where the row has nobody on it."""
        if level not in self.policy.contacts:
            return None
        return self.episode.began_at + self.promise.escalate.get(level, timedelta(0))

    @property
    def next_level(self) -> Level | None:
        """The first level of the row that this episode has not reached."""
        reached = {reach.level for reach in self.episode.reached}
        return next((lv for lv in LEVELS if lv not in reached and lv in self.policy.contacts), None)
