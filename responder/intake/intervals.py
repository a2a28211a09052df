"""Which receivers a time interval may mute, by the configuration that an Alertmanager shows of itself.

Before 0.28 it does not say of an alert whether a time interval mutes it. It shows its routes, and on which of them there
are any (``config.original`` of ``GET /api/v2/status``).

Source: Alertmanager's ``api/v2/openapi.yaml``, ``docs/configuration.md`` (routes: ``receiver`` is handed down to the routes
below, ``mute_time_intervals`` and ``active_time_intervals`` are not).
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import msgspec
import yaml

_KEYS = ("mute_time_intervals", "active_time_intervals")
#: A configuration that is longer, or has more routes, is not gone through: then an interval may mute anything.
_TEXT_LIMIT = 1024 * 1024
_ROUTES_LIMIT = 20_000
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Config(msgspec.Struct, frozen=True):
    original: str = ""


class _Status(msgspec.Struct, frozen=True):
    config: _Config | None = None


_STATUS = msgspec.json.Decoder(_Status)


class Intervals:
    """What each peer's configuration says; it is gone through when it is another than before."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[bytes, frozenset[str] | None]] = {}

    async def timed(self, peer: str, status: bytes) -> frozenset[str] | None:
        """The receivers that one may mute, from the answer about the peer's status; ``None``: any."""
        try:
            config = _STATUS.decode(status).config
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            config = None
        text = config.original if config is not None else ""
        mark = hashlib.blake2b(text.encode(errors="replace"), digest_size=16).digest()
        known = self._known.get(peer)
        if known is None or known[0] != mark:
            known = (mark, await asyncio.to_thread(timed_receivers, text))
            self._known[peer] = known
        return known[1]


def timed_receivers(text: str) -> frozenset[str] | None:
    """The receivers of the routes that have time intervals; ``None`` where that cannot be told, and it may be any."""
    if not any(key in text for key in _KEYS):
        return frozenset()
    if len(text) > _TEXT_LIMIT:
        return None
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, RecursionError):
        return None
    return _walked(_fields(root).get("route"))


def _walked(root: yaml.Node | None) -> frozenset[str] | None:
    found: set[str] = set()
    waiting, seen = [(root, "")], 0
    while waiting:
        node, above = waiting.pop()
        seen += 1
        fields = _fields(node)
        named = fields.get("receiver")
        receiver = str(named.value) if isinstance(named, yaml.ScalarNode) and named.value else above
        if any(_elements(fields.get(key)) for key in _KEYS):
            found.add(receiver)
        waiting += [(one, receiver) for one in _elements(fields.get("routes"))]
        if seen + len(waiting) > _ROUTES_LIMIT:
            return None
    return frozenset(found)


def _fields(node: yaml.Node | None) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {str(key.value): value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def _elements(node: yaml.Node | None) -> list[yaml.Node]:
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
