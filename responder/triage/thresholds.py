"""From where on a finding is a warning, and from where on critical: the worse of the two comes later."""

from __future__ import annotations

from datetime import timedelta

from responder.durations import format_duration

Amount = float | timedelta


def check_order(warning: Amount | None, critical: Amount | None, *, below: bool = False) -> None:
    """Refuse a ``critical`` that is reached before ``warning``; ``below`` where less is worse. Both are of one kind.

    Raises:
        ValueError: that names both.
    """
    if warning is None or critical is None:
        return
    first, last = _number(warning), _number(critical)
    if first < last if below else last < first:
        text = f"critical: {_shown(critical)} is less bad than warning ({_shown(warning)})"
        raise ValueError(f"{text}: exchange the two, or give both")


def check_share(key: str, value: float) -> None:
    """Refuse what is no share of something; none at all would always be reached.

    Raises:
        ValueError: that names the ``key``.
    """
    if not 0 < value <= 1:
        raise ValueError(f"{key}: expected a share above 0 and at most 1, such as 0.8, got {value:g}")


def _number(amount: Amount) -> float:
    return amount.total_seconds() if isinstance(amount, timedelta) else amount


def _shown(amount: Amount) -> str:
    return format_duration(amount) if isinstance(amount, timedelta) else f"{amount:g}"
