"""Stage 14: those who were paged hear what became of it, in the lane of their page and so after it."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from responder.incident import facts as fact
from responder.incident.draft import Draft
from responder.incident.effects import SendMessage
from responder.incident.escalation import everybody
from responder.incident.ids import derive
from responder.incident.message import MessageKind, Wanted
from responder.incident.reach import is_by
from responder.incident.state import Acknowledged, Incident, Monitoring, Page, Resolved, Triggered

#: What is older than this helps nobody any more.
UPDATE_USE = timedelta(minutes=10)
NOTICE_USE = timedelta(hours=6)
#: Updates that only say that more alerts joined come at most this often.
JOINED_PACE = timedelta(minutes=1)
#: Of so many things said between two decisions each is carried; of more, the last ones.
_ASIDES = 10
_PAGES = frozenset({MessageKind.PAGE, MessageKind.REMINDER})


def take(draft: Draft) -> None:
    """Ask for the messages that follow from what this decision changed."""
    before, now = draft.before, draft.incident
    changed = type(before.state) is not type(now.state)
    _tell_at_work(draft)
    match now.state:
        case Acknowledged(by=by, snoozed_until=until) if changed and _is_answered(before, now):
            text = f"Snoozed until {until:%Y-%m-%d %H:%M} UTC." if until else ""
            _tell(
                draft, MessageKind.ACKNOWLEDGED, _paged(draft, this_episode=True, ends=True), by=by, text=text
            )
        case Monitoring() if changed and now.flapping_since is None:
            text = "Every alert has resolved; it is being watched."
            _tell(draft, MessageKind.UPDATE, _paged(draft), text=text)
        case Resolved(by=by) if changed:
            text = draft.entries[-1].text if draft.entries and not by else ""
            _tell(draft, MessageKind.RESOLVED, _paged(draft, ends=True), by=by, text=text)
        case Triggered() if answered := _answered(before, now):
            names, others = ", ".join(answered), ", ".join(everybody.waiting_for(now))
            text = f"Acknowledged by {names}; still to come: {others or 'others'}."
            _tell(draft, MessageKind.UPDATE, _paged_before(draft), by=names, text=text)
        case Triggered() | Acknowledged() if _new_findings(draft):
            _tell(draft, MessageKind.UPDATE, _paged_before(draft))
        case Acknowledged(snoozed_until=None):
            _tell_joined(draft)
        case _:
            pass
    _tell_late(draft)
    for kind, text, to in draft.announcements:
        _tell(draft, kind, [page for page in _paged(draft) if to in ("", page.contact)], text=text)
    _tell_aside(draft)


def _tell_aside(draft: Draft) -> None:
    """What people said, and whatever else a conversation shows that has changed: it is kept true."""
    told = any(isinstance(one, SendMessage) and one.kind not in _PAGES for one in draft.effects)
    if not draft.asides and (told or _shown(draft.before) == _shown(draft.incident)):
        return
    pages = [page for page in _paged(draft) if page.requested_at < draft.now]
    for text in draft.asides[-_ASIDES:] or ("",):
        _tell(draft, MessageKind.UPDATE, pages, text=text, aside=True)


def _shown(incident: Incident) -> tuple[object, ...]:
    state = incident.state
    return (
        incident.severity,
        incident.assignee,
        [
            (reach.level, reach.round, person.name)
            for reach in incident.episode.reached
            for person in reach.people
        ],
        state.snoozed_until if isinstance(state, Acknowledged) else None,
        [(hold.kind, hold.by) for hold in incident.holds],
    )


def _tell_late(draft: Draft) -> None:
    """Who was paged from memory for what somebody had by then, or was over, hears of it now."""
    before, now = draft.before.state, draft.incident.state
    if not draft.came_late or type(before) is not type(now):
        return
    late = [page for page in _paged(draft, ends=True) if page.id in draft.came_late]
    match now:
        case Acknowledged(by=by):
            _tell(draft, MessageKind.ACKNOWLEDGED, late, by=by)
        case Resolved(by=by):
            _tell(draft, MessageKind.RESOLVED, late, by=by)
        case _:
            pass


def _is_answered(before: Incident, now: Incident) -> bool:
    """Whether somebody has acknowledged just now: what flaps goes back to who had it, which is no news."""
    return now.acknowledged_at != before.acknowledged_at


def _tell_at_work(draft: Draft) -> None:
    """Who was reminded and has been heard of since is asked no longer, wherever they were asked."""
    before, now = draft.before.state, draft.incident.state
    if not isinstance(before, Acknowledged) or not isinstance(now, Acknowledged):
        return
    reminder = now.reminder
    if reminder is None or not before.quiet_since <= reminder.at < now.quiet_since:
        return
    heard = [one for one in draft.news.facts if fact.is_by_person(one)]
    by = getattr(heard[-1], "by", now.by) if heard else now.by
    asked = [
        page
        for page in _paged(draft, this_episode=True)
        if page.wanted is Wanted.ACKNOWLEDGED and page.round == reminder.round
    ]
    _tell(draft, MessageKind.ACKNOWLEDGED, asked, by=now.by, text=f"{by} is at work on it.")


def _paged(draft: Draft, *, this_episode: bool = False, ends: bool = False) -> list[Page]:
    """The latest live page (or reminder) of each person and channel: what follows goes where they looked last.

    What a digest told of is followed by that digest only. What ``ends`` a page ends it under each id that it went out under.
    """
    latest: dict[tuple[str, str, str], Page] = {}
    for page in draft.incident.pages:
        if (
            page.live
            and not page.told_in
            and (not this_episode or page.episode == draft.incident.episode.number)
        ):
            latest[page.contact, page.channel, page.known_as if ends else ""] = page
    return list(latest.values())


def _answered(before: Incident, now: Incident) -> list[str]:
    """Who acknowledged in this decision for themselves only."""
    known = {
        (reach.level, person.name)
        for reach in before.episode.reached
        for person in reach.people
        if person.acknowledged_at
    }
    names = [
        person.name
        for reach in now.episode.reached
        for person in reach.people
        if person.acknowledged_at == now.now and (reach.level, person.name) not in known
    ]
    return list(dict.fromkeys(names))


def _paged_before(draft: Draft) -> list[Page]:
    """Pages of this decision hold what is new already."""
    return [page for page in _paged(draft, this_episode=True) if page.requested_at < draft.now]


def _new_findings(draft: Draft) -> bool:
    return any(
        isinstance(one, fact.FindingArrived) and one.episode == draft.incident.episode.number
        for one in draft.news.facts
    )


def _tell_joined(draft: Draft) -> None:
    incident = draft.incident
    if not incident.joined_untold:
        return
    due = incident.joined_told_at + JOINED_PACE if incident.joined_told_at else draft.now
    if draft.now < due:
        draft.wake(due)
        return
    own = [page for page in _paged(draft) if is_by(incident.acknowledged_by, page.contact)]
    text = f"{incident.joined_untold} more alert(s) joined."
    _tell(draft, MessageKind.UPDATE, own or _paged(draft), text=text)
    draft.change(joined_untold=0, joined_told_at=draft.now)


def _tell(
    draft: Draft, kind: MessageKind, pages: list[Page], *, by: str = "", text: str = "", aside: bool = False
) -> None:
    for page in pages:
        if (page.id, kind) in draft.noticed:
            continue
        number = page.updates + 1
        draft.set_page(msgspec.structs.replace(page, updates=number))
        draft.ask(
            SendMessage(
                id=derive(page.id, kind, number),
                lane=page.id,
                incident=draft.incident.id,
                urgent=draft.incident.severity.urgent,
                episode=page.episode,
                requested_at=draft.now,
                expires_at=draft.now + (UPDATE_USE if kind is MessageKind.UPDATE else NOTICE_USE),
                kind=kind,
                page=page.id,
                level=page.level,
                contact=page.contact,
                channel=page.channel,
                by=by,
                text=text,
                aside=aside,
                known_as=page.known_as,
            )
        )
