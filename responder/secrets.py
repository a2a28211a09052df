"""Secrets that never show themselves, and the redaction of text that may hold some."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit


class SecretError(OSError):
    """The file of a secret holds none. Its text names the file."""


class Secret:
    """A value that ``repr``, logs and dumps show as ``<secret>``; from a file it is read at each use (rotation)."""

    __slots__ = ("_file", "_value")

    def __init__(self, value: str = "", *, file: Path | None = None) -> None:
        self._value = value
        self._file = file

    def reveal(self) -> str:
        """The value itself.

        Raises:
            OSError: where the file cannot be read, or holds no secret: one that is being written may be empty for a
                moment, and an empty secret would let everybody in.
        """
        if self._file is None:
            return self._value
        try:
            found = self._file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise SecretError(f"{self._file} is not UTF-8") from None
        if not found:
            raise SecretError(f"{self._file} is empty")
        return found

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._value, self._file) == (other._value, other._file)

    def __hash__(self) -> int:
        return hash((self._value, self._file))


#: A header's value that names what kind of credential follows: ``Bearer …``, ``Basic …``, ``Token …``, ``ApiKey …``.
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]{0,30}):?\s+(\S.*?)\s*", re.DOTALL)


def spellings(value: str) -> tuple[str, ...]:
    """Every text that gives a secret away: the value, and what of it is a secret by itself.

    That is the credential behind the name of its scheme, the password in ``Basic`` and the one in a URL, as they are
    written there and decoded.
    """
    return tuple(dict.fromkeys(_spellings(value)))


def _spellings(value: str) -> Iterator[str]:
    yield value
    if named := _SCHEME.fullmatch(value):
        yield named[2]
        if named[1].lower() == "basic":
            yield from _of_basic(named[2])
    yield from passwords(value)


def _of_basic(credential: str) -> Iterator[str]:
    """RFC 7617: ``user:password`` in base64."""
    try:
        pair = base64.b64decode(credential, validate=True).decode()
    except (binascii.Error, ValueError):
        return
    yield pair
    yield pair.partition(":")[2]


def passwords(url: str) -> Iterator[str]:
    """The password inside a URL, as it stands there and decoded; none where the text is no URL."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return
    if password:
        yield password
        yield unquote(password)


REDACTED = "<redacted>"
_MOST_KNOWN = 2_000  # present and former ones
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


class CurrentRedactor:
    """A redactor that follows secrets whose files change; what was one stays one, as it may be valid still."""

    def __init__(self, find: Callable[[], Sequence[str]]) -> None:
        """``find`` reads the secrets as they are now."""
        self._find = find
        self._known: tuple[str, ...] = ()
        self._redactor = Redactor()
        self.look()

    def look(self) -> None:
        """Read the secrets; it may read files."""
        known = tuple(dict.fromkeys((*self._find(), *self._known)))[:_MOST_KNOWN]
        if known != self._known:
            self._known, self._redactor = known, Redactor(known)

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        return self._redactor(text)
