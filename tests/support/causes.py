"""Whether a recorded reason to wait has a cause that is true now; for how long one may go on without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from responder.incident.dependency import ARRIVAL
from responder.incident.hold import Hold, HoldKind
from responder.incident.severity import Severity
from responder.incident.state import Acknowledged, Incident, Triggered
from responder.rules.maintenance import WindowSpec

#: The first twenty minutes of each second hour are a night for all that is not urgent.
NIGHTS = ", ".join(f'"{hour:02}:00-{hour:02}:20"' for hour in range(0, 24, 2))
NIGHTS_EVERY = timedelta(hours=2)
QUIET = f"{{hours: [{NIGHTS}], timezone: UTC}}"
#: Every reason is looked at again within this.
LOOK = timedelta(seconds=35)


def is_night(at: datetime) -> bool:
    utc = at.astimezone(UTC)
    return utc.hour % 2 == 0 and utc.minute < 20


def nothing_is_muted(_incident: Incident) -> bool:
    return False


@dataclass(kw_only=True)
class Truth:
    """What is so at a time: the windows that there are, the open incidents, what Alertmanager mutes."""

    now: datetime
    windows: Mapping[str, WindowSpec]
    incidents: Mapping[str, Incident]
    sleepers: frozenset[Severity] = frozenset({Severity.P3})
    muted: Callable[[Incident], bool] = nothing_is_muted

    def causes(self, hold: Hold, incident: Incident) -> bool:
        """Whether a reason that an incident has for waiting is true."""
        return not hold.over(self.now) and self._is_true(hold, incident)

    def _is_true(self, hold: Hold, incident: Incident) -> bool:
        match hold.kind:
            case HoldKind.MAINTENANCE:
                return any(f"({name})" in hold.by for name in self.windows)
            case HoldKind.QUIET_HOURS:
                return incident.severity in self.sleepers and is_night(self.now)
            case HoldKind.DEPENDENCY if hold.by == ARRIVAL:
                return incident.severity is not Severity.P1
            case HoldKind.DEPENDENCY:
                return self._carries(self.incidents.get(hold.by), incident)
            case HoldKind.INHIBITION if hold.by == "last comparison":
                return not incident.severity.urgent  # for so long as it says itself
            case _:
                return self.muted(incident)

    def _carries(self, below: Incident | None, incident: Incident) -> bool:
        return (
            below is not None
            and isinstance(below.state, (Triggered, Acknowledged))
            and not incident.severity.worse_than(below.severity)
        )


@dataclass
class Watch:
    """Remembers since when a reason has had no cause, and which kinds of reasons there were at all."""

    kinds: set[str] = field(default_factory=set)
    _since: dict[tuple[str, HoldKind, str], datetime] = field(default_factory=dict)

    def look(self, truth: Truth, limit: Callable[[Hold], timedelta] = lambda _: LOOK) -> None:
        """No recorded reason outlives its cause by more than the time within which it is looked at again."""
        seen = set()
        for incident in truth.incidents.values():
            assert isinstance(incident.state, Triggered) or incident.holds == ()
            for hold in incident.holds:
                self.kinds.add(str(hold.kind))
                if not truth.causes(hold, incident):
                    seen.add(key := (incident.id, hold.kind, hold.by))
                    since = self._since.setdefault(key, truth.now)
                    assert truth.now - since < limit(hold), (
                        f"{hold} of {incident.id} outlives its cause since {since}, now {truth.now}"
                    )
        self._since = {key: since for key, since in self._since.items() if key in seen}

    def forget(self, *kinds: HoldKind) -> None:
        """Nobody could have known better until now."""
        self._since = {key: since for key, since in self._since.items() if key[1] not in kinds}
