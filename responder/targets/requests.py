"""What a request of the rule files may be: statuses that exist, headers that can be sent, parameters that are meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from responder.registry import nearest
from responder.text import one_line

_PARAMETER = ("label", "default")
_ALIKE = 0.75  # a "table" is no misspelt "label"
#: RFC 9110, section 5.6.2: the name of a header is a token.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BREAKS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def check_statuses(statuses: Iterable[int]) -> None:
    """Raises ``ValueError`` where no answer can ever have one of them."""
    given = tuple(statuses)
    if not given:
        raise ValueError("expect_status: expected at least one status such as 200")
    for one in given:
        if not 200 <= one <= 599:
            raise ValueError(f"expect_status: expected 200 to 599, got {one}")


def check_headers(key: str, headers: Mapping[str, str]) -> None:
    """Raises ``ValueError`` for a name or a value that cannot be sent; no value is shown."""
    for where, problem in header_problems(headers):
        raise ValueError(f"{key}{where}: {problem}")


def header_problems(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each name and each value that cannot be sent, with where it stands below the headers."""
    for name, value in headers.items():
        if _TOKEN.fullmatch(name) is None:
            yield "", f"{one_line(name, 60)!r} is not the name of a header; expected letters, digits and '-'"
        elif _BREAKS.search(value):
            yield f".{name}", "expected a value of one line"


def check_parameters(value: Any, key: str) -> None:
    """Refuse what is nearly ``{label: …, default: …}`` at any depth of a free form: it would be sent as it stands.

    Raises:
        ValueError: that says where, and what was probably meant.
    """
    if isinstance(value, list):
        for number, one in enumerate(value):
            check_parameters(one, f"{key}[{number}]")
    elif isinstance(value, dict):
        if meant := _slip(value):
            raise ValueError(f"{key}: {meant}")
        for name, one in value.items():
            check_parameters(one, f"{key}.{name}")


def _slip(value: dict[str, Any]) -> str:
    """What is wrong with a mapping that is nearly a parameter; nothing where it is one, or none at all."""
    if len(value) != len(_PARAMETER):
        return ""
    missing = [one for one in _PARAMETER if one not in value]
    odd = [one for one in value if one not in _PARAMETER]
    texts = all(isinstance(one, str) for one in value.values())
    if not missing:
        return "" if texts else "label and default of a parameter are texts: quote them"
    if len(missing) == 1 and texts and nearest(odd[0], missing, _ALIKE) is not None:
        return f"unknown key {one_line(odd[0], 60)!r} (did you mean {missing[0]!r}?); as it stands it would be sent word for word"
    return ""
