"""Which version of responder this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def release() -> str:
    """The installed version; ``unknown`` where the code runs without being installed."""
    try:
        return version("responder")
    except PackageNotFoundError:
        return "unknown"
