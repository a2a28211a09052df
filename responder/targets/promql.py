"""PromQL as text: an alert's comparison taken off its expression, and values put into a query so that they stay values.

Nothing here understands PromQL as a whole: it knows its tokens, its brackets and which operators bind weakest. What it is
not certain of it leaves as it is. Source: prometheus/prometheus promql/parser/lex.go and generated_parser.y.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from responder.curves.series import Threshold
from responder.durations import parse_duration

EXPRESSION_LIMIT = 10_000  # characters
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_NUMBER = re.compile(
    r"0[xX][0-9a-fA-F_]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?"
)
_TOKEN = re.compile(
    r"(?P<space>(?:\s|\#[^\n]*)+)"
    r"|(?P<placeholder>\{" + _NAME + r"\})"
    r"|(?P<text>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)"
    r"|(?P<number>(?:" + _NUMBER.pattern + r")[A-Za-z0-9]*)"
    r"|(?P<word>[A-Za-z_:][A-Za-z0-9_:.]*)"
    r"|(?P<sign>==|!=|<=|>=|=~|!~|[-+*/%^<>=(){}\[\],@:])"
)
_COMPARISONS = frozenset({"==", "!=", "<=", ">=", "<", ">"})
_SETS = frozenset({"and", "or", "unless"})
_PLACEHOLDER = re.compile(r"\{(" + _NAME + r")\}")
_REGEX_SIGNS = frozenset({"=~", "!~"})
_REGEX_META = re.compile(r"[\\.+*?()|\[\]{}^$]")


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


class PromQLError(ValueError):
    """A query that cannot be used; the text says why."""


def _tokens(query: str) -> list[_Token]:
    if len(query) > EXPRESSION_LIMIT:
        raise PromQLError(f"longer than {EXPRESSION_LIMIT:,} characters")
    found, at = [], 0
    while at < len(query):
        match = _TOKEN.match(query, at)
        if match is None:
            raise PromQLError(f"character {at + 1} ({query[at]!r}) is not PromQL")
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(_Token(kind, match[0], match.start(), match.end()))
        at = match.end()
    return found


def split(expression: str) -> tuple[str, Threshold | None]:
    """The curve behind an alert's expression, and its threshold.

    A comparison with a number (or plain arithmetic on numbers) is taken off where it is the weakest operator of the
    whole: ``latency > 0.5`` is the curve ``latency`` and the threshold 0.5, ``a > 1 and b < 2`` stays as it is.
    """
    try:
        tokens = _tokens(expression)
        tokens = _unwrapped(tokens)
        sign = _comparison(tokens)
        value = _constant(tokens[sign + 1 :])
    except (PromQLError, ValueError, IndexError, ZeroDivisionError, OverflowError, RecursionError):
        return expression, None
    curve = expression[tokens[0].start : tokens[sign - 1].end]
    return curve, Threshold(tokens[sign].text, value)


def _unwrapped(tokens: list[_Token]) -> list[_Token]:
    """Without brackets around the whole."""
    while tokens and tokens[0].text == "(" and _closing(tokens) == len(tokens) - 1:
        tokens = tokens[1:-1]
    return tokens


def _closing(tokens: Sequence[_Token]) -> int:
    depth = 0
    for number, token in enumerate(tokens):
        depth += _depth(token)
        if depth == 0:
            return number
    raise PromQLError("a bracket is not closed")


def _depth(token: _Token) -> int:
    if token.kind != "sign":
        return 0
    return 1 if token.text in "([{" else -1 if token.text in ")]}" else 0


def _comparison(tokens: Sequence[_Token]) -> int:
    """Where the one comparison outside of all brackets stands."""
    found, depth = [], 0
    for number, token in enumerate(tokens):
        depth += _depth(token)
        if depth == 0 and token.kind == "word" and token.text.lower() in _SETS:
            raise PromQLError("a set operator binds weaker")
        if depth == 0 and token.kind == "sign" and token.text in _COMPARISONS:
            found.append(number)
    if len(found) != 1 or found[0] == 0:
        raise PromQLError("not one comparison")
    return found[0]


def _constant(tokens: Sequence[_Token]) -> float:
    """The number that the tokens make, all of them: ``0.5``, ``-1``, ``(10 * 1024 * 1024)``."""
    value, rest = _sum(list(tokens))
    if rest:
        raise PromQLError("not a number")
    return value


def _sum(tokens: list[_Token]) -> tuple[float, list[_Token]]:
    value, rest = _product(tokens)
    while rest and rest[0].text in {"+", "-"}:
        sign = rest[0].text
        term, rest = _product(rest[1:])
        value = value + term if sign == "+" else value - term
    return value, rest


def _product(tokens: list[_Token]) -> tuple[float, list[_Token]]:
    value, rest = _factor(tokens)
    while rest and rest[0].text in {"*", "/"}:
        sign = rest[0].text
        term, rest = _factor(rest[1:])
        value = value * term if sign == "*" else value / term
    return value, rest


def _factor(tokens: list[_Token]) -> tuple[float, list[_Token]]:
    first, rest = tokens[0], tokens[1:]
    if first.kind == "number":
        return _number(first.text), rest
    if first.text in {"+", "-"}:
        value, rest = _factor(rest)
        return (value if first.text == "+" else -value), rest
    if first.text == "(":
        value, rest = _sum(rest)
        if rest[0].text == ")":
            return value, rest[1:]
    raise PromQLError("not a number")


def _number(text: str) -> float:
    """A number as PromQL writes it; a duration is its seconds."""
    if text[:2].lower() == "0x":
        return float(int(text, 16))
    if _NUMBER.fullmatch(text):
        return float(text.replace("_", ""))
    return parse_duration(text).total_seconds()


def placeholders(query: str) -> frozenset[str]:
    """The names of a query's placeholders, as ``{job}``.

    Raises:
        PromQLError: where it is not PromQL, or one stands in a raw string (backticks), where nothing can be escaped.
    """
    found: set[str] = set()
    for token in _tokens(query):
        if token.kind == "placeholder":
            found.add(token.text[1:-1])
        elif token.kind == "text":
            names = _PLACEHOLDER.findall(token.text)
            if names and token.text[0] == "`":
                raise PromQLError(f"{{{names[0]}}} stands in backticks: use double quotes")
            found.update(names)
    return frozenset(found)


def bound(query: str, values: Mapping[str, str]) -> str:
    """The query with its placeholders replaced by these values, each a string or part of one, whatever it holds.

    After ``=~`` and ``!~`` a value matches itself only. Every placeholder needs a value (``KeyError``).
    """
    parts, at, before = [], 0, ""
    for token in _tokens(query):
        if token.kind in {"placeholder", "text"}:
            literal = _literal(token, before, values)
            parts += [query[at : token.start], literal]
            at = token.end
        before = token.text
    return "".join([*parts, query[at:]])


def _literal(token: _Token, before: str, values: Mapping[str, str]) -> str:
    prepare: Callable[[str], str] = _for_regex if before in _REGEX_SIGNS else str
    if token.kind == "placeholder":
        return f'"{_escaped(prepare(values[token.text[1:-1]]), chr(34))}"'
    if token.text[0] == "`":
        return token.text
    quote = token.text[0]
    return _PLACEHOLDER.sub(lambda match: _escaped(prepare(values[match[1]]), quote), token.text)


def _for_regex(value: str) -> str:
    return _REGEX_META.sub(lambda match: "\\" + match[0], value)


def _escaped(value: str, quote: str) -> str:
    return value.replace("\\", "\\\\").replace(quote, "\\" + quote).replace("\n", "\\n")
