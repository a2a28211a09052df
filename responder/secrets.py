"""Secrets that never show themselves, and the redaction of text that may hold some."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path


class Secret:
    """A value that ``repr``, logs and dumps show as ``<secret>``; from a file it is read at each use (rotation)."""

    __slots__ = ("_file", "_value")

    def __init__(self, value: str = "", *, file: Path | None = None) -> None:
        self._value = value
        self._file = file

    def reveal(self) -> str:
        """The value itself.

        Raises:
            OSError: where the file cannot be read.
        """
        if self._file is None:
            return self._value
        return self._file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._value, self._file) == (other._value, other._file)

    def __hash__(self) -> int:
        return hash((self._value, self._file))


REDACTED = "<redacted>"
_SHORTEST = 6  # characters; anything shorter would blank ordinary words

#: What looks like a secret in logs, queries and answers. Each pattern is linear: it runs over sender's text.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"-----BEGIN [A-Z ]{1,40}-----[^-]{1,8000}-----END [A-Z ]{1,40}-----"),
        REDACTED,
    ),
    (re.compile(r"(://[^/\s:@]{0,200}):[^/\s@]{1,200}@"), rf"\1:{REDACTED}@"),
    (
        re.compile(
            r"(?i)\b([\w-]{0,40}(?:password|passwd|pwd|secret|token|api[_-]?key|authorization|cookie)[\"']?)"
            r"(\s{0,5}[=:]\s{0,5})(?:(?:bearer|basic)\s{1,5})?[^\s,;&]{1,2000}"
        ),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s{1,5}[A-Za-z0-9+/=._~-]{8,2000}"), rf"\1 {REDACTED}"),
    (re.compile(r"\beyJ[\w-]{1,2000}\.[\w-]{1,4000}\.[\w-]{1,2000}"), REDACTED),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), REDACTED),
    (re.compile(r"\bx(?:ox[abprs]|app)-[\w-]{5,200}"), REDACTED),
    (re.compile(r"\bgh[pousr]_\w{36,255}\b"), REDACTED),
    (re.compile(r"\b(?:sk_live_\w{5,200}|sbp_[0-9a-f]{40})\b"), REDACTED),
    (re.compile(r"hooks\.slack\.com/services/[^\s\"'<>]{1,300}"), f"hooks.slack.com/services/{REDACTED}"),
)


class Redactor:
    """Blanks configured secrets by their exact value, and anything that looks like one. Redact first, cut afterwards."""

    def __init__(self, known: Sequence[str] = ()) -> None:
        exact = sorted({one for one in known if len(one) >= _SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(re.escape(one) for one in exact)) if exact else None

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        return text
