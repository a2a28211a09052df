"""Stage 7: who is paged now, and over which of their channels.

The primary at once, the other levels at the severity's times, until somebody acknowledges. A level that cannot be
reached falls to the next one at once. After the last level, that one is paged again at the pace of the promised
response time.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from responder.incident.decision import Escalated, Reason
from responder.incident.draft import Draft
from responder.incident.effects import SendMessage
from responder.incident.ids import derive
from responder.incident.message import MessageKind
from responder.incident.severity import LEVELS, Level
from responder.incident.state import Incident, Page, PageStatus, Reach, TriageStatus, Triggered

#: Pages that the snapshot keeps; older ones that are settled leave it (the time line keeps them).
PAGES_KEPT = 40
#: Where nobody at all could be reached, the whole row is tried again at least this often.
NOBODY_RETRY = timedelta(minutes=5)


def take(draft: Draft) -> None:
    """Page whom it is time to page."""
    if not isinstance(draft.incident.state, Triggered) or _waits_for_findings(draft):
        return
    _again(draft)
    for level in LEVELS:
        _reach(draft, level)
    _follow_channels(draft)
    # A level that turned out to be unreachable makes the next one due in the same decision.
    while _next_is_due(draft) and (following := draft.incident.next_level):
        _reach(draft, following)
        _follow_channels(draft)
    _set_wake(draft)


def _waits_for_findings(draft: Draft) -> bool:
    incident = draft.incident
    until = incident.triage_until
    if incident.triage is not TriageStatus.RUNNING or until is None or draft.now >= until:
        return False
    if incident.episode.reached:
        return False
    draft.because(Reason.WAITING_FOR_TRIAGE)
    draft.wake(until)
    return True


def _next_is_due(draft: Draft) -> bool:
    incident, level = draft.incident, draft.incident.next_level
    if level is None:
        return False
    if incident.episode.hurried or not incident.episode.reached:
        return True
    due = incident.due_at(level)
    return (due is not None and draft.now >= due) or incident.episode.reached[-1].exhausted


def _reach(draft: Draft, level: Level) -> None:
    incident = draft.incident
    if incident.next_level is not level or not _next_is_due(draft):
        return
    contact = incident.policy.contacts[level]
    channels = incident.policy.channels.get(contact, {}).get(incident.severity, ())
    first = not incident.episode.reached and incident.episode.round == 1
    reach = Reach(level=level, contact=contact, channels=channels, at=draft.now, round=incident.episode.round)
    _note_level(draft, reach, first=first)
    draft.change_episode(
        reached=(*incident.episode.reached, reach),
        hurried=incident.episode.hurried and first,
        round_at=draft.now,
    )
    if not first and incident.episode.round == 1:
        draft.measure(Escalated(level))


def _note_level(draft: Draft, reach: Reach, *, first: bool) -> None:
    previous = draft.incident.episode.reached[-1] if draft.incident.episode.reached else None
    if first:
        reason = Reason.LEVEL_FIRST
    elif draft.incident.episode.hurried:
        reason = Reason.LEVEL_ASKED
    elif previous is not None and previous.exhausted:
        reason = Reason.LEVEL_UNREACHABLE
    else:
        reason = Reason.LEVEL_DUE
    over = ", ".join(reach.channels) or "no channel"
    draft.note(reason, f"{reason}: {reach.level} {reach.contact}, over {over}")


def _current(incident: Incident) -> tuple[Reach, ...]:
    """The levels of the present round; earlier rounds and episodes are not followed any more."""
    return tuple(reach for reach in incident.episode.reached if reach.round == incident.episode.round)


def _all_failed(incident: Incident) -> bool:
    current = _current(incident)
    return bool(current) and all(reach.exhausted for reach in current)


def _follow_channels(draft: Draft) -> None:
    for index, reach in enumerate(draft.incident.episode.reached):
        if reach.round == draft.incident.episode.round and not reach.exhausted:
            _follow(draft, index, reach)


def _follow(draft: Draft, index: int, reach: Reach) -> None:
    pages = _pages_of(draft.incident, reach)
    if any(page.status is PageStatus.DELIVERED for page in pages):
        return
    if reach.tried < len(reach.channels) and _try_next(draft, reach, pages):
        page = _page(draft, reach)
        moved = msgspec.structs.replace(reach, tried=reach.tried + 1, tried_at=draft.now)
        _set_reach(draft, index, moved)
        draft.change(pages=_kept((*draft.incident.pages, page)))
        draft.ask(_send(draft, page))
        return
    if reach.tried >= len(reach.channels) and all(page.status is not PageStatus.PENDING for page in pages):
        draft.note(Reason.LEVEL_UNREACHABLE, f"{reach.level} {reach.contact} could not be reached")
        _set_reach(draft, index, msgspec.structs.replace(reach, exhausted=True))


def _try_next(draft: Draft, reach: Reach, pages: tuple[Page, ...]) -> bool:
    """Whether it is time for the contact's next channel."""
    if reach.tried == 0:
        return True
    if pages and pages[-1].status is not PageStatus.PENDING:
        draft.note(
            Reason.CHANNEL_FAILED, f"{pages[-1].channel} failed for {reach.contact}; trying the next one"
        )
        return True
    if reach.tried_at and draft.now >= reach.tried_at + draft.incident.policy.channel_patience:
        draft.note(
            Reason.CHANNEL_SLOW, f"no delivery to {reach.contact} yet; trying the next channel as well"
        )
        return True
    return False


def _pages_of(incident: Incident, reach: Reach) -> tuple[Page, ...]:
    episode = incident.episode
    return tuple(
        page
        for page in incident.pages
        if (page.episode, page.round, page.level) == (episode.number, reach.round, reach.level)
    )


def _set_reach(draft: Draft, index: int, reach: Reach) -> None:
    reached = draft.incident.episode.reached
    draft.change_episode(reached=(*reached[:index], reach, *reached[index + 1 :]))


def _page(draft: Draft, reach: Reach) -> Page:
    incident, episode = draft.incident, draft.incident.episode
    channel = reach.channels[reach.tried]
    return Page(
        id=derive(incident.id, episode.number, "page", reach.level, reach.contact, channel, episode.round),
        level=reach.level,
        contact=reach.contact,
        channel=channel,
        episode=episode.number,
        round=episode.round,
        requested_at=draft.now,
    )


def _send(draft: Draft, page: Page) -> SendMessage:
    return SendMessage(
        id=page.id,
        lane=page.id,
        incident=draft.incident.id,
        urgent=draft.incident.severity.urgent,
        episode=page.episode,
        requested_at=draft.now,
        kind=MessageKind.PAGE if page.round == 1 else MessageKind.REMINDER,
        page=page.id,
        level=page.level,
        contact=page.contact,
        channel=page.channel,
    )


def _kept(pages: tuple[Page, ...]) -> tuple[Page, ...]:
    """The newest pages; what is pending stays as long as there is room for it."""
    if len(pages) <= PAGES_KEPT:
        return pages
    settled = next((i for i, page in enumerate(pages) if page.status is not PageStatus.PENDING), 0)
    return (*pages[:settled], *pages[settled + 1 :])


def _again_at(incident: Incident) -> datetime | None:
    """When the last level is paged again; ``None`` while there are levels to come."""
    episode = incident.episode
    if incident.next_level is not None or not episode.reached:
        return None
    pace = incident.promise.respond_within
    if _all_failed(incident):
        pace = min(pace, NOBODY_RETRY)
    return (episode.round_at or episode.began_at) + pace


def _again(draft: Draft) -> None:
    """Begin another round, where the last one is over and still nobody has answered."""
    incident = draft.incident
    at = _again_at(incident)
    if at is None or (draft.now < at and not incident.episode.hurried):
        return
    nobody_left = _all_failed(incident)
    draft.change_episode(
        round=incident.episode.round + 1,
        round_at=draft.now,
        reached=() if nobody_left else _last_anew(incident, draft.now),
        hurried=False,
        nobody=False,
    )
    draft.note(Reason.ROUND_AGAIN, f"round {incident.episode.round + 1}: still unacknowledged; paging again")


def _last_anew(incident: Incident, now: datetime) -> tuple[Reach, ...]:
    """Every level stays reached; the last one that could be reached is paged anew."""
    reached = incident.episode.reached
    last = max((i for i, reach in enumerate(reached) if not reach.exhausted), default=len(reached) - 1)
    anew = msgspec.structs.replace(
        reached[last], tried=0, tried_at=None, at=now, round=incident.episode.round + 1
    )
    return (*reached[:last], anew, *reached[last + 1 :])


def _set_wake(draft: Draft) -> None:
    incident = draft.incident
    if incident.next_level is not None and (due := incident.due_at(incident.next_level)):
        draft.wake(due)
    if again := _again_at(incident):
        draft.wake(again)
    if not incident.episode.nobody and incident.episode.reached and incident.next_level is None:
        _tell_nobody(draft)
    for reach in _current(incident):
        delivered = any(page.status is PageStatus.DELIVERED for page in _pages_of(incident, reach))
        if reach.tried_at and not reach.exhausted and not delivered and reach.tried < len(reach.channels):
            draft.wake(reach.tried_at + incident.policy.channel_patience)


def _tell_nobody(draft: Draft) -> None:
    if _all_failed(draft.incident):
        draft.note(Reason.NOBODY_REACHABLE, f"nobody of the row {draft.incident.policy.row} could be reached")
        draft.change_episode(nobody=True)
