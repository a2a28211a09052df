"""Configured Prometheus servers: a range query by POST, an answer of bounded size, and what its errors mean.

Source: prometheus/prometheus docs/querying/api.md. Thanos, Mimir and VictoriaMetrics answer in the same form.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Annotated

import aiohttp
import msgspec

from responder.config import PrometheusTarget
from responder.curves.series import Series, Window
from responder.incident.finding import FindingStatus
from responder.targets.base import TargetError
from responder.targets.http import UnclearError, UnreachableError, answered, joined
from responder.text import one_line

ANSWER_LIMIT = 2 * 1024 * 1024  # bytes: a hundred series of 250 points are about one million
_ERROR_LIMIT = 150
_WARNINGS = 5
_LARGEST_LABEL = 500


class PrometheusError(TargetError):
    """It refused or failed; ``status`` is what that means for a finding."""

    def __init__(self, text: str, status: FindingStatus = FindingStatus.ERROR) -> None:
        super().__init__(text)
        self.status = status


class TooMuchError(PrometheusError):
    """The answer is larger than what is read."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Series with values, how many had none (native histograms), and what Prometheus warned of."""

    series: tuple[Series, ...] = ()
    histograms: int = 0
    warnings: tuple[str, ...] = ()


class _Element(msgspec.Struct, frozen=True):
    metric: dict[str, str] = {}
    values: list[tuple[float, str]] = []
    value: tuple[float, str] | None = None


class _Data(msgspec.Struct, frozen=True, rename="camel"):
    result_type: str = ""
    result: msgspec.Raw = msgspec.Raw(b"[]")


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    status: Annotated[str, msgspec.Meta(max_length=20)]
    data: _Data | None = None
    error_type: str = ""
    error: str = ""
    warnings: list[str] = []
    infos: list[str] = []


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_ELEMENTS = msgspec.json.Decoder(list[_Element])

#: ``errorType`` -> what it means. What is not listed is an error.
_MEANINGS: dict[str, tuple[FindingStatus, str]] = {
    "bad_data": (FindingStatus.ERROR, "does not understand the query"),
    "execution": (FindingStatus.ERROR, "cannot evaluate the query"),
    "timeout": (FindingStatus.TIMEOUT, "gave the query up at its time limit"),
    "canceled": (FindingStatus.TIMEOUT, "cancelled the query"),
}


class Prometheus:
    """One configured server. ``limit`` is how long a call may take; the server is told to give up a bit earlier."""

    def __init__(
        self, name: str, target: PrometheusTarget, session: aiohttp.ClientSession, limit: timedelta
    ) -> None:
        self._name = name
        self._target = target
        self._session = session
        self._limit = limit.total_seconds()

    async def range(self, query: str, window: Window, most: int) -> Answer:
        """The curves of a query over a window, at most about ``most`` series where the server knows that limit.

        Raises:
            TooMuchError: where the answer is over the limit of bytes.
            PrometheusError: where there is no answer that could be used.
        """
        form = {
            "query": query,
            "start": f"{window.start:.3f}",
            "end": f"{window.end:.3f}",
            "step": f"{window.step:.3f}",
            "limit": str(most),
        }
        envelope = await self._ask("query_range", form)
        return _answer(_elements(self._name, envelope, "matrix"), envelope)

    async def value(self, query: str, at: float) -> float | None:
        """The one value of a query at a time; ``None`` where there is none."""
        envelope = await self._ask("query", {"query": query, "time": f"{at:.3f}"})
        found = _elements(self._name, envelope, "vector")
        return _float(found[0].value[1]) if found and found[0].value else None

    async def _ask(self, path: str, form: dict[str, str]) -> _Envelope:
        url = joined(self._target.url, f"/api/v1/{path}")
        headers = {name: value.reveal() for name, value in self._target.headers.items()}
        headers |= {"Accept": "application/json", "Accept-Encoding": "identity"}
        form |= {"timeout": f"{max(self._limit * 0.8, 0.1):.3f}"}
        asking = self._session.post(url, data=form, headers=headers, allow_redirects=False)
        try:
            found = await answered(self._name, asking, ANSWER_LIMIT)
        except (UnreachableError, UnclearError) as error:
            raise PrometheusError(str(error)) from None
        if not found.whole:
            size = ANSWER_LIMIT // 1024**2
            raise TooMuchError(f"{self._name} answers more than {size} MiB: narrow the query")
        return self._judged(found.status, found.body)

    def _judged(self, status: int, raw: bytes) -> _Envelope:
        """An answer that succeeded; the error of one that did not."""
        try:
            envelope = _ENVELOPE.decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise _without_json(self._name, status) from None
        if envelope.status == "success" and status == 200:
            return envelope
        meaning, text = _MEANINGS.get(envelope.error_type, (FindingStatus.ERROR, f"answers {status}"))
        said = one_line(envelope.error, _ERROR_LIMIT)
        raise PrometheusError(f"{self._name} {text}" + (f": {said}" if said else ""), meaning)


def _without_json(name: str, status: int) -> PrometheusError:
    """What an answer that is not Prometheus' own means."""
    match status:
        case 401 | 403:
            return PrometheusError(f"{name} refuses the credentials ({status})", FindingStatus.DENIED)
        case 404:
            return PrometheusError(f"{name} has no Prometheus API at its address (404)")
        case 503:
            return PrometheusError(f"{name} is not ready (503)")
        case _ if 300 <= status < 400:
            return PrometheusError(f"{name} answers with a redirect ({status}), which is not followed")
        case _:
            return PrometheusError(f"{name} answers {status}, but not in JSON as Prometheus does")


def _elements(name: str, envelope: _Envelope, kind: str) -> list[_Element]:
    data = envelope.data
    if data is None or data.result_type != kind:
        found = data.result_type if data is not None else "nothing"
        raise PrometheusError(f"{name} answers with {one_line(found, 40)}, expected a {kind}")
    try:
        return _ELEMENTS.decode(data.result)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise PrometheusError(f"{name} answers with a {kind} that cannot be read") from None


def _answer(elements: list[_Element], envelope: _Envelope) -> Answer:
    warnings = [one_line(text, _ERROR_LIMIT) for text in [*envelope.warnings, *envelope.infos][:_WARNINGS]]
    return Answer(
        series=tuple(_series(one) for one in elements if one.values),
        histograms=sum(not one.values for one in elements),
        warnings=tuple(warnings),
    )


def _series(element: _Element) -> Series:
    return Series(
        labels={name: value[:_LARGEST_LABEL] for name, value in element.metric.items()},
        times=[at for at, _ in element.values],
        values=[_float(text) for _, text in element.values],
    )


def _float(text: str) -> float:
    """A sample's value; what is no number is shown as none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
