"""Effects are performed here: leased, looked at once more, done within a time limit, and crossed off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

import msgspec
import structlog

from responder.incident.effects import Effect, SendMessage
from responder.incident.facts import Fact, MessageDropped, MessageFailed
from responder.incident.lastlook import awaits_its_page, overtaken
from responder.store.errors import StoreError
from responder.store.loaded import Attempt, Unreadable
from responder.store.store import Store

log = structlog.get_logger(__name__)

_LONGEST_BACK_OFF = 60.0  # seconds
#: What follows a page waits a little for the decision that takes what became of it.
_PAGE_PAUSE = timedelta(milliseconds=250)
_PAGE_PATIENCE = timedelta(seconds=5)
#: What this version cannot read is left to a replica of another one for so long, offered every so often; then dropped.
UNREADABLE_FOR = timedelta(minutes=10)
_UNREADABLE_PAUSE = timedelta(seconds=30)


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an effect: facts, and when to try again (``None``: it is over); whether it was ``begun`` at all."""

    facts: Sequence[Fact] = ()
    retry_in: timedelta | None = None
    begun: bool = True


class Performer(msgspec.Struct, frozen=True, kw_only=True):
    """What performs one kind of effect. ``limit`` bounds one attempt; the lease is longer."""

    perform: Callable[[Attempt], Awaitable[Done]]
    limit: timedelta

    @property
    def lease(self) -> timedelta:
        """How long an attempt is ours: longer than it may take, short enough that a dead one is soon taken over."""
        return self.limit + timedelta(seconds=5)


def back_off(attempt: int, chance: random.Random) -> timedelta:
    """The pause before another attempt: doubling from a second to a minute, half of it by chance."""
    longest = min(2.0 ** min(attempt - 1, 10), _LONGEST_BACK_OFF)
    return timedelta(seconds=longest * (0.5 + chance.random() / 2))


class OutboxHooks(msgspec.Struct, frozen=True, kw_only=True):
    """Who hears that a lane has more to do, of facts, of effects that were dropped, and of those that nobody could read."""

    more: Callable[[str, str, bool], object]
    fact: Callable[[str, bool], object]
    dropped: Callable[[Effect, str], None]
    unreadable: Callable[[], Awaitable[None]]


class Outbox:
    """Performs the head of a lane."""

    def __init__(
        self,
        store: Store,
        performers: Mapping[type[Effect], Performer],
        *,
        chance: random.Random,
        hooks: OutboxHooks,
    ) -> None:
        self._store = store
        self._performers = performers
        self._chance = chance
        self._hooks = hooks
        # Queues without a name of their own are channels': a page is taken over soon, however long an action may take.
        self._lease = performers[SendMessage].lease

    async def perform(self, queue: str, lane: str) -> None:
        """One attempt at the head of a lane."""
        lease = next(
            (performer.lease for kind, performer in self._performers.items() if _queue_of(kind) == queue),
            self._lease,
        )
        try:
            attempt = await self._store.start(queue, lane, self._store.token(), lease)
        except StoreError as error:
            log.warning("cannot perform; it stays due", queue=queue, error=str(error))
            return
        if attempt is None:
            return
        if isinstance(attempt, Unreadable):
            await self._set_aside(queue, attempt)
            return
        done = await self._attempt(attempt)
        await self._finish(attempt, done)

    async def _attempt(self, attempt: Attempt) -> Done:
        effect = attempt.effect
        if why := attempt.why_lost or _overtaken(attempt):
            self._hooks.dropped(effect, why)
            return Done(facts=_dropped(attempt, why))
        if _is_early(attempt):
            return Done(retry_in=_PAGE_PAUSE, begun=False)
        performer = self._performers[type(effect)]
        try:
            async with asyncio.timeout(performer.limit.total_seconds()):
                return await performer.perform(attempt)
        except TimeoutError:
            log.warning("effect took too long", effect=effect.id, queue=effect.queue)
            return Done(retry_in=back_off(attempt.number, self._chance))
        except Exception:  # a performer's own mistake: this effect is tried again, the others go on
            log.exception("effect failed", effect=effect.id, queue=effect.queue)
            return Done(retry_in=back_off(attempt.number, self._chance))

    async def _set_aside(self, queue: str, one: Unreadable) -> None:
        """It must not hold up for ever what waits behind it."""
        drop = one.now - one.first_at >= UNREADABLE_FOR
        log.error(
            "an effect cannot be read", queue=queue, effect=one.id, incident=one.incident, why=one.why,
            then="dropped" if drop else "left to a replica of another version",
        )  # fmt: skip
        try:
            more = await self._store.set_aside(queue, one, retry_in=None if drop else _UNREADABLE_PAUSE)
        except StoreError as error:
            log.warning("cannot set aside", effect=one.id, error=str(error))
            return
        if drop:
            await self._hooks.unreadable()
        if more:
            self._hooks.more(queue, one.lane, True)

    async def _finish(self, attempt: Attempt, done: Done) -> None:
        effect = attempt.effect
        try:
            more = await self._store.finish(attempt, done.facts, retry_in=done.retry_in, begun=done.begun)
        except StoreError as error:
            # Performed but not crossed off: it is performed again when the lease ends, with the same id.
            log.warning("cannot cross off", effect=effect.id, error=str(error))
            return
        except Exception:  # what came of it cannot be written down: a mistake of ours about this effect alone
            log.exception("the outcome cannot be written down", effect=effect.id, queue=effect.queue)
            await self._put_back(attempt)
            return
        if more:
            self._hooks.more(effect.queue, attempt.lane, effect.urgent)
        if done.facts:
            self._hooks.fact(effect.incident, effect.urgent)

    async def _put_back(self, attempt: Attempt) -> None:
        """Try it again later and later, not each time a lease ends."""
        try:
            await self._store.finish(attempt, (), retry_in=back_off(attempt.number, self._chance))
        except StoreError as error:
            log.warning("cannot put back", effect=attempt.effect.id, error=str(error))


def _queue_of(kind: type[Effect]) -> str | None:
    return getattr(kind, "QUEUE", None)


def _overtaken(attempt: Attempt) -> str:
    effect, incident = attempt.effect, attempt.snapshot
    if not isinstance(effect, SendMessage) or incident is None:
        return ""
    return overtaken(effect, incident)


def _is_early(attempt: Attempt) -> bool:
    """Whether it follows a page whose end is not decided yet; that is never waited for long."""
    effect, incident = attempt.effect, attempt.snapshot
    if not isinstance(effect, SendMessage) or incident is None or attempt.now is None:
        return False
    return attempt.waited < _PAGE_PATIENCE and awaits_its_page(effect, incident)


def _dropped(attempt: Attempt, why: str) -> tuple[Fact, ...]:
    effect = attempt.effect
    if not isinstance(effect, SendMessage):
        return ()
    return (MessageDropped(at=attempt.at, effect=effect.id, page=effect.page, kind=effect.kind, reason=why),)


def failed(effect: SendMessage, attempt: Attempt, reason: str) -> Done:
    """A message that no further attempt will deliver."""
    return Done(
        facts=(
            MessageFailed(at=attempt.at, effect=effect.id, page=effect.page, kind=effect.kind, reason=reason),
        )
    )
