"""Whether one incident's page has told a person: then others that it tells of need not be paged by themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from enum import Enum

from responder.engine.outbox import Done
from responder.incident.asking import asking_pages
from responder.incident.effects import SendMessage
from responder.incident.facts import MessageDelivered
from responder.incident.state import Incident, Page, PageStatus, Triggered
from responder.store.loaded import Attempt

#: All that is asked before a page leaves takes no longer than this, in seconds; then it leaves.
ASK_LIMIT = 0.8
#: The other page is waited for so long: its channels have had their time by then.
PATIENCE = timedelta(seconds=60)

Perform = Callable[[Attempt], Awaitable[Done]]
Snapshot = Callable[[str], Awaitable[Incident | None]]
#: The channel's name and the outcome of a page that another one told of.
Observe = Callable[[str, str], object]


class Told(Enum):
    """Whether a person was told of an incident by another one's page."""

    YES = "yes"
    NOT_YET = "not yet"
    NO = "no"


def told_by_page(other: Incident, contact: str, channel: str = "") -> Told:
    """Whether an incident's own page of its present episode reached a person; a digest's is not its own.

    ``channel``: the only one that counts, where not each of them does.
    """
    pages = [page for page in pages_to(other, contact) if channel in ("", page.channel)]
    if any(page.status is PageStatus.DELIVERED and not page.told_in for page in pages):
        return Told.YES
    if any(page.status is PageStatus.PENDING for page in pages):
        return Told.NOT_YET
    return Told.NOT_YET if not pages and isinstance(other.state, Triggered) else Told.NO


def pages_to(other: Incident, contact: str) -> list[Page]:
    """An incident's pages of its present episode to a person."""
    return [page for page in asking_pages(other) if page.contact == contact]


def counts_as_delivered(
    effect: SendMessage, attempt: Attempt, at: datetime, told_in: str = "", listed_in: str = ""
) -> Done:
    """The end of a page whose person was told by another one.

    ``told_in``: by that incident's digest; ``listed_in``: by the list of that one's page.
    """
    delivered = MessageDelivered(
        at=at,
        effect=effect.id,
        page=effect.page,
        kind=effect.kind,
        attempt=attempt.number,
        told_in=told_in,
        listed_in=listed_in,
    )
    return Done(facts=(delivered,))
