"""What a probe of type ``prometheus`` may say, checked before it runs; and where its dashboard is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import ClassVar
from urllib.parse import quote

import msgspec

from responder.alerts import Alert
from responder.curves.series import Window
from responder.curves.words import UNIT_LIMIT, UNITS
from responder.parameters import Parameter, bound_text, resolve
from responder.registry import did_you_mean
from responder.targets.promql import PromQLError, placeholders
from responder.text import one_line, web_address
from responder.triage.base import ProbeSettings

SHORTEST, LONGEST = timedelta(minutes=5), timedelta(days=30)
_FIELDS = frozenset({"from", "to"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_DASHBOARD = re.compile(r"https?://[^/{}\s]+/\S*")
_ANNOTATIONS = ("dashboard_url", "dashboard", "grafana_url")


class PrometheusSettings(ProbeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without a ``query`` the alert's own expression is drawn, over ``range`` until now.

    ``values`` gives the placeholders of ``query`` and ``dashboard`` (``{name}``) their values, each escaped for where
    it stands. ``unit`` is seconds, bytes, ratio, percent or a short text. ``dashboard`` is an address for people;
    ``{from}`` and ``{to}`` are the time that is drawn, in unix milliseconds.
    """

    TARGET_KIND: ClassVar[str] = "prometheus"

    target: str
    query: str | None = None
    values: dict[str, Parameter] = msgspec.field(default_factory=dict)
    range: timedelta = timedelta(hours=2)
    unit: str = ""
    title: str = ""
    dashboard: str | None = None
    timeout: timedelta = timedelta(seconds=10)

    def __post_init__(self) -> None:
        """Raises ``ValueError`` that names the setting and the fix."""
        if not SHORTEST <= self.range <= LONGEST:
            raise ValueError("range: expected 5m to 30d")
        if len(self.unit) > UNIT_LIMIT or self.unit != one_line(self.unit, UNIT_LIMIT):
            raise ValueError(
                f"unit: expected one of {', '.join(UNITS)}, or a text of at most {UNIT_LIMIT} characters"
            )
        for name in self.values:
            if not _NAME.fullmatch(name) or name in _FIELDS:
                raise ValueError(f"values: {name!r} is not a name that a placeholder can have")
        used = self._used_in_query() | self._used_in_dashboard()
        for name in self.values:
            if name not in used:
                raise ValueError(f"values.{name}: neither query nor dashboard has a placeholder {{{name}}}")

    def _used_in_query(self) -> frozenset[str]:
        try:
            used = placeholders(self.query or "")
        except PromQLError as error:
            raise ValueError(f"query: {error}") from None
        if self.query is not None and not self.query.strip():
            raise ValueError("query: it is empty; leave it out to draw the alert's own expression")
        self._known(used, self.values, "query")
        return used

    def _used_in_dashboard(self) -> frozenset[str]:
        if self.dashboard is None:
            return frozenset()
        if not _DASHBOARD.fullmatch(self.dashboard):
            raise ValueError(
                "dashboard: expected http(s)://host/path, with placeholders in the path or query only"
            )
        used = frozenset(_PLACEHOLDER.findall(self.dashboard))
        self._known(used, [*self.values, *_FIELDS], "dashboard")
        return used - _FIELDS

    def _known(self, used: Iterable[str], known: Iterable[str], where: str) -> None:
        for name in sorted(used):
            if name not in known:
                raise ValueError(
                    f"{where}: {{{name}}} has no value: add values.{name}{did_you_mean(name, known)}"
                )

    def resolved(self, used: Iterable[str], labels: Mapping[str, str]) -> dict[str, str]:
        """The values of these placeholders. Raises ``ParameterError``."""
        return {name: resolve(self.values[name], labels, f"values.{name}", bound_text) for name in used}

    def dashboard_for(self, labels: Mapping[str, str], window: Window) -> str:
        """The configured dashboard's address; nothing where none is configured. Raises ``ParameterError``."""
        if self.dashboard is None:
            return ""
        values = self.resolved(self._used_in_dashboard(), labels)
        values |= {"from": str(round(window.start * 1000)), "to": str(round(window.end * 1000))}
        return _PLACEHOLDER.sub(lambda match: quote(values[match[1]], safe=""), self.dashboard)


def dashboard_of(alerts: Iterable[Alert]) -> str:
    """The first address that an alert names as its dashboard: shown to people, never fetched."""
    named = (alert.annotations.get(name, "") for alert in alerts for name in _ANNOTATIONS)
    return next((address for text in named if (address := web_address(text.strip()))), "")
