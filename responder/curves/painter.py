"""One thread that draws: bounded in what waits for it and in time, so that no picture ever holds up a finding."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from responder.curves.picture import Picture
from responder.overflow import Overflow, Spill, unheard
from responder.secrets import Redactor
from responder.text import one_line

log = structlog.get_logger(__name__)

WAITING = 16  # pictures asked for and not yet drawn
PATIENCE = 5.0  # seconds; the first picture also loads matplotlib


class Painter:
    """Draws charts. What cannot be drawn in time is no picture, never an error."""

    def __init__(self, redact: Callable[[str], str] | None = None, spill: Spill = unheard) -> None:
        """``redact`` takes secrets out of every text before it becomes pixels; ``spill`` hears of what too many wait for."""
        self._redact = redact or Redactor()
        self._spill = spill
        self._seats = threading.BoundedSemaphore(WAITING)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="painter")

    async def paint(self, picture: Picture, patience: float = PATIENCE) -> bytes | None:
        """The picture as a PNG, or nothing where that fails or takes longer than ``patience`` seconds."""
        if patience <= 0:
            log.warning("no picture: no time is left")
            return None
        if not self._seats.acquire(blocking=False):
            self._spill(Overflow.PICTURES)
            log.warning("no picture: too many are waiting")
            return None
        try:
            drawing = self._thread.submit(_drawn, picture.cleaned(self._redact))
        except BaseException:
            self._seats.release()
            raise
        # The seat is taken until the thread is done, however long ago we gave up waiting.
        drawing.add_done_callback(lambda _: self._seats.release())
        try:
            async with asyncio.timeout(min(patience, PATIENCE)):
                return await asyncio.wrap_future(drawing)
        except TimeoutError:
            log.warning("no picture: not drawn in time")
        except Exception as error:  # noqa: BLE001 - a library's error in a picture must not cost the finding
            log.warning("no picture: drawing failed", error=one_line(repr(error), 200))
        return None

    def close(self) -> None:
        """Draw nothing more; what is being drawn is finished in its thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _drawn(picture: Picture) -> bytes:
    """In the painter's thread. matplotlib is loaded by who draws, and by nobody else.

    It keeps its list of fonts in the user's cache folder (``MPLCONFIGDIR``), or else in a temporary one; where neither
    can be written to, as on a read-only disk, there are no pictures. That it looks for fonts is no news for our log.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from responder.curves.draw import png  # noqa: PLC0415 - half a second and 50 MB, for the first picture only

    return png(picture)
