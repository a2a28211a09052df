"""What became of an alert: what it changed, what held pages back, who was paged when, and why the others were not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from responder.incident.decision import Entry, Reason
from responder.incident.hold import HoldKind, held_words, reason_alone
from responder.incident.message import Wanted
from responder.incident.reach import Person, Reach
from responder.incident.severity import LEVELS, Level
from responder.incident.state import (
    Acknowledged,
    Incident,
    Monitoring,
    Page,
    PageStatus,
    Resolved,
    TriageStatus,
    Triggered,
)


class Became(StrEnum):
    """What a webhook did with an alert: a closed set."""

    NEW = "it fired for the first time"
    AGAIN = "it fired again after it had resolved"
    RESOLVED = "it resolved"
    LATE = "a late copy, older than what was known: it changed nothing"
    DOUBTFUL = "it may be a late copy of what had resolved: Alertmanager was asked"
    UNSEEN = "it resolved, and had never been seen firing"
    OTHER = "it changed"


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome, and the incident that it was about (none where there was none)."""

    at: datetime
    became: Became
    incident: str = ""


class AlertHistory(msgspec.Struct, frozen=True, kw_only=True):
    """What the store has of one alert; outcomes oldest first, at most eight.

    ``status``: firing, resolved or doubtful; ``since`` is when it began to be that. ``heard_at`` is when it was last heard and counted; ``repeats`` how often
    that changed nothing (counted once a minute). ``own`` says what it is where it is an alert of our own.
    """

    fingerprint: str
    status: str
    since: datetime
    heard_at: datetime | None
    repeats: int
    outcomes: tuple[Happened, ...]
    incident: str
    labels: dict[str, str] = {}
    own: str = ""


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """Something that held pages back. ``by`` names whose configuration it is; ``since`` and ``until`` where they are known.

    ``over``: it does not hold any more.
    """

    text: str
    by: str
    kind: HoldKind | None = None
    since: datetime | None = None
    until: datetime | None = None
    over: bool = False


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A page, to whom and what became of it.

    ``told_in`` is the incident whose digest told of it instead, ``listed_in`` the one whose page lists it.
    """

    at: datetime
    level: Level
    contact: str
    channel: str
    status: PageStatus
    episode: int
    error: str = ""
    told_in: str = ""
    listed_in: str = ""


class Spared(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody of the matrix who was not paged, and why not."""

    level: Level
    contact: str
    why: str


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of it. ``remarks`` say in words what the lists cannot."""

    history: AlertHistory
    incident: Incident | None
    suppressed: tuple[Suppression, ...] = ()
    paged: tuple[Told, ...] = ()
    spared: tuple[Spared, ...] = ()
    remarks: tuple[str, ...] = ()


def account(history: AlertHistory, incident: Incident | None, timeline: Sequence[Entry]) -> Account:
    """Put it together from what is kept: nothing of this was written down for its own sake."""
    if incident is None:
        return Account(history=history, incident=None, remarks=tuple(_remarks(history, None)))
    return Account(
        history=history,
        incident=incident,
        suppressed=tuple(_suppressed(incident, timeline)),
        paged=tuple(
            _told(page) for page in incident.pages if page.status is not PageStatus.DROPPED or page.told_in
        ),
        spared=tuple(_spared(incident)),
        remarks=tuple(_remarks(history, incident)),
    )


def _told(page: Page) -> Told:
    return Told(
        at=page.settled_at or page.requested_at,
        level=page.level,
        contact=page.contact,
        channel=page.channel,
        status=page.status,
        episode=page.episode,
        error=page.error,
        told_in=page.told_in,
        listed_in=page.listed_in,
    )


def _suppressed(incident: Incident, timeline: Sequence[Entry]) -> Iterable[Suppression]:
    """What held pages back once, by the time line, and what does now."""
    holding = bool(incident.holds)
    lines = [entry for entry in timeline if entry.reason in (Reason.HELD, Reason.HOLD_OVER)]
    ended = max(
        (number for number, entry in enumerate(lines) if entry.reason is Reason.HOLD_OVER), default=-1
    )
    for number, entry in enumerate(lines):
        if entry.reason is Reason.HELD and (number < ended or not holding):
            yield Suppression(text=reason_alone(entry.text), by=entry.by, since=entry.at, over=True)
    yield from _told_in_digests(incident)
    for hold in incident.holds:
        text = reason_alone(held_words(hold))
        yield Suppression(text=text, by=hold.by, kind=hold.kind, since=hold.since, until=hold.until)


def _told_in_digests(incident: Incident) -> Iterable[Suppression]:
    """Each person and digest once, however often that stood for a page."""
    found: dict[tuple[str, str], Suppression] = {}
    for page in incident.pages:
        if not page.told_in or page.wanted is not Wanted.UNACKNOWLEDGED:
            continue
        known = found.get((page.contact, page.told_in))
        holds = page.episode == incident.episode.number and page.status is PageStatus.DELIVERED
        found[page.contact, page.told_in] = Suppression(
            text=f"{page.contact} was told in the digest of incident {page.told_in}, and not paged by itself",
            by="bundling",
            since=known.since if known else page.settled_at,
            over=not (holds and incident.is_paged) and (known is None or known.over),
        )
    yield from found.values()


def _spared(incident: Incident) -> Iterable[Spared]:
    reached = {reach.level: reach for reach in incident.episode.reached}
    for level in LEVELS:
        contact = incident.policy.contacts.get(level)
        if contact is None:
            yield Spared(level=level, contact="", why=f"row {incident.policy.row} of the matrix names nobody")
        elif level in reached:
            yield from _spared_of(incident, reached[level])
        else:
            yield Spared(level=level, contact=contact, why=_why_not(incident, level))


def _spared_of(incident: Incident, reach: Reach) -> Iterable[Spared]:
    """The people of a level that was reached who heard nothing."""
    if not reach.people:
        yield Spared(level=reach.level, contact=reach.contact, why="nobody was on call")
    for person in reach.people:
        if why := _why_not_person(incident, reach, person):
            yield Spared(level=reach.level, contact=person.name, why=why)


def _why_not_person(incident: Incident, reach: Reach, person: Person) -> str:
    pages = [
        page
        for page in incident.pages
        if (page.episode, page.level, page.contact) == (incident.episode.number, reach.level, person.name)
    ]
    if any(page.status is PageStatus.DELIVERED for page in pages):
        return ""
    if person.exhausted:
        return "every channel failed" if person.plan else "there is no channel that reaches them"
    dropped = [page.error for page in pages if page.status is PageStatus.DROPPED]
    if dropped:
        return f"overtaken before it was sent: {dropped[-1]}"
    if person.acknowledged_at is not None:
        return "had acknowledged already"
    return "" if pages else "their turn has not come"


def _why_not(incident: Incident, level: Level) -> str:
    """Why a level of the row has not been paged in the present episode."""
    due = incident.due_at(level)
    by_then = f", and this level is due at {_time(due)}" if due is not None else ""
    match incident.state:
        case Resolved(at=at, by=by):
            return f"it was over at {_time(at)}{f', by {by}' if by else ''}{by_then}"
        case Monitoring(since=since):
            return f"every alert had resolved at {_time(since)}{by_then}"
        case Acknowledged(by=by, at=at):
            return f"{by} acknowledged at {_time(at)}{by_then}"
        case Triggered() if incident.holds:
            return held_words(incident.holds[0])
        case _ if incident.triage is TriageStatus.RUNNING and not incident.episode.reached:
            return "the first page waits for findings"
        case _:
            return f"due at {_time(due)}, unless somebody acknowledges" if due else "not yet"


def _remarks(history: AlertHistory, incident: Incident | None) -> Iterable[str]:
    if history.repeats and history.heard_at is not None:
        yield (
            f"copies that changed nothing came in {history.repeats} minute(s), the last at {_time(history.heard_at)}: "
            "nobody is paged for a copy"
        )
    if history.own:
        yield history.own
    last = history.outcomes[-1] if history.outcomes else None
    if incident is None:
        if history.incident:
            yield f"incident {history.incident} is no longer kept"
        elif last is not None and last.became is Became.UNSEEN:
            yield "it belongs to no incident: nobody was paged for a resolve alone"
        return
    yield from _firings(history, incident)
    if incident.drill and not history.own:
        yield "it is a drill: people are paged for it in earnest, and it counts in no report"
    if incident.rule == "default" and not history.own:
        yield "no rule matches its labels: the default rule took it"
    if incident.broken:
        yield "our own decision about the incident fails; the fallback has paged"


def _firings(history: AlertHistory, incident: Incident) -> Iterable[str]:
    """Why its latest firing paged nobody by itself, where it did not."""
    fired = [one for one in history.outcomes if one.became in (Became.NEW, Became.AGAIN)]
    if incident.flapping_since is not None:
        yield (
            f"its incident fires again and again (flapping since {_time(incident.flapping_since)}): it goes on as it "
            "was each time, and nobody is paged anew"
        )
        if fired and fired[-1].became is Became.AGAIN:
            return
    if fired and fired[-1].at > incident.opened_at and _joined(incident, fired[-1].at):
        yield f"it joined an incident that was open since {_time(incident.opened_at)}{_standing(incident, fired[-1].at)}"


def _joined(incident: Incident, at: datetime) -> bool:
    """Whether the incident was under way already, so that this firing paged nobody by itself."""
    return at > incident.episode.began_at or not incident.episode.reached


def _standing(incident: Incident, at: datetime) -> str:
    by, since = incident.acknowledged_by, incident.acknowledged_at
    if since is not None and since <= at:
        return f" and had been acknowledged by {by} at {_time(since)}: nobody was paged anew for it"
    return ": it was paged for that incident, and not once more for this alert"


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else "an unknown time"
