"""What a sender wrote is data: cut to length and freed of control characters before it is shown."""

from __future__ import annotations

import re

#: C0 and C1 controls, line and paragraph separators, and the bidirectional overrides that can make a line read
#: as something else. Tabs and newlines are handled apart.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_SPACE = re.compile(r"\s+")


def one_line(text: str, limit: int) -> str:
    """The text on one line, without control characters, at most ``limit`` characters long."""
    return truncate(_SPACE.sub(" ", _UNSAFE.sub(" ", text)).strip(), limit)


#: What a person says about an incident is kept whole up to here.
NOTE_LIMIT = 2_000


def note_text(text: str) -> str:
    """What a person says, on one line and whole.

    Raises:
        ValueError: where it is longer than is kept; nothing that somebody wrote is cut without a word.
    """
    said = one_line(text, max(len(text), 1))
    if len(said) > NOTE_LIMIT:
        raise ValueError(f"{len(said):,} characters are more than the limit of {NOTE_LIMIT:,}; shorten it")
    return said


def block(text: str, limit: int) -> str:
    """The text with its line breaks, without other control characters, at most ``limit`` characters long."""
    return truncate(_UNSAFE.sub(" ", text.replace("\r\n", "\n").replace("\t", "    ")), limit)


def truncate(text: str, limit: int) -> str:
    """At most ``limit`` characters; what was cut shows as an ellipsis."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"


_ADDRESS = re.compile(r"https?://[^\s\x00-\x20\x7f\"'<>\\]{1,1900}")


def web_address(text: str) -> str:
    """The address where it is a plain http or https one that can be shown as a link, else nothing."""
    return text if _ADDRESS.fullmatch(text) else ""
