"""Durations as Prometheus writes them: ``90s``, ``15m``, ``1h30m``."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS_MS = {
    "y": 31_536_000_000,
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_SHAPE = re.compile(
    r"(?:(?P<y>\d{1,4})y)?(?:(?P<w>\d{1,6})w)?(?:(?P<d>\d{1,7})d)?(?:(?P<h>\d{1,8})h)?"
    r"(?:(?P<m>\d{1,9})m(?!s))?(?:(?P<s>\d{1,11})s)?(?:(?P<ms>\d{1,14})ms)?",
)


def parse_duration(text: str) -> timedelta:
    """Read a Prometheus duration.

    Source: https://prometheus.io/docs/prometheus/latest/querying/basics/#float-literals-and-time-durations

    Raises:
        ValueError: where the text is not a duration; the message says what would be.
    """
    match = _SHAPE.fullmatch(text.strip())
    if text.strip() == "0":
        return timedelta(0)
    if match is None or not text.strip():
        raise ValueError(f"expected a duration such as 90s, 15m or 1h30m, got {text!r}")
    total = sum(int(amount) * _UNITS_MS[unit] for unit, amount in match.groupdict().items() if amount)
    return timedelta(milliseconds=total)


def rough_duration(duration: timedelta) -> str:
    """A duration as a person says it, in its largest unit or two: ``40s``, ``7m``, ``2h10m``, ``3d``."""
    seconds = max(int(duration.total_seconds()), 0)
    if seconds < 120:
        return f"{seconds}s" if seconds < 60 else "1m"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minutes}m" if minutes and hours < 10 else f"{hours}h"
    return f"{hours // 24}d"


def format_duration(duration: timedelta) -> str:
    """Write a duration so that :func:`parse_duration` reads the same one; ``0s`` for none."""
    rest = round(duration / timedelta(milliseconds=1))
    if rest < 0:
        return "-" + format_duration(-duration)
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        amount, rest = divmod(rest, _UNITS_MS[unit])
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"
