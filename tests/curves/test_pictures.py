"""Charts: valid PNGs of a fixed size whatever a sender put into labels, and a painter that never holds anybody up."""

from __future__ import annotations

import asyncio
import io
import math
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from responder.curves import painter as painting
from responder.curves.draw import HEIGHT, WIDTH, png
from responder.curves.painter import Painter
from responder.curves.picture import LINES, Line, Picture
from responder.curves.series import Series, Threshold, Window
from responder.secrets import Redactor
from responder.triage.runner import CHART_LIMIT

END = 1_795_489_200.0
WINDOW = Window(END - 7_200, END, 28.8)
TIMES = [WINDOW.start + n * WINDOW.step for n in range(251)]
HOSTILE = (
    "$\\frac{1}{2}$", "$", "$$", "\\", "_hidden", "\x00\x1b[31m\u202egnp.exe", "%s %d {x!r}", "日本語 🔥", "x" * 5_000,
    "a\nb\rc\td", "<script>alert(1)</script>", "", " ",
)  # fmt: skip


def line(values: list[float], name: str = "") -> Line:
    return Line(name, Series(times=TIMES[: len(values)], values=values))


def picture(*lines: Line, **more: object) -> Picture:
    made = {"title": "HighAPILatency", "subtitle": "latency", "window": WINDOW, "lines": lines, **more}
    return Picture(**made)  # type: ignore[arg-type]


def opened(raw: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(raw))
    image.load()
    assert (image.format, image.size) == ("PNG", (WIDTH, HEIGHT))
    assert len(raw) <= CHART_LIMIT
    return image


def colours(raw: bytes) -> set[tuple[int, int, int]]:
    return {pixel for _, pixel in opened(raw).convert("RGB").getcolors(WIDTH * HEIGHT) or []}  # type: ignore[misc]


def near(raw: bytes, wanted: tuple[int, int, int], by: int = 12) -> bool:
    return any(all(abs(a - b) <= by for a, b in zip(one, wanted, strict=True)) for one in colours(raw))


def test_a_chart_is_a_png_with_the_curve_and_its_threshold() -> None:
    raw = png(
        picture(line([0.1 + n / 100 for n in range(251)]), threshold=Threshold(">", 0.5), unit="seconds")
    )
    assert near(raw, (0x00, 0x72, 0xB2))  # the curve
    assert near(raw, (0xC1, 0x27, 0x2D))  # the threshold
    assert not near(png(picture(line([0.1] * 251))), (0xC1, 0x27, 0x2D))


def test_a_point_that_stands_alone_is_seen() -> None:
    for times in ([TIMES[0]], [TIMES[50], TIMES[100], TIMES[200]]):
        alone = Line("", Series(times=times, values=[1.0] * len(times)))
        assert near(png(picture(alone)), (0x00, 0x72, 0xB2))


def test_the_same_chart_is_the_same_bytes() -> None:
    assert png(picture(line([1.0] * 251))) == png(picture(line([1.0] * 251)))


def test_the_worst_of_charts_is_within_the_bound() -> None:
    dice = random.Random(1)
    lines = [line([dice.random() for _ in TIMES], "n" * 25) for _ in range(LINES)]
    opened(
        png(picture(*lines, title="W" * 70, subtitle="W" * 104, unseen=9_999, threshold=Threshold("<", 0.5)))
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_sender_is_a_formula_or_breaks_the_drawing(text: str) -> None:
    lines = [line([1.0, 2.0, 3.0], text), line([2.0, 2.0, 2.0], text)]
    opened(png(picture(*lines, title=text, subtitle=text, unit=text[:20].strip()).cleaned(str)))


def test_a_dollar_is_drawn_as_a_dollar() -> None:
    plain, formula = png(picture(line([1.0]), title="a b c")), png(picture(line([1.0]), title="$a b c$"))
    assert plain != formula


@pytest.mark.parametrize(
    "values",
    [
        [1.0], [0.0] * 251, [5.0] * 251, [-3.0] * 251, [math.nan] * 10, [math.inf, -math.inf, 1.0], [1e300, -1e300],
        [1e-320, 1e-310], [math.nan, 1.0, math.nan, 2.0], [1e15, 1e15 + 1],
    ],
)  # fmt: skip
@pytest.mark.parametrize("limit", [None, Threshold(">", 0.5), Threshold("==", 0.0), Threshold("<", -1e9)])
def test_odd_numbers_are_drawn_as_far_as_they_can_be(values: list[float], limit: Threshold | None) -> None:
    opened(png(picture(line(values), threshold=limit, fired_at=END - 60)))


@pytest.mark.parametrize("hours", [1 / 12, 1, 24, 24 * 7, 24 * 30])
def test_every_range_has_a_few_times_under_it(hours: float) -> None:
    from responder.curves.draw import _times

    window = Window(END - hours * 3600, END, max(15.0, hours * 3600 / 250))
    ticks, _ = _times(window, 6, 0.08)
    assert 1 <= len(ticks) <= 6
    opened(png(picture(line([1.0, 2.0]), window=window, fired_at=END - 7)))


def test_texts_are_cleaned_and_cut_and_at_most_six_curves_are_drawn() -> None:
    many = [line([1.0], f"password=hunter{n}") for n in range(20)]
    cleaned = picture(*many, title="t" * 500, subtitle="token=abcdef\n x").cleaned(Redactor())
    assert len(cleaned.lines) == LINES
    assert "hunter" not in str(cleaned)
    assert "abcdef" not in str(cleaned)
    assert len(cleaned.title) == 70


def test_what_a_chart_shows_is_said_in_words() -> None:
    made = picture(line([0.12] * 250 + [2.4]), threshold=Threshold(">", 0.5), unit="seconds")
    said = (
        "Line chart of HighAPILatency, 2h until 03:00 UTC; from 0.12 s to 2.4 s, 2.4 s now; threshold 0.5 s"
    )
    assert made.alt() == said


async def test_the_painter_draws_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painting, "PATIENCE", 60.0)  # matplotlib is loaded, too
    painter = Painter()
    raw = await painter.paint(picture(line([1.0, 2.0])), 60.0)
    assert raw is not None
    opened(raw)
    painter.close()


async def test_a_drawing_that_takes_too_long_is_no_picture_and_waiting_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = threading.Event()
    monkeypatch.setattr(painting, "_drawn", lambda _: b"png" if held.wait(100) else b"")
    painter, one = Painter(), picture(line([1.0]))
    assert await painter.paint(one, 0.05) is None
    # All seats but one are taken by those who wait; who comes after them is turned away at once.
    waiting = [asyncio.create_task(painter.paint(one)) for _ in range(painting.WAITING - 1)]
    await asyncio.sleep(0)
    async with asyncio.timeout(30):  # who waits for a seat would wait longer
        assert await painter.paint(one) is None
    held.set()
    assert await asyncio.gather(*waiting) == [b"png"] * (painting.WAITING - 1)
    assert await painter.paint(one) == b"png"
    assert await painter.paint(one, 0) is None
    painter.close()


async def test_a_drawing_that_fails_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Picture) -> bytes:
        raise ValueError("no such glyph")

    monkeypatch.setattr(painting, "_drawn", fail)
    painter = Painter()
    assert await painter.paint(picture(line([1.0]))) is None
    painter.close()


def test_only_who_draws_loads_matplotlib() -> None:
    code = "import sys, responder.app, responder.cli; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=200)


@pytest.mark.parametrize(("mkdtemp", "drawn"), [("tempfile.mkdtemp", "True"), ("None", "False")])
def test_a_disk_that_is_read_only_costs_at_most_the_picture(mkdtemp: str, drawn: str) -> None:
    code = (
        "import asyncio, tempfile; from responder.curves import painter; from responder.curves.painter import Painter\n"
        "painter.PATIENCE = 100.0  # without a cache the fonts are looked for, which takes its time\n"
        "from responder.curves.picture import *; from responder.curves.series import *\n"
        f"tempfile.mkdtemp = {mkdtemp}\n"
        "w = Window(0.0, 7200.0, 30.0); s = Series(times=[0.0, 3600.0], values=[1.0, 2.0])\n"
        "made = Picture(title='t', subtitle='s', window=w, lines=(Line('', s),))\n"
        "print(asyncio.run(Painter().paint(made, 100.0)) is not None)"
    )
    env = {
        **os.environ,
        "PYTHONPATH": str(Path(painting.__file__).parents[2]),
        "MPLCONFIGDIR": "/dev/null/no",
    }
    said = subprocess.run(
        [sys.executable, "-c", code], env=env, check=True, timeout=200, capture_output=True, text=True
    )
    assert said.stdout.splitlines()[-1] == drawn
    assert said.stderr == ""


def test_a_matplotlibrc_in_the_working_directory_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.family: Comic Sans MS\nsavefig.dpi: 10\n")
    code = (
        "import sys; from responder.curves.draw import png; from responder.curves.picture import *\n"
        "from responder.curves.series import *\n"
        "w = Window(0.0, 7200.0, 30.0); s = Series(times=[0.0, 3600.0], values=[1.0, 2.0])\n"
        "sys.stdout.buffer.write(png(Picture(title='t', subtitle='s', window=w, lines=(Line('', s),))))"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(painting.__file__).parents[2]), "MPLCONFIGDIR": str(tmp_path)}
    drawn = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, check=True, timeout=200, capture_output=True
    )
    opened(drawn.stdout)
