"""``python -m responder.calendars.child START END``: a file on the standard input, its occurrences on the output.

A process of its own, since a repetition can be written that takes for ever, and no thread can be stopped. It limits
itself in memory and computing time; its parent limits the time and ends it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from datetime import datetime

import msgspec

from responder.calendars.parse import BODY_LIMIT, occurrences

_MEMORY = 1024 * 1024 * 1024  # bytes
_SECONDS = 20


def main() -> None:
    """Read, expand, answer; what is more urgent goes first."""
    os.nice(10)
    for limit, most in ((resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CPU, _SECONDS)):
        with contextlib.suppress(ValueError, OSError):  # already lower, or not known here
            resource.setrlimit(limit, (most, most))
    start, end = (datetime.fromisoformat(text) for text in sys.argv[1:3])
    raw = sys.stdin.buffer.read(BODY_LIMIT + 1)
    sys.stdout.buffer.write(msgspec.json.encode(occurrences(raw, start, end)))


if __name__ == "__main__":
    main()
