"""Times in rule files that defeat each other: a person's own delays, the steps of the matrix, what lapses."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from itertools import pairwise

import msgspec

from responder.documents import Problem
from responder.durations import format_duration
from responder.incident.policy import ChannelStep
from responder.incident.severity import LEVELS, Level, Severity
from responder.ranges import Range
from responder.rules.files import AcknowledgementShape, RowShape, SeverityShape
from responder.rules.raw import RawRules, levels_of, plan_of, row_of
from responder.rules.reference_checks import PlaceOf
from responder.rules.schedules import roster_of

_SECOND, _MINUTE, _MONTH = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=30)
#: What times of a severity may be. Shorter silences than a minute would page people who are at work.
RANGES = {
    "respond_within": Range(_SECOND, _MONTH),
    "update_every": Range(_SECOND, _MONTH),
    "escalate.secondary": Range(timedelta(0), _MONTH),
    "escalate.executive": Range(timedelta(0), _MONTH),
    "acknowledgement.remind_after": Range(_MINUTE, _MONTH),
    "acknowledgement.lapse_after": Range(_MINUTE, _MONTH),
}


class _Plan(msgspec.Struct, frozen=True):
    """A plan, and where it stands."""

    key: str
    name: str
    severity: Severity
    steps: tuple[ChannelStep, ...]

    @property
    def path(self) -> str:
        return (
            f"{self.key}.{self.name}.channels" if self.key == "severities"
            else f"{self.key}.{self.name}.channels.{self.severity}"
        )  # fmt: skip


class _Gap(msgspec.Struct, frozen=True, order=True):
    """How long a level has until what comes next, and what that is."""

    length: timedelta
    what: str


def check_times(raw: RawRules, place_of: PlaceOf) -> Iterator[Problem]:
    """Every problem with times."""
    yield from _check_order(raw, place_of)
    yield from _check_delays(raw, place_of)
    for severity, shape in raw.severities.items():
        for key, text, level in (*_odd_times(shape), *_silences(shape.acknowledgement)):
            place = place_of("severities", severity, *key.split("."))
            yield place.problem(f"severities.{severity}.{key}: {text}", level)
    rows: Mapping[str, RowShape] = raw.named.get("escalation", {})
    for name, row in rows.items():
        wanted = () if isinstance(row.everybody, bool) else row.everybody
        for level in wanted:
            if level not in row_of(row):
                text = f"escalation.{name}.everybody: the row has no {level}; add one, or take it out"
                yield place_of("escalation", name).problem(text)


def _odd_times(shape: SeverityShape) -> Iterator[tuple[str, str, str]]:
    """Each time outside its range, and each that leaves nobody the time to answer: the key, what, how bad that is."""
    times = {
        "respond_within": shape.respond_within,
        "update_every": shape.update_every,
        **{f"escalate.{level}": after for level, after in shape.escalate.items()},
        "acknowledgement.remind_after": shape.acknowledgement.remind_after,
        "acknowledgement.lapse_after": shape.acknowledgement.lapse_after,
    }
    for key, value in times.items():
        if value is None or key not in RANGES:
            continue
        if objection := RANGES[key].objection(value):
            yield key, objection, "error"
        elif timedelta(0) < value < _MINUTE:
            yield (
                key,
                f"{format_duration(value)} leaves nobody the time to act; 1m or more is usual",
                "warning",
            )


def _silences(shape: AcknowledgementShape) -> Iterator[tuple[str, str, str]]:
    remind, lapse = shape.remind_after, shape.lapse_after
    if remind is not None and lapse is not None and remind >= lapse:
        text = (
            f"{format_duration(remind)} is not before lapse_after ({format_duration(lapse)}), "
            f"so nobody would be reminded; make it shorter"
        )
        yield "acknowledgement.remind_after", text, "error"


def _plans(raw: RawRules) -> Iterator[_Plan]:
    for severity, shape in raw.severities.items():
        yield _Plan("severities", severity, severity, plan_of(shape.channels))
    for name, contact in raw.named.get("contacts", {}).items():
        for severity, plan in contact.channels.items():
            yield _Plan("contacts", name, severity, plan_of(plan))


def _check_order(raw: RawRules, place_of: PlaceOf) -> Iterator[Problem]:
    for plan in _plans(raw):
        timed = [step for step in plan.steps if step.after is not None]
        for first, second in pairwise(timed):
            if (second.after or timedelta(0)) < (first.after or timedelta(0)):
                text = f"{plan.path}: {second} stands behind {first}; put the earlier one first"
                yield place_of(plan.key, plan.name).problem(text)


def _check_delays(raw: RawRules, place_of: PlaceOf) -> Iterator[Problem]:
    """A person's later channel must come before the next level: else that level is paged instead of it."""
    tightest: dict[tuple[str, int], tuple[_Gap, _Plan]] = {}
    roster = roster_of(raw.named)
    for name, row in raw.named.get("escalation", {}).items():
        levels = row_of(row)
        people = {contact: {contact, *roster.everybody(contact)} for contact in levels.values()}
        for severity in raw.severities:
            for level, contact in levels.items():
                gap = _gap(raw, name, levels, level, severity)
                for plan in _plans_behind(raw, people[contact], severity):
                    for number, step in enumerate(plan.steps):
                        if step.after is not None and step.after >= gap.length:
                            key = (plan.path, number)
                            tightest[key] = min(
                                tightest.get(key, (gap, plan)), (gap, plan), key=lambda f: f[0]
                            )
    for (path, number), (gap, plan) in tightest.items():
        text = (
            f"{path}: {plan.steps[number]} comes too late: {gap.what}; make it shorter than "
            f"{format_duration(gap.length)}, or give the level more time in severities.{plan.severity}.escalate"
        )
        yield place_of(plan.key, plan.name).problem(text)


def _gap(raw: RawRules, name: str, levels: Mapping[Level, str], level: Level, severity: Severity) -> _Gap:
    shape = raw.severities[severity]
    due = {Level.PRIMARY: timedelta(0), **levels_of(shape)}
    later = [one for one in LEVELS if one in levels and due[one] > due[level]]
    if not later:
        pace = format_duration(shape.respond_within)
        return _Gap(shape.respond_within, f"row {name} pages its {level} anew {pace} later")
    following = min(later, key=due.__getitem__)
    length = due[following] - due[level]
    return _Gap(length, f"row {name} pages its {following} {format_duration(length)} after its {level}")


def _plans_behind(raw: RawRules, people: Collection[str], severity: Severity) -> Iterator[_Plan]:
    """The plans of everybody whom a name of the matrix may stand for."""
    contacts = raw.named.get("contacts", {})
    for name in people:
        own = contacts[name].channels.get(severity) if name in contacts else None
        if own:
            yield _Plan("contacts", name, severity, plan_of(own))
        else:
            yield _Plan("severities", severity, severity, plan_of(raw.severities[severity].channels))
