"""Alertmanager's matchers: ``name="value"``, ``!=``, ``=~``, ``!~``, with UTF-8 names and anchored RE2 patterns.

Source: Alertmanager's ``matcher/parse`` (UTF-8) and ``pkg/labels/parse.go`` (classic). As there, both are tried, and
the classic reading wins where both understand a text differently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import re2

_PREFIX_LIMIT = 100
_RE2_MEMORY = 1 << 20  # bytes a compiled pattern may take


class Operator(StrEnum):
    """How a label is compared."""

    EQUAL = "="
    NOT_EQUAL = "!="
    MATCHES = "=~"
    NOT_MATCHES = "!~"


class MatcherError(ValueError):
    """A text that is no matcher; says what would be."""


class Matcher:
    """One comparison of one label. A label that is missing compares as the empty text."""

    __slots__ = ("_pattern", "name", "operator", "value")

    def __init__(self, name: str, operator: Operator, value: str) -> None:
        """Raises :class:`MatcherError` for a pattern that RE2 does not take."""
        self.name = name
        self.operator = operator
        self.value = value
        self._pattern: Any = None
        if operator in (Operator.MATCHES, Operator.NOT_MATCHES):
            self._pattern = compile_pattern(value)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels satisfy it."""
        value = labels.get(self.name, "")
        if self.operator is Operator.EQUAL:
            return value == self.value
        if self.operator is Operator.NOT_EQUAL:
            return value != self.value
        return (self._pattern.fullmatch(value) is not None) is (self.operator is Operator.MATCHES)

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        name = self.name if _CLASSIC_NAME.fullmatch(self.name) else f'"{self.name}"'
        return f'{name}{self.operator}"{escaped}"'

    def __repr__(self) -> str:
        return f"Matcher({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Matcher) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[str, str, str]:
        return self.name, self.operator, self.value

    @property
    def prefix(self) -> str:
        """The beginning that every value has which it takes; empty where there is none in common."""
        if self.operator is not Operator.MATCHES or self._pattern.fullmatch("") is not None:
            return ""
        low, high = self._pattern.possiblematchrange(_PREFIX_LIMIT)
        common = _common(_bytes(low), _bytes(high))
        return common.decode(errors="ignore")

    @property
    def literals(self) -> frozenset[str] | None:
        """The values that it takes, where they are a closed set: an equality, or an alternation of plain words."""
        if self.operator is Operator.EQUAL:
            return frozenset({self.value})
        if self.operator is Operator.MATCHES and _PLAIN_ALTERNATION.fullmatch(self.value):
            return frozenset(self.value.split("|"))
        return None


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _common(low: bytes, high: bytes) -> bytes:
    length = next(
        (i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high))
    )
    return low[:length]


def _options() -> Any:
    """RE2's options for every pattern of ours: bounded memory, and no noise on stderr."""
    chosen = re2.Options()
    chosen.max_mem = _RE2_MEMORY
    chosen.log_errors = False
    return chosen


def compile_pattern(pattern: str) -> Any:
    """An RE2 pattern; no input can make it slow.

    Raises:
        MatcherError: where RE2 does not take it.
    """
    try:
        return re2.compile(pattern, options=_options())
    except re2.error as error:
        raise MatcherError(f"{pattern!r} is no RE2 pattern: {_re2_text(error)}") from None


def _re2_text(error: Exception) -> str:
    text = error.args[0] if error.args else error
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)


_CLASSIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_PLAIN_ALTERNATION = re.compile(r"[\w /:@#%&=<>,;~\x22'!-]+(?:\|[\w /:@#%&=<>,;~\x22'!-]+)*")
_OPERATOR = re.compile(r"\s*(=~|!~|!=|=)\s*")
_UNQUOTED = re.compile(r"[^\s{}!=~,\\\"'`]+")
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_CLASSIC = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_GO_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"',
}  # fmt: skip
_GO_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL
)


def parse_matcher(text: str) -> Matcher:
    """One matcher, such as ``alertname=~"Postgres.+"``.

    Raises:
        MatcherError: where it is none.
    """
    try:
        new: Matcher | None = _parse_utf8(text)
        problem: MatcherError | None = None
    except MatcherError as error:
        new, problem = None, error
    try:
        classic: Matcher | None = _parse_classic(text)
    except MatcherError:
        classic = None
    found = classic or new
    if found is None:
        raise problem or MatcherError(f"{text!r}: no matcher")
    return found


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """A list of matchers, with or without braces: ``{a="b", c=~"d.*"}``.

    Raises:
        MatcherError: where one of them is none, or a brace is alone.
    """
    inner = text.strip()
    if inner.startswith("{") != inner.endswith("}") or inner == "{":
        raise MatcherError(f"{text!r}: expected both braces or none")
    inner = inner.removeprefix("{").removesuffix("}").strip()
    return tuple(parse_matcher(part) for part in _split(inner))


def _split(text: str) -> list[str]:
    """Cut at commas outside quotes; one at the end is allowed."""
    parts, start, quoted, skip = [], 0, False, False
    for index, char in enumerate(text):
        if skip:
            skip = False
        elif char == "\\" and quoted:
            skip = True
        elif char == '"':
            quoted = not quoted
        elif char == "," and not quoted:
            parts.append(text[start:index])
            start = index + 1
    rest = text[start:]
    return [*parts, rest] if rest.strip() else parts


def _parse_utf8(text: str) -> Matcher:
    if text.lstrip().startswith("{") or text.rstrip().endswith("}"):
        raise MatcherError(f"{text!r}: a single matcher has no braces")
    name, rest = _token(text.strip(), text, "a label name")
    operator = _OPERATOR.match(rest)
    if operator is None:
        raise MatcherError(
            f'{text!r}: expected =, !=, =~ or !~ after the label name, such as severity="critical"'
        )
    value, rest = _token(rest[operator.end() :], text, "a value in double quotes")
    if rest.strip():
        raise MatcherError(f"{text!r}: {rest.strip()!r} after the value is too much")
    return Matcher(name, Operator(operator[1]), value)


def _token(rest: str, text: str, expected: str) -> tuple[str, str]:
    if quoted := _QUOTED.match(rest):
        return _unquote_go(quoted[0], text), rest[quoted.end() :]
    if unquoted := _UNQUOTED.match(rest):
        return unquoted[0], rest[unquoted.end() :]
    raise MatcherError(f"{text!r}: expected {expected}")


def _unquote_go(quoted: str, text: str) -> str:
    r"""A Go string literal; its ``\x`` and octal escapes are bytes, which must make UTF-8 in the end."""

    def one(match: re.Match[str]) -> str:
        byte, short, long, octal, plain = match.groups()
        if byte or octal:
            return bytes([int(byte, 16) if byte else int(octal, 8) & 0xFF]).decode("latin-1")
        if short or long:
            code = int(short or long, 16)
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                raise MatcherError(f"{text!r}: {match[0]} is no character")
            return chr(code).encode().decode("latin-1")
        if plain not in _GO_ESCAPES:
            raise MatcherError(f"{text!r}: unknown escape {match[0]}; a regex \\d is written \\\\d")
        return _GO_ESCAPES[plain]

    try:
        raw = _GO_ESCAPE.sub(one, quoted[1:-1].encode().decode("latin-1"))
        return raw.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise MatcherError(f"{text!r}: its escapes are not valid UTF-8") from None


def _parse_classic(text: str) -> Matcher:
    match = _CLASSIC.fullmatch(text)
    if match is None:
        raise MatcherError(f"{text!r}: no matcher")
    name, operator, value = match.groups()
    if value.startswith('"'):
        if len(value) < 2 or not value.endswith('"'):
            raise MatcherError(f"{text!r}: expected a closing quote")
        value = value[1:-1]
    return Matcher(name, Operator(operator), _unescape_classic(value, text))


def _unescape_classic(value: str, text: str) -> str:
    r"""Only ``\"``, ``\n`` and ``\\`` are escapes; any other backslash stands for itself."""
    result, index = [], 0
    while index < len(value):
        char, following = value[index], value[index + 1 : index + 2]
        if char == "\\" and following in {'"', "n", "\\"} and following:
            result.append("\n" if following == "n" else following)
            index += 2
            continue
        if char == '"':
            raise MatcherError(f"{text!r}: an unescaped quote inside the value")
        result.append(char)
        index += 1
    return "".join(result)
