"""Log lines that say the same become one line with a count: what differs in them is numbers, ids and times."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from responder.secrets import REDACTED
from responder.text import one_line

SHOWN = 300  # characters of a line
_READ = 4_000  # characters of a line that are looked at
_BEYOND = 300  # characters behind what is shown in which what is to be masked may end
_KINDS = 5_000  # different lines that are told apart; what comes later and is new is not counted

#: What differs between lines that say the same. What stands under ``kept`` is the exception: an HTTP status tells
#: lines apart. Each alternative is linear: it runs over anybody's text.
_VARYING = re.compile(
    r"""
    (?P<kept> (?:status(?:[_ ]?code)?["']?\s{0,3}[=:]?\s{0,3} | HTTP/\d(?:\.\d)?"?\s{1,3} | \|\s{0,3}) [1-5]\d\d\b)
    | [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}          # a UUID
    | \d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?  # a time
    | 0x[0-9a-f]+                                                              # an address in memory
    | \b(?=[0-9a-z_]*\d)[0-9a-z_]{5,}\b                                        # an id: hex, base 62, a pod's suffix
    | \d+(?:[.,:/-]\d+)*                                                       # a number, an address, a date
    """,
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
#: Whose a line is makes no difference to what is wrong: mail addresses and numbers that look like a card's.
_PERSONAL = re.compile(
    r"[\w.+-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}|\b[3-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}\b",
    re.ASCII | re.IGNORECASE,
)
_KEY_BEGINS, _KEY_ENDS = "-----BEGIN ", "-----END "
_KEY_LINES = 200  # more lines than a private key has: a beginning without an end hides no more than these


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Lines that say the same: the first of them, masked, of at most 300 characters, and how many they are."""

    text: str
    count: int


def grouped(lines: Iterable[str], limit: int) -> list[Group]:
    """The ``limit`` most frequent kinds of lines, the most frequent first, then in the order in which they came.

    A line is cut between words only, so that whoever redacts it later finds a secret whole or not at all; private keys,
    which stand on many lines, are left out.
    """
    counts: dict[str, int] = {}
    first: dict[str, str] = {}
    for line in without_keys(lines):
        kind = alike(line)
        if kind not in counts:
            if len(counts) >= _KINDS:
                continue
            first[kind] = line
        counts[kind] = counts.get(kind, 0) + 1
    often = sorted(counts, key=counts.__getitem__, reverse=True)[: max(limit, 0)]
    return [Group(text=shown(first[kind]), count=counts[kind]) for kind in often]


def alike(line: str) -> str:
    """What lines that say the same have in common: the line without its numbers, ids and times."""
    return _VARYING.sub(lambda match: match["kept"] or "#", line)


def shown(line: str) -> str:
    """At most 300 characters of a line, without a part of a word at the end, and without whose data it was."""
    line = _PERSONAL.sub("<masked>", line[: SHOWN + _BEYOND])
    if len(line) <= SHOWN:
        return line
    whole, _, _ = line[:SHOWN].rpartition(" ")
    return f"{whole} …" if whole else "…"


def without_keys(lines: Iterable[str]) -> Iterator[str]:
    """The lines that hold something, each on one line, without private keys."""
    inside = 0
    for raw in lines:
        line = one_line(raw[:_READ], _READ)
        if inside:
            inside = 0 if _KEY_ENDS in line else inside - 1
            continue
        before, begins, _ = line.partition(_KEY_BEGINS)
        if begins:
            inside = 0 if _KEY_ENDS in raw else _KEY_LINES
            line = f"{before}{REDACTED}"
        if line:
            yield line
