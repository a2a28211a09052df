"""An alert with texts that are too long is taken with what fits: a page with half a description beats no page.

What decides about it (its name, severity, service, where it is) is kept before anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from responder.alerts import MAX_ANNOTATION, MAX_LABELS, MAX_NAME, MAX_VALUE, Alert, fingerprint
from responder.text import truncate

#: Labels that rules and people go by, kept first where there are too many.
_FIRST = ("alertname", "severity", "service", "cluster", "namespace", "env", "instance", "job")


def cut(raw: bytes | msgspec.Raw) -> tuple[Alert, str] | None:
    """The alert with its texts cut to what is taken, and its JSON; ``None`` where its size is not what is wrong.

    Its fingerprint stays that of all its labels, so that it is still told apart from others.
    """
    found: Any = msgspec.json.decode(raw)
    if (
        not isinstance(found, dict)
        or not _texts(found.get("labels"))
        or not _texts(found.get("annotations", {}))
    ):
        return None
    labels, annotations = found["labels"], found.get("annotations", {})
    smaller = {
        **found,
        "labels": _fitting(labels, MAX_VALUE),
        "annotations": _fitting(annotations, MAX_ANNOTATION),
        "fingerprint": found.get("fingerprint") or fingerprint(labels),
    }
    if (smaller["labels"], smaller["annotations"]) == (labels, annotations):
        return None
    return msgspec.convert(smaller, Alert), msgspec.json.encode(smaller).decode()


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def _fitting(texts: Mapping[str, str], longest: int) -> dict[str, str]:
    order = {name: rank for rank, name in enumerate(_FIRST)}
    names = sorted(
        (name for name in texts if len(name) <= MAX_NAME), key=lambda n: (order.get(n, len(order)), n)
    )
    return {name: truncate(texts[name], longest) for name in names[:MAX_LABELS]}
