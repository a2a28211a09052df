"""What a curve says: its trend, how long it is beyond its threshold, its values with their units, its blocks."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responder.curves.series import Series, Threshold, Trend, Window, held_for, trend
from responder.curves.words import names, number, round_in, span, sparkline, with_unit

STEP = 30.0
WINDOW = Window(0.0, 7_200.0, STEP)


def series(*values: float, **labels: str) -> Series:
    return Series(labels=labels, times=[n * STEP for n in range(len(values))], values=values)


def minutes(found: Trend | None) -> tuple[str, int] | None:
    return None if found is None else (found.word, round(found.seconds / 60))


def noisy(values: list[float], share: float = 0.02) -> list[float]:
    dice = random.Random(7)
    return [value * (1 + share * dice.random()) for value in values]


def test_a_climb_is_told_with_its_length() -> None:
    quiet_then_up = [0.1] * 200 + [0.1 + 0.05 * n for n in range(41)]
    assert minutes(trend(series(*quiet_then_up))) == ("rising", 20)
    assert minutes(trend(series(*noisy(quiet_then_up)))) == ("rising", 20)


def test_a_fall_is_told_with_its_length() -> None:
    assert minutes(trend(series(*noisy([100 - n / 3 for n in range(241)])))) in {
        ("falling", 120),
        ("falling", 118),
    }


def test_what_went_up_at_once_and_stays_there_is_steady_since() -> None:
    assert minutes(trend(series(*[0.1] * 160, *[2.4] * 81))) == ("steady", 40)


def test_a_straight_line_is_steady_all_the_time() -> None:
    assert minutes(trend(series(*[5.0] * 241))) == ("steady", 120)


def test_noise_has_no_trend_and_a_single_peak_makes_none() -> None:
    dice = random.Random(3)
    assert trend(series(*(dice.random() for _ in range(240)), 0.99)) is None
    peak = trend(series(*[1.0] * 120, 50.0, *[1.0] * 120))
    assert peak is None or peak.word == "steady"


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=300))
def test_no_curve_is_too_odd_for_a_look(values: list[float]) -> None:
    one = series(*values)
    found = trend(one)
    assert found is None or 0 <= found.seconds <= STEP * len(values)
    assert len(sparkline(one, WINDOW)) == 40
    held_for(one, Threshold(">", 0.5))
    with_unit(one.last, "seconds")


def test_it_is_known_how_long_the_comparison_holds() -> None:
    limit = Threshold(">", 0.5)
    assert held_for(series(0.1, 0.2, 0.6, 0.7, 0.8), limit) == (True, 2 * STEP, False)
    assert held_for(series(0.6, 0.7, 0.1, 0.2), limit) == (False, STEP, False)
    assert held_for(series(0.6, 0.7), limit) == (True, STEP, True)
    assert held_for(series(1.0, math.nan), limit) == (False, 0.0, False)


@pytest.mark.parametrize(
    ("operator", "below", "at", "above"),
    [
        (">", False, False, True), (">=", False, True, True), ("<", True, False, False),
        ("<=", True, True, False), ("==", False, True, False), ("!=", True, False, True),
    ],
)  # fmt: skip
def test_every_comparison_of_promql(operator: str, below: bool, at: bool, above: bool) -> None:
    limit = Threshold(operator, 5)
    assert (limit.holds(4), limit.holds(5), limit.holds(6)) == (below, at, above)
    assert not Threshold(">", 5).holds(math.nan)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2.4, "seconds", "2.4 s"), (0.5, "seconds", "0.5 s"), (0.043, "seconds", "43 ms"),
        (0.0000021, "seconds", "2.1 µs"), (0, "seconds", "0 s"), (90, "seconds", "90 s"),
        (7_200, "seconds", "2h"), (100_000, "seconds", "1d4h"), (-0.25, "seconds", "-0.25 s"),
        (1.5 * 2**30, "bytes", "1.5 GiB"), (0, "bytes", "0 B"), (0.9734, "ratio", "97.3 %"), (12.345, "percent", "12.3 %"),
        (97, "", "97"), (12_345, "", "12,345"), (1_234_567, "", "1.23M"), (3.2e21, "", "3.2e+21"), (0.00001, "", "1.00e-05"),
        (math.nan, "seconds", "NaN"), (math.inf, "bytes", "+Inf"), (-math.inf, "", "-Inf"), (5, "req/s", "5 req/s"),
    ],
)  # fmt: skip
def test_values_are_written_for_people(value: float, unit: str, text: str) -> None:
    assert with_unit(value, unit) == text


def test_spans_have_two_parts_at_most() -> None:
    assert [span(s) for s in (0, 15, 119, 518, 5_400, 100_000)] == [
        "0s",
        "15s",
        "1m59s",
        "9m",
        "1h30m",
        "1d4h",
    ]


def test_numbers_of_any_size_are_short() -> None:
    assert all(len(number(value)) <= 10 for value in (1e-300, 1e300, -1e300, 123456.789, 99.99, 999_999.9))


def test_a_scale_is_round_in_what_its_values_are_written_in() -> None:
    assert round_in(3 * 2**30, "bytes") == 2**30
    assert round_in(90, "seconds") == 1
    assert round_in(600, "seconds") == 60
    assert round_in(1e12, "seconds") == 1
    assert round_in(1e6, "") == 1


def test_blocks_show_the_curve_and_its_holes() -> None:
    rising = Series(times=[n * 180.0 for n in range(40)], values=[float(n) for n in range(40)])
    assert sparkline(rising, WINDOW)[::5] == "▁▂▃▄▅▆▇█"
    gone = Series(times=[0.0, 180.0], values=[1.0, 1.0])
    assert sparkline(gone, WINDOW) == "▁▁" + "·" * 38
    assert sparkline(Series(times=[0.0], values=[math.nan]), WINDOW) == "·" * 40


def test_series_are_named_by_what_tells_them_apart() -> None:
    assert names([series(1, job="api", instance="a")]) == [""]
    both = [series(1, job="api", instance="a"), series(1, job="api", instance="b\n\x1b[31m")]
    assert names(both) == ["instance=a", "instance=b [31m"]
    assert names([series(1), series(1, x="1")]) == ["(no labels)", "x=1"]
    assert all(len(one) <= 60 for one in names([series(1, x="y" * 500), series(1, x="z")]))
