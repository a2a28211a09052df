"""What holds pages back: a silence, an inhibition, a maintenance window, a dependency that pages already, the night."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class HoldKind(StrEnum):
    """Why somebody is not paged although an alert fires."""

    SILENCE = "silence"
    INHIBITION = "inhibition"
    MAINTENANCE = "maintenance"
    DEPENDENCY = "dependency"
    QUIET_HOURS = "quiet hours"


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """One reason to wait. It is looked at anew at each decision: what is over holds nothing back any more.

    ``by`` names the configuration or the person that it comes from (a silence's id and author, a window's name);
    ``text`` says it to people. ``until`` is when it ends by itself, where that is known.
    """

    kind: HoldKind
    by: str
    text: str
    until: datetime | None = None
