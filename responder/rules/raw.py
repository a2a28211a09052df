"""What the rule files say, merged and checked by name, but not compiled."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from responder.documents import Place
from responder.incident.policy import ChannelStep
from responder.incident.severity import Level, Severity
from responder.matchers import Matcher
from responder.rules.drills import DrillShape
from responder.rules.files import DefaultShape, PlanShape, RowShape, RuleShape, SeverityShape


class PluginEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A probe or an action of the rule files, typed by its own type."""

    type: str
    settings: msgspec.Struct


class RuleEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with its matchers parsed, and where it stands."""

    shape: RuleShape
    matchers: tuple[Matcher, ...]
    place: Place


class RawRules(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the files say, merged; names are checked, nothing is compiled."""

    rules: tuple[RuleEntry, ...] = ()
    default: DefaultShape = DefaultShape()
    drills: tuple[DrillShape, ...] = ()
    severities: dict[Severity, SeverityShape] = {}
    named: dict[str, dict[str, Any]] = {}
    digest: str = ""


def levels_of(shape: SeverityShape) -> dict[Level, timedelta]:
    """The times of the levels after the primary, with the runbook's defaults."""
    return {
        Level.SECONDARY: shape.escalate.get(Level.SECONDARY, shape.respond_within / 3),
        Level.EXECUTIVE: shape.escalate.get(Level.EXECUTIVE, shape.respond_within),
    }


def row_of(shape: RowShape) -> dict[Level, str]:
    """The names of a row by level."""
    row = {Level.PRIMARY: shape.primary, Level.SECONDARY: shape.secondary, Level.EXECUTIVE: shape.executive}
    return {level: name.removeprefix("@") for level, name in row.items() if name is not None}


def plan_of(shape: PlanShape) -> tuple[ChannelStep, ...]:
    """The steps of a plan, whichever form each was written in."""
    return tuple(
        ChannelStep(channel=one)
        if isinstance(one, str)
        else ChannelStep(channel=one.channel, after=one.after)
        for one in shape
    )
