"""Everything that holds pages back from outside an incident, kept up to date beside the work and answered from memory.

About once a second each replica looks at what the store has of windows and of other incidents. What begins or ends then
has the incidents decided that it concerns, in both directions, and is told to people once, whoever finds it first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import msgspec
import structlog

from responder.clock import Clock
from responder.holding.making import Made, made, planned
from responder.holding.members import Members
from responder.holding.neighbours import Neighbours
from responder.holding.nights import asleep
from responder.holding.notices import Audience, Who, due
from responder.holding.windows import KnownWindows, Running
from responder.incident.around import Around
from responder.incident.dependency import carried_by
from responder.incident.hold import Hold, HoldKind
from responder.incident.reach import OnCall
from responder.incident.severity import Severity
from responder.incident.state import Incident, Triggered
from responder.rules.compile import Compiled
from responder.rules.maintenance import WindowSpec
from responder.store.errors import StoreBusyError, StoreError
from responder.store.reading import Reader
from responder.store.shelf import Asking
from responder.store.surroundings import Seen, Surroundings
from responder.store.windows import Windows

log = structlog.get_logger(__name__)

LOOK_EVERY = 1.0  # seconds
_CHUNK = 200  # incidents that are read at once
_ATTEMPTS = 3  # to change a window that others change as well
_SWEPT = 50_000  # open incidents that are looked through when a window begins or ends


class KeeperHooks(msgspec.Struct, frozen=True, kw_only=True):
    """Who is on call, and who has an incident decided straight away (its id, and whether that is urgent)."""

    who: Who
    look_at: Callable[[str, bool], object]


class Keeper:
    """See the module."""

    def __init__(
        self,
        rules: Callable[[], Compiled],
        surroundings: Surroundings,
        windows: Windows,
        reader: Reader,
        hooks: KeeperHooks,
    ) -> None:
        self._rules = rules
        self._surroundings = surroundings
        self._windows = windows
        self._reader = reader
        self._hooks = hooks
        self._members = Members(rules, reader)
        self.known = KnownWindows(rules, self._members.covered)
        self._neighbours = Neighbours(rules)
        self._swept: Running = ()
        #: Whether the store could not be read when it was looked at last.
        self.away = False

    def holds(self, incident: Incident, now: datetime) -> tuple[Hold, ...]:
        """The windows that hold an incident back."""
        return self.known.holds(incident, now)

    def around(self, incident: Incident, on_call: OnCall, now: datetime) -> Around:
        """What other incidents and the night have to do with one."""
        rules, others = self._rules(), self._neighbours
        return Around(
            as_of=others.as_of,
            beneath=others.beneath(incident.service),
            beside=others.beside(incident),
            over=others.over,
            hold_down=rules.hold_down if others.depends(incident.service) else timedelta(0),
            asleep=asleep(rules, incident.policy.contacts.values(), on_call, now),
        )

    def carried(self, service: str, severity: Severity) -> tuple[Hold, ...]:
        """What something new of a service would be attached to now instead of being paged."""
        return carried_by(self._neighbours.beneath(service), service, severity)

    def heard(self, incident: Incident) -> None:
        """An incident was decided here: what stands on it may have to be as well."""
        self._wake(self._neighbours.heard(incident) - {incident.id})
        if not incident.open:
            self._members.forget(incident.id)

    def joined(self, incident_id: str, labels: Mapping[str, str]) -> None:
        """An alert fires in an incident, and the store could not be told."""
        self._members.joined(incident_id, labels, self.known.all)

    def _wake(self, incidents: Iterable[str]) -> None:
        for one in sorted(incidents):
            self._hooks.look_at(one, self._neighbours.urgent(one))

    async def watch(self, clock: Clock) -> None:
        """Look again and again; for ever."""
        while True:
            await self.look()
            await clock.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Look once. Where the store is away, what was last known holds; a window that is over is over all the same."""
        try:
            await self._look()
        except StoreError as error:
            if not self.away:
                log.warning(
                    "windows and other incidents cannot be read; what is known holds", error=str(error)
                )
            self.away = True
        except Exception:  # a mistake of ours here must not end the daemon that pages
            log.exception("what holds pages back could not be brought up to date")
        else:
            self.away = False

    async def _look(self) -> datetime:
        seen = await self._surroundings.look(self._neighbours.version)
        self.known.take(self._windows.read(seen.windows, seen.now))
        self._wake(self._neighbours.take(seen.now, seen.version, seen.outlines))
        running = self.known.running(seen.now)
        if running != self._swept:
            await self._sweep(seen.now)
            self._swept = running
        self._wake(await self._members.look())
        await self._tell(seen, running)
        return seen.now

    async def _sweep(self, now: datetime) -> None:
        """Have those open incidents decided that are held by a window that does not concern them, or the other way round."""
        at, seen = "+inf", 0
        last: set[str] = set()
        while seen < _SWEPT:
            rows = await self._reader.ids("open", at, _CHUNK)
            new = [name for name, _ in rows if name not in last]
            for incident in await self._reader.snapshots(new):
                if isinstance(incident.state, Triggered) and self._differs(incident, now):
                    self._hooks.look_at(incident.id, incident.severity.urgent)
            if len(rows) < _CHUNK or not new:
                return
            at, last, seen = rows[-1][1], {name for name, _ in rows}, seen + len(new)
            await asyncio.sleep(0)

    def _differs(self, incident: Incident, now: datetime) -> bool:
        held = {one.by for one in incident.holds if one.kind is HoldKind.MAINTENANCE}
        return held != {one.by for one in self.holds(incident, now)}

    async def _tell(self, seen: Seen, running: Running) -> None:
        audience = Audience(rules=self._rules(), who=self._hooks.who, now=seen.now, running=running)
        for one in due(seen.told, audience):
            if await self._surroundings.announce(one.what, one.note, one.forget_at, one.notices):
                log.info("told of a maintenance window", what=one.what, people=len(one.notices))

    async def make(self, spec: WindowSpec, asking: Asking | None = None) -> Made:
        """Keep a window, or make one that is there last longer, and heed it at once.

        Raises:
            StoreError: where the store is away, or others change the same window again and again.
            TooLongError: where it would make a window that is there too long.
        """
        for _ in range(_ATTEMPTS):
            plan = planned(spec, self.known.kept, await self._look())
            kept = await self._windows.put(plan.spec, instead_of=plan.instead_of, asking=asking)
            if kept.outcome != "changed":
                await self._look()
                return made(plan, kept)
        raise StoreBusyError("others are changing this window; try again")

    async def end(self, window_id: str) -> bool:
        """Take a window away, and heed that at once; whether it was there. Raises ``StoreError``."""
        gone = await self._windows.drop(window_id)
        await self._look()
        return gone
