"""What the durations and numbers of ``responder.yaml`` may be, and which of them depend on each other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from responder.config import Config
from responder.durations import format_duration
from responder.ranges import Range

_NONE, _SECOND, _MINUTE = timedelta(0), timedelta(seconds=1), timedelta(minutes=1)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
#: By key; ``[]`` stands for each entry of a list.
RANGES: dict[str, Range[Any]] = {
    "triage_wait": Range(_NONE, _MINUTE),
    "monitor_for": Range(_SECOND, 7 * _DAY),
    "flapping.count": Range(2, 50),
    "flapping.within": Range(_MINUTE, _DAY),
    "bundling.after": Range(1, 1_000, "never a digest"),
    "bundling.within": Range(_MINUTE, _DAY),
    "bundling.new_kinds": Range(0, 1_000),
    "bundling.digest_every": Range(_SECOND, _DAY),
    "hold_down": Range(_NONE, 5 * _MINUTE),
    "stale_after": Range(10 * _MINUTE, 30 * _DAY),
    "retention": Range(_DAY, 3_650 * _DAY),
    "blind_after": Range(_SECOND, 10 * _MINUTE),
    "shutdown_grace": Range(_SECOND, 10 * _MINUTE),
    "max_body_bytes": Range(1_024, 1 << 30),
    "alertmanager.reconcile_every": Range(_SECOND, _HOUR),
    "alertmanager.grace": Range(_SECOND, _DAY),
    "alertmanager.timeout": Range(_SECOND, _MINUTE),
    "heartbeats[].every": Range(_SECOND, 31 * _DAY),
    "heartbeats[].grace": Range(_NONE, 31 * _DAY),
    "heartbeat_out.every": Range(_SECOND, _DAY),
    "heartbeat_out.timeout": Range(_SECOND, _MINUTE),
    "canary.every": Range(_SECOND, _HOUR, "never"),
    "canary.timeout": Range(_SECOND, _HOUR),
}
#: A shorter interval misses a heartbeat that is only a little late.
_HASTY = 30 * _SECOND
#: What Alertmanager repeats, it repeats each four hours by default.
_REPEATED = 4 * _HOUR


def range_problems(config: Config, *, whole: bool) -> Iterator[tuple[str, str]]:
    """Each value outside its range, and in a ``whole`` configuration each that does not go with another, with its key."""
    found = [one for key, allowed in RANGES.items() for one in _outside(config, key, allowed)]
    yield from found
    if whole and not found:  # else what does not go together may follow from what is told already
        yield from _together(config)


def _outside(config: Config, key: str, allowed: Range[Any]) -> Iterator[tuple[str, str]]:
    listed, _, member = key.partition("[].")
    if member:
        for number, one in enumerate(getattr(config, listed)):
            if objection := allowed.objection(getattr(one, member)):
                yield f"{listed}[{number}].{member}", objection
        return
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
        if value is None:
            return
    if objection := allowed.objection(value):
        yield key, objection


def _together(config: Config) -> Iterator[tuple[str, str]]:
    pairs = [
        ("bundling.digest_every", config.bundling.digest_every, "bundling.within", config.bundling.within),
        ("stale_after", config.stale_after, "retention", config.retention),
        ("monitor_for", config.monitor_for, "retention", config.retention),
    ]
    if config.canary.every:
        pairs.append(("canary.timeout", config.canary.timeout, "canary.every", config.canary.every))
    if out := config.heartbeat_out:
        pairs.append(("heartbeat_out.timeout", out.timeout, "heartbeat_out.every", out.every))
    if am := config.alertmanager:
        pairs.append(("alertmanager.reconcile_every", am.reconcile_every, "stale_after", config.stale_after))
    for key, value, limit, most in pairs:
        if value > most:
            shown = f"{limit} ({format_duration(most)})"
            yield (
                key,
                f"expected no more than {shown}, got {format_duration(value)}; lower it, or raise {limit}",
            )


def range_warnings(config: Config) -> Iterator[tuple[str, str]]:
    """What may be meant, and hardly ever is, with its key."""
    for number, one in enumerate(config.heartbeats):
        if one.every + one.grace < _HASTY:
            took = format_duration(one.every + one.grace)
            text = (
                f"pages where a sign comes {took} after the one before; make it, with grace, "
                f"{format_duration(_HASTY)} or more"
            )
            yield f"heartbeats[{number}].every", text
    if config.alertmanager is None and config.stale_after < _REPEATED:
        text = (
            f"{format_duration(config.stale_after)} is shorter than Alertmanager's default repeat_interval "
            f"({format_duration(_REPEATED)}): without alertmanager.urls, what still fires would be closed"
        )
        yield "stale_after", text
