"""What ``advance`` answers: the incident as it is now, what to do, what to write down and what to count."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from responder.incident.effects import Effect
from responder.incident.hold import HoldKind
from responder.incident.severity import Level, Severity
from responder.incident.state import Incident


class Reason(StrEnum):
    """Why something was decided: a closed set, used in the time line, the log and explanations."""

    OPENED = "first alert fired"
    REOPENED_BY_FIRING = "fired again while it was being watched"
    REOPENED_BY_PERSON = "reopened by a person"
    SEVERITY_RISEN = "a worse alert joined"
    SEVERITY_SET = "severity set by a person"
    ACKNOWLEDGED = "acknowledged"
    ALREADY_ACKNOWLEDGED = "already acknowledged; the first acknowledgement stands"
    ACKNOWLEDGED_IN_PART = "one of those who all have to acknowledge did"
    ACKNOWLEDGEMENT_REMINDED = "nothing was heard since it was acknowledged; reminding"
    ACKNOWLEDGEMENT_LAPSED = "nothing was heard for too long since it was acknowledged; paging anew"
    SNOOZED = "snoozed"
    SNOOZE_OVER = "the snooze is over"
    TOO_LATE = "not possible in the present state"
    ALERTS_JOINED = "alerts joined"
    ALERTS_RESOLVED = "alerts resolved"
    ALL_RESOLVED = "every alert has resolved; watching"
    WATCH_OVER = "quiet for the whole watch"
    RESOLVED_BY_PERSON = "resolved by a person"
    STALE = "nothing was heard of its alerts for too long"
    LEVEL_DUE = "nobody acknowledged in time"
    LEVEL_FIRST = "the first level is paged at once"
    LEVEL_ASKED = "a person asked for the next level"
    LEVEL_UNREACHABLE = "the level before could not be reached; this one is paged at once"
    NOBODY_ON_CALL = "nobody is on call"
    PERSON_UNREACHABLE = "could not be reached"
    NOBODY_REACHABLE = "no level could be reached"
    ROUND_AGAIN = "still unacknowledged after the last level"
    CHANNEL_FAILED = "the channel failed; trying the next one"
    CHANNEL_SLOW = "the channel did not deliver in time; trying the next one as well"
    CHANNEL_DOWN = "the channel's provider is down; trying the next one as well"
    CHANNEL_DUE = "the person's next channel is due"
    WAITING_FOR_TRIAGE = "the page waits for findings"
    TRIAGE_STARTED = "diagnostics started"
    FINDING = "a probe answered"
    SEVERITY_RAISED_BY_FINDING = "a finding makes it worse"
    ACTION_ASKED = "an action was asked for"
    ACTION_REFUSED = "an action was refused"
    ACTION_REHEARSED = "an action was rehearsed"
    ACTION_PERFORMED = "an action was performed"
    ACTION_FAILED = "an action failed"
    ACTION_UNKNOWN = "the outcome of an action is unknown"
    ACTION_EFFECTIVE = "an action has helped"
    ACTION_INEFFECTIVE = "an action has not helped"
    ACTION_GIVEN_UP = "an action does not help and is not tried again"
    DELIVERED = "delivered"
    DELIVERED_LATE = "delivered while it was being acknowledged"
    DELAYED = "delivery failed for now"
    FAILED = "delivery failed"
    UNDELIVERED = "accepted, and reported undelivered later"
    DROPPED = "overtaken before it was sent"
    DOUBT = "a firing may be a late copy; asking Alertmanager"
    DOUBT_SETTLED = "a doubtful firing was settled"
    PAGED_BLIND = "a replica paged from memory while the store was away"
    COMPARED = "found by comparing with Alertmanager"
    SILENCED = "silenced in Alertmanager by a person"
    UNSILENCED = "a person withdrew a silence"
    SILENCE_RETURNED = "a silence that was withdrawn is back in Alertmanager; it is not obeyed"
    SILENCE_ENDS = "a silence is about to end"
    MUTED = "Alertmanager mutes every alert that fires"
    UNMUTED = "Alertmanager does not mute it any more"
    HELD = "paging is held back"
    HOLD_OVER = "nothing holds it back any more"
    ATTACHED = "a service that stands on this one is attached"
    DETACHED = "an attached service goes its own way again"
    DIGEST = "its page became a digest"
    FOLDED = "others are told with its page"
    WAITS_FOR_DIGEST = "the page waits for a digest"
    CARRIER_GONE = "the digest that told of it is over"
    LISTED = "the morning's list tells of it"
    FLAPPING = "it flaps; not paged anew"
    FLAPPING_OVER = "it does not flap any more"
    NOTE = "note"
    ASSIGNED = "assigned"
    BROKEN = "our own decision failed; the fallback paged"
    NOTHING = "nothing to do"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the time line. ``text`` is bounded and free of control characters, not escaped."""

    at: datetime
    reason: Reason
    text: str
    by: str = ""


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """An incident opened (not: reopened)."""


class FirstPaged(msgspec.Struct, frozen=True, tag="first_paged"):
    """The first page of the incident was delivered."""

    seconds: float


class Escalated(msgspec.Struct, frozen=True, tag="escalated"):
    """A level was paged for the first time in an episode."""

    level: Level


class Unreachable(msgspec.Struct, frozen=True, tag="unreachable"):
    """Nobody of a level could be reached."""

    level: Level


class PagesHeld(msgspec.Struct, frozen=True, tag="pages_held"):
    """Pages began to be held back."""

    kind: HoldKind


class ResponseJudged(msgspec.Struct, frozen=True, tag="response_judged"):
    """The promise was met or breached: decided once, at the acknowledgement or at the deadline."""

    met: bool


class AcknowledgedAfter(msgspec.Struct, frozen=True, tag="acknowledged_after"):
    """The first acknowledgement came."""

    seconds: float


class ResolvedAfter(msgspec.Struct, frozen=True, tag="resolved_after"):
    """The incident ended."""

    seconds: float


Measurement = (
    Opened
    | FirstPaged
    | Escalated
    | Unreachable
    | PagesHeld
    | ResponseJudged
    | AcknowledgedAfter
    | ResolvedAfter
)


class Measured(msgspec.Struct, frozen=True):
    """A measurement with the severity that it belongs to."""

    severity: Severity
    what: Measurement


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer of one decision."""

    incident: Incident
    effects: tuple[Effect, ...] = ()
    entries: tuple[Entry, ...] = ()
    measured: tuple[Measured, ...] = ()
    why: tuple[Reason, ...] = ()
