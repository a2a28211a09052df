"""What blind mode is given, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec

from responder.clock import Clock
from responder.engine.blind.lookout import Ingest
from responder.engine.blind.sends import Perform
from responder.incident.decision import Decision
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
    """Who hears that the doors are closed and open again, of each page delivered from memory, of what found no place."""

    closed: Callable[[bool], object] = lambda _: None
    paged: Callable[[], object] = lambda: None
    spill: Spill = unheard
