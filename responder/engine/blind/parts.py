"""What blind mode is given, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

import msgspec

from responder.clock import Clock
from responder.engine.blind.lookout import Ingest
from responder.engine.blind.sends import Perform
from responder.incident.decision import Decision
from responder.incident.state import Incident
from responder.overflow import Spill, unheard
from responder.rules.model import RuleSet
from responder.store.loaded import Loaded
from responder.store.reading import Reader
from responder.store.roll import Roll

Decide = Callable[[Loaded], tuple[Decision, bool]]


class BlindParts(msgspec.Struct, frozen=True, kw_only=True):
    """What it works with.

    ``full`` says that alerts are refused for want of room; ``decide`` and ``perform`` are how an incident is decided and a
    message is sent: as ever, but for where they come from.
    """

    roll: Roll
    reader: Reader
    clock: Clock
    ingest: Ingest
    rules: Callable[[], RuleSet]
    full: Callable[[], bool]
    decide: Decide
    perform: Perform
    patience: timedelta


class BlindHooks(msgspec.Struct, frozen=True, kw_only=True):
    """Who hears that the doors are closed and open again, of each page delivered from memory, of what found no place.

    ``seen`` hears of each incident as others should see it by now, since they may stand on it; ``joined``, of the labels of
    an alert that fires in an incident and that the store does not know.
    """

    closed: Callable[[bool], object] = lambda _: None
    paged: Callable[[], object] = lambda: None
    seen: Callable[[Incident], object] = lambda _: None
    joined: Callable[[str, Mapping[str, str]], object] = lambda _incident, _labels: None
    spill: Spill = unheard
