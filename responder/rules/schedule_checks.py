"""Problems of schedules and teams with their places: faults of one by itself, names that are unknown, circles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from responder.documents import Document, Problem
from responder.registry import closest, did_you_mean
from responder.rules.files import RowShape
from responder.rules.schedule_files import ScheduleShape
from responder.rules.schedules import faults, key_of, names_in, plain, roster_of, rotations_of

#: Where an entry of a key stands: its document and node, by key and name.
Nodes = Mapping[tuple[str, str], tuple[Document, yaml.Node]]


def checked(document: Document, node: yaml.Node, what: str, shape: ScheduleShape) -> Any:
    """The schedule with its file's path resolved, or ``msgspec.UNSET`` after its problems were noted."""
    found = list(faults(shape))
    for fault in found:
        where = what + fault.key
        document.report(document.below(node, *fault.path), f"{where}: {fault.text}")
    if shape.ical and shape.ical.file is not None:
        path = Path(document.file).parent / shape.ical.file
        if not path.is_file():
            text = f"{what}.ical.file: no such file: {shape.ical.file}"
            document.report(document.below(node, "ical", "file"), text)
            return msgspec.UNSET
        shape = msgspec.structs.replace(shape, ical=msgspec.structs.replace(shape.ical, file=str(path)))
    return msgspec.UNSET if found else shape


def name_problems(
    named: Mapping[str, Mapping[str, Any]], nodes: Nodes, claimed: Iterable[tuple[str, str]]
) -> Iterator[Problem]:
    """Names that nobody knows, and names that lead back to themselves.

    ``claimed`` are the entries of all keys, also those that could not be read: they are told of already.
    """
    contacts, schedules = named["contacts"], named["schedules"]
    known = {name for key, name in claimed if key in ("contacts", "schedules")}
    for name, contact in contacts.items():
        document, node = nodes["contacts", name]
        for index, member in enumerate(contact.members):
            if plain(member) not in known:
                place = document.place(document.below(node, "members", index))
                yield place.problem(
                    f"contacts.{name}: no contact {plain(member)!r}{did_you_mean(plain(member), known)}"
                )
        if contact.members and name in schedules:
            yield document.place(node).problem(
                f"contacts.{name}: has members, and schedules.{name} says who it is: keep one of the two"
            )
    for name, shape in schedules.items():
        yield from _unknown(f"schedules.{name}", shape, known, nodes["schedules", name])
        yield from _without_turn(f"schedules.{name}", shape, nodes["schedules", name])
    for row, levels in named["escalation"].items():
        yield from _misspelt(row, levels, known, nodes["escalation", row])
    yield from _circles(named, nodes)


def _unknown(
    what: str, shape: ScheduleShape, known: set[str], where: tuple[Document, yaml.Node]
) -> Iterator[Problem]:
    """Names that are no contact: an error as soon as others of the schedule are, else it may be meant."""
    document, node = where
    mentioned = list(names_in(shape))
    some_known = any(name in known for _, name in mentioned)
    for path, name in mentioned:
        if name in known:
            continue
        place = document.place(document.below(node, *path))
        if some_known:
            yield place.problem(f"{what}: no contact {name!r}{did_you_mean(name, known)}")
        else:
            text = f"{what}: {name!r} is not in contacts{closest(name, known)}: only channels that reach everybody can page it"
            yield place.problem(text, "warning")


def _without_turn(what: str, shape: ScheduleShape, where: tuple[Document, yaml.Node]) -> Iterator[Problem]:
    document, node = where
    for path, layer in rotations_of(shape):
        for name in layer.never():
            key = what + key_of(path)
            text = f"{key}: {name!r} is never on call: all turns fall outside of its hours, days or during"
            yield document.place(document.below(node, *path)).problem(text, "warning")


def _misspelt(
    row: str, shape: RowShape, known: set[str], where: tuple[Document, yaml.Node]
) -> Iterator[Problem]:
    """A name of the matrix need not be a contact, but one that is nearly one is worth a look."""
    document, node = where
    for level in ("primary", "secondary", "executive"):
        name = plain(getattr(shape, level) or "")
        if name and name not in known and (hint := closest(name, known)):
            place = document.place(document.below(node, level))
            yield place.problem(f"escalation.{row}.{level}: {name!r} is not in contacts{hint}", "warning")


def _circles(named: Mapping[str, Mapping[str, Any]], nodes: Nodes) -> Iterator[Problem]:
    roster = roster_of(named)
    told: set[frozenset[str]] = set()
    for key in ("schedules", "contacts"):
        for name in named[key]:
            way = roster.circle(name)
            if way and frozenset(way) not in told:
                told.add(frozenset(way))
                document, node = nodes[key, name]
                yield document.place(node).problem(f"{key}.{name}: leads back to itself: {' > '.join(way)}")
