"""The last look at a message before it is sent: whether it is still of use, from the incident as it is then.

The store has looked at the state, the episode and the expiry already, in the step that started the attempt.
"""

from __future__ import annotations

from responder.incident.effects import SendMessage
from responder.incident.escalation.everybody import has_answered
from responder.incident.message import MessageKind, Wanted
from responder.incident.state import Acknowledged, Incident, Page, PageStatus

_PAGES = frozenset({MessageKind.PAGE, MessageKind.REMINDER})
_LOST = frozenset({PageStatus.FAILED, PageStatus.DROPPED})


def overtaken(effect: SendMessage, incident: Incident) -> str:
    """Why a message is of no use any more; nothing where it is."""
    page = _page(effect, incident)
    if effect.kind not in _PAGES:
        return _follows_nothing(page)
    if page is not None and page.id == effect.id and page.status is PageStatus.DELIVERED:
        return "it was delivered already"  # from memory, while the store was away
    if effect.wanted is Wanted.UNACKNOWLEDGED and (why := _is_spared(effect, incident)):
        return why
    if effect.wanted is Wanted.ACKNOWLEDGED and _is_at_work(effect, incident):
        return "somebody is at work on it"
    # A first page is never skipped, however late: whoever counts pages finds one for each level.
    if effect.kind is MessageKind.REMINDER and any(_takes_its_place(p, effect) for p in incident.pages):
        return "a later one takes its place"
    return ""


def _follows_nothing(page: Page | None) -> str:
    """Why there is nobody whom a page of its own has told what this would go on with."""
    if page is not None and page.told_in:
        return f"its page was told in the digest of incident {page.told_in}"
    return "its page never arrived" if page is not None and page.status in _LOST else ""


def _is_spared(effect: SendMessage, incident: Incident) -> str:
    """Why a person is not to be paged just now."""
    if incident.holds:
        return f"held back ({incident.holds[0].kind}): {incident.holds[0].text}"
    return f"{effect.contact} has acknowledged" if has_answered(incident, effect.contact) else ""


def awaits_its_page(effect: SendMessage, incident: Incident) -> bool:
    """Whether it follows a page of which the incident does not know yet what became of it (its receipt is missing)."""
    page = _page(effect, incident)
    return effect.kind not in _PAGES and page is not None and page.status is PageStatus.PENDING


def _page(effect: SendMessage, incident: Incident) -> Page | None:
    return next((page for page in incident.pages if page.id == effect.page), None)


def _is_at_work(effect: SendMessage, incident: Incident) -> bool:
    state = incident.state
    return isinstance(state, Acknowledged) and state.quiet_since > effect.requested_at


def _takes_its_place(page: Page, effect: SendMessage) -> bool:
    """Whether a page of a later round goes to the same person over the same channel."""
    return (
        page.live
        and page.round > effect.round
        and (page.contact, page.channel, page.episode, page.wanted)
        == (effect.contact, effect.channel, effect.episode, effect.wanted)
    )
