"""Whether one attempt at an action, with the looks before it, fits into the time that an attempt has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from responder.durations import format_duration
from responder.rules.limits import LONGEST_ATTEMPT, LONGEST_CHANGE, LONGEST_LOOK, LONGEST_QUESTION
from responder.rules.raw import PluginEntry

Probes = Mapping[str, PluginEntry]


def attempt_problem(name: str, entry: PluginEntry, probes: Probes) -> str:
    """What is to be said where all that an attempt may wait for takes longer than it has; nothing where it fits.

    Who is cut off in the middle leaves an outcome that nobody knows. A time limit that is out of its own range counts as
    that range's end: of it something is said anyway.
    """
    parts = dict(_parts(name, entry, probes))
    total = sum(parts.values(), timedelta(0))
    if total <= LONGEST_ATTEMPT:
        return ""
    shown = ", ".join(f"{what} {format_duration(limit)}" for what, limit in parts.items())
    return (
        f"actions.{name}.timeout: one attempt could take {format_duration(total)} ({shown}), "
        f"and is cut off after {format_duration(LONGEST_ATTEMPT)}: lower this timeout, or that of the probes"
    )


def _parts(name: str, entry: PluginEntry, probes: Probes) -> Iterator[tuple[str, timedelta]]:
    settings: Any = entry.settings
    change = min(settings.timeout, LONGEST_CHANGE)
    yield "rehearsal", min(change, LONGEST_QUESTION)
    condition = settings.precondition.probe if settings.precondition is not None else ""
    if condition in probes:
        yield f"precondition {condition}", _look(probes[condition])
    yield "asking what is under way", min(change, LONGEST_QUESTION)
    if verifying := _verifying(name, settings.verify, condition, probes):
        yield f"the look before by {verifying}", _look(probes[verifying])
    yield "the change", change


def _verifying(name: str, verify: str | None, condition: str, probes: Probes) -> str | None:
    """The slowest of the probes that may look before: the one that is named, or each that suggests the action."""
    if verify is not None:
        return verify if verify in probes else None
    suggesting = [one for one, probe in probes.items() if getattr(probe.settings, "suggests", None) == name]
    candidates = [one for one in (*suggesting, condition) if one in probes]
    return max(candidates, key=lambda one: _look(probes[one]), default=None)


def _look(probe: PluginEntry) -> timedelta:
    limit: timedelta = getattr(probe.settings, "timeout", timedelta(0))
    return min(limit, LONGEST_LOOK)
