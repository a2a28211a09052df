"""Type ``prometheus``: the alert's own expression, or a configured query, as a curve over the time before the alert."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from responder.alerts import Alert
from responder.curves.picture import LINES, Line, Picture
from responder.curves.series import Threshold, Window
from responder.curves.words import names
from responder.incident.finding import FindingStatus
from responder.parameters import ParameterError
from responder.targets.base import configured
from responder.targets.prometheus import Answer, Prometheus, PrometheusError, TooMuchError
from responder.targets.promql import bound, placeholders, split
from responder.text import one_line
from responder.triage.base import PROBES, Chart, Circumstances, Observation, ProbeSettings, ProbeTools
from responder.triage.prometheus_settings import PrometheusSettings, dashboard_of
from responder.triage.prometheus_words import (
    Seen,
    Subject,
    detail,
    headline,
    ranked,
    status_of,
    subject_of,
)

_POINTS = 250
_FINEST = 15.0  # seconds
_SERIES = 100  # asked for; where there are more, the worst of them are asked for by value
_WORST = 20
_ALERTS = 50
_SPARE = 0.5  # seconds kept for the finding itself, whatever the picture takes


class _Question(msgspec.Struct, frozen=True):
    """A query without the comparison that an alert's expression ends with, and all that belongs to it."""

    subject: Subject
    query: str
    threshold: Threshold | None
    window: Window
    link: str
    notes: list[str]


@PROBES.register("prometheus")
class PrometheusProbe:
    """One range query to a configured Prometheus, as a sentence, a line of blocks and a picture."""

    Settings: ClassVar[type[ProbeSettings]] = PrometheusSettings
    per_incident: ClassVar[bool] = True

    def __init__(self, settings: PrometheusSettings, tools: ProbeTools) -> None:
        self._settings = settings
        self._tools = tools

    async def look(self, circumstances: Circumstances) -> Observation:
        """Ask, judge, draw. Sender's URLs are never contacted: their expression goes to the configured server."""
        s, loop = self._settings, asyncio.get_running_loop()
        deadline = loop.time() + s.timeout.total_seconds()
        target = configured(self._tools.targets.prometheus, "prometheus", s.target)
        alerts, _ = await self._tools.neighbours.alerts(circumstances.incident, _ALERTS)
        question = self._question(circumstances, alerts)
        if question is None:
            text = "nothing to draw: the alert carries no expression (generatorURL); set a query"
            return Observation(status=FindingStatus.NO_DATA, headline=text, link=dashboard_of(alerts))
        try:
            server = Prometheus(s.target, target, self._tools.session, s.timeout)
            answer, total = await _asked(server, question)
        except PrometheusError as error:
            text = f"query: {one_line(question.query, 1_000)}"
            return Observation(status=error.status, headline=str(error), detail=text, link=question.link)
        notes = [*question.notes, *_notes(answer)]
        if not answer.series:
            text = _nothing(answer, question.query)
            return Observation(
                status=FindingStatus.NO_DATA, headline=text, detail="\n".join(notes), link=question.link
            )
        seen = _seen(answer, total, question, s.unit)
        picture = self._picture(seen, question, circumstances)
        png = await self._tools.painter.paint(picture, deadline - loop.time() - _SPARE)
        return Observation(
            status=status_of(seen),
            headline=headline(seen),
            detail=detail(seen, question.query, notes),
            chart=Chart(png=png, alt=picture.alt()) if png else None,
            link=question.link,
        )

    def _question(self, around: Circumstances, alerts: Sequence[Alert]) -> _Question | None:
        """What to ask: the configured query or the alert's expression, without its threshold."""
        s = self._settings
        subject = (
            Subject(
                expression=bound(s.query, s.resolved(placeholders(s.query), around.labels)), alerts=alerts
            )
            if s.query is not None
            else subject_of(alerts, around.labels.get("alertname", ""))
        )
        if subject is None:
            return None
        end, length = self._tools.clock.now().timestamp(), s.range.total_seconds()
        window = Window(end - length, end, max(_FINEST, length / _POINTS))
        query, threshold = split(subject.expression)
        notes = (
            [f"{subject.others} other expression(s) of this incident are not drawn"] if subject.others else []
        )
        link = dashboard_of([*subject.alerts, *alerts])
        try:
            link = s.dashboard_for(around.labels, window) or link
        except ParameterError as error:
            notes.append(f"no dashboard: {error}")
        return _Question(subject, query, threshold, window, link, notes)

    def _picture(self, seen: Seen, question: _Question, around: Circumstances) -> Picture:
        total = seen.total if seen.total is not None else len(seen.series)
        drawn = list(zip(names(seen.series), seen.series, strict=True))[:LINES]
        starts = [one.starts_at.timestamp() for one in question.subject.alerts]
        return Picture(
            title=self._settings.title or around.labels.get("alertname", "") or around.service,
            subtitle=question.query,
            window=seen.window,
            lines=tuple(Line(name, one) for name, one in drawn),
            threshold=seen.threshold,
            fired_at=min(starts, default=around.opened_at.timestamp()),
            unit=seen.unit,
            unseen=total - len(drawn),
        )


async def _asked(server: Prometheus, question: _Question) -> tuple[Answer, int | None]:
    """The curves, and how many there are in all. Where there are too many, only those that are worst at the end."""
    query, window = question.query, question.window
    first: Answer | None = None
    try:
        first = await server.range(query, window, _SERIES)
        if len(first.series) < _SERIES:
            return first, len(first.series)
    except TooMuchError:
        pass
    try:
        answer = await server.range(_worst(question), window, _SERIES)
        total = await server.value(f"count(\n{query}\n)", window.end)
    except PrometheusError:
        if first is None:
            raise
        return first, None
    return answer, round(total) if total is not None else None


def _worst(question: _Question) -> str:
    """The query for those series alone whose latest values are the worst, whatever they were before."""
    query, window, threshold = question.query, question.window, question.threshold
    choice = "bottomk" if threshold is not None and threshold.downwards else "topk"
    step = f"{round(window.step)}s"
    # The line breaks end a comment that the query may end with.
    last = f"last_over_time((\n{query}\n)[{step}:{step}] @ {window.end:.3f})"
    return f"(\n{query}\n) and {choice}({_WORST}, {last})"


def _seen(answer: Answer, total: int | None, question: _Question, unit: str) -> Seen:
    series = tuple(ranked(answer.series, question.subject.alerts, question.threshold))
    return Seen(series=series, total=total, window=question.window, threshold=question.threshold, unit=unit)


def _notes(answer: Answer) -> list[str]:
    notes = [f"Prometheus warns: {text}" for text in answer.warnings]
    if answer.histograms and answer.series:
        notes.append(f"{answer.histograms} native histogram(s) have no curve")
    return notes


def _nothing(answer: Answer, query: str) -> str:
    shown = one_line(query, 100)
    if answer.histograms:
        return f"native histograms only, which have no curve; use histogram_quantile: {shown}"
    return f"no data for {shown}"
