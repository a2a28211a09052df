"""What people are told of a maintenance window: that it has begun, goes on longer, is over; to the primaries whom it concerns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from responder.holding.windows import Running
from responder.incident.effects import SendNotice
from responder.incident.ids import derive
from responder.incident.maintenance import MaintenanceWindow, Once, Stretch
from responder.incident.severity import Level, Severity
from responder.rules.compile import Compiled
from responder.rules.maintenance import WindowSpec, compiled
from responder.text import one_line

#: People who are told of one window.
PEOPLE_LIMIT = 50
#: A notice helps nobody for longer.
USE = timedelta(hours=1)
#: What was told is remembered for so long after the window.
REMEMBERED = timedelta(days=1)
_BEGUN, _LONGER, _OVER = "begin", "longer", "end"
_SERVICES_SHOWN = 10
_WINDOWS_SHOWN = 3
_TEXT_LIMIT = 500

Who = Callable[[Collection[str], datetime], Mapping[str, Sequence[str]]]


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell once: its name, what is to be remembered of it and until when, and the messages."""

    what: str
    note: bytes
    forget_at: datetime
    notices: tuple[SendNotice, ...]


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """Who there is to be told at a time, and the windows that run then."""

    rules: Compiled
    who: Who
    now: datetime
    running: Running


def due(told: Mapping[str, bytes], audience: Audience) -> Iterator[Telling]:
    """What has to be told: windows that run and were not told of, or not until then, and told ones that do not run any more."""
    live = {_occurrence(window, stretch): (window, stretch) for window, stretch in audience.running}
    known = _known(told)
    for occurrence, (window, stretch) in live.items():
        if occurrence not in known:
            yield _telling(occurrence, _BEGUN, (window, stretch), audience)
        elif (last := known[occurrence]) is not None and stretch.end > last[1].end:
            yield _telling(occurrence, f"{_LONGER} {stretch.end:%FT%TZ}", (window, stretch), audience)
    for occurrence, gone in known.items():
        if gone is not None and occurrence not in live and f"{occurrence}:{_OVER}" not in told:
            yield _telling(occurrence, _OVER, gone, audience)


def _known(told: Mapping[str, bytes]) -> dict[str, tuple[MaintenanceWindow, Stretch] | None]:
    """The windows whose beginning was told, each as long as was told last; ``None`` for what a newer version wrote."""
    found: dict[str, tuple[MaintenanceWindow, Stretch] | None] = {}
    for field, note in told.items():
        occurrence, _, kind = field.partition(":")
        if kind != _BEGUN and not kind.startswith(_LONGER):
            continue
        one, before = _remembered(note), found.get(occurrence)
        if before is None or (one is not None and one[1].end > before[1].end):
            found[occurrence] = one
    return found


def _remembered(note: bytes) -> tuple[MaintenanceWindow, Stretch] | None:
    """The window that was told of; ``None`` for what a newer version wrote."""
    try:
        window = compiled(msgspec.json.decode(note, type=WindowSpec))
    except (msgspec.DecodeError, ValueError):
        return None
    return (window, window.when.stretch) if isinstance(window.when, Once) else None


def _occurrence(window: MaintenanceWindow, stretch: Stretch) -> str:
    return derive(window.key, stretch.start.isoformat())


def _telling(
    occurrence: str, kind: str, of: tuple[MaintenanceWindow, Stretch], audience: Audience
) -> Telling:
    window, stretch = of
    spec = WindowSpec(
        name=window.name,
        match=tuple(str(one) for one in window.matchers),
        start=stretch.start,
        end=stretch.end,
        id=window.id,
        by=window.by,
        note=window.note,
    )
    return Telling(
        what=f"{occurrence}:{kind}",
        note=msgspec.json.encode(spec),
        forget_at=max(stretch.end, audience.now) + REMEMBERED,
        notices=tuple(_notices(occurrence, kind, of, audience)),
    )


def _notices(
    occurrence: str, kind: str, of: tuple[MaintenanceWindow, Stretch], audience: Audience
) -> Iterator[SendNotice]:
    window, stretch = of
    for (person, name), services in list(_primaries(window, audience).items())[:PEOPLE_LIMIT]:
        steps = audience.rules.channels_of(person, Severity.P4, name)
        channels = tuple(dict.fromkeys(step.channel for step in steps))
        if not channels:
            continue
        notice_id = derive(occurrence, kind, person)
        yield SendNotice(
            id=notice_id,
            lane=notice_id,
            incident=notice_id,
            urgent=False,
            episode=1,
            requested_at=audience.now,
            expires_at=audience.now + USE,
            contact=person,
            stands_for=name,
            channels=channels,
            service=services[0],
            title=_title(kind, window),
            text=one_line(_text(kind, of, services, audience), _TEXT_LIMIT),
            begins_at=stretch.start,
            ends_at=stretch.end,
        )


def _primaries(window: MaintenanceWindow, audience: Audience) -> dict[tuple[str, str], list[str]]:
    """Who is paged first for services that it may concern, the name they stand for, and these services; each once."""
    rows = {
        service: row[Level.PRIMARY]
        for service, row in sorted(audience.rules.rows.items())
        if Level.PRIMARY in row and window.may_concern(service)
    }
    people = audience.who(sorted(set(rows.values())), audience.now)
    behind: dict[str, str] = {}
    found: dict[tuple[str, str], list[str]] = {}
    for service, name in rows.items():
        for person in people.get(name, (name,)):
            found.setdefault((person, behind.setdefault(person, name)), []).append(service)
    return found


def _title(kind: str, window: MaintenanceWindow) -> str:
    what = {_BEGUN: "has begun", _OVER: "is over"}.get(kind, "goes on longer")
    return one_line(f"Maintenance {window.name} {what}", 200)


def _text(
    kind: str, of: tuple[MaintenanceWindow, Stretch], services: Sequence[str], audience: Audience
) -> str:
    window, stretch = of
    shown = ", ".join(services[:_SERVICES_SHOWN]) + (" and more" if len(services) > _SERVICES_SHOWN else "")
    if kind == _OVER:
        early = " before its time" if audience.now < stretch.end else ""
        paged = "What still fires is paged now, except for what something else holds back"
        return f"It has ended{early}. {paged}. Services: {shown}. {_others(services, audience)}".strip()
    matching = ", ".join(str(one) for one in window.matchers)
    why = window.hold(stretch).text.removeprefix(window.name).removeprefix(": ")
    return f"Nobody is paged for {matching} until {_at(stretch.end)}. Services: {shown}. {why}".strip()


def _others(services: Sequence[str], audience: Audience) -> str:
    """The windows that run still and may concern the same services."""
    found = [
        f"{window.name} until {_at(stretch.end)}"
        for window, stretch in audience.running
        if any(window.may_concern(service) for service in services)
    ]
    more = " and more" if len(found) > _WINDOWS_SHOWN else ""
    return f"Still running: {', '.join(found[:_WINDOWS_SHOWN])}{more}." if found else ""


def _at(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
