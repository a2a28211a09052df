"""At each change of a schedule, whoever takes over hears what is open: once, however many replicas there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

import msgspec
import structlog

from responder.clock import Clock
from responder.engine.desk import Desk, IncidentFilter
from responder.incident.handover import handover
from responder.incident.message import Contact, Message, Receipt
from responder.incident.severity import Severity
from responder.incident.state import Incident, StateName
from responder.oncall.roster import Roster
from responder.oncall.takeovers import Takeover, stands_for, takeovers
from responder.paging.base import Channel, ChannelError, NotYetError, Ringing
from responder.paging.notices import Occasion, notice
from responder.rules.compile import Compiled
from responder.store.claims import Claims
from responder.store.errors import StoreError

log = structlog.get_logger(__name__)

#: What could not be told in this time is not told any more: who took over has looked by then.
TOLD_WITHIN = timedelta(hours=1)
_LOOK_EVERY = 5.0  # seconds
_LEASE = timedelta(minutes=2)
_KEPT = timedelta(days=2)
_SEND_LIMIT = 9.0  # seconds
_LISTED = 500
_OPEN = frozenset({StateName.TRIGGERED, StateName.ACKNOWLEDGED, StateName.MONITORING})
#: A hand-over can wait: it takes the way of what is least urgent.
_LEAST_URGENT_FIRST = (Severity.P4, Severity.P3, Severity.P2, Severity.P1)


class ShiftParts(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to ask who is on call and what is open, how people are reached, and what keeps replicas apart."""

    roster: Callable[[], Roster]
    rules: Callable[[], Compiled]
    desk: Desk
    channels: Mapping[str, Channel]
    claims: Claims
    clock: Clock
    external_url: str
    observe: Callable[[str, str], object]


class Shifts:
    """Watches the schedules. A hand-over that no channel takes is tried again, for :data:`TOLD_WITHIN`."""

    def __init__(self, parts: ShiftParts) -> None:
        self._parts = parts

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            try:
                await self.look(self._parts.clock.now())
            except StoreError as error:
                log.warning("hand-overs wait for the store", error=str(error))
            except Exception:  # a mistake of ours here must not end the daemon that pages
                log.exception("hand-overs could not be looked for")
            await self._parts.clock.sleep(_LOOK_EVERY)

    async def look(self, now: datetime) -> None:
        """Tell everybody who has taken over within the last hour and was not told yet."""
        roster = self._parts.roster()
        for one in takeovers(roster, now - TOLD_WITHIN, now):
            what = f"handover\0{one.at.isoformat()}\0{one.person}"
            if not await self._parts.claims.take(what, _LEASE):
                continue
            if await self._told(roster, one, now):
                await self._parts.claims.done(what, _KEPT)
            else:
                await self._parts.claims.give_back(what)

    async def _told(self, roster: Roster, one: Takeover, now: datetime) -> bool:
        """Tell one person; whether that is over with."""
        contact = self._parts.rules().contact(one.person, one.schedules[0])
        ways = list(self._ways(contact))
        if not ways:
            log.warning("nobody is told of the hand-over: there is no quiet channel", person=one.person)
            return True
        incidents = await self._open(roster, one)
        for name in ways:
            if await self._sent(name, contact, self._message(name, one, incidents, now)):
                return True
        log.warning("hand-over not delivered; trying again", person=one.person, channels=ways)
        return False

    async def _open(self, roster: Roster, one: Takeover) -> list[Incident]:
        """What is open of the services that these schedules answer for."""
        page = await self._parts.desk.incidents(IncidentFilter(states=_OPEN), limit=_LISTED, cursor=None)
        own = set(one.schedules)
        return [
            incident
            for incident in page.incidents
            if any(stands_for(roster, name) & own for name in incident.policy.contacts.values())
        ]

    def _ways(self, contact: Contact) -> Iterator[str]:
        """The person's channels that reach them and do not ring, by the least urgent severity that has one."""
        for severity in _LEAST_URGENT_FIRST:
            found = []
            for step in self._parts.rules().channels_of(contact.name, severity):
                channel = self._parts.channels.get(step.channel)
                if channel is not None and channel.reaches(contact) and not isinstance(channel, Ringing):
                    found.append(step.channel)
            if found:
                return iter(dict.fromkeys(found))
        return iter(())

    def _message(self, channel: str, one: Takeover, incidents: list[Incident], now: datetime) -> Message:
        url = f"{self._parts.external_url.rstrip('/')}/"
        count = f"{len(incidents)} open" if incidents else "nothing is open"
        occasion = Occasion(channel=channel, contact=one.person, now=one.at, url=url)
        made = notice(
            occasion,
            f"Hand-over of {', '.join(one.schedules)}: {count}",
            handover(incidents, one.person).text,
        )
        return msgspec.structs.replace(made, sent_at=now)

    async def _sent(self, name: str, contact: Contact, message: Message) -> bool:
        try:
            async with asyncio.timeout(_SEND_LIMIT):
                await self._parts.channels[name].send(message, contact, Receipt())
        except (ChannelError, NotYetError, TimeoutError) as error:
            log.info(
                "hand-over not delivered over this channel", channel=name, reason=str(error) or "time-out"
            )
            self._parts.observe(name, "retried")
            return False
        self._parts.observe(name, "delivered")
        log.info("handed over", person=contact.name, channel=name)
        return True
