"""Drawing a chart with matplotlib: a PNG that can be read on a phone and by who does not tell colours apart.

Importing this costs half a second and some 50 MB: only the painter's thread does, when the first chart is asked for.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from responder.curves.picture import Picture
from responder.curves.series import Series, Threshold, Window
from responder.curves.words import round_in, with_unit

# A matplotlibrc in the working directory changes nothing here, and no text is ever read as a formula.
mpl.rcdefaults()
mpl.rcParams.update({"text.parse_math": False, "text.usetex": False, "font.family": ["DejaVu Sans"]})

WIDTH, HEIGHT, DPI = 1000, 440, 100  # pixels, pixels, pixels an inch
#: Okabe and Ito's colours, which most people with a colour vision deficiency tell apart; and a style for each.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#4D4D4D")
_STYLES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 1.5)), "-.", (0, (8, 2, 2, 2, 2, 2)), (0, (1, 1)))
_LIMIT_COLOUR, _INK, _PALE = "#C1272D", "#1d2129", "#5b6472"
_SMALL, _MEDIUM, _LARGE = (
    12.0,
    15.0,
    19.0,
)  # points, of 1.4 pixels: a phone shows the picture at a third of its size
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.108, 0.985, 0.115, 0.785  # where the curves are, as shares of the picture
_LEGEND = 0.70  # where they end when names stand beside them
_ROW = 0.118
_TICKS = (
    60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600,
)  # fmt: skip
_TICK_ROOM = 140  # pixels for a time under the curves
_MISSING = "\u25a1"  # what stands for a character that the font does not have
_HALO = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}


def png(picture: Picture) -> bytes:
    """The chart as a PNG of 1000 by 440 pixels; the same chart is the same bytes."""
    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    right = _LEGEND if len(picture.lines) > 1 else _RIGHT
    axes = figure.add_axes((_LEFT, _BOTTOM, right - _LEFT, _TOP - _BOTTOM))
    _frame(axes, picture)
    _curves(axes, picture)
    _heights(axes, picture)
    _marks(axes, picture)
    _headings(figure, picture)
    if len(picture.lines) > 1:
        _legend(figure, picture)
    return _compressed(canvas)


def _compressed(canvas: Any) -> bytes:
    """128 colours look the same in a chart and take a quarter of the bytes, which mail and the store carry."""
    canvas.draw()
    drawn = Image.frombuffer("RGBA", (WIDTH, HEIGHT), canvas.buffer_rgba(), "raw", "RGBA", 0, 1).convert(
        "RGB"
    )
    out = io.BytesIO()
    drawn.quantize(128, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def _frame(axes: Axes, picture: Picture) -> None:
    width = axes.get_position().width * WIDTH
    ticks, form = _times(picture.window, int(width // _TICK_ROOM), _TICK_ROOM / 2 / width)
    axes.set_xlim(picture.window.start, picture.window.end)
    axes.set_xticks(ticks, [_time(at, form, first=at == ticks[0]) for at in ticks])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _value(_tidy(value), picture.unit)))
    axes.tick_params(labelsize=_MEDIUM, colors=_PALE, length=0)
    axes.grid(visible=True, color="#e3e6ea", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#aab1bb")


def _tidy(value: float) -> float:
    """A tick that floating point put beside a round number is put on it."""
    return float(f"{value:.9g}")


def _times(window: Window, most: int, edge: float) -> tuple[list[float], str]:
    """At most so many round times in UTC, none in that share at the edges, and how they are written."""
    length = window.end - window.start
    step = next((one for one in _TICKS if length / one <= most), _TICKS[-1])
    first = math.ceil((window.start + edge * length) / step) * step
    last = window.end - edge / 2 * length
    form = "%H:%M" if length <= 86_400 else "%d %b" if step >= 86_400 else "%a %H:%M"
    return [float(at) for at in range(first, math.floor(last) + 1, step)], form


def _time(at: float, form: str, *, first: bool) -> str:
    return f"{datetime.fromtimestamp(at, UTC):{form}}" + (" UTC" if first else "")


def _curves(axes: Axes, picture: Picture) -> None:
    """The first line is the one that matters: thicker, and over the others."""
    for number, line in enumerate(picture.lines):
        times, values = _with_gaps(line.series, picture.window.step)
        colour, order = _COLOURS[number % len(_COLOURS)], 4 if number == 0 else 3
        axes.plot(
            times,
            values,
            color=colour,
            linestyle=_STYLES[number % len(_STYLES)],
            linewidth=3.2 if number == 0 else 1.9,
            solid_capstyle="round",
            zorder=order,
        )
        alone = _alone(values)
        dots = [times[n] for n in alone], [values[n] for n in alone]
        axes.plot(*dots, color=colour, linestyle="", marker="o", markersize=7, zorder=order, clip_on=False)


def _with_gaps(series: Series, step: float) -> tuple[list[float], list[float]]:
    """Times and values with a hole wherever a point is missing or is no number."""
    times: list[float] = []
    values: list[float] = []
    for at, value in series.points():
        if times and at - times[-1] > 1.5 * step:
            times.append(at - step)
            values.append(math.nan)
        times.append(at)
        values.append(value)
    return times, values


def _alone(values: Sequence[float]) -> list[int]:
    """Points with a hole on either side: no line would show them."""
    holes = [True, *(math.isnan(value) for value in values), True]
    return [n for n in range(len(values)) if holes[n] and holes[n + 2] and not holes[n + 1]]


def _heights(axes: Axes, picture: Picture) -> None:
    """Everything is seen, the threshold too; from zero, unless that would flatten the curve."""
    values = [value for line in picture.lines for _, value in line.series.points()]
    if picture.threshold is not None:
        values.append(picture.threshold.value)
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if 0 <= low < high / 2:
        low = 0.0
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    bottom, top = low if low == 0.0 and high > 0 else low - room, high + room
    axes.set_ylim(bottom, top)
    grain = round_in(max(abs(bottom), abs(top)), picture.unit)
    ticks = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(bottom / grain, top / grain)
    axes.set_yticks([tick * grain for tick in ticks if bottom <= tick * grain <= top])


def _marks(axes: Axes, picture: Picture) -> None:
    """The threshold with the bad side tinted, and when the alert fired."""
    window, threshold, fired = picture.window, picture.threshold, picture.fired_at
    if threshold is not None:
        _threshold(axes, threshold, picture.unit)
    if fired is not None and window.start <= fired <= window.end:
        _fired(axes, fired, (fired - window.start) / (window.end - window.start))


def _threshold(axes: Axes, threshold: Threshold, unit: str) -> None:
    bottom, top = axes.get_ylim()
    axes.axhline(threshold.value, color=_LIMIT_COLOUR, linestyle=(0, (5, 3)), linewidth=2, zorder=5)
    if threshold.upwards or threshold.downwards:
        bad = (threshold.value, top) if threshold.upwards else (bottom, threshold.value)
        axes.axhspan(*bad, color=_LIMIT_COLOUR, alpha=0.07, linewidth=0)
    above = (threshold.value - bottom) / (top - bottom) < 0.85
    axes.annotate(
        f"threshold {_value(threshold.value, unit)}",
        (0.0, threshold.value), xycoords=("axes fraction", "data"),
        xytext=(5, 4 if above else -4), textcoords="offset points", ha="left", va="bottom" if above else "top",
        fontsize=_MEDIUM, color=_LIMIT_COLOUR, bbox=_HALO, zorder=6,
    )  # fmt: skip


def _fired(axes: Axes, fired: float, share: float) -> None:
    axes.axvline(fired, color=_INK, linestyle=(0, (1, 1.6)), linewidth=2, zorder=5)
    to_the_left = share > 0.25
    axes.annotate(
        f"fired {datetime.fromtimestamp(fired, UTC):%H:%M}",
        (fired, 1.0), xycoords=("data", "axes fraction"),
        xytext=(-5 if to_the_left else 5, -2), textcoords="offset points",
        ha="right" if to_the_left else "left", va="top", fontsize=_MEDIUM, color=_INK, bbox=_HALO, zorder=6,
    )  # fmt: skip


def _headings(figure: Figure, picture: Picture) -> None:
    figure.text(
        0.012, 0.98, _drawable(picture.title), fontsize=_LARGE, color=_INK, fontweight="bold", va="top"
    )
    figure.text(0.012, 0.88, _drawable(picture.subtitle), fontsize=_SMALL, color=_PALE, va="top")


def _legend(figure: Figure, picture: Picture) -> None:
    """Beside the curves: each one's present value, and what it is called."""
    left, top = _LEGEND + 0.02, _TOP + 0.01
    for number, line in enumerate(picture.lines):
        y = top - number * _ROW
        handle = Line2D(
            (left, left + 0.04), (y - 0.03, y - 0.03), transform=figure.transFigure,
            color=_COLOURS[number % len(_COLOURS)], linestyle=_STYLES[number % len(_STYLES)],
            linewidth=3.2 if number == 0 else 2.2,
        )  # fmt: skip
        figure.add_artist(handle)
        value = _value(line.series.last, picture.unit)
        figure.text(left + 0.05, y, value, fontsize=_MEDIUM, color=_INK, fontweight="bold", va="top")
        figure.text(left + 0.05, y - 0.053, _drawable(line.name), fontsize=_SMALL, color=_PALE, va="top")
    if picture.unseen:
        text = f"and {picture.unseen:,} more"
        figure.text(left, top - len(picture.lines) * _ROW, text, fontsize=_SMALL, color=_PALE, va="top")


def _value(value: float, unit: str) -> str:
    return _drawable(with_unit(value, unit))


def _drawable(text: str) -> str:
    """The text with what the font does not have shown as an empty box."""
    known = get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap()
    return "".join(one if ord(one) in known else _MISSING for one in text)
