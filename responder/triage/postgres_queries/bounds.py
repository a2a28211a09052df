"""Bounds of a value, as rule files write them: ``10``, ``5m``, ``{above: 10}``, ``{below: 0.9}``."""

from __future__ import annotations

import math
from datetime import timedelta

import msgspec

from responder.durations import format_duration

Amount = float | timedelta


class Bounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value is beyond them where it is higher than ``above`` or lower than ``below``; durations are in seconds."""

    above: float | timedelta | None = None
    below: float | timedelta | None = None

    def __post_init__(self) -> None:
        """Raises ``ValueError`` where there is no bound, or one that is no number."""
        given = [bound for bound in (self.above, self.below) if bound is not None]
        if not given:
            raise ValueError("give above, below, or both")
        if not all(math.isfinite(seconds(bound)) for bound in given):
            raise ValueError("a bound is a finite number")

    def passed(self, value: float) -> bool:
        """Whether the value is beyond them."""
        return (self.above is not None and value > seconds(self.above)) or (
            self.below is not None and value < seconds(self.below)
        )

    def __str__(self) -> str:
        words = [("above", self.above), ("below", self.below)]
        return " or ".join(f"{word} {_shown(bound)}" for word, bound in words if bound is not None)


def seconds(amount: Amount) -> float:
    """The amount as a plain number."""
    return amount.total_seconds() if isinstance(amount, timedelta) else amount


def _shown(amount: Amount) -> str:
    return format_duration(amount) if isinstance(amount, timedelta) else f"{amount:g}"
