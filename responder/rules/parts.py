"""Parts of rule files that are read by themselves: matchers, and severities with what they promise by default."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import yaml

from responder.documents import Document
from responder.incident.severity import Severity
from responder.matchers import Matcher, MatcherError, parse_matcher
from responder.rules.files import SeverityShape

_RESPONSE = {Severity.P1: 15, Severity.P2: 60, Severity.P3: 240, Severity.P4: 1440}  # minutes, the runbook's


def severities_of(named: Mapping[str, SeverityShape]) -> dict[Severity, SeverityShape]:
    """All severities: as they are written, else with the runbook's response time."""
    found = {Severity(name): shape for name, shape in named.items()}
    for severity, minutes in _RESPONSE.items():
        found.setdefault(severity, SeverityShape(respond_within=timedelta(minutes=minutes)))
    return found


def matchers_of(
    document: Document, node: yaml.Node, texts: tuple[str, ...], what: str
) -> tuple[Matcher, ...]:
    """The matchers of a list; what is none is noted in the document, at its place."""
    matchers = []
    nodes = document.elements(node, what) if texts else []
    for index, (text, one) in enumerate(zip(texts, nodes, strict=False)):
        try:
            matchers.append(parse_matcher(text))
        except MatcherError as error:
            document.report(one, f"{what}.match[{index}]: {error}")
    return tuple(matchers)
