"""What a curve says at 3 a.m.: which series matters, the present value, the threshold, the trend. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

import msgspec

from responder.alerts import Alert, AlertStatus
from responder.curves.series import Series, Threshold, Window, held_for, trend
from responder.curves.words import names, span, sparkline, with_unit
from responder.incident.finding import FindingStatus
from responder.targets.promql import EXPRESSION_LIMIT
from responder.text import one_line

_LISTED = 10  # series in the detail
_SHOWN = 300  # characters of a query
_SIDES = {">": "over", ">=": "over", "<": "below", "<=": "below", "==": "at", "!=": "off"}


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """An expression, the alerts that carry it, and how many other expressions fire in the incident."""

    expression: str
    alerts: Sequence[Alert] = ()
    others: int = 0


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Curves, the one that matters first. ``total`` is how many there are; ``None``: more than these."""

    series: tuple[Series, ...]
    total: int | None
    window: Window
    threshold: Threshold | None
    unit: str = ""

    @property
    def beyond(self) -> int:
        """How many of them are where the alert fires, now."""
        if self.threshold is None:
            return 0
        return sum(self.threshold.holds(one.last) and not one.ended(self.window) for one in self.series)


def expression_of(alert: Alert) -> str:
    """The expression in an alert's generatorURL (``g0.expr``); nothing where there is none. Its host is nobody's business.

    Source: prometheus/prometheus util/strutil/strconv.go.
    """
    if len(alert.generator_url) > 4 * EXPRESSION_LIMIT:
        return ""
    try:
        found = parse_qs(urlsplit(alert.generator_url).query, max_num_fields=100).get("g0.expr", [""])
    except ValueError:
        return ""
    return found[0].strip()


def subject_of(alerts: Sequence[Alert], alertname: str) -> Subject | None:
    """What to draw: the expression of the incident's own alertname before others, of what fires before what does not."""
    by_expression: dict[str, list[Alert]] = {}
    for alert in sorted(alerts, key=lambda one: (one.starts_at, one.fingerprint)):
        expression = expression_of(alert)
        if expression:
            by_expression.setdefault(expression, []).append(alert)
    if not by_expression:
        return None

    def rank(expression: str) -> tuple[bool, bool, int, str]:
        carried = by_expression[expression]
        own = any(one.labels.get("alertname") == alertname for one in carried)
        firing = any(one.status is AlertStatus.FIRING for one in carried)
        return not own, not firing, -len(carried), expression

    chosen = min(by_expression, key=rank)
    return Subject(expression=chosen, alerts=tuple(by_expression[chosen]), others=len(by_expression) - 1)


def ranked(series: Sequence[Series], alerts: Sequence[Alert], threshold: Threshold | None) -> list[Series]:
    """The series of the alerts first, then what is beyond the threshold, then the largest (or smallest) last value."""
    firing = [one.labels for one in alerts if one.status is AlertStatus.FIRING]
    downwards = threshold is not None and threshold.downwards

    def rank(one: Series) -> tuple[bool, bool, bool, float]:
        own = any(_agree(one, labels) for labels in firing)
        beyond = threshold is not None and threshold.holds(one.last)
        if math.isnan(one.last):
            return not own, not beyond, True, 0.0
        return not own, not beyond, False, one.last if downwards else -one.last

    return sorted(series, key=rank)


def _agree(series: Series, labels: dict[str, str]) -> bool:
    """Whether an alert may be of this series: what both name is equal. A rule adds labels and takes few away."""
    return all(
        labels.get(name, value) == value for name, value in series.labels.items() if name != "__name__"
    )


def status_of(seen: Seen) -> FindingStatus:
    """A warning while the alert's comparison holds anywhere, and where the curve that matters has ended."""
    return FindingStatus.WARNING if seen.beyond or seen.series[0].ended(seen.window) else FindingStatus.OK


def headline(seen: Seen) -> str:
    """``2.4 s now, threshold 0.5 s, over it for 18m, rising for 20m``."""
    head, name = seen.series[0], names(seen.series)[0]
    parts = [_now(head, seen.window, seen.unit) + (f" ({name})" if name else "")]
    if seen.threshold is not None:
        parts.append(f"threshold {with_unit(seen.threshold.value, seen.unit)}")
    if seen.threshold is not None and not head.ended(seen.window):
        parts.append(_held(head, seen.threshold, seen.window))
    way = trend(head)
    if way is not None and not head.ended(seen.window):
        parts.append(f"{way.word} for {span(way.seconds)}")
    text = ", ".join(parts)
    return f"{text}; {_count(seen)}" if len(seen.series) > 1 else text


def _now(head: Series, window: Window, unit: str) -> str:
    value, gone = with_unit(head.last, unit), head.ended(window)
    return f"no value for {span(gone)}, the last was {value}" if gone else f"{value} now"


def _held(head: Series, threshold: Threshold, window: Window) -> str:
    holds, seconds, always = held_for(head, threshold)
    side, whole = _SIDES[threshold.operator], span(window.end - window.start)
    if holds:
        return f"{side} it all of {whole}" if always else f"{side} it for {span(max(seconds, window.step))}"
    return f"not {side} it in {whole}" if always else f"back from it for {span(max(seconds, window.step))}"


def _count(seen: Seen) -> str:
    total = f"{seen.total:,} series" if seen.total is not None else f"more than {len(seen.series)} series"
    if seen.threshold is None:
        return total
    return f"{seen.beyond} of {total} {_SIDES[seen.threshold.operator]} it"


def detail(seen: Seen, query: str, notes: Sequence[str]) -> str:
    """The curve in block characters, the other series, the query, and what else is to be known."""
    head = seen.series[0]
    values = [value for _, value in head.points()]
    lines = [sparkline(head, seen.window)]
    if values:
        low, high = with_unit(min(values), seen.unit), with_unit(max(values), seen.unit)
        lines[0] += f" {low} to {high} in {span(seen.window.end - seen.window.start)}"
    if len(seen.series) > 1:
        listed = list(zip(seen.series, names(seen.series), strict=True))[:_LISTED]
        lines += [f"{with_unit(one.last, seen.unit)}  {name}" for one, name in listed]
        more = (seen.total or len(seen.series)) - len(listed)
        lines += [f"and {more:,} more"] if more > 0 else []
    odd = Counter("NaN" if math.isnan(value) else "Inf" for value in head.values if not math.isfinite(value))
    lines += [f"{count} of {len(head.values)} points are {what}" for what, count in sorted(odd.items())]
    return "\n".join([*lines, *notes, f"query: {one_line(query, _SHOWN)}"])
