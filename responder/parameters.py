"""Values of the rule files that may come from an alert's labels: taken, and checked for what they become.

A label is sender's data. Where it becomes a name in a path, a selector or a query, it is matched against the whole
pattern of that thing first; what does not fit is refused, never mended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from responder.text import one_line

T = TypeVar("T")


class ParameterError(Exception):
    """A parameter cannot be used; the text names it and is for people."""


class FromLabel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The value of a label of the incident; ``default`` where the label is missing or empty."""

    label: str
    default: str | None = None


#: A parameter as the rule files write it: a text, or ``{label: namespace, default: analytics}``.
Parameter = FromLabel | str

#: What a text must be to become that thing: a pattern for the whole of it, and its longest length.
_NAME = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_NAME}(?:\.{_NAME})*")
_LABEL = re.compile(_NAME)
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_SLUG = re.compile(r"[A-Za-z0-9_-]+")
_SEGMENT = re.compile(r"[A-Za-z0-9_~-](?:[A-Za-z0-9_.~-]*)")


def value_of(parameter: Parameter, labels: Mapping[str, str], what: str) -> str:
    """The text that a parameter stands for.

    Raises:
        ParameterError: where its label is missing and it has no default.
    """
    if isinstance(parameter, str):
        return parameter
    found = labels.get(parameter.label) or parameter.default
    if found is None:
        raise ParameterError(f"{what}: the incident has no label {parameter.label}, and no default is given")
    return found


def resolve(
    parameter: Parameter, labels: Mapping[str, str], what: str, check: Callable[[str, str], str]
) -> str:
    """The text that a parameter stands for, checked for what it becomes.

    Raises:
        ParameterError: where there is none, or it does not fit.
    """
    return check(value_of(parameter, labels, what), what)


def check_known(parameter: Parameter | None, what: str, check: Callable[[str, str], str]) -> None:
    """Refuse what can never fit, before any incident: the text itself, or a label's default.

    Raises:
        ValueError: with what is wrong.
    """
    known = parameter.default if isinstance(parameter, FromLabel) else parameter
    if known is None:
        return
    what = f"{what}.default" if isinstance(parameter, FromLabel) else what
    try:
        check(known, what)
    except ParameterError as error:
        raise ValueError(str(error)) from None


def kubernetes_name(text: str, what: str) -> str:
    """A DNS-1123 subdomain: the name of a pod, a deployment and most other objects."""
    return _fitting(_SUBDOMAIN, 253, text, what, "a Kubernetes name: lower-case letters, digits, - and .")


def kubernetes_namespace(text: str, what: str) -> str:
    """A DNS-1123 label: the name of a namespace or a service."""
    return _fitting(_LABEL, 63, text, what, "a Kubernetes namespace: lower-case letters, digits and -")


def kubernetes_label_value(text: str, what: str) -> str:
    """The value of a Kubernetes label, as it may stand in a selector: no comma, no bracket can widen it."""
    return _fitting(_LABEL_VALUE, 63, text, what, "a value of a Kubernetes label")


def slug(text: str, what: str) -> str:
    """A name as an address shows it, such as that of a Supabase Edge Function."""
    return _fitting(_SLUG, 100, text, what, "a slug: letters, digits, - and _")


def path_segment(text: str, what: str) -> str:
    """One segment of a URL's path, which can be neither ``.`` nor ``..`` nor hold anything to be escaped."""
    return _fitting(_SEGMENT, 200, text, what, "one segment of a path")


def bound_text(text: str, what: str) -> str:
    """A text that is bound as a parameter (SQL) or escaped by whoever uses it; without NUL, at most 1,000 characters."""
    if "\x00" in text or len(text) > 1_000:
        raise ParameterError(f"{what}: a text of at most 1,000 characters without NUL is expected")
    return text


def _fitting(pattern: re.Pattern[str], limit: int, text: str, what: str, kind: str) -> str:
    if len(text) > limit or pattern.fullmatch(text) is None:
        raise ParameterError(f"{what}: {one_line(text, 60)!r} is not {kind}")
    return text


def labels_used(settings: msgspec.Struct) -> frozenset[str]:
    """The labels that the settings take values from, at any depth: what tells one use of them from another."""
    return frozenset(_labels_in(settings))


def _labels_in(value: Any) -> list[str]:
    if isinstance(value, FromLabel):
        return [value.label]
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [label for one in value for label in _labels_in(one)]
    return []
