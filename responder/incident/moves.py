"""Every move between states that there is, and which facts of people each state takes.

The table is the only place that says so: ``advance`` moves through it, the API refuses by it, and the diagram in the
docs is drawn from it.
"""

from __future__ import annotations

from responder.incident import action_facts, facts
from responder.incident.state import Incident, StateName

_TRIGGERED, _ACKNOWLEDGED = StateName.TRIGGERED, StateName.ACKNOWLEDGED
_MONITORING, _RESOLVED = StateName.MONITORING, StateName.RESOLVED

#: From each state, the states that can follow it and what leads there.
MOVES: dict[StateName, dict[StateName, str]] = {
    _TRIGGERED: {
        _TRIGGERED: "severity rises",
        _ACKNOWLEDGED: "a person acknowledges",
        _MONITORING: "every alert resolves",
        _RESOLVED: "a person resolves, or nothing is heard for too long",
    },
    _ACKNOWLEDGED: {
        _TRIGGERED: "severity rises, a person escalates, the acknowledgement lapses, or a snooze is over",
        _MONITORING: "every alert resolves",
        _RESOLVED: "a person resolves, or nothing is heard for too long",
    },
    _MONITORING: {
        _MONITORING: "fires and resolves again at once",
        _ACKNOWLEDGED: "an alert that flaps fires again, and somebody had it",
        _TRIGGERED: "an alert fires again, or a person reopens",
        _RESOLVED: "quiet for the whole watch, or a person resolves",
    },
    _RESOLVED: {_TRIGGERED: "a person reopens"},
}

_OPEN = frozenset({_TRIGGERED, _ACKNOWLEDGED, _MONITORING})
_ANY = frozenset(StateName)

#: The states in which a person's fact is taken; elsewhere the API answers 409 with the present state.
TAKEN_IN: dict[type[facts.Fact], frozenset[StateName]] = {
    facts.AcknowledgedBy: frozenset({_TRIGGERED, _ACKNOWLEDGED}),
    facts.EscalatedBy: frozenset({_TRIGGERED, _ACKNOWLEDGED}),
    facts.ResolvedBy: _OPEN,
    facts.ReopenedBy: frozenset({_MONITORING, _RESOLVED}),
    facts.SeveritySet: _OPEN,
    facts.AssignedTo: _OPEN,
    facts.SnoozedBy: frozenset({_TRIGGERED, _ACKNOWLEDGED}),
    facts.SilencedBy: frozenset({_TRIGGERED, _ACKNOWLEDGED}),
    facts.UnsilencedBy: _ANY,
    facts.NoteAdded: _ANY,
    action_facts.ActionRequested: _OPEN,
}


class IllegalMoveError(AssertionError):
    """A move that is not in the table: our own mistake."""


def check_move(incident: Incident, to: StateName) -> None:
    """Raise :class:`IllegalMoveError` where the table has no such move."""
    if to not in MOVES[incident.state_name]:
        raise IllegalMoveError(f"incident {incident.id}: no move from {incident.state_name} to {to}")


def mermaid() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {_TRIGGERED}: an alert fires"]
    lines += [
        f"    {source} --> {target}: {what}"
        for source, targets in MOVES.items()
        for target, what in targets.items()
    ]
    return "\n".join([*lines, f"    {_RESOLVED} --> [*]: retention is over", ""])
