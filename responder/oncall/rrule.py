"""The text of an RRULE (RFC 5545, section 3.3.10), as far as a window of whole minutes needs it.

Days only: ``FREQ`` of ``DAILY``, ``WEEKLY``, ``MONTHLY`` or ``YEARLY``, with ``INTERVAL``, ``COUNT``, ``UNTIL``,
``BYDAY``, ``BYMONTHDAY``, ``BYMONTH``, ``BYSETPOS`` and ``WKST``. The time of day is the beginning's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Self

import msgspec

from responder.oncall.notation import DAY

_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_BYDAY = re.compile(r"([+-]?[1-9]\d?)?(MO|TU|WE|TH|FR|SA|SU)")
_UNTIL = re.compile(r"(\d{8})(T\d{6}(Z)?)?")
_PARTS = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "WKST")
_LISTED = 62  # values of one part
_MOST_OFTEN = 1_000  # of INTERVAL and COUNT


class Frequency(StrEnum):
    """How long a period is."""

    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


class Nth(msgspec.Struct, frozen=True):
    """A weekday (0 for Monday): each, or the ``number``-th of the period, from its end where that is negative."""

    weekday: int
    number: int = 0


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """The text of an RRULE, taken apart. ``until`` is a time of the wall or an instant, and is still in."""

    text: str
    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: datetime | None = None
    days: tuple[Nth, ...] = ()
    month_days: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    week_start: int = 0

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read ``FREQ=WEEKLY;BYDAY=SA``; with ``RRULE:`` in front or not."""
        parts = dict(_split(text))
        if "COUNT" in parts and "UNTIL" in parts:
            raise ValueError("give either COUNT or UNTIL")
        frequency = _frequency(parts.get("FREQ", ""))
        rule = cls(
            text=text.strip(),
            frequency=frequency,
            interval=_number("INTERVAL", parts.get("INTERVAL", "1"), 1, _MOST_OFTEN),
            count=_number("COUNT", parts["COUNT"], 1, _MOST_OFTEN) if "COUNT" in parts else None,
            until=_until(parts["UNTIL"]) if "UNTIL" in parts else None,
            days=tuple(_nth(one) for one in _values(parts, "BYDAY")),
            month_days=_numbers(parts, "BYMONTHDAY", 31),
            months=_numbers(parts, "BYMONTH", 12, signed=False),
            positions=_numbers(parts, "BYSETPOS", 366),
            week_start=_weekday("WKST", parts.get("WKST", "MO")),
        )
        _check(rule)
        return rule

    def __str__(self) -> str:
        return self.text


def _split(text: str) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for part in text.strip().upper().removeprefix("RRULE:").split(";"):
        name, equals, value = part.partition("=")
        if not equals or name not in _PARTS:
            known = ", ".join(_PARTS)
            raise ValueError(f"{part[:40]!r} is no part that is understood here (known: {known})")
        if name in seen:
            raise ValueError(f"{name} stands twice")
        seen.add(name)
        yield name, value


def _frequency(text: str) -> Frequency:
    try:
        return Frequency(text)
    except ValueError:
        known = ", ".join(Frequency)
        raise ValueError(f"expected FREQ to be one of {known}, such as FREQ=WEEKLY;BYDAY=SA") from None


def _number(name: str, text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"[+-]?\d{1,4}", text) or not least <= int(text) <= most or not int(text):
        raise ValueError(f"expected {name} to be a number from {least} to {most}, got {text[:20]!r}")
    return int(text)


def _values(parts: dict[str, str], name: str) -> list[str]:
    values = parts[name].split(",") if name in parts else []
    if len(values) > _LISTED:
        raise ValueError(f"{name} has {len(values)} values, more than {_LISTED}")
    return values


def _numbers(parts: dict[str, str], name: str, most: int, *, signed: bool = True) -> tuple[int, ...]:
    return tuple(_number(name, one, -most if signed else 1, most) for one in _values(parts, name))


def _weekday(name: str, text: str) -> int:
    if text not in _DAYS:
        raise ValueError(f"expected {name} to be one of {', '.join(_DAYS)}, got {text[:20]!r}")
    return _DAYS.index(text)


def _nth(text: str) -> Nth:
    match = _BYDAY.fullmatch(text)
    if match is None:
        raise ValueError(f"expected BYDAY to be days such as SA or -1SU, got {text[:20]!r}")
    return Nth(_DAYS.index(match[2]), int(match[1] or 0))


def _until(text: str) -> datetime:
    """A day counts as the whole of it; a time with ``Z`` is an instant."""
    match = _UNTIL.fullmatch(text)
    try:
        day = datetime.strptime(match[1], "%Y%m%d") if match else None  # noqa: DTZ007 - of the wall
        if match and match[2]:
            found = datetime.strptime(match[1] + match[2][:7], "%Y%m%dT%H%M%S")  # noqa: DTZ007 - or made an instant
            return found.replace(tzinfo=UTC) if match[3] else found
    except ValueError:
        day = None
    if day is None:
        raise ValueError(
            f"expected UNTIL to be a time such as 20261231 or 20261231T020000Z, got {text[:20]!r}"
        )
    return day + DAY - timedelta(microseconds=1)


def _check(rule: Rule) -> None:
    problems: tuple[tuple[Callable[[], bool], str], ...] = (
        (
            lambda: rule.frequency in (Frequency.DAILY, Frequency.WEEKLY) and any(one.number for one in rule.days),
            "a number before a day, as in 1MO, goes with FREQ=MONTHLY or YEARLY",
        ),
        (
            lambda: rule.frequency is Frequency.WEEKLY and bool(rule.month_days),
            "BYMONTHDAY does not go with FREQ=WEEKLY",
        ),
        (
            lambda: bool(rule.positions) and not (rule.days or rule.month_days or rule.months),
            "BYSETPOS goes with BYDAY, BYMONTHDAY or BYMONTH",
        ),
    )  # fmt: skip
    for is_wrong, text in problems:
        if is_wrong():
            raise ValueError(text)
