"""Snapshots of earlier schemas become those of today, one step for each schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

Snapshot = dict[str, Any]


class _Head(msgspec.Struct, frozen=True):
    schema: int = 1


_HEAD = msgspec.json.Decoder(_Head)
_ANY = msgspec.json.Decoder(dict[str, Any])


def schema_of(raw: bytes) -> int:
    """The schema of a snapshot, without reading the rest of it. Raises ``msgspec.DecodeError`` where it is damaged."""
    return _HEAD.decode(raw).schema


def upgraded(raw: bytes, schema: int) -> bytes:
    """A snapshot of an earlier schema in today's shape. Raises ``msgspec.DecodeError`` where it is damaged."""
    snapshot = _ANY.decode(raw)
    try:
        for number in range(schema, max(STEPS) + 1):
            snapshot = STEPS[number](snapshot) | {"schema": number + 1}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise msgspec.DecodeError(f"not a snapshot of schema {schema}: {type(error).__name__}") from error
    return msgspec.json.encode(snapshot)


def _people(snapshot: Snapshot) -> Snapshot:
    """1 to 2: a level reaches people, each with a plan of channels; before, it had one contact and a list of names."""
    policy, episode = dict(snapshot["policy"]), dict(snapshot["episode"])
    policy["plans"] = {
        contact: {severity: [_step(name) for name in names] for severity, names in by_severity.items()}
        for contact, by_severity in policy.pop("channels", {}).items()
    }
    reached = episode.pop("reached", [])
    episode["reaches"] = [_reach(reach) for reach in reached]
    channels = {(reach["level"], reach["round"]): reach["channels"] for reach in reached}
    pages = [
        page | {"step": _number(channels.get((page["level"], page["round"]), []), page["channel"])}
        for page in snapshot.get("pages", [])
    ]
    return snapshot | {"policy": policy, "episode": episode, "pages": pages}


def _step(name: str) -> Snapshot:
    return {"channel": name}


def _reach(old: Snapshot) -> Snapshot:
    person = {
        "name": old["contact"],
        "plan": [_step(name) for name in old["channels"]],
        "tried": list(range(old.get("tried", 0))),
        "exhausted": old.get("exhausted", False),
    }
    kept = {name: old[name] for name in ("level", "contact", "at", "round") if name in old}
    return kept | {"people": [person]}


def _number(channels: list[str], channel: str) -> int:
    return channels.index(channel) if channel in channels else 0


#: From each earlier schema, what leads to the next one.
STEPS: dict[int, Callable[[Snapshot], Snapshot]] = {1: _people}
