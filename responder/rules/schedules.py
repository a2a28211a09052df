"""``schedules:`` and teams become a roster; what is wrong with one is told key by key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any, TypeVar

import msgspec

from responder.addresses import http_objection
from responder.calendars.source import CalendarSource
from responder.oncall.calendar import Acquaintances
from responder.oncall.layer import Bounds, CalendarLayer, RotationLayer, rotation
from responder.oncall.notation import DAY, WEEK, Day, Days, Handoff, Hours, Window
from responder.oncall.roster import Roster
from responder.oncall.schedule import Override, Schedule, Swap
from responder.rules.schedule_files import (
    IcalShape,
    LayerShape,
    OverrideShape,
    ScheduleShape,
    SwapShape,
    TurnsShape,
)

T = TypeVar("T")

_SHORTEST, _LONGEST = timedelta(hours=1), timedelta(weeks=53)
_SHORTEST_REFRESH = timedelta(minutes=1)
_TURN_KEYS = ("handoff", "every", "start", "end", "hours", "days", "during")


class Fault(msgspec.Struct, frozen=True):
    """What is wrong below a schedule, and the keys and indexes that lead there."""

    path: tuple[str | int, ...]
    text: str

    @property
    def key(self) -> str:
        """The path as it is written behind the name of the whole."""
        return key_of(self.path)


def key_of(path: Iterable[str | int]) -> str:
    """Keys and indexes as in ``.layers[0].rotation``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def plain(name: str) -> str:
    """A name without the ``@`` that people write before it."""
    return name.removeprefix("@")


def faults(shape: ScheduleShape) -> Iterator[Fault]:
    """Everything that is wrong with a schedule by itself; whether its names are known is asked elsewhere."""
    given = [key for key in ("rotation", "layers", "ical") if getattr(shape, key)]
    if len(given) != 1:
        what = f"give only one of {', '.join(given)}" if given else "give rotation, layers or ical"
        yield Fault((given[-1],) if given else (), what)
    elif shape.rotation:
        yield from _turn_faults(shape, ())
    else:
        for key in _TURN_KEYS:
            if getattr(shape, key) not in (None, ()):
                yield Fault((key,), f"only goes with rotation, not with {given[0]}")
    names = [layer.name for layer in shape.layers if layer.name]
    for index, layer in enumerate(shape.layers):
        yield from _turn_faults(layer, ("layers", index))
        if names.count(layer.name) > 1:
            yield Fault(("layers", index, "name"), f"{layer.name!r} stands twice")
    if shape.ical:
        yield from _ical_faults(shape.ical)
    yield from _change_faults(shape)


def _turn_faults(turns: TurnsShape, path: tuple[str | int, ...]) -> Iterator[Fault]:
    if not turns.rotation:
        yield Fault((*path, "rotation"), "expected at least one name")
    every, weekday = _every(turns), turns.handoff.weekday if turns.handoff else None
    if turns.handoff is None and len(set(turns.rotation)) > 1:
        yield Fault((*path, "handoff"), 'missing: say when a turn ends, such as "Mon 09:00" or "09:00"')
    elif not _SHORTEST <= every <= _LONGEST or every % timedelta(minutes=1):
        yield Fault((*path, "every"), "expected a duration from 1h to 53w")
    elif weekday is not None and every % WEEK:
        yield Fault(
            (*path, "handoff"), "a weekday goes with whole weeks only; leave it out, or say every: 1w"
        )
    elif turns.handoff and weekday is None and not every % WEEK and turns.start is None:
        yield Fault((*path, "handoff"), 'turns of weeks need a weekday, such as "Mon 09:00"')
    if turns.start and turns.end and turns.end.date <= turns.start.date:
        yield Fault((*path, "end"), "expected a date after start")
    if turns.during != () and (turns.hours != () or turns.days != ()):
        yield Fault((*path, "during"), "give either during, or hours and days")


def _ical_faults(ical: IcalShape) -> Iterator[Fault]:
    if (ical.file is None) is (ical.url is None):
        yield Fault(("ical",), "give either file or url")
    if ical.url is not None and (objection := http_objection(ical.url.reveal())):
        yield Fault(("ical", "url"), objection)
    if ical.refresh < _SHORTEST_REFRESH:
        yield Fault(("ical", "refresh"), "expected 1m or more")


def _change_faults(shape: ScheduleShape) -> Iterator[Fault]:
    zone = shape.timezone.info
    listed: tuple[tuple[str, Sequence[OverrideShape | SwapShape]], ...] = (
        ("overrides", shape.overrides),
        ("swaps", shape.swaps),
    )
    for key, changes in listed:
        for index, one in enumerate(changes):
            if one.end.at(zone) <= one.start.at(zone):
                yield Fault((key, index, "to"), "expected a time after from")
            if isinstance(one, OverrideShape) and not one.who:
                yield Fault((key, index, "who"), "expected at least one name")
            if isinstance(one, SwapShape) and len({plain(name) for name in one.between}) != 2:
                yield Fault((key, index, "between"), "expected two different names")


def names_in(shape: ScheduleShape) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every name that a schedule mentions, and where."""
    for index, name in enumerate(shape.rotation):
        yield ("rotation", index), plain(name)
    for number, layer in enumerate(shape.layers):
        for index, name in enumerate(layer.rotation):
            yield ("layers", number, "rotation", index), plain(name)
    for number, override in enumerate(shape.overrides):
        for name in several(override.who):
            yield ("overrides", number, "who"), plain(name)
    for number, swap in enumerate(shape.swaps):
        for index, name in enumerate(swap.between):
            yield ("swaps", number, "between", index), plain(name)
    for text, name in (shape.ical.people if shape.ical else {}).items():
        yield ("ical", "people", text), plain(name)


def roster_of(named: Mapping[str, Mapping[str, Any]]) -> Roster:
    """The teams and schedules of rule files without faults."""
    teams = {
        name: tuple(plain(one) for one in shape.members)
        for name, shape in named.get("contacts", {}).items()
        if shape.members
    }
    return Roster({name: _schedule(name, one) for name, one in named.get("schedules", {}).items()}, teams)


def calendars_of(named: Mapping[str, Mapping[str, Any]]) -> dict[str, CalendarSource]:
    """Where the schedules that are iCalendar files come from."""
    contacts: Mapping[str, Any] = named.get("contacts", {})
    known = {name: name for name in contacts}
    known |= {shape.email: name for name, shape in contacts.items() if shape.email}
    return {
        name: CalendarSource(
            file=shape.ical.file,
            url=shape.ical.url,
            refresh=shape.ical.refresh,
            zone=shape.timezone.info,
            who=Acquaintances({text: plain(one) for text, one in shape.ical.people.items()}, known),
        )
        for name, shape in named.get("schedules", {}).items()
        if shape.ical
    }


def _schedule(name: str, shape: ScheduleShape) -> Schedule:
    zone = shape.timezone.info
    layers: list[RotationLayer | CalendarLayer] = [layer for _, layer in rotations_of(shape)]
    if shape.ical and not layers:
        expected = tuple(dict.fromkeys(plain(one) for one in shape.ical.people.values()))
        layers = [CalendarLayer(name="calendar", expected=expected)]
    return Schedule(
        name=name,
        zone=zone,
        layers=tuple(layers),
        swaps=tuple(
            Swap(
                start=one.start.at(zone),
                end=one.end.at(zone),
                schedule=name,
                one=plain(one.between[0]),
                other=plain(one.between[1]),
            )
            for one in shape.swaps
        ),
        overrides=tuple(
            Override(
                start=one.start.at(zone),
                end=one.end.at(zone),
                schedule=name,
                people=tuple(plain(who) for who in several(one.who)),
            )
            for one in shape.overrides
        ),
    )


def rotations_of(shape: ScheduleShape) -> Iterator[tuple[tuple[str | int, ...], RotationLayer]]:
    """The rotations of a schedule, each with the path of its people."""
    if shape.rotation:
        yield ("rotation",), _layer("rotation", shape)
        return
    for number, layer in enumerate(shape.layers):
        yield ("layers", number, "rotation"), _layer(layer.name or f"layer {number + 1}", layer)


def _layer(name: str, turns: LayerShape | ScheduleShape) -> RotationLayer:
    handoff = turns.handoff or Handoff(timedelta(0), 0)
    bounds = Bounds(start=_midnight(turns.start), end=_midnight(turns.end))
    people = [plain(one) for one in turns.rotation]
    return RotationLayer(
        name=name, rotation=rotation(people, handoff, _every(turns), bounds), windows=_windows(turns)
    )


def _every(turns: TurnsShape) -> timedelta:
    """A week where the handoff names a weekday (or where nobody hands over), else a day."""
    if turns.every is not None:
        return turns.every
    return WEEK if turns.handoff is None or turns.handoff.weekday is not None else DAY


def _windows(turns: TurnsShape) -> tuple[Window, ...]:
    if turns.during != ():
        return several(turns.during)
    if turns.hours == () and turns.days == ():
        return ()
    return stretches(several(turns.hours), several(turns.days))


def stretches(hours: Sequence[Hours], days: Sequence[Days]) -> tuple[Window, ...]:
    """These hours (the whole day without any) of these days (every day without any)."""
    begins = sorted({day for one in days for day in one.days}) or range(7)
    lengths = [(one.start, one.length) for one in hours] or [(timedelta(0), DAY)]
    return tuple(Window(day, start, length) for day in begins for start, length in lengths)


def several(value: tuple[T, ...] | T) -> tuple[T, ...]:
    """What may be written as one or as a list."""
    return value if isinstance(value, tuple) else (value,)


def _midnight(day: Day | None) -> datetime | None:
    return datetime.combine(day.date, time()) if day else None
