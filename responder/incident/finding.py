"""What a probe saw: one finding, ready to be read at 3 a.m."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

HEADLINE_LIMIT = 200
DETAIL_LIMIT = 2_000


class FindingStatus(StrEnum):
    """How a probe ended. A target that cannot be reached is a finding too."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    NO_DATA = "no_data"
    ERROR = "error"
    TIMEOUT = "timeout"
    DENIED = "denied"


#: Order in which findings are shown: the worst first.
FINDING_ORDER: tuple[FindingStatus, ...] = (
    FindingStatus.CRITICAL,
    FindingStatus.WARNING,
    FindingStatus.ERROR,
    FindingStatus.TIMEOUT,
    FindingStatus.DENIED,
    FindingStatus.NO_DATA,
    FindingStatus.OK,
)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One probe's answer, bounded and redacted.

    ``headline`` is one line of at most 200 characters; ``detail`` at most 2,000, with line breaks. ``took`` is in
    seconds. ``suggests`` names an action of the rule files that would help, where the probe knows one. ``chart`` is
    the digest of a picture that the store keeps for a while, and ``chart_alt`` says what it shows; ``link`` is an http
    or https address for people.
    """

    probe: str
    status: FindingStatus
    headline: str
    detail: str = ""
    observed_at: datetime | None = None
    took: float = 0.0
    suggests: str | None = None
    chart: str = ""
    chart_alt: str = ""
    link: str = ""
