"""Numbers and curves as text: values with their units, a line of block characters, what tells series apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta

from responder.curves.series import Series, Window
from responder.durations import format_duration
from responder.text import one_line, truncate

#: Units that are written in a way of their own; any other short text stands behind the number.
UNITS = ("seconds", "bytes", "ratio", "percent")
UNIT_LIMIT = 20

_BLOCKS = "▁▂▃▄▅▆▇█"
_NOTHING = "·"
_SPARKS = 40
_NAME_LIMIT = 60
_VALUE_LIMIT = 40
_LARGE = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"))
_BINARY = ((2**50, "PiB"), (2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_AGES = 1e9  # seconds; above that it is no duration that anybody reads
_SHORT = ((0.1, 1.0, "s"), (1e-3, 1e3, "ms"), (0.0, 1e6, "µs"))


def number(value: float) -> str:
    """Three digits that matter: ``0.043``, ``97``, ``12,345``, ``1.2M``."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    size = abs(value)
    for unit, letter in _LARGE:
        if size >= unit:
            return f"{value / unit:.3g}{letter}" if size < unit * 1000 else f"{value:.3g}"
    if size >= 100:
        return f"{value:,.0f}"
    if size and size < 1e-4:
        return f"{value:.2e}"
    return f"{value:.3g}"


def with_unit(value: float, unit: str) -> str:
    """A value as people read it: ``2.4 s``, ``1.5 GiB``, ``12 %``."""
    if not math.isfinite(value):
        return number(value)
    match unit:
        case "seconds":
            return _seconds(value)
        case "bytes":
            size = next(((s, name) for s, name in _BINARY if abs(value) >= s), (1, "B"))
            return f"{number(value / size[0])} {size[1]}"
        case "ratio":
            return f"{number(value * 100)} %"
        case "percent":
            return f"{number(value)} %"
        case _:
            return f"{number(value)} {unit}".rstrip()


def round_in(size: float, unit: str) -> float:
    """What values of that size are round numbers of: a GiB, an hour, or one."""
    steps: Sequence[float] = ()
    if unit == "bytes":
        steps = [step for step, _ in _BINARY]
    elif unit == "seconds" and size < _AGES:
        steps = (86_400, 3_600, 60)
    return next((step for step in steps if size >= 2 * step), 1.0)


def _seconds(value: float) -> str:
    if abs(value) >= _AGES:
        return f"{number(value)} s"
    if abs(value) >= 120:
        return span(value)
    factor, name = next((f, n) for least, f, n in _SHORT if abs(value) >= least or not least)
    return "0 s" if value == 0 else f"{number(value * factor)} {name}"


def span(seconds: float) -> str:
    """A duration of two parts at most: ``40s``, ``20m``, ``1h30m``."""
    size = abs(seconds)
    grain = 1 if size < 120 else 60 if size < 86_400 else 3_600
    rounded = timedelta(seconds=math.floor(size / grain + 0.5) * grain)
    return ("-" if seconds < 0 else "") + format_duration(rounded)


def sparkline(series: Series, window: Window, width: int = _SPARKS) -> str:
    """The curve in block characters, from the start of the window to its end; a dot where there is nothing."""
    columns: list[list[float]] = [[] for _ in range(width)]
    length = max(window.end - window.start, 1e-9)
    points = list(series.points())
    for at, value in points:
        column = int((at - window.start) / length * width)
        columns[min(max(column, 0), width - 1)].append(value)
    if not points:
        return _NOTHING * width
    low, high = min(value for _, value in points), max(value for _, value in points)
    return "".join(_block(max(values), low, high) if values else _NOTHING for values in columns)


def _block(value: float, low: float, high: float) -> str:
    height = high / 2 - low / 2  # by halves: the largest numbers are further apart than any number says
    share = (value / 2 - low / 2) / height if height > 0 else 0.0
    return _BLOCKS[min(int(share * len(_BLOCKS)), len(_BLOCKS) - 1)]


def names(series: Sequence[Series]) -> list[str]:
    """What tells the series apart: their labels without those that all share; empty for a single one."""
    if len(series) < 2:
        return [""] * len(series)
    first = series[0].labels
    common = {
        name for name, value in first.items() if all(other.labels.get(name) == value for other in series)
    }
    return [_name(one.labels, common) for one in series]


def _name(labels: Mapping[str, str], common: set[str]) -> str:
    parts = [
        f"{one_line(name, _VALUE_LIMIT)}={one_line(value, _VALUE_LIMIT)}"
        for name, value in sorted(labels.items())
        if name not in common
    ]
    return truncate(", ".join(parts) or "(no labels)", _NAME_LIMIT)
