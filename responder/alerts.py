"""One alert as Alertmanager reports it, and the fingerprint that names it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

_FNV_OFFSET = 14695981039346656037
_FNV_PRIME = 1099511628211
_U64 = 0xFFFFFFFFFFFFFFFF


class AlertStatus(StrEnum):
    """What Alertmanager says of an alert."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of a webhook body, decoded and bounded.

    ``starts_at`` is an aware time; ``ends_at`` is ``None`` while it fires (Alertmanager sends the year 1).
    ``fingerprint`` is sixteen hex digits over the labels, equal on every Alertmanager.
    """

    fingerprint: str
    status: AlertStatus
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None = None
    generator_url: str = ""


def fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's fingerprint of a label set: FNV-1a, 64 bits, over the sorted names and values.

    Source: prometheus/common model/signature.go.
    """
    state = _FNV_OFFSET
    for name in sorted(labels):
        for byte in b"%b\xff%b\xff" % (name.encode(), labels[name].encode()):
            state = ((state ^ byte) * _FNV_PRIME) & _U64
    return f"{state:016x}"
