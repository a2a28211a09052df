"""Lines of containers' logs: read with their times, filtered, counted, and grouped where they say the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import msgspec

from responder.matchers import MatcherError, compile_pattern
from responder.triage.log_lines import alike, shown, without_keys

#: What an error looks like in the logs of most programs; a JSON line is read as ``LEVEL message`` first.
ERRORS = (
    r're2: \b(ERROR|FATAL|CRITICAL|PANIC|SEVERE)\b|\blevel="?(error|fatal|panic|critical)'
    r"|^[EF][0-9]{4} [0-9:.]+ |^panic: |^Traceback \(most recent call last\)"
)
_RE2 = "re2:"
_COMPARED = 400  # characters of a line
_LEVELS = ("level", "severity", "levelname", "lvl", "log.level")
_MESSAGES = ("message", "msg", "event", "error", "err")
_COLOUR = re.compile("\x1b\\[[0-9;]{0,20}[A-Za-z]")
_Test = Callable[[str], bool]


class Line(msgspec.Struct, frozen=True):
    """One line of one log. ``text`` is what it says; ``raw`` is how it stands there."""

    at: datetime | None
    source: str
    raw: str
    text: str


class Group(msgspec.Struct):
    """Lines that say the same."""

    sample: str
    error: bool
    count: int = 0
    last: datetime | None = None
    sources: set[str] = msgspec.field(default_factory=set)

    def __str__(self) -> str:
        at = f", last {self.last:%H:%M:%S}Z" if self.last else ""
        where = min(self.sources) + (f" and {len(self.sources) - 1} more" if len(self.sources) > 1 else "")
        return f"{self.count}x {self.sample} [{where}{at}]"


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """What was read: how many lines, how many passed the filter, how many of those are errors, and the groups."""

    read: int
    passed: int
    errors: int
    groups: tuple[Group, ...]


def line_check(expression: str) -> _Test:
    """Whether a line holds a text; with ``re2:`` before it, whether it has the pattern.

    Raises:
        ValueError: where RE2 does not take the pattern.
    """
    if not expression.startswith(_RE2):
        return lambda text: expression in text
    try:
        pattern = compile_pattern(expression.removeprefix(_RE2).strip())
    except MatcherError as error:
        raise ValueError(str(error)) from None
    return lambda text: pattern.search(text) is not None


def lines_of(raw: bytes, source: str, *, whole: bool) -> list[Line]:
    """The lines of a log that was asked for with ``timestamps``; a first one that was cut is left out."""
    texts = _COLOUR.sub("", raw.decode(errors="replace")).split("\n")
    return [_line(text, source) for text in without_keys(texts if whole else texts[1:])]


def _line(text: str, source: str) -> Line:
    stamp, _, rest = text.partition(" ")
    at = _time(stamp)
    plain = text if at is None else rest
    return Line(at=at, source=source, raw=plain, text=_meaning(plain))


def _time(stamp: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(stamp) if len(stamp) > 18 else None
    except ValueError:
        return None
    return at.astimezone(UTC) if at is not None and at.tzinfo is not None else None


def _meaning(text: str) -> str:
    """``LEVEL message`` of a line of JSON; any other line as it is."""
    if not text.startswith("{"):
        return text
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    message = next((str(found[key]) for key in _MESSAGES if found.get(key)), "")
    level = next((str(found[key]).upper() for key in _LEVELS if isinstance(found.get(key), str)), "")
    return f"{level} {message}".strip() if message else text


def digest(lines: Iterable[Line], passes: _Test, is_error: _Test) -> Digest:
    """Filter by how lines stand there, and count and group them by what they say; errors first, most frequent first."""
    read = passed = errors = 0
    groups: dict[str, Group] = {}
    for line in lines:
        read += 1
        if not passes(line.raw):
            continue
        passed += 1
        error = is_error(line.text)
        errors += error
        key = alike(line.text[:_COMPARED])
        group = groups.get(key)
        if group is None:
            group = groups[key] = Group(shown(line.text), error)
        group.count += 1
        group.sources.add(line.source)
        if line.at is not None and (group.last is None or line.at > group.last):
            group.last = line.at
    ordered = sorted(groups.values(), key=lambda one: (not one.error, -one.count))
    return Digest(read=read, passed=passed, errors=errors, groups=tuple(ordered))
