"""Times as the API shows them."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(at: datetime) -> str:
    """RFC 3339 in UTC with ``Z``."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def rfc3339_or_none(at: datetime | None) -> str | None:
    """The same, where there is one."""
    return rfc3339(at) if at is not None else None
