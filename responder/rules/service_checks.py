"""Services that are named where nothing has such a name: matchers of windows and rules, heartbeats; and windows that are over."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

import msgspec

from responder.documents import Place, Problem
from responder.incident.maintenance import MaintenanceWindow
from responder.matchers import Matcher, Operator
from responder.registry import closest, did_you_mean
from responder.rules.compile import OWN_SERVICE
from responder.rules.files import ServiceFromLabel
from responder.rules.raw import RawRules
from responder.rules.reference_checks import PlaceOf

#: A label of alerts may be called almost as a service; only what nearly is one is taken for a slip.
_NEARLY = 0.85


class ServiceOf(msgspec.Struct, frozen=True, kw_only=True):
    """A service that the configuration names: what names it, which, and where."""

    what: str
    service: str
    place: Place


def named_problems(named: Collection[ServiceOf], rows: Collection[str]) -> Iterator[Problem]:
    """Each service of the configuration that has no row in the matrix."""
    for one in named:
        if rows and one.service not in rows:
            text = f"{one.what}: service {one.service!r} has no row in escalation{did_you_mean(one.service, rows)}"
            yield one.place.problem(f"{text}; the default's is taken", "warning")


def matcher_problems(
    raw: RawRules, named: Collection[ServiceOf], rows: Collection[str], place_of: PlaceOf
) -> Iterator[Problem]:
    """Each matcher of a window or a rule that names a service which nothing has."""
    chosen = [raw.default.service, *(entry.shape.service for entry in raw.rules)]
    from_labels = any(isinstance(one, ServiceFromLabel) for one in chosen)
    written = {OWN_SERVICE, *rows, *raw.named["services"]}
    named_there = {
        *(one.service for one in named),
        *(one for one in chosen if isinstance(one, str)),
        *(one.default for one in chosen if isinstance(one, ServiceFromLabel) and one.default),
    }
    # A slip does not vouch for the same slip elsewhere.
    known = written | {one for one in named_there if not closest(one, written, _NEARLY)}
    for window in raw.maintenance:
        for matcher in window.matchers:
            if not _fits(matcher, known) and (hint := _hint(matcher, known, certain=not from_labels)):
                text = f"maintenance.{window.name}: {matcher} holds nothing back: no service is called that{hint}"
                yield place_of("maintenance", window.name).problem(text, "warning")
    for entry in raw.rules:
        for number, matcher in enumerate(entry.matchers):
            if not _fits(matcher, known) and (hint := closest(matcher.value, known, _NEARLY)):
                text = f"rule {entry.shape.name}: {matcher}: no service is called that{hint}"
                yield place_of("rules", entry.shape.name, "match", number).problem(text, "warning")


def _fits(matcher: Matcher, known: Collection[str]) -> bool:
    return matcher.name != "service" or any(matcher.matches({"service": one}) for one in known)


def _hint(matcher: Matcher, known: Collection[str], *, certain: bool) -> str:
    """What was meant. Where alerts may bring services of their own, only what nearly is a known one is doubted."""
    if certain:
        return did_you_mean(matcher.value, known)
    return closest(matcher.value, known, _NEARLY) if matcher.operator is Operator.EQUAL else ""


def over_problems(
    windows: Collection[MaintenanceWindow], now: datetime, place_of: PlaceOf
) -> Iterator[Problem]:
    """Each window that is over and never comes again."""
    for one in windows:
        if one.when.at(now) is None and one.when.following(now) is None:
            text = f"maintenance.{one.name}: is over and never comes again; move its end, or take it out"
            yield place_of("maintenance", one.name).problem(text, "warning")
