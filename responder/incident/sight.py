"""Whether the store can be seen, whose turn a page is while it cannot, and how many pages a minute may hold. Pure.

Times are seconds of a clock that only runs forward.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from responder.incident.ids import derive

_MINUTE = 60.0


class Sight:
    """One kind of call to the store: given up after ``patience`` of failures only, trusted again after ``steady`` good ones.

    In between nothing changes, so that a store that comes and goes does not make us come and go with it.
    """

    def __init__(self, patience: float, steady: float) -> None:
        self._patience = patience
        self._steady = steady
        self._failing_since: float | None = None
        self._good_since: float | None = None
        self._seen_at: float | None = None

    def saw(self, *, good: bool, at: float) -> None:
        """A call that began at this time was answered well, or was not."""
        self._seen_at = at
        if good:
            self._good_since = at if self._good_since is None else self._good_since
            self._failing_since = None
        else:
            self._failing_since = at if self._failing_since is None else self._failing_since
            self._good_since = None

    @property
    def failing(self) -> bool:
        """Whether the last call failed."""
        return self._failing_since is not None

    def seen_since(self, other: Sight) -> bool:
        """Whether this one has been looked at since the other began to fail."""
        since = other._failing_since
        return since is None or (self._seen_at is not None and self._seen_at >= since)

    def lost(self, now: float) -> bool:
        """Whether calls have failed for as long as we are patient, without a single good one."""
        return self._failing_since is not None and now - self._failing_since >= self._patience

    def steady(self, now: float) -> bool:
        """Whether calls have been good for long enough, without a single failure."""
        return self._good_since is not None and now - self._good_since >= self._steady


def turn(key: str, me: str, others: Collection[str]) -> int:
    """Our place among the replicas for a key: 0 acts at once, 1 where nobody before it does, and so on.

    Every replica that knows the same others comes to the same order (rendezvous hashing), without asking anybody.
    """
    ranked = sorted({me, *others}, key=lambda name: derive("turn", key, name))
    return ranked.index(me)


class Pace:
    """At most so many in any minute."""

    def __init__(self, per_minute: int) -> None:
        self._times: deque[float] = deque(maxlen=per_minute)

    def take(self, now: float) -> float:
        """Take one and answer 0; where there is none, for how many seconds."""
        if len(self._times) == self._times.maxlen and (wait := self._times[0] + _MINUTE - now) > 0:
            return wait
        self._times.append(now)
        return 0.0

    def give_back(self) -> None:
        """One that was taken was not needed."""
        if self._times:
            self._times.pop()
