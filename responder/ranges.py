"""What a value of the configuration or of a rule file may be, said in one way."""

from __future__ import annotations

from datetime import timedelta
from typing import Generic, TypeVar

import msgspec

from responder.durations import format_duration

T = TypeVar("T", timedelta, int)


class Range(msgspec.Struct, Generic[T], frozen=True):
    """From ``least`` to ``most``, both of them in, or nothing at all where ``none`` says what that means."""

    least: T
    most: T
    none: str = ""

    def __str__(self) -> str:
        nothing = f"{_shown(self.least * 0)} ({self.none}), or " if self.none else ""
        return f"{nothing}{_shown(self.least)} to {_shown(self.most)}"

    def objection(self, value: T) -> str:
        """What is to be said of a value that lies outside; nothing where it does not."""
        if self.least <= value <= self.most or (self.none and not value):
            return ""
        return f"expected {self}, got {_shown(value)}"


def _shown(value: timedelta | int) -> str:
    return format_duration(value) if isinstance(value, timedelta) else str(value)
