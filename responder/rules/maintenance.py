"""``maintenance:``: windows as they are written, in rule files and over the API, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import yaml

from responder.documents import Document
from responder.durations import format_duration
from responder.incident.maintenance import MaintenanceWindow, Once, Repeated, Stretch
from responder.matchers import Matcher, MatcherError, parse_matcher
from responder.oncall.notation import Moment
from responder.oncall.recurrence import recurrence
from responder.oncall.rrule import Rule
from responder.ranges import Range
from responder.rules.schedule_files import Zone
from responder.rules.schedules import Fault
from responder.typed import read

LONGEST = timedelta(days=31)
LASTS = Range(timedelta(minutes=1), timedelta(days=7))
#: How far a window that comes again is looked at for an end: each year that its rule can tell apart from the next.
_LOOKED_AT = timedelta(days=5 * 366)
_NAME_LIMIT = 100
_MATCHERS = 20
_ENDLESS = (
    "{lasts} is not over when the next one begins, {gap} later: it would hold pages back for more than 31 days on end; "
    "make it shorter than that"
)
_ONCE, _REPEATED = ("from", "to"), ("starts", "every", "lasts")


class MaintenanceShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``from`` and ``to`` for one window; ``starts``, ``every`` and ``lasts`` for one that comes again."""

    name: str
    match: tuple[str, ...]
    start: Moment | None = msgspec.field(default=None, name="from")
    end: Moment | None = msgspec.field(default=None, name="to")
    starts: Moment | None = None
    every: Rule | None = None
    lasts: timedelta | None = None
    timezone: Zone | None = None

    def given(self) -> dict[str, object]:
        """What says when, by its key."""
        values = (self.start, self.end, self.starts, self.every, self.lasts)
        return {
            key: value for key, value in zip((*_ONCE, *_REPEATED), values, strict=True) if value is not None
        }


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """``starts`` is a time on the wall of the zone, ``every`` an RRULE."""

    starts: datetime
    every: str
    lasts: timedelta
    timezone: str


class WindowSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A window in plain values, as the store keeps it: ``start`` and ``end`` are instants, or it has a ``repeat``."""

    name: str
    match: tuple[str, ...]
    start: datetime | None = None
    end: datetime | None = None
    repeat: Repeat | None = None
    id: str = ""
    by: str = ""
    note: str = ""
    made_at: datetime | None = None


def faults(shape: MaintenanceShape) -> Iterator[Fault]:
    """Everything that is wrong with a window."""
    if not 0 < len(shape.name) <= _NAME_LIMIT:
        yield Fault(("name",), f"expected 1 to {_NAME_LIMIT} characters")
    yield from _match_faults(shape.match)
    given = shape.given()
    once, repeated = (tuple(key for key in keys if key in given) for keys in (_ONCE, _REPEATED))
    if once and repeated:
        text = "from and to are for one window, starts, every and lasts for one that comes again: keep either"
        yield Fault((repeated[0],), text)
    elif repeated:
        yield from _repeated_faults(shape, repeated)
    else:
        yield from _once_faults(shape, once)


def _match_faults(texts: tuple[str, ...]) -> Iterator[Fault]:
    matchers: list[Matcher] = []
    for index, text in enumerate(texts):
        try:
            matchers.append(parse_matcher(text))
        except MatcherError as error:
            yield Fault(("match", index), str(error))
    if not 0 < len(texts) <= _MATCHERS:
        yield Fault(("match",), f"expected 1 to {_MATCHERS} matchers")
    elif len(matchers) == len(texts) and all(one.matches({}) for one in matchers):
        text = (
            'would hold back whatever has none of these labels; name one that is there, such as service=~".+"'
        )
        yield Fault(("match",), text)


def _once_faults(shape: MaintenanceShape, given: tuple[str, ...]) -> Iterator[Fault]:
    missing = [key for key in _ONCE if key not in given]
    if missing:
        yield Fault((), f"missing {' and '.join(missing)}, or starts, every and lasts")
        return
    for key, moment in (("from", shape.start), ("to", shape.end)):
        if moment is not None and moment.time.tzinfo is None and shape.timezone is None:
            yield Fault((key,), "give an offset, such as 2026-12-24T22:00:00+01:00, or timezone")
            return
    stretch = _stretch(shape)
    if stretch.end <= stretch.start:
        yield Fault(("to",), "expected a time after from")
    elif stretch.end - stretch.start > LONGEST:
        yield Fault(("to",), f"expected at most {LONGEST.days} days after from")


def _repeated_faults(shape: MaintenanceShape, given: tuple[str, ...]) -> Iterator[Fault]:
    missing = [key for key in _REPEATED if key not in given]
    if missing:
        yield Fault((), f"missing {' and '.join(missing)}")
    elif shape.timezone is None:
        yield Fault((), "missing timezone: on whose wall it starts")
    elif shape.lasts is not None and (objection := LASTS.objection(shape.lasts)):
        yield Fault(("lasts",), objection)
    else:
        when = _when(spec_of(shape))
        if not isinstance(when, Repeated):
            return
        if (first := when.times.first()) is None:
            yield Fault(("every",), "names no time at all")
        elif gap := _without_an_end(when, first):
            yield Fault(
                ("lasts",), _ENDLESS.format(lasts=format_duration(when.lasts), gap=format_duration(gap))
            )


def _without_an_end(when: Repeated, first: datetime) -> timedelta | None:
    """How soon it begins again, where it goes on for longer than a single window may without an end between."""
    since = before = first
    for at in when.times.between(first, first + _LOOKED_AT):
        if at - before > when.lasts:
            since = at
        elif at + when.lasts - since > LONGEST:
            return at - before
        before = at
    return None


def _stretch(shape: MaintenanceShape) -> Stretch:
    zone = shape.timezone.info if shape.timezone else ZoneInfo("UTC")
    if shape.start is None or shape.end is None:
        raise ValueError("missing from or to")
    return Stretch(shape.start.at(zone), shape.end.at(zone))


def spec_of(shape: MaintenanceShape) -> WindowSpec:
    """A window without faults in plain values."""
    name, match = shape.name, shape.match
    if shape.starts is None or shape.every is None or shape.lasts is None or shape.timezone is None:
        stretch = _stretch(shape)
        return WindowSpec(name=name, match=match, start=stretch.start, end=stretch.end)
    zone, starts = shape.timezone.info, shape.starts.time
    if starts.tzinfo is not None:
        starts = starts.astimezone(zone).replace(tzinfo=None)
    repeat = Repeat(starts=starts, every=str(shape.every), lasts=shape.lasts, timezone=zone.key)
    return WindowSpec(name=name, match=match, repeat=repeat)


def compiled(spec: WindowSpec) -> MaintenanceWindow:
    """The window itself. Raises ``ValueError`` for what has a fault."""
    return MaintenanceWindow(
        name=spec.name,
        matchers=tuple(parse_matcher(text) for text in spec.match),
        when=_when(spec),
        id=spec.id,
        by=spec.by,
        note=spec.note,
    )


def _when(spec: WindowSpec) -> Once | Repeated:
    if spec.repeat is None:
        if spec.start is None or spec.end is None:
            raise ValueError("missing start or end")
        return Once(Stretch(spec.start, spec.end))
    zone = ZoneInfo(spec.repeat.timezone)
    times = recurrence(Rule.from_text(spec.repeat.every), spec.repeat.starts, zone)
    return Repeated(times=times, zone=zone, lasts=spec.repeat.lasts)


#: Takes a name and says whether it is the first of its kind: document, key, name, where it stands.
Claim = Callable[[Document, str, str, yaml.Node], bool]


def read_windows(document: Document, node: yaml.Node, claim: Claim) -> Iterator[MaintenanceWindow]:
    """The windows of a file that have no fault; the faults of the others are noted in the document."""
    for index, element in enumerate(document.elements(node, "maintenance")):
        what = f"maintenance[{index}]"
        shape = read(document, element, MaintenanceShape, what)
        if shape is msgspec.UNSET or not claim(document, "maintenance", shape.name, element):
            continue
        found = list(faults(shape))
        for fault in found:
            document.report(document.below(element, *fault.path), f"{what}{fault.key}: {fault.text}")
        if not found:
            yield compiled(spec_of(shape))
