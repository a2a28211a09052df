"""Blind mode: pages from memory while the store is away, and tells the store afterwards.

It begins when alerts could not be written for ``blind_after``, whatever the reason. From then on alerts are refused at
once (Alertmanager keeps them), and keys of P1 and P2 that are new are paged from memory. Where the store does not take
decisions either, the engine rests, and levels of known incidents that fall due are paged from memory as well. When the
store has been steady for a while, what was done is written down first; then the doors open.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from responder.alerts import Alert
from responder.engine.blind.item import Heard, heard_of
from responder.engine.blind.lookout import LOOK_EVERY, LOOK_SOON, Lookout, Says, written
from responder.engine.blind.memory import Memory
from responder.engine.blind.parts import BlindHooks, BlindParts
from responder.engine.blind.sends import Perform, Sends, SendsHooks
from responder.engine.blind.telling import tell, tell_strays
from responder.engine.outbox import Done
from responder.incident.decision import Decision
from responder.incident.effects import SendMessage
from responder.incident.facts import Fact, Said
from responder.incident.state import Incident
from responder.store.errors import StoreError
from responder.store.loaded import Attempt
from responder.store.store import AlertWrite, Taken

log = structlog.get_logger(__name__)

#: Alerts that fire and that resolve; the others are signs of life.
_OF_INCIDENTS = frozenset("FR")
_TICK = 0.25  # seconds
_DECISIONS_A_TICK = 100
#: A decision may lead to the next at once: that diagnostics cannot run now is one.
_ROUNDS = 3
#: What cannot be decided is tried again so much later.
_PUT_OFF = timedelta(seconds=30)
#: Longer than one attempt at a message.
_REST_LIMIT = 12.0
#: How long others may take to come back and tell, before we go on without them.
OTHERS_LIMIT = 10.0


class BlindPager:
    """See the module."""

    def __init__(self, parts: BlindParts, hooks: BlindHooks) -> None:
        self._parts = parts
        self._hooks = hooks
        self.memory = Memory(parts.roll.me, hooks.spill)
        self._lookout = Lookout(parts.roll, parts.reader, self.memory, parts.clock, parts.patience)
        sends = SendsHooks(
            perform=parts.perform,
            incident=self._incident,
            told=self.told,
            paged=hooks.paged,
            spill=hooks.spill,
        )
        self._sends = Sends(sends, self.now)
        self._more = asyncio.Event()
        self._since: datetime | None = None
        self._told_at: float | None = None
        self.telling = False
        self.closed = False
        self.held = False

    # What the rest of the daemon tells and asks.

    def watching(self, perform: Perform) -> Perform:
        """The same performer; what it delivers is remembered, should the store not come to know it any more."""

        async def watched(attempt: Attempt) -> Done:
            done = await perform(attempt)
            self.memory.delivered(done.facts)
            return done

        return watched

    async def ingest(self, alerts: Sequence[AlertWrite]) -> Taken:
        """Write alerts, and note how that went; what is new and urgent is remembered until its decision."""
        taken = await self._lookout.write(self._parts.ingest, alerts)
        self.memory.hear(written(alerts, taken), self.now())
        return taken

    def refused(self, alerts: Sequence[tuple[Alert, AlertWrite]]) -> None:
        """Alerts of a webhook that could not be written; Alertmanager was told so."""
        if not self.telling:
            told = [(alert, write) for alert, write in alerts if write[1] in _OF_INCIDENTS]
            heard = [self._heard(alert, write) for alert, write in told]
            for seen in self.memory.hear(heard, self.now()):
                self._hooks.seen(seen)
            for (alert, _), one in zip(told, heard, strict=True):
                if one.firing and (name := self.memory.of_key(one.key)) is not None:
                    self._hooks.joined(name, alert.labels)
            self._more.set()

    def decided(self, decision: Decision) -> None:
        """A decision of this replica is written."""
        self.memory.known(decision.incident)

    def say(self, incident_id: str, fact: Said) -> bool | None:
        """Take what a person says; ``False`` where the present state does not, ``None`` for what is not remembered.

        Raises :class:`StoreError` for the moment in which everything is being written down.
        """
        if self.telling:
            raise StoreError("what was done while the store was away is being written down; try again")
        taken = self.memory.say(incident_id, fact)
        if taken:
            now = self.now()
            self._sends.ask(self._decided(incident_id, now), now)
            self._more.set()
        return taken

    def look_at(self, incident_id: str) -> None:
        """Something outside an incident has changed: where the store decides nothing, it is decided from memory."""
        if self.held:
            self.memory.ask(incident_id, self.now())
            self._more.set()

    @property
    def cannot_ask(self) -> bool:
        """Whether the store is known not to answer: nobody need try."""
        return self.held or self._lookout.decides.failing

    @property
    def takes_alerts(self) -> bool:
        """Whether alerts are let in, and the last look found that they can be written."""
        return not (self.closed or self._lookout.takes.failing)

    def now(self) -> datetime:
        """The store's time, as far as it is known."""
        return self._lookout.now()

    def _heard(self, alert: Alert, write: AlertWrite) -> Heard:
        one = heard_of(write)
        if one.key:
            return one
        return msgspec.structs.replace(one, key=self._parts.rules().match(alert.labels).key)

    def _incident(self, incident_id: str) -> Incident | None:
        item = self.memory.items.get(incident_id)
        return item.incident if item is not None else None

    def told(self, incident_id: str, facts: Sequence[Fact]) -> None:
        """What became of a message."""
        self.memory.told(incident_id, facts)
        self._more.set()

    # The loops.

    async def run(self) -> None:
        """Look, and page where nothing is seen; for ever."""
        async with asyncio.TaskGroup() as group:
            self.open(group)
            group.create_task(self._look(), name="lookout")
            try:
                await self._work()
            finally:
                self._sends.close()
                if self.closed and (left := [item.id for item in self.memory.to_tell()]):
                    log.error(
                        "stopped while the store is away; what was done is not written down", incidents=left
                    )

    def open(self, group: asyncio.TaskGroup) -> None:
        """Messages are sent in this task group."""
        self._sends.open(group)

    async def rest(self) -> bool:
        """Begin no more messages, and wait for those under way; whether they ended in time."""
        return await self._sends.rest(_REST_LIMIT)

    async def _look(self) -> None:
        while True:
            await self.look()
            if self.closed or self._lookout.troubled:
                await asyncio.sleep(LOOK_SOON)
                continue
            self._lookout.alarm.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._lookout.alarm.wait()

    async def look(self) -> None:
        """Look at the store once."""
        await self._lookout.look(full=self._parts.full())

    async def _work(self) -> None:
        while True:
            self._more.clear()
            await self.tick()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK if self.closed else LOOK_SOON):
                    await self._more.wait()

    async def tick(self) -> None:
        """Go blind, page, or come back: whatever it is time for."""
        self._go_blind()
        if self.closed and not await self._come_back():
            if not self.held:
                await self._raise()
            self._page()

    def _go_blind(self) -> None:
        lookout, now = self._lookout, asyncio.get_running_loop().time()
        if not self.closed and lookout.takes.lost(now) and lookout.decides.seen_since(lookout.takes):
            self.closed, lookout.says = True, Says.BLIND
            self._since = lookout.last.now if lookout.last is not None else None
            self.memory.begin(self.now())
            self._hooks.closed(True)
            log.error(
                "the store takes no alerts: P1 and P2 are paged from memory", others=len(self.memory.others)
            )
        if self.closed and not self.held and lookout.decides.lost(now):
            self.held = True
            self.memory.begin(self.now())
            log.error("the store takes no decisions: levels that fall due are paged from memory")

    async def _raise(self) -> None:
        """What the store decides itself it has to know of, where it takes no alerts: an incident is worse by now."""
        for item in self.memory.risen():
            try:
                await self._parts.roll.rise(item.id, item.severity, self.now())
            except StoreError as error:
                log.warning("an incident is worse, and the store does not take it", error=str(error))
                return
            self.memory.risen_there(item)

    def _page(self) -> None:
        """Decide what is due, and have it sent."""
        now = self.now()
        for _ in range(_ROUNDS):
            due = self.memory.due(now, alone=self.held)[:_DECISIONS_A_TICK]
            for incident_id in due:
                self._sends.ask(self._decided(incident_id, now), now)
            if not due:
                break
        self._sends.offer_due()

    def _decided(self, incident_id: str, now: datetime) -> list[SendMessage]:
        try:
            decision, _ = self._parts.decide(self.memory.load(incident_id, now))
        except Exception:  # a mistake of ours about one incident must not keep the others from being paged
            log.exception("cannot decide from memory", incident=incident_id)
            self.memory.put_off(incident_id, now + _PUT_OFF)
            return []
        messages = self.memory.decided(incident_id, decision)
        if not self.telling:  # what comes of it from then on, the store passes on itself
            self.memory.pass_on(decision.effects)
        self._hooks.seen(self.memory.items[incident_id].as_seen or decision.incident)
        log.info(
            "decided from memory",
            incident=incident_id,
            state=str(decision.incident.state_name),
            why=[reason.name.lower() for reason in decision.why],
            messages=len(messages),
        )
        return messages

    # The way back.

    async def _come_back(self) -> bool:
        """Write down what was done, once the store has been steady; whether that is under way."""
        lookout, now = self._lookout, asyncio.get_running_loop().time()
        opens = lookout.takes.steady(now)
        if not lookout.decides.steady(now) or not (opens or (self.held and lookout.takes.failing)):
            self._go_on()
            return False
        try:
            if self._told_at is None:
                await self._tell(opens=opens)
            elif lookout.back(self._since) or now - self._told_at > OTHERS_LIMIT:
                await self._open(opens=opens)
        except StoreError as error:
            log.warning("the store is away again", error=str(error))
            lookout.decides.saw(good=False, at=now)
            self._go_on()
            return False
        return True

    def _go_on(self) -> None:
        """Still blind, or again."""
        if self._told_at is not None:
            self._told_at, self._lookout.says = None, Says.BLIND
        self.telling = False
        self._sends.go_on()

    async def _tell(self, *, opens: bool) -> None:
        self.telling = True
        await self._sends.rest(_REST_LIMIT)
        now = self.now()
        for item in self.memory.to_tell():
            if item.members and not opens and not item.under_way:
                continue
            if item.news:  # what came of the last messages; new ones are the store's to send
                self._decided(item.id, now)
            await tell(self._parts.roll, self.memory, item, now, alerts=opens)
        self._told_at, self._lookout.says = asyncio.get_running_loop().time(), Says.TOLD

    async def _open(self, *, opens: bool) -> None:
        """Everything is told: let others in again."""
        await tell_strays(self._parts.roll, self.memory)
        self.held, self.telling, self._told_at = False, False, None
        if opens:
            self.closed, self._lookout.says = False, Says.SEES
            self.memory.end(self.now())
            self._hooks.closed(False)
            log.warning("the store takes alerts again")
        else:
            self._lookout.says = Says.BLIND
            log.warning("the store takes decisions again, and no alerts yet")
        self._sends.keep_only({item.id for item in self.memory.to_tell()})
        self._sends.go_on()
