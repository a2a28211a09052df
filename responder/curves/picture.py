"""What a chart shows, before anybody draws it: bounded, and cleaned of what could be read as something else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from responder.curves.series import Series, Threshold, Window
from responder.curves.words import span, with_unit
from responder.text import one_line

LINES = 6  # curves in one picture
TITLE_LIMIT = 70
SUBTITLE_LIMIT = 104
LABEL_LIMIT = 25


class Line(msgspec.Struct, frozen=True):
    """A curve and what it is called; nothing where there is only one."""

    name: str
    series: Series


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A chart. ``fired_at`` is in unix seconds; ``unseen`` counts the series that are not drawn."""

    title: str
    subtitle: str
    window: Window
    lines: tuple[Line, ...]
    threshold: Threshold | None = None
    fired_at: float | None = None
    unit: str = ""
    unseen: int = 0

    def cleaned(self, clean: Callable[[str], str]) -> Picture:
        """The same with every text that may be a sender's cleaned, on one line and cut."""
        return msgspec.structs.replace(
            self,
            title=one_line(clean(self.title), TITLE_LIMIT),
            subtitle=one_line(clean(self.subtitle), SUBTITLE_LIMIT),
            lines=tuple(
                Line(one_line(clean(one.name), LABEL_LIMIT), one.series) for one in self.lines[:LINES]
            ),
        )

    def alt(self) -> str:
        """What it shows, for who cannot see it."""
        values = [value for line in self.lines for _, value in line.series.points()]
        until = datetime.fromtimestamp(self.window.end, UTC)
        parts = [
            f"Line chart of {self.title}, {span(self.window.end - self.window.start)} until {until:%H:%M} UTC"
        ]
        if values:
            low, high = with_unit(min(values), self.unit), with_unit(max(values), self.unit)
            first = self.lines[0].series
            last = with_unit(first.last, self.unit)
            parts.append(f"from {low} to {high}, {last} {'at last' if first.ended(self.window) else 'now'}")
        if self.threshold is not None:
            parts.append(f"threshold {with_unit(self.threshold.value, self.unit)}")
        return "; ".join(parts)
