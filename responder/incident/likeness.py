"""What makes one incident like another, what it is called in a list, and what tells it apart there."""

from __future__ import annotations

from responder.incident.around import list_line, mark_of
from responder.incident.ids import derive
from responder.incident.state import Incident


def kind_of(incident: Incident) -> str:
    """What makes it like another to the person who is paged; a new kind breaks through a digest.

    The severity is part of it: what has become worse is something new.
    """
    return derive(incident.rule, incident.labels.get("alertname", ""), incident.severity)


def shown_kind(incident: Incident) -> str:
    """What its kind is called where a digest counts its incidents."""
    return f"{incident.severity} {incident.labels.get('alertname', '') or incident.title}"


def own_mark(incident: Incident) -> str:
    """What tells it apart from others of its kind."""
    return mark_of(incident.group, incident.title)


def own_line(incident: Incident) -> str:
    """Its line in a list."""
    return list_line(incident.severity, incident.service, incident.title, own_mark(incident))
