"""What people are told of what they did: what really happened, in a sentence. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec

from responder.actions.desk import Asked
from responder.engine.desk import Answer, Outcome
from responder.incident.action import Gate
from responder.incident.escalation.everybody import waiting_for
from responder.incident.outlook import next_step
from responder.incident.reach import is_by
from responder.incident.state import Acknowledged, Incident
from responder.text import one_line

AWAY = "not taken: the store is away; press again"
BUSY = "not taken: too much is going on; press again"


class Said(msgspec.Struct, frozen=True):
    """A text for one person, and where it leads."""

    text: str
    url: str = ""


def title(incident: Incident) -> str:
    """The incident in a line."""
    return one_line(f"{incident.severity} {incident.service}: {incident.title}", 120)


def kept_back(found: Answer) -> str:
    """Why nothing was taken; empty where something was."""
    match found.outcome:
        case Outcome.UNKNOWN:
            return "refused: there is no such incident any more"
        case Outcome.REFUSED:
            state = str(found.incident.state_name) if found.incident else "over"
            return f"refused: the incident is {state}"
        case Outcome.KEY_REUSED:
            return "refused: it came before with another content"
        case _:
            return ""


def recorded(found: Answer) -> str:
    """What is said while the decision is still to come; empty where it is made."""
    late = found.outcome is Outcome.RECORDED or found.incident is None
    return (
        (found.note or "recorded; the decision is still to come, and the message will show it")
        if late
        else ""
    )


def acknowledged(incident: Incident, name: str) -> str:
    """What became of an acknowledgement."""
    if isinstance(incident.state, Acknowledged):
        if is_by(incident.acknowledged_by, name):
            return "acknowledged: you have it, and nobody further is paged"
        return f"already acknowledged by {one_line(incident.acknowledged_by, 100)}"
    others = ", ".join(waiting_for(incident))
    return f"acknowledged for you; {others or 'somebody'} has to as well"


def escalated(incident: Incident, asked_at: datetime) -> str:
    """Who was paged by it."""
    reached = [reach for reach in incident.episode.reached if reach.at >= asked_at]
    if not reached:
        step = next_step(incident)
        return (
            f"noted; next is {step.contact} ({step.level})"
            if step
            else "noted; there is no further level to page"
        )
    names = ", ".join(person.name for person in reached[-1].people) or "nobody is on call there"
    return f"escalated: {reached[-1].level} is paged ({names})"


def action(asked: Asked, name: str, by: str) -> str:
    """What became of a wish for an action."""
    if asked.refusal is not None:
        gate, reason = asked.refusal
        return f"refused ({gate}): {reason}"
    if asked.answer is None:
        return "not taken: an error of our own; see the log"
    if text := kept_back(asked.answer) or recorded(asked.answer):
        return text
    runs = [
        run for run in (asked.answer.incident.actions if asked.answer.incident else ()) if run.name == name
    ]
    if not runs:
        return f"{name}: not begun; the time line says why"
    if runs[-1].status.final or runs[-1].by == by:
        return f"{name}: asked for; what comes of it is told in the thread"
    return f"refused ({Gate.UNDER_WAY}): {runs[-1].by} asked for it already and it has not ended"
