"""The watchdog: looks for states that cannot be, a few at a time, has them mended, counts that and tells someone.

It costs in proportion to what is open, spread over time, and holds up nothing. What is mended goes the ordinary road
from there. When it does not run, or does not come to its end, its own time stamp says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from responder.engine.engine import Engine
from responder.store.mending import Finding, Kind, Mender
from responder.store.signs import Signs

log = structlog.get_logger(__name__)

EVERY = timedelta(seconds=10)
#: After a start the engine first does what has come due meanwhile.
FIRST_AFTER = timedelta(seconds=30)
#: What is not mended in the step that finds it, but tried once more here; it counts where it lasts.
_LASTING = frozenset({Kind.OVERDUE, Kind.EFFECT_OLD})
_OF_LANES = frozenset({Kind.LANE_LOST, Kind.LANE_EMPTY, Kind.LANE_LATE, Kind.EFFECT_OLD})
_SHOWN = 5

SAYS: dict[Kind, str] = {
    Kind.NO_WAKE: "open incidents were in no index of what is to be woken; they were woken",
    Kind.NO_NEXT_STEP: "open incidents had no next step; they were woken",
    Kind.WAKES_LATE: "open incidents would have been woken later than they asked for; their time was put right",
    Kind.OVERDUE: "open incidents stayed overdue; they were woken again",
    Kind.LEASE: "open incidents were leased for longer than a lease may be; the leases were ended",
    Kind.MARK: "pages were held back by an acknowledgement that does not exist; the marks were taken away",
    Kind.NO_INCIDENT: "the index of open incidents named some that do not exist; they were taken out",
    Kind.CLOSED_LISTED: "the index of open incidents named closed ones; they were taken out",
    Kind.KEY_LOST: "open incidents were not found by their key, and would have opened twice; the keys were put back",
    Kind.KEY_NOWHERE: "keys pointed to incidents that are not open, and would have swallowed alerts; they were dropped",
    Kind.LANE_LOST: "effects waited where nobody would ever have performed them; they are performed now",
    Kind.LANE_EMPTY: "the index of effects named lanes without any; they were taken out",
    Kind.LANE_LATE: "effects were put off for longer than any back-off lasts; they are performed now",
    Kind.EFFECT_OLD: "effects stayed long after they were of use; they were offered again, to be dropped",
    Kind.GAUGE: "the counts of open incidents were wrong; they were counted anew",
}


class Watchdog:
    """One replica's part: whichever comes first does the next step."""

    def __init__(
        self,
        mender: Mender,
        signs: Signs,
        engine: Engine,
        *,
        count: Callable[[Kind, int], None],
        tell: Callable[[Kind, str], Awaitable[None]],
    ) -> None:
        """``tell`` is called once a step and kind, with words for people; the same words again change nothing there."""
        self._mender = mender
        self._signs = signs
        self._engine = engine
        self._count = count
        self._tell = tell
        self._suspects: frozenset[Finding] = frozenset()

    async def once(self) -> None:
        """One step.

        Raises:
            StoreError: where the store is away.
        """
        if not await self._signs.turn("watchdog", EVERY * 0.9):
            return
        complete, found = await self._mender.incidents()
        found = self._lasting(found) + await self._mender.keys()
        if complete:
            found += await self._mender.counts()
        for one in found:
            self._wake(one)
        for kind, number in Counter(one.kind for one in found).items():
            await self._say(kind, number, [one.what for one in found if one.kind is kind])
        await self._mender.ran()

    def _lasting(self, found: list[Finding]) -> list[Finding]:
        """Without what is only just late: that counts where it was seen at this replica's last step already."""
        before, self._suspects = self._suspects, frozenset(one for one in found if one.kind in _LASTING)
        return [one for one in found if one.kind not in _LASTING or one in before]

    def _wake(self, one: Finding) -> None:
        if one.kind in _OF_LANES:
            queue, _, lane = one.what.rpartition("|")
            self._engine.look_at_lane(queue, lane, urgent=True)
        elif one.what:
            self._engine.look_at(one.what, urgent=True)

    async def _say(self, kind: Kind, number: int, what: list[str]) -> None:
        log.error("mended a state that cannot be", kind=str(kind), count=number, what=what[:_SHOWN])
        self._count(kind, number)
        await self._tell(kind, f"the watchdog mended what cannot be: {SAYS[kind]} (see the log for which)")
