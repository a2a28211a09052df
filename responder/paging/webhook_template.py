"""Bodies of the ``webhook`` channel by a template of the operator's: what a sender wrote is only ever a value in it.

A template is Jinja's, in its sandbox, and without what could make it run or grow without a bound: no calls, macros,
variables or other templates, no repetition of texts, two loops in each other at most, and only the filters below. What
it can loop over is the message, which is bounded; so are the time and the size that a rendering takes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
from jinja2 import StrictUndefined, TemplateError, Undefined, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from responder.registry import did_you_mean

SIZE_LIMIT = 256 * 1024  # bytes of a body
_SOURCE_LIMIT = 16 * 1024
_LOOPS = 2
_LIST_LIMIT = 50
FILTERS = (
    "abs", "capitalize", "default", "d", "first", "int", "join", "last", "length", "count", "list", "lower", "map",
    "rejectattr", "selectattr", "sort", "title", "tojson", "trim", "truncate", "upper", "urlencode",
)  # fmt: skip
_REFUSED = (
    nodes.Assign, nodes.AssignBlock, nodes.Call, nodes.CallBlock, nodes.Extends, nodes.FromImport, nodes.Import,
    nodes.Include, nodes.Macro, nodes.Mod, nodes.Mul, nodes.Pow, nodes.With,
)  # fmt: skip
#: What a sender could write: a template that forgets ``tojson`` shows it at load, not at three in the morning.
HOSTILE = 'a "quoted" \\ title\nof two lines </script> {{ 7 * 7 }} \u2028 \u00e9'


class BodyTemplate:
    """A template that has been checked."""

    def __init__(self, source: str, content_type: str, known: Collection[str]) -> None:
        """Compile it; ``known`` are the names of the values that it will be given.

        Raises:
            ValueError: where it is no template, or could run or grow without a bound.
        """
        if len(source.encode()) > _SOURCE_LIMIT:
            raise ValueError(f"longer than {_SOURCE_LIMIT} bytes")
        self._json = "json" in content_type
        environment = ImmutableSandboxedEnvironment(autoescape=False, undefined=StrictUndefined)
        environment.globals.clear()
        environment.filters = {name: environment.filters[name] for name in FILTERS}
        environment.filters["tojson"] = _to_json
        try:
            tree = environment.parse(source)
            for problem in _problems(tree, 0):
                raise ValueError(problem)
            for name in sorted(meta.find_undeclared_variables(tree) - set(known)):
                raise ValueError(f"no value {name!r}{did_you_mean(name, known)}")
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise ValueError(f"line {getattr(error, 'lineno', None) or 1}: {error.message}") from None

    def render(self, values: Mapping[str, Any]) -> bytes:
        """The body of a message.

        Raises:
            ValueError: where it fails on this message, is too large, or is not the JSON that it is sent as.
        """
        found, size = [], 0
        try:
            for part in self._template.generate(**values):
                size += len(part.encode())
                if size > SIZE_LIMIT:
                    raise ValueError(f"renders more than {SIZE_LIMIT} bytes")
                found.append(part)
        except (TemplateError, ArithmeticError, TypeError, AttributeError, UnicodeEncodeError) as error:
            raise ValueError(f"cannot be rendered: {type(error).__name__}: {error}"[:300]) from None
        body = "".join(found).encode()
        if self._json:
            _check_json(body)
        return body


def _to_json(value: object) -> str:
    if isinstance(value, Undefined):
        return str(value)  # which raises, and names what is missing
    return msgspec.json.encode(value).decode()


def _check_json(body: bytes) -> None:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(
            f"is not JSON for every message ({error}): write values as {{{{ title | tojson }}}}"
        ) from None


def _problems(node: nodes.Node, loops: int) -> Iterator[str]:
    """What could run or grow without a bound, below this node."""
    for child in node.iter_child_nodes():
        line = getattr(child, "lineno", 1)
        inside = loops + isinstance(child, nodes.For)
        if isinstance(child, _REFUSED):
            yield f"line {line}: {type(child).__name__} is not allowed here"
        if isinstance(child, nodes.For) and (child.recursive or inside > _LOOPS):
            yield f"line {line}: more than {_LOOPS} loops in each other"
        if isinstance(child, (nodes.List, nodes.Tuple)) and len(child.items) > _LIST_LIMIT:
            yield f"line {line}: a list of more than {_LIST_LIMIT}"
        if isinstance(child, nodes.Filter) and child.name not in FILTERS:
            yield f"line {line}: no filter {child.name!r} (known: {', '.join(FILTERS)})"
        yield from _problems(child, inside)
