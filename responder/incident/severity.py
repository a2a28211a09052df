"""Severities and the levels of the escalation matrix: two closed, ordered sets."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """How bad it is; P1 is the worst."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"

    @property
    def rank(self) -> int:
        """1 for P1 to 4 for P4."""
        return int(self.value[1])

    @property
    def urgent(self) -> bool:
        """P1 and P2 go before everything else in every queue."""
        return self.rank <= 2

    def worse_than(self, other: Severity) -> bool:
        """Whether this one is the more severe of the two."""
        return self.rank < other.rank


class Level(StrEnum):
    """A column of the escalation matrix, in the order in which people are reached."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    EXECUTIVE = "executive"


LEVELS: tuple[Level, ...] = tuple(Level)
