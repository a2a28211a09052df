"""The pages of an incident that ask somebody to take it, and whose digests told of it."""

from __future__ import annotations

from responder.incident.message import Wanted
from responder.incident.state import Incident, Page, PageStatus


def asking_pages(incident: Incident) -> list[Page]:
    """Those of its present episode."""
    return [
        page
        for page in incident.pages
        if page.episode == incident.episode.number and page.wanted is Wanted.UNACKNOWLEDGED
    ]


def delivered_pages(incident: Incident) -> list[Page]:
    """Those of them that arrived, or count as if they had."""
    return [page for page in asking_pages(incident) if page.status is PageStatus.DELIVERED]


def told_in(incident: Incident) -> tuple[str, ...]:
    """The incidents whose digests told of this one, in its present episode."""
    return tuple(dict.fromkeys(page.told_in for page in delivered_pages(incident) if page.told_in))
