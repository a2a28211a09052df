"""SQL of the rule files' own: one ``SELECT``, its values bound, its answer cut on the server, and what it means.

The statement is asked inside a read-only transaction and wrapped, so that only so many rows of so many characters
leave the server. What cannot be wrapped (``SHOW``, or something that writes) is asked as it stands: the server refuses
a write.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec

from responder.durations import parse_duration
from responder.incident.finding import FindingStatus
from responder.parameters import ParameterError
from responder.targets.base import TargetError
from responder.text import one_line
from responder.triage.base import Observation
from responder.triage.postgres_queries.base import plural, worst
from responder.triage.postgres_queries.bounds import Bounds

MAX_COLUMNS = 50
MAX_ROWS = 500  # rows that are compared with the bounds
_CELL = 200  # characters of a value that leave the server
_NUMBERS = frozenset({"int2", "int4", "int8", "float4", "float8", "numeric", "oid"})
_COLUMN = re.compile(r"\{([^{}]{1,63})\}")


class Custom(msgspec.Struct, frozen=True, kw_only=True):
    """A statement of the rule files, and what its answer means.

    ``value`` names the column that is compared with the bounds, in each row; without it the number of rows is.
    ``headline`` may hold ``{column}``; the row that says the worst fills it in.
    """

    sql: str
    value: str | None = None
    headline: str | None = None
    warning: Bounds | None = None
    critical: Bounds | None = None
    rows: int = 10

    def verdict(self, value: float | None) -> FindingStatus:
        """What the value is; one that is not a number is no data."""
        if value is None or not math.isfinite(value):
            return FindingStatus.NO_DATA
        if self.critical is not None and self.critical.passed(value):
            return FindingStatus.CRITICAL
        if self.warning is not None and self.warning.passed(value):
            return FindingStatus.WARNING
        return FindingStatus.OK

    @property
    def wanted(self) -> int:
        """How many rows are fetched: one more than are shown, or are to be compared."""
        bounded = self.warning is not None or self.critical is not None
        return (MAX_ROWS if bounded else self.rows) + 1


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The columns' names, and the rows as texts; ``values`` are the compared column's."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    values: Sequence[float | None]


async def ask(connected: Any, custom: Custom, arguments: Sequence[str]) -> Observation:
    """Ask inside the present transaction.

    Raises:
        TargetError: where the statement is not one that answers with rows, or names a column that is not there.
        ParameterError: where an argument does not fit the type of its ``$n``.
    """
    statement = await connected.prepare(custom.sql, name="")  # the server takes one statement, no more
    attributes = statement.get_attributes()
    if not attributes or len(attributes) > MAX_COLUMNS:
        text = f"answers with {len(attributes)} columns" if attributes else "answers with no rows"
        raise TargetError(
            f"the sql {text}: a SELECT of at most {MAX_COLUMNS} columns is asked, and nothing that writes"
        )
    names = tuple(attribute.name for attribute in attributes)
    chosen = _chosen(custom, names)
    values = _bound(statement.get_parameters(), arguments)
    wrapped = _wrapped(custom, [attribute.type.name for attribute in attributes], chosen)
    await connected.execute("SAVEPOINT asked")
    try:
        statement = await connected.prepare(wrapped, name="")
    except (asyncpg.PostgresSyntaxError, asyncpg.FeatureNotSupportedError):
        await connected.execute("ROLLBACK TO SAVEPOINT asked")
        statement = await connected.prepare(custom.sql, name="")
    try:
        cursor = await statement.cursor(*values)
    except asyncpg.DataError as error:  # the driver's own, of a value that does not fit
        raise _misfit(error, arguments) from None
    rows = await cursor.fetch(custom.wanted)
    return _meant(custom, _answer(names, [tuple(row) for row in rows], chosen))


def _chosen(custom: Custom, names: tuple[str, ...]) -> int | None:
    """Where the compared column stands; every name that the rule file uses is looked for."""
    used = [custom.value] if custom.value is not None else []
    used += _COLUMN.findall(custom.headline or "")
    for name in used:
        if name not in names:
            known = one_line(", ".join(names), 120)
            raise TargetError(f"the sql has no column {one_line(name, 63)!r} (it has {known})")
    return names.index(custom.value) if custom.value is not None else None


def _wrapped(custom: Custom, types: list[str], chosen: int | None) -> str:
    """The statement, with each value as a text that the server cuts, and the compared one as a number."""
    cells = [f"left(c{n}::text, {_CELL})" for n in range(len(types))]
    cells.append(_number(f"c{chosen}", types[chosen]) if chosen is not None else "NULL::float8")
    columns = ", ".join(f"c{n}" for n in range(len(types)))
    text = custom.sql.rstrip().rstrip(";")
    # On a line of its own: the text may end in a comment.
    return f"SELECT {', '.join(cells)} FROM (\n{text}\n) AS asked({columns}) LIMIT {custom.wanted}"  # noqa: S608 - the rule file's


def _number(column: str, kind: str) -> str:
    if kind in _NUMBERS:
        return f"{column}::float8"
    if kind == "interval":
        return f"extract(epoch FROM {column})::float8"
    if kind == "bool":
        return f"{column}::int::float8"
    raise TargetError(
        f"the value is of type {one_line(kind, 63)}: only numbers, intervals and truth values are compared"
    )


def _answer(names: tuple[str, ...], rows: list[tuple[Any, ...]], chosen: int | None) -> _Answer:
    texts = [tuple("" if cell is None else str(cell) for cell in row[: len(names)]) for row in rows]
    values = [_numeric(row, len(names), chosen) for row in rows]
    return _Answer(columns=names, rows=texts, values=values)


def _numeric(row: tuple[Any, ...], width: int, chosen: int | None) -> float | None:
    """The compared value: a column of its own where the statement was wrapped."""
    found = row[width] if len(row) > width else row[chosen] if chosen is not None else None
    try:
        return None if found is None else float(found)
    except (TypeError, ValueError):
        return None


def _meant(custom: Custom, answer: _Answer) -> Observation:
    shown = answer.rows[: custom.rows]
    number = len(answer.rows)
    more = "over " if number >= custom.wanted else ""
    rows = plural(number - bool(more), "row") if number else "no rows"
    detail = "\n".join(_line(answer.columns, row) for row in shown)
    if number > len(shown):
        detail += f"\n… and {'more' if more else number - len(shown)}"
    if custom.value is None:
        status, row = custom.verdict(number), 0
    else:
        verdicts = [custom.verdict(value) for value in answer.values]
        status = worst(*verdicts) if verdicts else FindingStatus.NO_DATA
        row = verdicts.index(status) if verdicts else 0
    headline = f"{more}{rows}"
    if answer.rows and custom.headline is not None:
        headline = _filled(custom.headline, answer.columns, answer.rows[row])
    elif answer.rows and custom.value is not None:
        value = answer.rows[row][answer.columns.index(custom.value)]
        headline = f"{one_line(custom.value, 63)} is {one_line(value, _CELL) or 'NULL'} ({more}{rows})"
    return Observation(status=status, headline=headline + _why(custom, status), detail=detail)


def _why(custom: Custom, status: FindingStatus) -> str:
    bound = {FindingStatus.CRITICAL: custom.critical, FindingStatus.WARNING: custom.warning}.get(status)
    return f" ({status} {bound})" if bound is not None else ""


def _filled(template: str, columns: tuple[str, ...], row: tuple[str, ...]) -> str:
    """The template with its columns' values; a value is never read as a template again."""
    return _COLUMN.sub(lambda found: one_line(row[columns.index(found[1])], _CELL), template)


def _line(columns: tuple[str, ...], row: tuple[str, ...]) -> str:
    return ", ".join(f"{one_line(n, 63)}: {one_line(v, _CELL)}" for n, v in zip(columns, row, strict=True))


_ARGUMENT = re.compile(r"invalid input for query argument \$(\d+)")
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?")


def _matched(pattern: re.Pattern[str], kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        if pattern.fullmatch(text) is None:
            raise ValueError(text)
        return kind(text)

    return convert


def _truth(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


#: A text becomes what its ``$n`` is on the server; all other types take texts as they are.
_CONVERSIONS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), _matched(_WHOLE, int)),
    **dict.fromkeys(("float4", "float8"), _matched(_NUMBER, float)),
    "numeric": _matched(_NUMBER, Decimal),
    "bool": _truth,
    "interval": parse_duration,
    "timestamptz": datetime.fromisoformat,
}


def _bound(types: Sequence[Any], arguments: Sequence[str]) -> list[Any]:
    values = []
    for number, (kind, text) in enumerate(zip(types, arguments, strict=True)):
        try:
            values.append(_CONVERSIONS.get(kind.name, str)(text))
        except (ValueError, KeyError):
            kind_name = one_line(kind.name, 63)
            raise ParameterError(f"parameters[{number}]: {one_line(text, 60)!r} is no {kind_name}") from None
    return values


def _misfit(error: Exception, arguments: Sequence[str]) -> Exception:
    found = _ARGUMENT.match(str(error))
    if found is None:
        return error
    number = int(found[1]) - 1
    return ParameterError(
        f"parameters[{number}]: {one_line(arguments[number], 60)!r} does not fit ${number + 1}"
    )
