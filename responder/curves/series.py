"""Series of numbers over time, a threshold, and what a look at a curve tells: how long, and which way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median

import msgspec

_TOLERANCE = 0.1  # of the height of the curve: what moves less stands still
_TREND = 0.25  # of the height: what moved less is no trend
_NOISE = 6.0  # times the usual step: what moved less may be chance
_FLAT = 0.01  # of the size of the values: a curve of less height is a straight line
_TREND_POINTS = 3


class Threshold(msgspec.Struct, frozen=True):
    """A comparison with a number, as an alert's expression ends with: ``operator`` is one of PromQL's."""

    operator: str
    value: float

    @property
    def upwards(self) -> bool:
        """Whether large values are the bad ones."""
        return self.operator in {">", ">="}

    @property
    def downwards(self) -> bool:
        """Whether small values are the bad ones."""
        return self.operator in {"<", "<="}

    def holds(self, value: float) -> bool:
        """Whether an alert with this comparison would fire on the value."""
        match self.operator:
            case ">":
                return value > self.value
            case ">=":
                return value >= self.value
            case "<":
                return value < self.value
            case "<=":
                return value <= self.value
            case "==":
                return value == self.value
            case "!=":
                return value != self.value
            case other:
                raise ValueError(f"no comparison: {other!r}")


class Window(msgspec.Struct, frozen=True):
    """The time that is looked at, in unix seconds, and the distance of its points."""

    start: float
    end: float
    step: float


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Values at ascending times (unix seconds), at least one; a value may be infinite or no number."""

    labels: Mapping[str, str] = {}
    times: Sequence[float]
    values: Sequence[float]

    @property
    def last(self) -> float:
        """The latest value, whatever it is."""
        return self.values[-1]

    def points(self) -> Iterator[tuple[float, float]]:
        """Times and values of what is a number."""
        for at, value in zip(self.times, self.values, strict=True):
            if math.isfinite(value):
                yield at, value

    def ended(self, window: Window) -> float:
        """For how many seconds it has had no more points; 0 where it goes on to the end."""
        gone = window.end - self.times[-1]
        return gone if gone > 2 * window.step else 0.0


class Trend(msgspec.Struct, frozen=True):
    """Which way a curve goes, and for how many seconds."""

    word: str
    seconds: float


def trend(series: Series) -> Trend | None:
    """Whether the curve rises, falls or is steady; ``None`` where it is neither, as with noise.

    Single peaks are smoothed away first. Rising means: since its lowest point it has come up by at least a quarter of
    the whole height and by far more than from one point to the next, and nowhere fell back by more than a tenth of it.
    """
    points = list(series.points())
    if len(points) < _TREND_POINTS:
        return None
    times = [at for at, _ in points]
    values = _smooth([value for _, value in points])
    height = max(values) - min(values)
    if height <= _FLAT * max(abs(value) for value in values):
        return Trend("steady", times[-1] - times[0])
    still = _still(times, values, _TOLERANCE * height)
    least = max(_TREND * height, _NOISE * _usual_step([value for _, value in points]))
    up = _climb(times, values, height, least)
    down = _climb(times, [-value for value in values], height, least)
    word, seconds = ("rising", up) if up >= down else ("falling", down)
    if seconds and still < seconds / 2:
        return Trend(word, seconds)
    enough = still >= (_TREND_POINTS - 1) * (times[-1] - times[-2])
    return Trend("steady", still) if enough and (seconds or still >= (times[-1] - times[0]) / 4) else None


def _smooth(values: Sequence[float]) -> list[float]:
    inner = [median(values[n - 1 : n + 2]) for n in range(1, len(values) - 1)]
    return [values[0], *inner, values[-1]]


def _usual_step(values: Sequence[float]) -> float:
    return median(abs(after - before) for before, after in pairwise(values))


def _still(times: Sequence[float], values: Sequence[float], tolerance: float) -> float:
    """For how long it has been where it is now."""
    since = times[-1]
    for at, value in zip(reversed(times), reversed(values), strict=True):
        if abs(value - values[-1]) > tolerance:
            break
        since = at
    return times[-1] - since


def _climb(times: Sequence[float], values: Sequence[float], height: float, least: float) -> float:
    """For how long it has been rising; 0 where it is not."""
    lowest, since, steps = values[-1], times[-1], 0
    for number, (at, value) in enumerate(zip(reversed(times), reversed(values), strict=True)):
        if value > lowest + _TOLERANCE * height:
            break
        if value < lowest - _TOLERANCE * height / 4:
            lowest, since, steps = value, at, number
    enough = values[-1] - lowest >= least and steps >= _TREND_POINTS - 1
    return times[-1] - since if enough else 0.0


def held_for(series: Series, threshold: Threshold) -> tuple[bool, float, bool]:
    """Whether the comparison holds now, for how many seconds that has been so, and whether it was so all the time."""
    now = threshold.holds(series.last)
    since = series.times[-1]
    for at, value in zip(reversed(series.times), reversed(series.values), strict=True):
        if threshold.holds(value) is not now:
            return now, series.times[-1] - since, False
        since = at
    return now, series.times[-1] - since, True
