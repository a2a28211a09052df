"""Maintenance windows: when work is done on purpose, and which incidents it explains. A function of the time alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo

import msgspec

from responder.incident.hold import Hold, HoldKind
from responder.matchers import Matcher
from responder.oncall.notation import DAY
from responder.oncall.recurrence import Recurrence
from responder.oncall.wall import instant, local


class Stretch(msgspec.Struct, frozen=True, order=True):
    """From one instant to just before another."""

    start: datetime
    end: datetime


class Once(msgspec.Struct, frozen=True, tag="once"):
    """One stretch of time."""

    stretch: Stretch

    def at(self, now: datetime) -> Stretch | None:
        """The stretch, while it runs."""
        return self.stretch if self.stretch.start <= now < self.stretch.end else None

    def following(self, now: datetime) -> Stretch | None:
        """The stretch, while it is to come."""
        return self.stretch if self.stretch.start > now else None

    @property
    def last_end(self) -> datetime | None:
        """When it is over for good."""
        return self.stretch.end


class Repeated(msgspec.Struct, frozen=True, kw_only=True, tag="repeated"):
    """A stretch of ``lasts`` from each of the times on the zone's wall; what the clock does meanwhile changes no length."""

    times: Recurrence
    zone: tzinfo
    lasts: timedelta

    def at(self, now: datetime) -> Stretch | None:
        """The stretch that runs now: the one that ends last, where several do."""
        wall = local(now, self.zone)
        # A day more on each side, since a change of the clock moves the wall.
        found = [self._stretch(one) for one in self.times.between(wall - self.lasts - DAY, wall + DAY)]
        return max(
            (one for one in found if one.start <= now < one.end), key=lambda one: one.end, default=None
        )

    def following(self, now: datetime) -> Stretch | None:
        """The next stretch that begins later; ``None`` where none does within nine years."""
        wall: datetime | None = local(now, self.zone) - DAY
        while wall is not None and (wall := self.times.following(wall)) is not None:
            if (found := self._stretch(wall)).start > now:
                return found
        return None

    @property
    def last_end(self) -> datetime | None:
        """When it is over for good, at the latest; ``None`` where it comes for ever."""
        return self._stretch(self.times.last).end if self.times.last is not None else None

    def _stretch(self, wall: datetime) -> Stretch:
        start = instant(wall, self.zone)
        return Stretch(start, start + self.lasts)


class MaintenanceWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A window. ``id`` is empty where it stands in the rule files; ``by`` and ``note`` say who made it over the API, and why."""

    name: str
    matchers: tuple[Matcher, ...]
    when: Once | Repeated
    id: str = ""
    by: str = ""
    note: str = ""

    @property
    def key(self) -> str:
        """What tells it from every other one."""
        return f"{self.name} ({self.id})" if self.id else self.name

    def concerns(self, labels: Mapping[str, str], service: str) -> bool:
        """Whether every matcher holds for an incident's labels, ``service`` being that of the incident."""
        known = {**labels, "service": service}
        return all(matcher.matches(known) for matcher in self.matchers)

    def may_concern(self, service: str) -> bool:
        """Whether an incident of a service can be concerned, whatever its labels are."""
        return all(one.matches({"service": service}) for one in self.matchers if one.name == "service")

    def hold(self, running: Stretch) -> Hold:
        """What holds while it runs."""
        why = ", ".join(part for part in (self.note, f"set by {self.by}" if self.by else "") if part)
        return Hold(
            kind=HoldKind.MAINTENANCE,
            by=self.key,
            text=f"{self.name}: {why}" if why else self.name,
            until=running.end,
        )
