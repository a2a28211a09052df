"""The windows of the rules in force and those of the store; which of them run is worked out when one begins or ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from responder.incident.hold import Hold
from responder.incident.maintenance import MaintenanceWindow, Stretch
from responder.incident.state import Incident
from responder.rules.compile import Compiled
from responder.rules.maintenance import WindowSpec

Running = tuple[tuple[MaintenanceWindow, Stretch], ...]


class KnownWindows:
    """See the module. Every answer is arithmetic; a window that is over holds nothing, however old what is known is."""

    def __init__(
        self, rules: Callable[[], Compiled], covers: Callable[[MaintenanceWindow, Incident], bool]
    ) -> None:
        """``covers`` says whether a window concerns all of an incident."""
        self._rules = rules
        self._covers = covers
        self.kept: tuple[tuple[WindowSpec, MaintenanceWindow], ...] = ()
        self._known: tuple[Compiled, datetime, datetime | None, Running] | None = None

    def take(self, kept: tuple[tuple[WindowSpec, MaintenanceWindow], ...]) -> None:
        """The windows of the store are these now."""
        if [spec for spec, _ in kept] != [spec for spec, _ in self.kept]:
            self.kept, self._known = kept, None

    @property
    def all(self) -> tuple[MaintenanceWindow, ...]:
        """Those of the rule files first."""
        return (*self._rules().maintenance, *(window for _, window in self.kept))

    def running(self, now: datetime) -> Running:
        """Those that run, each until when."""
        rules = self._rules()
        if self._known is not None:
            known_by, since, until, running = self._known
            if known_by is rules and since <= now and (until is None or now < until):
                return running
        windows = self.all
        found = tuple((window, stretch) for window in windows if (stretch := window.when.at(now)) is not None)
        edges = [stretch.end for _, stretch in found]
        edges += [coming.start for window in windows if (coming := window.when.following(now)) is not None]
        self._known = (rules, now, min(edges, default=None), found)
        return found

    def holds(self, incident: Incident, now: datetime) -> tuple[Hold, ...]:
        """What holds an incident back now."""
        return tuple(
            window.hold(stretch) for window, stretch in self.running(now) if self._covers(window, incident)
        )
