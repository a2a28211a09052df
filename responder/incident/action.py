"""Actions as the incident knows them: what is offered, what was asked for, and how far it has come."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from responder.incident.finding import FindingStatus
from responder.incident.severity import Severity


class Approval(StrEnum):
    """Who starts an action: a person, or the daemon by itself once the diagnosis is done."""

    REQUIRED = "required"
    AUTOMATIC = "automatic"


class ActionRole(StrEnum):
    """The least role of a person who may start an action."""

    RESPONDER = "responder"
    ADMIN = "admin"


class Gate(StrEnum):
    """The gates before an action is performed, in their order; each refuses with a reason of its own."""

    KILL_SWITCH = "kill switch"
    OFFERED = "offered"
    ROLE = "role"
    ALLOW_LIST = "allow-list"
    DRY_RUN = "dry run"
    PRECONDITION = "precondition"
    LIMIT = "limit"
    COOLDOWN = "cooldown"
    NO_EFFECT = "no effect"
    UNDER_WAY = "under way"


class RunKind(StrEnum):
    """What is wanted of an action."""

    PERFORM = "perform"
    REHEARSE = "rehearse"
    UNDO = "undo"


class RunStatus(StrEnum):
    """Where a run of an action is; what stands from ``refused`` on is final."""

    REQUESTED = "requested"
    VERIFYING = "verifying"
    REFUSED = "refused"
    REHEARSED = "rehearsed"
    FAILED = "failed"
    EFFECTIVE = "effective"
    INEFFECTIVE = "ineffective"
    UNKNOWN = "unknown"

    @property
    def final(self) -> bool:
        """Whether nothing more will come of it."""
        return self not in (RunStatus.REQUESTED, RunStatus.VERIFYING)


class ActionRun(msgspec.Struct, frozen=True, kw_only=True):
    """One wish for an action, and what has become of it.

    ``given_up``: it was told with this run that the action does not help. ``before`` and ``after`` are headlines of the verifying probe; ``undo`` is what is needed to take it back.
    """

    id: str
    name: str
    kind: RunKind
    episode: int
    by: str
    via: str
    requested_at: datetime
    automatic: bool = False
    status: RunStatus = RunStatus.REQUESTED
    gate: Gate | None = None
    text: str = ""
    before: str = ""
    after: str = ""
    performed_at: datetime | None = None
    verify_until: datetime | None = None
    undo: dict[str, str] | None = None
    undone: bool = False
    given_up: bool = False


class Raise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A finding that makes the incident worse: where ``probe`` ends in one of ``status``, the severity rises to ``to``.

    It never falls because of a finding.
    """

    probe: str
    status: tuple[FindingStatus, ...] = (FindingStatus.CRITICAL,)
    to: Severity
