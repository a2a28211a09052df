"""What people send to the API: the bodies of commands, and the facts that they become."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from responder.durations import format_duration, parse_duration
from responder.incident import facts
from responder.incident.facts import Fact
from responder.incident.severity import Severity
from responder.oncall.notation import Moment
from responder.web.problems import ProblemError, named


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who says so, and why."""

    by: str = ""
    note: str = ""

    def more(self, _at: datetime) -> dict[str, Any]:
        """What the fact holds beside who and why. Raises :class:`ProblemError` for what cannot be taken."""
        return {}


class NoteBody(Body, frozen=True, kw_only=True):
    """What acknowledge, escalate, resolve and reopen take."""


class AssignBody(Body, frozen=True, kw_only=True):
    """Who is to have it."""

    to: str

    def more(self, _at: datetime) -> dict[str, Any]:
        """The name."""
        name = named("body.to", self.to)
        if not name:
            raise ProblemError(400, "body.to: expected a name")
        return {"to": name}


class SeverityBody(Body, frozen=True, kw_only=True):
    """How bad it is."""

    severity: Severity

    def more(self, _at: datetime) -> dict[str, Any]:
        """The severity."""
        return {"severity": self.severity}


class SnoozeBody(Body, frozen=True, kw_only=True):
    """For how long somebody takes it: a duration such as ``30m``, at most 24 hours."""

    span: str = msgspec.field(name="for")

    def more(self, at: datetime) -> dict[str, Any]:
        """Until when."""
        try:
            return {"until": snoozed_until(self.span, at)}
        except ValueError as error:
            raise ProblemError(400, f"body.for: {error}") from None


def snoozed_until(text: str, at: datetime) -> datetime:
    """The end of a snooze that begins now. Raises ``ValueError`` with what would be taken."""
    span = parse_duration(text)
    if not timedelta(0) < span <= facts.SNOOZE_LIMIT:
        raise ValueError(f"expected a duration up to {format_duration(facts.SNOOZE_LIMIT)}, got {text!r}")
    return at + span


class ExplainBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The labels of an alert, and as of when (RFC 3339; now without it)."""

    labels: dict[str, str]
    at: str | None = None

    def as_of(self) -> datetime | None:
        """The time that is asked for. Raises :class:`ProblemError` for what is none."""
        if self.at is None:
            return None
        try:
            found = Moment.from_text(self.at).time
        except ValueError as error:
            raise ProblemError(400, f"body.at: {error}") from None
        if found.tzinfo is None:
            raise ProblemError(400, "body.at: give an offset, as in 2026-12-24T09:00:00+01:00, or Z for UTC")
        return found.astimezone(UTC)


#: Path below an incident -> its body and the fact that it records.
COMMANDS: dict[str, tuple[type[Body], type[Fact]]] = {
    "acknowledge": (NoteBody, facts.AcknowledgedBy),
    "escalate": (NoteBody, facts.EscalatedBy),
    "resolve": (NoteBody, facts.ResolvedBy),
    "reopen": (NoteBody, facts.ReopenedBy),
    "notes": (NoteBody, facts.NoteAdded),
    "assign": (AssignBody, facts.AssignedTo),
    "severity": (SeverityBody, facts.SeveritySet),
    "snooze": (SnoozeBody, facts.SnoozedBy),
}
