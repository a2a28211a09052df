"""One alert as Alertmanager reports it, and the fingerprint that names it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import msgspec

_FNV_OFFSET = 14695981039346656037
_FNV_PRIME = 1099511628211
_U64 = 0xFFFFFFFFFFFFFFFF


#: When an alert began that has no beginning. Whatever is not after it says nothing of when something broke.
NO_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


class AlertStatus(StrEnum):
    """What Alertmanager says of an alert."""

    FIRING = "firing"
    RESOLVED = "resolved"


MAX_LABELS = 100
MAX_NAME = 1_024
MAX_VALUE = 8_192
MAX_ANNOTATION = 65_536

_Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
_Label = Annotated[str, msgspec.Meta(max_length=MAX_VALUE)]
_Annotation = Annotated[str, msgspec.Meta(max_length=MAX_ANNOTATION)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Alert(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An alert as Alertmanager's webhook has it; unknown keys are ignored, sizes are bounded.

    ``fingerprint`` is sixteen hex digits over the labels, equal on every Alertmanager; ``ends_at`` is the year 1 while
    it fires. Source: Alertmanager's ``template.Alert``.
    """

    status: AlertStatus
    labels: Annotated[dict[_Name, _Label], msgspec.Meta(min_length=1, max_length=MAX_LABELS)]
    starts_at: _Time
    fingerprint: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{16})?$")] = ""
    annotations: Annotated[dict[_Name, _Annotation], msgspec.Meta(max_length=MAX_LABELS)] = {}
    ends_at: _Time | None = None
    generator_url: str = msgspec.field(default="", name="generatorURL")


def fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's fingerprint of a label set: FNV-1a, 64 bits, over the sorted names and values.

    Source: prometheus/common model/signature.go.
    """
    state = _FNV_OFFSET
    for name in sorted(labels):
        for byte in b"%b\xff%b\xff" % (name.encode(), labels[name].encode()):
            state = ((state ^ byte) * _FNV_PRIME) & _U64
    return f"{state:016x}"
