"""Messages that are sent from memory: lane by lane, over the same channels and in the same words as ever.

An attempt is made up here as the store would hand it out (:class:`~responder.store.loaded.Attempt`), and what comes of
it goes back into memory. Nothing is sent twice here; what the store itself had begun to send, and others remember, may be.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec
import structlog

from responder.engine.outbox import Done
from responder.engine.pool import Pool
from responder.incident.effects import SendMessage
from responder.incident.facts import Fact, MessageDelivered, MessageDropped
from responder.incident.lastlook import awaits_its_page, overtaken
from responder.incident.message import MessageKind, Wanted
from responder.incident.sight import Pace
from responder.incident.state import Incident, StateName
from responder.overflow import Overflow, Spill, unheard
from responder.store.loaded import Attempt

log = structlog.get_logger(__name__)

STORE_AWAY = (
    "The store is away: this comes from the memory of one replica, and another may tell you the same. "
    "What you answer is kept, and written down when the store is back."
)
PAGES_PER_MINUTE = 120
SEATS = 16
_LINE = 5_000
_LONGEST_ATTEMPT = 10.0  # seconds
_TRY_AGAIN = timedelta(seconds=5)
_AFTER_ITS_PAGE = timedelta(milliseconds=250)
_PAGE_PATIENCE = timedelta(seconds=5)
_PAGES = frozenset({MessageKind.PAGE, MessageKind.REMINDER})
#: The states in which a message is of use.
_WANTED_IN = {
    Wanted.UNACKNOWLEDGED: StateName.TRIGGERED,
    Wanted.ACKNOWLEDGED: StateName.ACKNOWLEDGED,
}

Perform = Callable[[Attempt], Awaitable[Done]]


class SendsHooks(msgspec.Struct, frozen=True, kw_only=True):
    """How a message is sent, where its incident is, who hears what came of it, who counts pages and what found no place."""

    perform: Perform
    incident: Callable[[str], Incident | None]
    told: Callable[[str, Sequence[Fact]], object]
    paged: Callable[[], object] = lambda: None
    spill: Spill = unheard


class _Queued(msgspec.Struct):
    effect: SendMessage
    not_before: datetime
    first_at: datetime
    attempts: int = 0


class Sends:
    """See the module."""

    def __init__(self, hooks: SendsHooks, now: Callable[[], datetime]) -> None:
        self._hooks = hooks
        self._now = now
        self._pace = Pace(PAGES_PER_MINUTE)
        self._lanes: dict[str, deque[_Queued]] = {}
        self._rested = asyncio.Event()
        full = partial(hooks.spill, Overflow.LANES)
        self._pool = Pool("sends from memory", SEATS, _LINE, self._work, self._rested.set, full)
        self._resting = False

    def open(self, group: asyncio.TaskGroup) -> None:
        """Begin to send, in this task group."""
        self._pool.open(group)

    def close(self) -> None:
        """Begin nothing more; what is under way ends by itself."""
        self._pool.close()

    def ask(self, effects: Iterable[SendMessage], now: datetime) -> None:
        """Send these, each lane in order."""
        for effect in effects:
            lane = self._lanes.get(effect.lane)
            if lane is None and len(self._lanes) >= _LINE:
                self._hooks.spill(Overflow.BLIND_MESSAGES)
                log.error("too many messages wait; not sent", effect=effect.id, to=effect.contact)
                continue
            queued = _Queued(effect=effect, not_before=now, first_at=now)
            self._lanes.setdefault(effect.lane, deque()).append(queued)

    def offer_due(self) -> None:
        """Offer what may be tried now to those who are free."""
        if self._resting:
            return
        now = self._now()
        due = [(name, lane[0].effect) for name, lane in self._lanes.items() if lane[0].not_before <= now]
        for name, effect in due:
            self._pool.offer(name, urgent=effect.kind in _PAGES)

    async def rest(self, limit: float) -> bool:
        """Begin nothing more, and wait for what is under way; whether it ended in time."""
        self._resting = True
        try:
            async with asyncio.timeout(limit):
                while not self._pool.idle:
                    self._rested.clear()
                    await self._rested.wait()
        except TimeoutError:
            return False
        return True

    def go_on(self) -> None:
        """Begin again."""
        self._resting = False

    def keep_only(self, incidents: Collection[str]) -> None:
        """Of what waits, only messages of these incidents are sent from here any more."""
        self._lanes = {
            name: lane for name, lane in self._lanes.items() if lane[0].effect.incident in incidents
        }

    async def _work(self, name: str) -> None:
        lane = self._lanes.get(name)
        if not lane or self._resting or lane[0].not_before > self._now():
            return
        queued = lane[0]
        done = await self._attempt(queued)
        if done.facts:
            self._hooks.told(queued.effect.incident, done.facts)
        if done.retry_in is not None:
            queued.not_before = self._now() + done.retry_in
            return
        lane.popleft()
        if not lane:
            self._lanes.pop(name, None)

    async def _attempt(self, queued: _Queued) -> Done:
        effect, now = queued.effect, self._now()
        incident = self._hooks.incident(effect.incident)
        if incident is None:
            return Done()
        if why := _why_not(effect, incident, now):
            dropped = MessageDropped(at=now, effect=effect.id, page=effect.page, kind=effect.kind, reason=why)
            return Done(facts=(dropped,))
        if awaits_its_page(effect, incident) and now - queued.first_at < _PAGE_PATIENCE:
            return Done(retry_in=_AFTER_ITS_PAGE)
        is_page = effect.kind in _PAGES
        if is_page and (wait := self._pace.take(asyncio.get_running_loop().time())):
            return Done(retry_in=timedelta(seconds=wait))
        done = await self._performed(_attempt_of(queued, incident, now))
        delivered = [fact for fact in done.facts if isinstance(fact, MessageDelivered)]
        queued.attempts += done.begun
        if is_page and (not done.begun or any(fact.told_in for fact in delivered)):
            self._pace.give_back()
        elif is_page and delivered:
            self._hooks.paged()
        return done

    async def _performed(self, attempt: Attempt) -> Done:
        try:
            async with asyncio.timeout(_LONGEST_ATTEMPT):
                return await self._hooks.perform(attempt)
        except TimeoutError:
            log.warning("a message from memory took too long", effect=attempt.effect.id)
        except Exception:  # a channel's own mistake: it is tried again, the others go on
            log.exception("a message from memory failed", effect=attempt.effect.id)
        return Done(retry_in=_TRY_AGAIN)


def _why_not(effect: SendMessage, incident: Incident, now: datetime) -> str:
    """Why it is of no use any more: what the store looks at before it hands out an attempt."""
    wanted = _WANTED_IN.get(effect.wanted)
    if wanted is not None and incident.state_name is not wanted:
        return f"the incident is {incident.state_name}"
    if wanted is not None and effect.episode != incident.episode.number:
        return "paged anew meanwhile"
    if effect.expires_at is not None and now > effect.expires_at:
        return "out of date"
    return overtaken(effect, incident)


def _attempt_of(queued: _Queued, incident: Incident, now: datetime) -> Attempt:
    """An attempt as the store would hand it out; the message says first of all that it comes from memory."""
    effect = queued.effect
    if effect.kind in _PAGES:
        effect = msgspec.structs.replace(effect, text=f"{STORE_AWAY} {effect.text}".strip())
    shown = msgspec.structs.replace(incident, title=f"Store away: {incident.title}", offers=())
    return Attempt(
        lane=effect.lane,
        token="",
        effect=effect,
        number=queued.attempts + 1,
        first_at=queued.first_at,
        now=now,
        snapshot=shown,
    )
