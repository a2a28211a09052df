"""YAML nodes become typed values; a problem never hides another."""

from __future__ import annotations

import enum
import re
import types
import typing
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import msgspec
import yaml

from responder.documents import Document, is_null, kind_of
from responder.durations import parse_duration
from responder.registry import closest, did_you_mean
from responder.secrets import Secret, SecretError

NODE_LIMIT = 500_000  # nodes visited in one value: aliases could make a small file endless


def read(document: Document, node: yaml.Node, kind: Any, what: str) -> Any:
    """A node as a value of a type, or ``msgspec.UNSET`` after its problems were noted in the document.

    Understood: structs, lists and tuples, dicts, optionals and unions of one struct or dict, texts, numbers, booleans,
    enums, durations, secrets, and types that read themselves from a text (``from_text``, which raises ``ValueError``).
    """
    return _Reading(document).read(node, kind, what)


class _Bad(Exception):  # noqa: N818 - never leaves this module
    """A scalar that is not what was expected."""


class _Reading:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._expand = document.expand
        self._visited = 0

    def read(self, node: yaml.Node, kind: Any, what: str) -> Any:  # noqa: PLR0911 - one arm per kind
        self._visited += 1
        if self._visited > NODE_LIMIT:
            self._document.report(node, f"{what}: the document is too large")
            return msgspec.UNSET
        kind, optional = _without_none(kind)
        if optional and is_null(node):
            return None
        origin = get_origin(kind) or kind
        if _is_struct(kind):
            return self._struct(node, kind, what)
        if origin in (list, tuple, frozenset):
            return self._list(node, kind, origin, what)
        if origin in (dict, Mapping):
            return self._dict(node, kind, what)
        if origin is Union:
            return self._union(node, get_args(kind), what)
        return self._scalar(node, kind, what)

    def _struct(self, node: yaml.Node, kind: type[msgspec.Struct], what: str) -> Any:
        if is_null(node) and not any(f.required for f in msgspec.structs.fields(kind)):
            return kind()
        if not isinstance(node, yaml.MappingNode):
            return self._fail(node, f"{what}: expected a mapping, got {kind_of(node)}")
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        secrets = {name for name, field in fields.items() if _is_secret(field.type)}
        values: dict[str, Any] = {}
        good = True
        for key, key_node, value_node in self._document.items(node, what):
            name, value = self._member(key, key_node, value_node, (fields, secrets, _hints(kind)), what)
            if value is msgspec.UNSET:
                good = False
            elif name in values:
                good = False
                self._document.report(key_node, f"{what}.{key}: give either the value or its _file form")
            else:
                values[name] = value
        missing = [n for n, f in fields.items() if f.required and f.name not in values]
        if good and missing:
            return self._fail(node, f"{what}: missing {', '.join(missing)}")
        return self._made(node, kind, values, what) if good else msgspec.UNSET

    def _made(self, node: yaml.Node, kind: type[msgspec.Struct], values: dict[str, Any], what: str) -> Any:
        """The struct; its own ``__post_init__`` may refuse values that contradict each other."""
        try:
            return kind(**values)
        except ValueError as error:
            return self._fail(node, f"{what}: {error}")

    def _member(
        self, key: str, key_node: yaml.Node, value_node: yaml.Node, known: tuple[Any, ...], what: str
    ) -> tuple[str, Any]:
        fields, secrets, hints = known
        if key in fields:
            field = fields[key]
            return field.name, self.read(value_node, hints.get(field.name, field.type), f"{what}.{key}")
        if key.endswith("_file") and key.removesuffix("_file") in secrets:
            field = fields[key.removesuffix("_file")]
            return field.name, self._secret_file(value_node, f"{what}.{key}")
        names = [*fields, *(f"{name}_file" for name in secrets)]
        self._document.report(key_node, f"{what}: unknown key {key!r}{did_you_mean(key, names)}")
        return key, msgspec.UNSET

    def _secret_file(self, node: yaml.Node, what: str) -> Any:
        path = self.read(node, str, what)
        if path is msgspec.UNSET:
            return path
        folder = Path(self._document.file).parent
        secret = Secret(file=folder / path)
        try:
            secret.reveal()
        except SecretError as error:
            return self._fail(node, f"{what}: {path}{str(error).removeprefix(str(folder / path))}")
        except OSError as error:
            return self._fail(node, f"{what}: cannot read {path}: {error.strerror}")
        return secret

    def _list(self, node: yaml.Node, kind: Any, origin: Any, what: str) -> Any:
        if not isinstance(node, yaml.SequenceNode):
            return self._fail(node, f"{what}: expected a list, got {kind_of(node)}")
        element = (get_args(kind) or (Any,))[0]
        values = [self.read(child, element, f"{what}[{i}]") for i, child in enumerate(node.value)]
        return msgspec.UNSET if msgspec.UNSET in values else origin(values)

    def _dict(self, node: yaml.Node, kind: Any, what: str) -> Any:
        if is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            return self._fail(node, f"{what}: expected a mapping, got {kind_of(node)}")
        key_kind, value_kind = get_args(kind) or (str, Any)
        result, good = {}, True
        for key, key_node, value_node in self._document.items(node, what):
            name = key if key_kind is str else self._scalar(key_node, key_kind, what)
            if value_kind is Secret and key.endswith("_file"):
                name, value = key.removesuffix("_file"), self._secret_file(value_node, f"{what}.{key}")
            else:
                value = self.read(value_node, value_kind, f"{what}.{key}")
            if name in result:
                value = self._fail(key_node, f"{what}.{name}: give either the value or its _file form")
            good = good and name is not msgspec.UNSET and value is not msgspec.UNSET
            result[name] = value
        return result if good else msgspec.UNSET

    def _union(self, node: yaml.Node, kinds: tuple[Any, ...], what: str) -> Any:
        """A scalar, a struct or dict, or a list, told apart by the form of the node."""
        mappings = [k for k in kinds if _is_struct(k) or (get_origin(k) or k) in (dict, Mapping)]
        lists = [k for k in kinds if (get_origin(k) or k) in (list, tuple)]
        scalars = [k for k in kinds if k not in mappings and k not in lists]
        wanted = mappings if isinstance(node, yaml.MappingNode) else (
            lists if isinstance(node, yaml.SequenceNode) else scalars
        )  # fmt: skip
        if not wanted:
            return self._fail(node, f"{what}: {kind_of(node)} is not expected here")
        if wanted is not scalars:
            return self.read(node, wanted[0], what)
        for kind in wanted[:-1]:
            try:
                return self._convert(node, kind)
            except _Bad:
                continue
        return self._scalar(node, wanted[-1], what)

    def _scalar(self, node: yaml.Node, kind: Any, what: str) -> Any:
        try:
            return self._convert(node, kind)
        except _Bad as error:
            return self._fail(node, f"{what}: {error}")

    def _convert(self, node: yaml.Node, kind: Any) -> Any:
        if kind is Any:
            return _plain(node, self._text)
        if not isinstance(node, yaml.ScalarNode):
            raise _Bad(f"expected {_expected(kind)}, got {kind_of(node)}")
        return _from_scalar(node, kind, self._text(node))

    def _text(self, node: yaml.ScalarNode) -> str:
        if self._expand is None:
            return str(node.value)
        try:
            return self._expand(str(node.value))
        except ValueError as error:
            raise _Bad(str(error)) from None

    def _fail(self, node: yaml.Node, text: str) -> Any:
        self._document.report(node, text)
        return msgspec.UNSET


_TRAPS = {
    "tag:yaml.org,2002:bool": "a truth value",
    "tag:yaml.org,2002:int": "a number",
    "tag:yaml.org,2002:float": "a number",
    "tag:yaml.org,2002:timestamp": "a date",
}


def _from_scalar(  # noqa: C901, PLR0911 - one arm per kind
    node: yaml.ScalarNode, kind: Any, text: str
) -> Any:
    tag = str(node.tag)
    if kind is str or kind is Secret:
        if tag in _TRAPS and text == node.value:
            raise _Bad(f"YAML reads {text} as {_TRAPS[tag]}; quote it: '{text}'")
        if is_null(node):
            raise _Bad("expected a text, got nothing")
        if kind is Secret and not text:
            raise _Bad("expected a secret, got an empty text")
        return Secret(text) if kind is Secret else text
    if kind is timedelta:
        return _checked(parse_duration, text, "")
    if kind is bool:
        if tag != "tag:yaml.org,2002:bool" or text.lower() not in {"true", "false"}:
            raise _Bad(f"expected true or false, got {text!r}")
        return text.lower() == "true"
    if kind is int:
        if not re.fullmatch(r"[+-]?(0|[1-9][0-9]{0,17})", text):
            raise _Bad(f"expected a whole number, got {text!r}")
        return int(text)
    if kind is float:
        return _checked(float, text, f"expected a number, got {text!r}")
    if hasattr(kind, "from_text"):
        return _checked(kind.from_text, text, "")
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        known = [str(one.value) for one in kind]
        return _checked(kind, text, f"expected one of {', '.join(known)}, got {text!r}{closest(text, known)}")
    raise TypeError(f"no reader for {kind!r}")


def _checked(convert: Callable[[str], Any], text: str, otherwise: str) -> Any:
    try:
        return convert(text)
    except ValueError as error:
        raise _Bad(otherwise or str(error)) from None


def _plain(node: yaml.Node, text: Callable[[yaml.ScalarNode], str]) -> Any:  # noqa: PLR0911 - one arm per kind
    """A node of a free form as plain values."""
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): _plain(value, text) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, text) for child in node.value]
    if is_null(node):
        return None
    value = text(node)  # type: ignore[arg-type]
    match str(node.tag).rpartition(":")[2]:
        case "int" if re.fullmatch(r"[+-]?[0-9]{1,18}", value):
            return int(value)
        case "float" if re.fullmatch(r"[+-]?[0-9.eE+-]+", value):
            return float(value)
        case "bool" if value.lower() in {"true", "false"}:
            return value.lower() == "true"
        case _:
            return value


def _expected(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "one of " + ", ".join(str(one.value) for one in kind)
    names = {
        str: "a text",
        Secret: "a text",
        timedelta: "a duration such as 5m",
        bool: "true or false",
        int: "a number",
    }
    return names.get(kind, "a value")


def _without_none(kind: Any) -> tuple[Any, bool]:
    if get_origin(kind) in (Union, types.UnionType):
        rest = tuple(one for one in get_args(kind) if one is not type(None))
        optional = len(rest) < len(get_args(kind))
        return (rest[0] if len(rest) == 1 else Union[rest]), optional  # noqa: UP007 - built at run time
    return kind, False


def _is_struct(kind: Any) -> bool:
    """Whether it is written as a mapping; a struct that reads itself from a text is not."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct) and not hasattr(kind, "from_text")


def _is_secret(kind: Any) -> bool:
    return _without_none(kind)[0] is Secret


@lru_cache(maxsize=256)
def _hints(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return typing.get_type_hints(kind)
