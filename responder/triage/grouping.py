"""Texts of other people's programs: alike but for their numbers, they are one line with a count."""

from __future__ import annotations

import re

from responder.text import one_line

_WORD_LIMIT = 2_000

#: What makes equal messages differ, each pattern linear: ids and times first, since they are made of numbers.
_VARYING: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b(?=[a-f]{0,40}[0-9])[0-9a-f]{8,64}\b"), "<id>"),
    (re.compile(r"[0-9]+(?:[.,:T_-][0-9]+)*Z?"), "#"),
)


def masked(text: str) -> str:
    """The text without what varies from one occurrence to the next; only for comparing."""
    for pattern, instead in _VARYING:
        text = pattern.sub(instead, text)
    return text


def clipped(text: str, limit: int) -> str:
    """The text on one line, about ``limit`` characters long, cut between words.

    It is cut before it is redacted, so no word may be cut: a part of a secret would no longer be known as one.
    """
    line = one_line(text, _WORD_LIMIT)
    if len(line) <= limit:
        return line
    head, _, _ = line[: limit + 1].rpartition(" ")
    return f"{head} …" if head else "(one long word) …"
