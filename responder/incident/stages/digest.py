"""Stage 11 and 13: what is told with this incident's page, and who told of this one.

Nothing is left to a digest that is over: when the incident that carries it is paged no longer, those that were folded into
it are acknowledged with it, or paged anew. What they have to hear of each other is passed on after all is decided.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from responder.incident.asking import delivered_pages, told_in
from responder.incident.decision import Reason
from responder.incident.digest import Digest, present
from responder.incident.digest_facts import CarrierGone, DigestBegan, FoldedEnded, IncidentFolded
from responder.incident.draft import Draft
from responder.incident.effects import LeaveDigest, Spread
from responder.incident.facts import AcknowledgedBy, MessageDelivered
from responder.incident.ids import derive
from responder.incident.reach import Reach
from responder.incident.severity import Level
from responder.incident.state import Acknowledged, Incident, Monitoring, Page, PageStatus, Triggered

#: Those who were paged hear of what was folded at most this often, the longer it lasts the less.
_PACE = timedelta(minutes=1)
_SLOWEST = timedelta(minutes=15)
_GONE_KEPT = 20


def take(draft: Draft) -> None:
    """Take down what was folded, tell of it, and page anew what no digest tells of any more."""
    for one in draft.news.facts:
        match one:
            case DigestBegan():
                _begin(draft, one)
            case IncidentFolded():
                _fold(draft, one)
            case FoldedEnded() if draft.incident.digest is not None:
                draft.change(digest=msgspec.structs.replace(draft.incident.digest, over=one.over))
            case CarrierGone():
                note_gone(draft, one.carrier, one.at)
            case _:
                pass
    _note_folded(draft)
    _tell(draft)
    _page_anew(draft)


def note_gone(draft: Draft, carrier: str, at: datetime) -> None:
    """A digest tells of this one no longer; what it told until then counts for nothing."""
    known = {name: when for name, when in draft.incident.carriers_gone.items() if name != carrier}
    draft.change(carriers_gone=dict([*known.items(), (carrier, at)][-_GONE_KEPT:]))


def is_told(draft: Draft, one: AcknowledgedBy) -> bool:
    """Whether the digest that was taken had told of this one's present episode; what came of its page may be news as well.

    What a person wanted another level to see goes its own way.
    """
    incident = draft.incident
    if one.episode != incident.episode.number or any(reach.asked for reach in incident.episode.reached):
        return False
    told = {
        news.page
        for news in draft.news.facts
        if isinstance(news, MessageDelivered) and news.told_in == one.digest
    }
    return one.digest in told_in(incident) or any(
        page.id in told and page.episode == incident.episode.number for page in incident.pages
    )


def pass_on(draft: Draft) -> None:
    """What was folded into this one, and what this one was folded into, hears what this decision changed."""
    if draft.incident.digest is not None and not draft.incident.is_paged and _is_news_to_folded(draft):
        taken = _taken(draft.incident)
        draft.change(digest=msgspec.structs.replace(draft.incident.digest, ended=True, untold=False))
        draft.ask(
            Spread(
                id=derive(draft.incident.id, "spread", draft.now.isoformat()),
                lane=derive(draft.incident.id, "spread"),
                incident=draft.incident.id,
                urgent=draft.incident.severity.urgent,
                episode=draft.incident.episode.number,
                requested_at=draft.now,
                by=taken.by if taken is not None else "",
                at=taken.at if taken is not None else None,
                snoozed_until=taken.snoozed_until if taken is not None else None,
            )
        )
    for carrier in _left(draft):
        draft.ask(
            LeaveDigest(
                id=derive(draft.incident.id, "leave", carrier, draft.now.isoformat()),
                lane=derive(carrier, "leave"),  # one after the other: each says how many there are by then
                incident=draft.incident.id,
                urgent=False,
                episode=draft.incident.episode.number,
                requested_at=draft.now,
                carrier=carrier,
            )
        )


def _digest(draft: Draft) -> Digest | None:
    """What this one carries. Paged anew after a digest was over, it begins another; until then, late news belong to that."""
    return present(draft.incident.digest) if draft.incident.is_paged else draft.incident.digest


def _begin(draft: Draft, one: DigestBegan) -> None:
    digest = _digest(draft) or Digest(began_at=one.at, why=one.why)
    if one.contact in digest.contacts:
        return
    draft.change(digest=digest.with_contact(one.contact))
    draft.note(
        Reason.DIGEST, f"the page to {one.contact} is a digest: {one.why}; others are told with it", at=one.at
    )


def _note_folded(draft: Draft) -> None:
    """One line for all of them: the list of them is kept beside the incident."""
    if (digest := draft.incident.digest) is None:
        return
    before = draft.before.digest if digest.ended else present(draft.before.digest)
    more = digest.count - (before.count if before is not None else 0)
    if more > 0:
        are = "is" if more == 1 else "are"
        draft.note(Reason.FOLDED, f"{more} more {are} told with this one's page; {digest.count} in all")


def _fold(draft: Draft, one: IncidentFolded) -> None:
    digest = _digest(draft) or Digest(began_at=one.at)
    changed = digest.with_contact(one.contact).with_one(one)
    if one.over is not None:
        changed = msgspec.structs.replace(changed, over=one.over, untold=True)
    draft.change(digest=changed)
    if one.contact not in digest.contacts and _has_no_word_of_it(draft.incident, one.contact, digest):
        draft.announce(changed.news, to=one.contact)


def _has_no_word_of_it(incident: Incident, contact: str, digest: Digest) -> bool:
    """Whether a person's page was asked for before it was known to be a digest, and says nothing of one."""
    return any(
        page.contact == contact and not page.told_in and page.requested_at <= digest.began_at
        for page in delivered_pages(incident)
    )


def _tell(draft: Draft) -> None:
    digest = draft.incident.digest
    if digest is None or not digest.untold or not draft.incident.is_paged:
        return
    due = _due(digest, draft.now)
    if draft.now < due:
        draft.wake(due)
        return
    draft.announce(digest.news)
    draft.change(digest=msgspec.structs.replace(digest, untold=False, told_at=draft.now))


def _due(digest: Digest, now: datetime) -> datetime:
    """A minute after it began, since its page has told of itself; then after half of the time that it has lasted."""
    last = digest.told_at or digest.began_at
    pause = min(max(_PACE, (last - digest.began_at) / 2), _SLOWEST)
    return min(last + pause, now + _SLOWEST)


def _page_anew(draft: Draft) -> None:
    """Where the digest that told of it is over, and nobody took it: whoever was told by it is paged.

    It is no new episode: the levels that were reached stay so, and the next ones keep their times. However many digests
    come and go, each level is paged when it is due.
    """
    if not draft.incident.is_paged:
        return
    over = [page for page in delivered_pages(draft.incident) if _is_over(draft.incident, page)]
    if not over:
        return
    why = f"the digest of incident {over[0].told_in}, which told of it, is over"
    for page in over:
        draft.set_page(msgspec.structs.replace(page, status=PageStatus.DROPPED, error=why))
    episode = draft.incident.episode
    told = {(page.level, page.round, page.contact, page.step) for page in over}
    draft.change_episode(
        anew=episode.anew + 1,
        cause=why,
        reached=tuple(_untold(reach, told, episode.round) for reach in episode.reached),
    )
    draft.note(Reason.CARRIER_GONE, f"the digest of incident {over[0].told_in} is over{draft.anew}")


def _untold(reach: Reach, told: set[tuple[Level, int, str, int]], number: int) -> Reach:
    """A level some of whose people are to be paged over what a digest had stood for; in the present round."""
    if not any((level, of) == (reach.level, reach.round) for level, of, _, _ in told):
        return reach
    people = tuple(
        msgspec.structs.replace(
            person,
            tried=tuple(
                step for step in person.tried if (reach.level, reach.round, person.name, step) not in told
            ),
        )
        for person in reach.people
    )
    return msgspec.structs.replace(reach, people=people, round=number)


def _is_over(incident: Incident, page: Page) -> bool:
    """Whether what told of it was over when it was told, or after; a digest may begin again."""
    gone = incident.carriers_gone.get(page.told_in)
    return gone is not None and (page.settled_at or page.requested_at) <= gone


def _taken(incident: Incident) -> Acknowledged | None:
    """Who has it, or had it when its last alert resolved: that answers for all that was told with it."""
    state = incident.state
    return (
        state.taken if isinstance(state, Monitoring) else state if isinstance(state, Acknowledged) else None
    )


def _is_news_to_folded(draft: Draft) -> bool:
    """Whether it has carried until now; or was folded into just before it ended, which is said once more."""
    late = any(isinstance(one, (DigestBegan, IncidentFolded)) for one in draft.news.facts)
    return late or draft.before.is_paged


def _left(draft: Draft) -> tuple[str, ...]:
    """The digests that this one has left in this decision of its own accord."""
    before, now = draft.before, draft.incident
    if not isinstance(before.state, Triggered) or not (carriers := told_in(before)):
        return ()
    if isinstance(now.state, Triggered) and now.episode.number == before.episode.number:
        return ()
    known = {page.told_in for page in delivered_pages(before) if _is_over(now, page)}
    if isinstance(now.state, Acknowledged):
        known.add(now.state.digest)
    return tuple(one for one in carriers if one not in known)
