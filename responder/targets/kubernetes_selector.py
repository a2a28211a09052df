"""Label selectors that say exactly what was meant: never empty, and widened by no label's value."""

from __future__ import annotations

import re
from collections.abc import Mapping

from responder.parameters import (
    Parameter,
    ParameterError,
    check_known,
    kubernetes_label_value,
    resolve,
)
from responder.text import one_line

#: A selector as the rule files write it: ``app=superset,tier in (web,worker)``, or a mapping of label to value.
LabelSelector = dict[str, Parameter] | str

_LIMIT = 1_000
_SUBDOMAIN = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?){0,20}"
_WORD = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = rf"(?:{_SUBDOMAIN}/)?{_WORD}"
_VALUE = rf"(?:{_WORD})?"
_KEY_PATTERN = re.compile(_KEY)
#: One requirement. Source: Kubernetes' documentation, "Labels and Selectors", sections "Label selectors" and "API".
_REQUIREMENT = re.compile(
    rf"\s*(?:!\s*{_KEY}|{_KEY}(?:\s*(?:==?|!=)\s*{_VALUE}"
    rf"|\s+(?:in|notin)\s*\(\s*{_VALUE}\s*(?:,\s*{_VALUE}\s*){{0,50}}\))?)\s*(?:,|\Z)"
)


def checked_selector(selector: LabelSelector) -> None:
    """Refuse what can select nothing, or everything, whatever the labels are.

    Raises:
        ValueError: with what is wrong.
    """
    if isinstance(selector, str):
        _checked_text(selector)
        return
    if not selector:
        raise ValueError("selector: expected at least one label; an empty one would select everything")
    for key, value in selector.items():
        if _KEY_PATTERN.fullmatch(key) is None:
            raise ValueError(f"selector: {one_line(key, 60)!r} is no label key of Kubernetes")
        check_known(value, f"selector {key}", kubernetes_label_value)


def selector_text(selector: LabelSelector, labels: Mapping[str, str]) -> str:
    """The selector as the API takes it, with the values that come from labels.

    Raises:
        ParameterError: where a value is missing, empty or no label value.
    """
    if isinstance(selector, str):
        return selector.strip()
    requirements = []
    for key, parameter in sorted(selector.items()):
        value = resolve(parameter, labels, f"selector {key}", kubernetes_label_value)
        if not value:
            raise ParameterError(f"selector {key}: an empty value would select what does not have it")
        requirements.append(f"{key}={value}")
    return ",".join(requirements)


def _checked_text(text: str) -> None:
    if not text.strip():
        raise ValueError("selector: expected a label selector; an empty one would select everything")
    position = 0
    while position < len(text) <= _LIMIT:
        match = _REQUIREMENT.match(text, position)
        if match is None:
            break
        position = match.end()
    if position < len(text) or text.rstrip().endswith(","):
        raise ValueError(
            f"selector: {one_line(text[position:] or text, 60)!r} is not understood; "
            "expected such as app=superset,tier in (web,worker)"
        )
