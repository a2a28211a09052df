"""``drills``: exercises at times of the week, and when each was last due."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any

import msgspec
import yaml

from responder.documents import Document, Place, Problem
from responder.incident.severity import Severity
from responder.oncall.notation import DAY, WEEKDAYS, Handoff
from responder.oncall.wall import instant, local
from responder.registry import did_you_mean
from responder.rules.schedule_files import Zone
from responder.typed import read

_NAME_LIMIT = 64


class DrillShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An exercise: whom it pages, how urgently, and when."""

    name: str
    service: str
    severity: Severity = Severity.P3
    at: Handoff
    timezone: Zone | None = None


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """An exercise at a wall time of a zone, each week or (without a weekday) each day."""

    name: str
    service: str
    severity: Severity
    at: Handoff
    zone: tzinfo

    @property
    def schedule(self) -> str:
        """When it is, in words: another text means another schedule."""
        day = WEEKDAYS[self.at.weekday] if self.at.weekday is not None else "daily"
        return f"{day} {self.at.time} {self.zone}"

    def latest(self, now: datetime) -> datetime:
        """The last time that it was due, at or before ``now``; in UTC."""
        today = local(now, self.zone).replace(hour=0, minute=0, second=0, microsecond=0)
        for back in range(9):
            day = today - back * DAY
            at = instant(day + self.at.time, self.zone)
            if self.at.weekday in (None, day.weekday()) and at <= now:
                return at
        raise AssertionError(f"{self.schedule} was never due")


def read_drills(
    document: Document, node: yaml.Node, claim: Callable[[Document, str, str, yaml.Node], bool]
) -> list[DrillShape]:
    """The entries of one file; problems are noted in the document."""
    found = []
    for index, element in enumerate(document.elements(node, "drills")):
        what = f"drills[{index}]"
        shape: Any = read(document, element, DrillShape, what)
        if shape is msgspec.UNSET:
            continue
        if not 0 < len(shape.name) <= _NAME_LIMIT:
            document.report(element, f"{what}.name: expected 1 to {_NAME_LIMIT} characters")
        elif claim(document, "drills", shape.name, element):
            found.append(shape)
    return found


def drill_problems(
    drills: Collection[DrillShape], rows: Collection[str], place: Callable[[str], Place]
) -> Iterator[Problem]:
    """Each drill that pages another row than it names."""
    for one in drills:
        if rows and one.service not in rows:
            text = f"service {one.service!r} has no row in escalation{did_you_mean(one.service, rows)}"
            yield place(one.name).problem(f"drill {one.name}: {text}; the default's is paged", "warning")


def compiled_drills(drills: Collection[DrillShape]) -> tuple[Drill, ...]:
    """Ready to be run."""
    return tuple(
        Drill(
            name=one.name,
            service=one.service,
            severity=one.severity,
            at=one.at,
            zone=one.timezone.info if one.timezone is not None else UTC,
        )
        for one in drills
    )
