"""A page of an incident, as the API shows it."""

from __future__ import annotations

import msgspec

from responder.incident.severity import Level
from responder.incident.state import Page, PageStatus
from responder.web.times import rfc3339, rfc3339_or_none


class PageView(msgspec.Struct, frozen=True, kw_only=True):
    """A page and what became of it.

    ``told_in`` is the incident whose digest told the person instead; ``listed_in`` the one whose page told them in its list.
    """

    id: str
    level: Level
    to: str
    channel: str
    episode: int
    status: PageStatus
    requested_at: str
    delivered_at: str | None
    told_in: str | None
    listed_in: str | None
    error: str | None


def page_view(page: Page) -> PageView:
    """The page, and what became of it."""
    return PageView(
        id=page.id,
        level=page.level,
        to=page.contact,
        channel=page.channel,
        episode=page.episode,
        status=page.status,
        requested_at=rfc3339(page.requested_at),
        delivered_at=rfc3339_or_none(page.settled_at) if page.status is PageStatus.DELIVERED else None,
        told_in=page.told_in or None,
        listed_in=page.listed_in or None,
        error=page.error or None,
    )
