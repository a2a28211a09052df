"""One incident as a replica remembers it while the store is away: what was known, what came since, what was done. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Container
from datetime import datetime

import msgspec

from responder.alerts import NO_BEGINNING
from responder.incident.effects import SendMessage
from responder.incident.facts import Fact, Said
from responder.incident.message import MessageKind, Wanted
from responder.incident.opening import Opening
from responder.incident.severity import Severity
from responder.incident.state import Incident, Monitoring, Page, PageStatus, Totals, Triggered
from responder.store.loaded import Loaded
from responder.store.store import AlertWrite, from_ms

#: Alerts of one incident that are remembered; Alertmanager brings the others again.
MEMBERS_KEPT = 50
CEASED_KEPT = 1_000
ANSWERS_KEPT = 50
_OPENING = msgspec.json.Decoder(Opening)


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of a webhook, and the incident key that the rules in force give it."""

    fingerprint: str
    firing: bool
    severity: Severity
    key: str
    write: AlertWrite

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.write[6]) + len(self.write[7]) + 200


def heard_of(write: AlertWrite) -> Heard:
    """An alert as it was to be written; a resolve has no key."""
    severity = Severity(f"P{write[4]}")
    return Heard(fingerprint=write[0], firing=write[1] == "F", severity=severity, key=write[5], write=write)


class Item(msgspec.Struct, kw_only=True):
    """See the module. ``known`` is the incident as the store last had it, ``incident`` as it is by now.

    Both are ``None`` for a key that is new. ``members`` are alerts that the store's incident does not count: of one that
    somebody is paged for, or has, those that are worse than it. ``counted`` where the one in memory counts them;
    ``ceased`` those of which a resolve came. ``touched``: something was decided about it in memory; ``mine``: this replica
    has paged for it, and goes on without waiting its turn. ``waits_since``: when what waits was first heard;
    ``asked_at``: when something changed outside it that may end what holds it back.
    """

    id: str
    key: str
    severity: Severity
    since: datetime
    known: Incident | None = None
    incident: Incident | None = None
    members: dict[str, Heard] = {}
    ceased: set[str] = set()
    news: list[Fact] = []
    answers: list[Said] = []
    noticed: list[tuple[str, MessageKind]] = []
    put_off_until: datetime | None = None
    waits_since: datetime | None = None
    asked_at: datetime | None = None
    resend: bool = False
    counted: bool = False
    touched: bool = False
    mine: bool = False

    @property
    def quiet(self) -> bool:
        """Whether everything that fired has resolved meanwhile: nobody further is paged for it."""
        if self._fires:
            return False
        if self.known is None or not self.under_way:
            return bool(self.members)
        return len(self.ceased) >= self.known.totals.firing_now > 0

    @property
    def under_way(self) -> bool:
        """Whether the store has it as one that somebody is paged for, or has: then ``members`` are what is worse than it."""
        return self.known is not None and not isinstance(self.known.state, Monitoring)

    @property
    def waits(self) -> bool:
        """Whether it is new, fires again while it was watched, or is worse by now, and nobody was paged for that yet."""
        return not self.counted and self._fires

    @property
    def _fires(self) -> bool:
        return any(one.firing for one in self.members.values())

    @property
    def as_seen(self) -> Incident | None:
        """As others should see it: where all has resolved it carries nobody, though that is not decided yet."""
        incident = self.incident
        if incident is None or not self.quiet:
            return incident
        return msgspec.structs.replace(incident, state=Monitoring(since=incident.now, until=incident.now))

    def hear(self, one: Heard, now: datetime) -> bool:
        """Take an alert; whether it is kept."""
        waited, before = self.waits, self.members.get(one.fingerprint)
        if one.firing and self.incident is not None and self.incident.muted:  # what is sent is not muted
            self.incident = msgspec.structs.replace(self.incident, muted=())
        if one.firing and self.incident is not None and self.incident.holds:
            self.asked_at = self.asked_at or now
        if before is None and not self._is_news(one):
            self._note(one)
            return False
        full = len(self.members) >= MEMBERS_KEPT and not one.severity.worse_than(self.severity)
        if before is None and (not one.firing or full):
            return False
        if before is not None and not one.firing:
            one = msgspec.structs.replace(before, firing=False, write=_resolved(before, one))
        self.members[one.fingerprint] = one
        if one.firing:
            self.severity = min(self.severity, one.severity)
            if self.incident is not None and one.severity.worse_than(self.incident.severity):
                self.counted = False
        if self.waits and not waited:
            self.waits_since = now
        return True

    def _is_news(self, one: Heard) -> bool:
        """Whether the incident may have to be paged for it, as it may not for what only joins it or repeats."""
        known, incident = self.known, self.incident
        if known is None or incident is None or not self.under_way:
            return True
        # Where something as bad fires in it already, this may be the same: a person has judged it since.
        worst = known.totals.worst_firing
        return (
            one.firing
            and one.severity.worse_than(incident.severity)
            and (worst is None or one.severity.worse_than(worst))
        )

    def _note(self, one: Heard) -> None:
        """Note whether an alert of the store's incident fires."""
        if one.firing:
            self.ceased.discard(one.fingerprint)
        elif len(self.ceased) < CEASED_KEPT:
            self.ceased.add(one.fingerprint)

    def load(self, now: datetime) -> Loaded:
        """What a decision needs, as the store would hand it out; the news are taken."""
        facts, self.news = tuple(self.news), []
        return Loaded(
            id=self.id,
            token="",
            revision=0,
            sequence=0,
            now=now,
            due=None,
            key=self.key,
            opened_at=self.since,
            snapshot=self.incident,
            opening=self._opening(),
            first_alert=self._first_alert(),
            totals=self._totals(now),
            facts=facts,
            unread=0,
        )

    def _opening(self) -> Opening:
        if self.members:
            return _OPENING.decode(next(iter(self.members.values())).write[6])
        incident = self.incident
        if incident is None:
            raise LookupError(f"{self.id}: neither an incident nor an alert")
        return Opening(
            rule=incident.rule,
            service=incident.service,
            service_label=incident.service_label,
            severity=incident.severity,
            runbook=incident.runbook,
        )

    def _first_alert(self) -> bytes:
        return next(iter(self.members.values())).write[7].encode() if self.members else b""

    def _totals(self, now: datetime) -> Totals:
        """What was known and what has fired since. Resolves only hold back (``quiet``); the store will count them."""
        base = self.known.totals if self.known is not None else Totals()
        count = dict.fromkeys(Severity, 0)
        for one in self.members.values():
            count[one.severity] += 1
        begun = [at for one in self.members.values() if (at := from_ms(one.write[2])) > NO_BEGINNING]
        return Totals(
            firing={severity: base.firing.get(severity, 0) + n for severity, n in count.items()},
            fired={severity: base.fired.get(severity, 0) + n for severity, n in count.items()},
            resolved=base.resolved,
            doubts=base.doubts,
            heard_at=now,
            since=min([*begun, *([base.since] if base.since is not None else [])], default=None),
        )

    def pending(self) -> tuple[SendMessage, ...]:
        """The pages that the store was to send and that nobody is known to have sent."""
        incident = self.incident
        if incident is None or not isinstance(incident.state, Triggered):
            return ()
        return tuple(
            _page_effect(incident, page)
            for page in incident.pages
            if page.status is PageStatus.PENDING
            and page.episode == incident.episode.number
            and page.wanted is Wanted.UNACKNOWLEDGED
        )


def born_id(key: str, first: AlertWrite, used: Container[str] = ()) -> str:
    """The id of an incident that opens in memory: what ``ingest.lua`` would name it, where that is not ``used``."""
    name = _sha1(f"{key}|{first[2]}")
    while name in used:
        name = _sha1(name)
    return name


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:16]


def _resolved(before: Heard, one: Heard) -> AlertWrite:
    """The firing's alert with the resolve's times."""
    return (*one.write[:4], *before.write[4:])


def _page_effect(incident: Incident, page: Page) -> SendMessage:
    first = page.round == 1
    return SendMessage(
        id=page.id,
        lane=page.id,
        incident=incident.id,
        urgent=incident.severity.urgent,
        episode=page.episode,
        requested_at=page.requested_at,
        kind=MessageKind.PAGE if first else MessageKind.REMINDER,
        page=page.id,
        level=page.level,
        contact=page.contact,
        channel=page.channel,
        wanted=page.wanted,
        round=page.round,
    )
