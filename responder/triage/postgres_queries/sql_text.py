"""SQL as text, read only as far as needed: what in it is data, and which ``$n`` it uses.

Source: PostgreSQL's documentation, "Lexical Structure".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from responder.text import one_line

SHOWN = 160  # characters of a query's text

#: One token at a time; every repetition is possessive, so that no text can make it slow. What is not closed, since the
#: text was cut, goes to its end.
_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]*+ | /\*(?:[^*]++|\*(?!/))*+(?:\*/)? )
    | (?P<literal> [eE]'(?:[^'\\]++|''|\\.)*+(?:'|\\?\Z)         # backslashes escape
                 | (?:[uU]&|[bBxXnN])?'(?:[^']++|'')*+'?
                 | \$(?P<tag>[A-Za-z_\x80-\uffff][\w\x80-\uffff]*+)?\$ )
    | (?P<name> "(?:[^"]++|"")*+"? | [^\W\d][\w$]*+ )
    | \$(?P<parameter>\d++)
    | (?P<number> \.?\d[\w.]*+ )
    | (?P<other> \s++ | . )
    """,
    re.VERBOSE | re.DOTALL,
)


def _tokens(sql: str) -> Iterator[re.Match[str]]:
    at = 0
    while (found := _TOKEN.match(sql, at)) is not None:
        yield found
        at = found.end()
        if found["literal"] and found["literal"].endswith("$") and not found["literal"].endswith("'"):
            end = sql.find(found["literal"], at)  # a dollar-quoted text ends at its own tag
            at = len(sql) if end < 0 else end + len(found["literal"])


def masked(query: str | None) -> str:
    """A query's text without comments and literals, which hold people's data; on one line, and short."""
    kept = []
    for token in _tokens(query or ""):
        if token["comment"]:
            kept.append(" ")
        elif token["literal"] or token["number"]:
            kept.append("?")
            if token["literal"] and _ambiguous(token["literal"]):
                break
        else:
            kept.append(token[0])
    return one_line("".join(kept), SHOWN)


def _ambiguous(literal: str) -> bool:
    """Whether a session with ``standard_conforming_strings = off`` would end this text elsewhere."""
    return literal[0] not in "eE" and "\\'" in literal


def placeholders(sql: str) -> frozenset[int]:
    """The numbers of the ``$n`` that the text uses, outside of literals, names and comments."""
    return frozenset(int(token["parameter"]) for token in _tokens(sql) if token["parameter"])
