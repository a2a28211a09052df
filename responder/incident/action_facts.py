"""What happens to an action of the runbook on its way (``action.py``); part of ``facts.py``."""

from __future__ import annotations

from datetime import datetime

import msgspec

from responder.incident.action import ActionRole, Gate, RunKind
from responder.incident.fact_base import FactBase, HumanFact
from responder.incident.finding import FindingStatus


class ActionRequested(HumanFact, frozen=True, kw_only=True, tag="action_requested"):
    """A person wants an action of the runbook performed, rehearsed or taken back; ``role`` is theirs."""

    name: str
    kind: RunKind
    role: ActionRole


class ActionDenied(HumanFact, frozen=True, kw_only=True, tag="action_denied"):
    """A person's wish was refused at the door."""

    name: str
    gate: Gate
    reason: str


class ActionRefused(FactBase, frozen=True, kw_only=True, tag="action_refused"):
    """A gate refused a run; nothing was changed."""

    run: str
    gate: Gate
    reason: str


class ActionRehearsed(FactBase, frozen=True, kw_only=True, tag="action_rehearsed"):
    """Every gate up to the change itself let it through, and the other side would take it."""

    run: str
    text: str


class ActionPerformed(FactBase, frozen=True, kw_only=True, tag="action_performed"):
    """It was done; whether it helps is looked at until ``verify_until``.

    ``before`` and ``before_status`` are the verifying probe's finding just before, empty where there is no such probe.
    """

    run: str
    text: str
    verify_until: datetime
    before: str = ""
    before_status: FindingStatus | None = None
    undo: dict[str, str] | None = None
    mark: dict[str, str] = msgspec.field(default_factory=dict)


class ActionFailed(FactBase, frozen=True, kw_only=True, tag="action_failed"):
    """It was not done, for certain."""

    run: str
    reason: str


class ActionUnknown(FactBase, frozen=True, kw_only=True, tag="action_unknown"):
    """It was begun, and nobody can say whether it was done: the replica died, or the answer did not come."""

    run: str
    reason: str
    verify_until: datetime


class ActionSettled(FactBase, frozen=True, kw_only=True, tag="action_settled"):
    """What came of it. ``without_effect`` counts how often in a row the action has not helped this object.

    ``seen`` is ``False`` where it could not be looked at; ``worse`` where the verifying probe is worse than before.
    """

    run: str
    effective: bool
    text: str
    after: str = ""
    without_effect: int = 0
    given_up: bool = False
    seen: bool = True
    worse: bool = False
