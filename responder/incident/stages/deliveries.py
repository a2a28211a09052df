"""Stage 3: what became of pages and of what followed them."""

from __future__ import annotations

import msgspec

from responder.incident import facts as fact
from responder.incident.decision import Reason
from responder.incident.draft import Draft
from responder.incident.message import MessageKind, Wanted
from responder.incident.state import Acknowledged, Page, PageStatus, Triggered

_PAGES = frozenset({MessageKind.PAGE, MessageKind.REMINDER})


def take(draft: Draft) -> None:
    """Take each delivery's fact; one that comes twice changes nothing."""
    for one in draft.news.facts:
        match one:
            case fact.MessageDelivered():
                _delivered(draft, one)
            case fact.MessageFailed():
                _failed(draft, one)
            case fact.MessageDropped():
                _ended(draft, one, PageStatus.DROPPED, Reason.DROPPED)
            case fact.MessageDelayed():
                _delayed(draft, one)
            case fact.MessageWaits():
                _waits(draft, one)
            case fact.DecisionFailed():
                draft.note(Reason.BROKEN, one.error, at=one.at)
            case fact.LateCopySettled():
                text = f"{one.refired} fired again, {one.late} late copies: {one.reason}"
                draft.note(Reason.DOUBT_SETTLED, text, at=one.at)
            case _:
                pass


def _page(draft: Draft, page_id: str) -> Page | None:
    return next((page for page in draft.incident.pages if page.id == page_id), None)


def _what(page: Page | None, kind: MessageKind) -> str:
    return f"{kind} to {page.contact} ({page.level}) over {page.channel}" if page else f"{kind}"


def _delivered(draft: Draft, one: fact.MessageDelivered) -> None:
    page = _page(draft, one.page)
    if page is None:
        return
    if one.kind not in _PAGES:
        receipt = one.receipt if one.receipt.reference else page.receipt
        draft.set_page(msgspec.structs.replace(page, receipt=receipt, mute=False))
        draft.because(Reason.DELIVERED)
        return
    if page.status is PageStatus.DELIVERED or (page.status is PageStatus.DROPPED and page.told_in):
        return
    draft.set_page(
        msgspec.structs.replace(
            page,
            status=PageStatus.DELIVERED,
            settled_at=one.at,
            receipt=one.receipt,
            error="",
            told_in=one.told_in,
            listed_in=one.listed_in,
        )
    )
    wanted = Triggered if page.wanted is Wanted.UNACKNOWLEDGED else Acknowledged
    late = not isinstance(draft.incident.state, wanted) or page.episode != draft.incident.episode.number
    draft.note(
        Reason.DELIVERED_LATE if late else Reason.DELIVERED,
        f"{_what(page, one.kind)} {_how(page, one)}",
        at=one.at,
    )
    draft.paged_first(one.at)


def _how(page: Page, one: fact.MessageDelivered) -> str:
    if one.listed_in:
        return f"told in the list of incident {one.listed_in}"
    if not one.told_in:
        alone = " by itself: the store did not say in time whether a digest tells of it"
        return f"delivered{alone if one.unasked else ''}"
    if page.wanted is Wanted.ACKNOWLEDGED:
        return f"not sent: the reminder of incident {one.told_in} stands for it"
    return f"told in the digest of incident {one.told_in}"


def _failed(draft: Draft, one: fact.MessageFailed) -> None:
    """A page that will not arrive; one that was accepted and then reported undelivered goes on to the next channel."""
    page = _page(draft, one.page)
    if page is None or page.status is not PageStatus.DELIVERED or one.kind not in _PAGES:
        _ended(draft, one, PageStatus.FAILED, Reason.FAILED)
        _mute(draft, page, one.kind)
        return
    draft.note(Reason.UNDELIVERED, f"{_what(page, one.kind)} never arrived: {one.reason}", at=one.at)
    lost = msgspec.structs.replace(page, status=PageStatus.FAILED, settled_at=one.at, error=one.reason)
    draft.set_page(lost)


def _delayed(draft: Draft, one: fact.MessageDelayed) -> None:
    page = _page(draft, one.page)
    draft.note(Reason.DELAYED, f"{_what(page, one.kind)}: {one.reason}; trying again", at=one.at)
    if page is not None and one.failover and page.status is PageStatus.PENDING:
        draft.set_page(msgspec.structs.replace(page, failover=True))
    _mute(draft, page, one.kind)


def _mute(draft: Draft, page: Page | None, kind: MessageKind) -> None:
    """What follows a page does not get through: a digest tells nobody of more until it does."""
    if page is not None and kind not in _PAGES:
        draft.set_page(msgspec.structs.replace(page, mute=True))


def _waits(draft: Draft, one: fact.MessageWaits) -> None:
    """It is not slow: the person's next channel is not asked to help meanwhile."""
    page = _page(draft, one.page)
    if page is None or page.status is not PageStatus.PENDING:
        return
    what = f"the digest of incident {one.carrier}" if one.carrier else "the next digest"
    text = f"{_what(page, one.kind)} waits for {what}, until {one.until:%H:%M:%S} UTC at the latest"
    draft.note(Reason.WAITS_FOR_DIGEST, text, at=one.at)
    draft.set_page(msgspec.structs.replace(page, waits_until=one.until))


def _ended(
    draft: Draft, one: fact.MessageFailed | fact.MessageDropped, status: PageStatus, reason: Reason
) -> None:
    page = _page(draft, one.page)
    draft.note(reason, f"{_what(page, one.kind)}: {one.reason}", at=one.at)
    if page is not None and one.kind in _PAGES and page.status is PageStatus.PENDING:
        draft.set_page(msgspec.structs.replace(page, status=status, settled_at=one.at, error=one.reason))
