"""What a replica remembers of open P1 and P2 incidents, so that it can page while the store is away. Pure.

Fed by its own decisions, by a look at the store every few seconds, and by the webhooks that it had to refuse.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from responder.alerts import Alert
from responder.engine.blind.item import ANSWERS_KEPT, Heard, Item, born_id
from responder.engine.blind.kept import Kept
from responder.engine.blind.report import renamed
from responder.engine.blind.together import hear_of, told_with
from responder.engine.blind.turns import STAND_IN, due_at, key_of_turn
from responder.incident.decision import Decision
from responder.incident.effects import Effect, RunTriage, SendMessage, Spread
from responder.incident.facts import Fact, MessageDelivered, Said, TriageEnded
from responder.incident.message import MessageKind
from responder.incident.moves import TAKEN_IN
from responder.incident.sight import turn
from responder.incident.state import Incident, StateName
from responder.overflow import Overflow, Spill, unheard
from responder.store.loaded import Loaded

_ALERT = msgspec.json.Decoder(Alert)

#: What tells people how it ended.
_ENDS = frozenset({MessageKind.ACKNOWLEDGED, MessageKind.RESOLVED})
#: Our own deliveries of late, and answers to incidents that this replica does not know.
_DELIVERED_KEPT = 2_000
STRAY_KEPT = 500
#: Incidents that are over, by their ids: what fires again since then is another one.
_OVER_KEPT = 2_000


class Stray(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to an incident that this replica does not know: another one may have paged it."""

    incident: str
    fact: Said


class Memory:
    """See the module. ``me`` names this replica, ``others`` those that were last seen beside it."""

    def __init__(self, me: str, spill: Spill = unheard) -> None:
        self.me = me
        self._spill = spill
        self.others: frozenset[str] = frozenset()
        self.kept = Kept(spill)
        self.strays: list[Stray] = []
        self._delivered: dict[str, MessageDelivered] = {}
        self._over: dict[str, None] = {}
        self._begun: datetime | None = None

    @property
    def items(self) -> Mapping[str, Item]:
        """What is remembered, by the ids of the incidents."""
        return self.kept.items

    # What the store says.

    def known(self, incident: Incident) -> None:
        """The incident as it is now; what is over, or not urgent, is not remembered."""
        before = self.items.get(incident.id)
        if before is not None and (before.touched or _is_newer(before.known, incident)):
            return  # what this replica did with it has to be told first
        if not incident.open or not incident.severity.urgent or incident.canary:
            self._is_over(incident.id)
            return
        same = self.kept.id_of(incident.key)
        if same is not None and same != incident.id:
            if self.items[same].touched:
                return
            self.forget(same)
        item = Item(
            id=incident.id, key=incident.key, severity=incident.severity, since=incident.opened_at,
            known=incident, incident=incident, ceased=before.ceased if before is not None else set(),
        )  # fmt: skip
        self.forget(incident.id)
        if self.kept.add(item) and before is not None and before.under_way:
            fires = [one for one in before.members.values() if one.firing]
            self.hear(fires, before.waits_since or incident.now)  # what makes it worse may not be decided yet

    def only(self, ids: Collection[str], at: datetime) -> None:
        """At this time of the store these were open and no others; what it had not decided by then is kept."""
        for item in list(self.items.values()):
            if item.id not in ids and item.known is not None and item.known.now < at and not item.touched:
                self._is_over(item.id)

    def _is_over(self, incident_id: str) -> None:
        if incident_id in self.items:
            self._over[incident_id] = None
            if len(self._over) > _OVER_KEPT:
                del self._over[next(iter(self._over))]
        self.forget(incident_id)

    def forget(self, incident_id: str) -> None:
        """Remember it no more."""
        self.kept.forget(incident_id)

    def delivered(self, facts: Iterable[Fact]) -> None:
        """This replica has sent a page; the store may not come to know it any more."""
        for one in facts:
            if isinstance(one, MessageDelivered) and one.effect == one.page:
                if len(self._delivered) >= _DELIVERED_KEPT:
                    del self._delivered[next(iter(self._delivered))]
                self._delivered[one.page] = one

    # What webhooks bring.

    def hear(self, alerts: Iterable[Heard], now: datetime) -> list[Incident]:
        """Alerts that could not be written, or were and have no decision yet; the incidents that others see otherwise now."""
        turned: dict[str, bool] = {}
        for one in alerts:
            item = self.items.get(self.kept.id_of(one.key) or "") or self._born(one, now)
            if item is not None:
                turned.setdefault(item.id, item.quiet)
                self.kept.hear(item, one, now)
        kept = [(self.items[name], was) for name, was in turned.items() if name in self.items]
        return [seen for item, was in kept if item.quiet is not was and (seen := item.as_seen) is not None]

    def of_key(self, key: str) -> str | None:
        """The id of the incident that is remembered under a key."""
        return self.kept.id_of(key)

    def _born(self, one: Heard, now: datetime) -> Item | None:
        if not one.firing or not one.severity.urgent:
            return None
        name = born_id(one.key, one.write, self._over)
        item = Item(id=name, key=one.key, severity=one.severity, since=now)
        return item if item.id not in self.items and self.kept.add(item) else None

    def drop_new(self, before: datetime) -> None:
        """What the store has taken meanwhile, or Alertmanager brings again, need not be remembered as new."""
        for item in list(self.items.values()):
            if item.incident is None and item.since < before:
                self.forget(item.id)

    # While blind.

    def begin(self, now: datetime) -> None:
        """The store cannot be seen any more: from now on this is all that is known."""
        self._begun = now
        for item in self.items.values():
            pending = item.pending()
            item.news += [self._delivered[one.page] for one in pending if one.page in self._delivered]
            item.resend = any(one.page not in self._delivered for one in pending)

    def due(self, now: datetime, *, alone: bool) -> list[str]:
        """What is to be decided now, what is worst first. ``alone``: nobody else works on what the store knows."""
        found = [item for item in self.items.values() if self._is_due(item, now, alone=alone)]
        return [item.id for item in sorted(found, key=lambda item: (item.severity.rank, item.since))]

    def _is_due(self, item: Item, now: datetime, *, alone: bool) -> bool:
        if self._begun is None or (
            item.known is not None and not alone and (item.under_way or not item.members)
        ):
            return False
        if item.put_off_until is not None and now < item.put_off_until:
            return False
        if item.news:
            return True
        at = due_at(item, self._begun)
        if at is None or now < at:
            return False
        return item.mine or now >= at + STAND_IN * turn(key_of_turn(item, self.items), self.me, self.others)

    def risen(self) -> list[Item]:
        """What the store works on, and does not know to be worse by now."""
        return [item for item in self.items.values() if item.under_way and item.waits and not item.touched]

    def risen_there(self, item: Item) -> None:
        """The store has taken it: those alerts are no news any more."""
        self.kept.drop_alerts(item)

    def load(self, incident_id: str, now: datetime) -> Loaded:
        """What the decision needs."""
        return self.items[incident_id].load(now)

    def decided(self, incident_id: str, decision: Decision) -> list[SendMessage]:
        """Take a decision; the messages to send for it. Diagnostics have to wait for the store, pages do not."""
        item = self.items[incident_id]
        before = {one.id for one in item.pending()} if item.resend else set()
        item.incident, item.resend, item.touched = decision.incident, False, True
        item.asked_at = None
        item.counted = bool(item.members)
        item.news += [
            TriageEnded(at=decision.incident.now, episode=one.episode)
            for one in decision.effects
            if isinstance(one, RunTriage)
        ]
        again = [one for one in item.pending() if one.id in before]
        asked = [one for one in decision.effects if isinstance(one, SendMessage)]
        item.mine = item.mine or bool(again or asked)
        self.kept.weigh(item)
        return again + asked

    def pass_on(self, effects: Iterable[Effect]) -> None:
        """What was told with an incident hears that somebody has taken that, or that its digest is over."""
        for effect in effects:
            if isinstance(effect, Spread):
                for item in told_with(self.items.values(), effect.incident):
                    hear_of(effect, item)

    def ask(self, incident_id: str, now: datetime) -> None:
        """Something outside an incident has changed: it is decided anew."""
        item = self.items.get(incident_id)
        if item is not None and item.asked_at is None:
            item.asked_at = now

    def put_off(self, incident_id: str, until: datetime) -> None:
        """It could not be decided: it is tried again at that time."""
        self.items[incident_id].put_off_until = until

    def told(self, incident_id: str, facts: Sequence[Fact]) -> None:
        """What became of a message."""
        item = self.items.get(incident_id)
        if item is None:
            return
        item.news += facts
        item.noticed += [
            (one.page, one.kind) for one in facts if isinstance(one, MessageDelivered) and one.kind in _ENDS
        ]

    def say(self, incident_id: str, fact: Said) -> bool | None:
        """Take what a person says; ``False`` where the present state does not, ``None`` for an incident that is not known.

        What is new and waits for its turn, another replica may have paged.
        """
        item = self.items.get(incident_id)
        if item is None or (item.incident is None and not item.members):
            return None
        state = item.incident.state_name if item.incident is not None else StateName.TRIGGERED
        if state not in TAKEN_IN[type(fact)]:
            return False
        if len(item.answers) >= ANSWERS_KEPT:
            self._spill(Overflow.BLIND_ANSWERS)
            return False
        item.answers.append(fact)
        item.news.append(fact)
        return True

    def stray(self, incident_id: str, fact: Said) -> bool:
        """Keep what a person says to an incident that another replica may know; whether there was room."""
        if len(self.strays) >= STRAY_KEPT:
            self._spill(Overflow.BLIND_ANSWERS)
            return False
        self.strays.append(Stray(incident=incident_id, fact=fact))
        return True

    # Afterwards.

    def to_tell(self) -> list[Item]:
        """What was decided in memory, and has to be written down."""
        return [item for item in self.items.values() if item.touched]

    def settled(self, item: Item, incident_id: str) -> None:
        """It is written down as this incident of the store, or there was nothing to write down (an empty id)."""
        self.forget(item.id)
        incident = item.known
        if incident_id and item.incident is not None:
            incident = renamed(item.incident, incident_id)
        if incident is not None and incident.open and incident.id not in self.items:
            self.kept.add(
                Item(
                    id=incident.id, key=item.key, severity=item.severity, since=item.since,
                    known=incident, incident=incident, ceased=item.ceased,
                )
            )  # fmt: skip

    def end(self, now: datetime) -> None:
        """The store is back, and knows all of it."""
        self._begun = None
        self.drop_new(now)

    def alerts(self, incident_id: str) -> list[Alert]:
        """The alerts of an incident that are remembered."""
        item = self.items.get(incident_id)
        members = item.members.values() if item is not None else ()
        return [_ALERT.decode(one.write[7]) for one in members]

    def incidents(self) -> list[Incident]:
        """As they are by now, newest first."""
        found = [item.incident for item in self.items.values() if item.incident is not None]
        return sorted(found, key=lambda one: one.opened_at, reverse=True)


def _is_newer(known: Incident | None, incident: Incident) -> bool:
    return known is not None and known.now > incident.now
