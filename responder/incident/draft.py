"""The decision while it is being made: every stage reads and extends one draft."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from responder.incident import state as states
from responder.incident.around import Around
from responder.incident.decision import Decision, Entry, FirstPaged, Measured, Measurement, Reason
from responder.incident.effects import Effect
from responder.incident.facts import Fact
from responder.incident.hold import Hold
from responder.incident.message import MessageKind
from responder.incident.moves import check_move
from responder.incident.reach import OnCall, Reach
from responder.incident.severity import Severity
from responder.incident.state import Episode, Incident, Page, State, StateName, Totals, Waited
from responder.text import NOTE_LIMIT, one_line

ENTRY_LIMIT = 500
#: A line that holds what a person said, whole, with a little of ours before it.
SAID_LIMIT = NOTE_LIMIT + 300
CAUSE_LIMIT = 200


class Outside(msgspec.Struct, frozen=True, kw_only=True):
    """What is true outside the incident at the time of a decision: who is on call, what holds its pages back.

    ``around`` is what other incidents and the night have to do with it.
    """

    on_call: OnCall = OnCall()
    holds: tuple[Hold, ...] = ()
    around: Around = Around()


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What has come since the last decision, and who is on call now (see :class:`~responder.incident.reach.OnCall`)."""

    totals: Totals
    facts: Sequence[Fact]
    now: datetime
    opened: bool = False
    outside: Outside = Outside()


class Draft:
    """A decision in the making. It is local to one call of ``advance``; nothing of it is shared."""

    def __init__(self, incident: Incident, news: News) -> None:
        self.before = incident
        self.incident = incident
        self.news = news
        self.now = news.now
        self.effects: list[Effect] = []
        self.entries: list[Entry] = []
        self.measured: list[Measured] = []
        self.why: list[Reason] = []
        self.wake_ups: list[datetime] = []
        self.announcements: list[tuple[MessageKind, str, str]] = []
        #: Pages whose people have heard this already, while the store was away.
        self.noticed: set[tuple[str, MessageKind]] = set()
        #: Pages of which the incident had not known.
        self.came_late: set[str] = set()
        self.asides: list[str] = []

    def change(self, **fields: Any) -> None:
        """Replace fields of the incident."""
        self.incident = msgspec.structs.replace(self.incident, **fields)

    def change_episode(self, **fields: Any) -> None:
        """Replace fields of the present episode."""
        self.change(episode=msgspec.structs.replace(self.incident.episode, **fields))

    def set_page(self, page: Page) -> None:
        """Replace the page of the same id."""
        self.change(pages=tuple(page if old.id == page.id else old for old in self.incident.pages))

    def move(self, to: State) -> None:
        """Change the state: the only way to do so."""
        check_move(self.incident, StateName(str(to.__struct_config__.tag)))
        self.change(state=to)

    def change_state(self, **fields: Any) -> None:
        """Replace data of the present state; it stays the same state."""
        self.change(state=msgspec.structs.replace(self.incident.state, **fields))

    def note(self, reason: Reason, text: str = "", *, by: str = "", at: datetime | None = None) -> None:
        """Write a line of the time line, and the reason of the decision."""
        line = one_line(text, SAID_LIMIT if by else ENTRY_LIMIT) if text else str(reason)
        self.entries.append(Entry(at=at or self.now, reason=reason, text=line, by=one_line(by, 100)))
        self.because(reason)

    def because(self, reason: Reason) -> None:
        """Add a reason that needs no line of its own."""
        if reason not in self.why:
            self.why.append(reason)

    def announce(self, text: str, *, loud: bool = False, to: str = "") -> None:
        """Have everybody who was paged hear this (or one person); the telling stage sends it, ``loud`` as what rings."""
        kind = MessageKind.REMINDER if loud else MessageKind.UPDATE
        self.announcements.append((kind, one_line(text, ENTRY_LIMIT), to))

    def mention(self, text: str) -> None:
        """Have the conversations about the incident carry this; nobody is interrupted for it."""
        self.asides.append(one_line(text, SAID_LIMIT))

    def ask(self, effect: Effect) -> None:
        """Ask something of the world."""
        self.effects.append(effect)

    def measure(self, what: Measurement) -> None:
        """Count something."""
        self.measured.append(Measured(self.incident.severity, what))

    def wake(self, at: datetime) -> None:
        """Be woken at this time at the latest."""
        self.wake_ups.append(at)

    def begin_episode(
        self,
        cause: str,
        *,
        reached: tuple[Reach, ...] = (),
        hurried: bool = False,
        waited: Waited | None = None,
    ) -> None:
        """Page anew from the first level that is not in ``reached``; the response promise starts again from now.

        ``cause`` says why, for people; ``waited``, that it is the morning for which this had waited.

        A promise that people have not answered yet is never put off by this, and is judged once.
        """
        before = self.incident
        waiting = isinstance(before.state, states.Triggered)
        respond_by = self.now + before.promise.respond_within
        if waiting and not before.response_judged:
            respond_by = min(respond_by, before.respond_by)
        self.change(
            episode=Episode(
                number=before.episode.number + 1,
                began_at=self.now,
                reached=reached,
                hurried=hurried,
                cause=one_line(cause, CAUSE_LIMIT),
                waited=waited,
            ),
            respond_by=respond_by,
            response_judged=waiting and before.response_judged,
            acknowledged_at=None,
            acknowledged_by="",
            joined_untold=0,
            findings={},
            triage=states.TriageStatus.NONE,
            triage_until=None,
        )
        self.move(states.Triggered())

    @property
    def anew(self) -> str:
        """What to say of pages that begin from the first level; nothing where nobody was paged yet, or nobody may be."""
        paged = self.incident.first_paged_at is not None and not self.incident.holds
        return "; paging anew" if paged else ""

    def raise_severity(self, severity: Severity, *, keep_findings: bool = False) -> None:
        """Take a worse severity and page anew; what was found stays where it was the reason."""
        before = self.incident
        cause = f"it has risen from {before.severity} to {severity}"
        self.change(severity=severity)
        self.begin_episode(cause)
        if keep_findings:
            self.change(findings=before.findings, triage=states.TriageStatus.DONE)

    def paged_first(self, at: datetime) -> None:
        """A page was delivered: where it is the incident's first, say how long that took."""
        if self.incident.first_paged_at is None:
            due = self.incident.to_be_paged_since
            self.change(first_paged_at=at)
            self.measure(FirstPaged(max((at - due).total_seconds(), 0.0)))

    def seconds_since(self, start: datetime) -> float:
        """Seconds from ``start`` to now, never negative."""
        return max((self.now - start) / timedelta(seconds=1), 0.0)

    def finish(self) -> Decision:
        """The decision as it stands."""
        return Decision(
            incident=self.incident,
            effects=tuple(self.effects),
            entries=tuple(self.entries),
            measured=tuple(self.measured),
            why=tuple(self.why) or (Reason.NOTHING,),
        )
