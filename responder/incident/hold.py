"""What holds pages back: a silence, an inhibition, a maintenance window, a dependency that pages already, the night."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from responder.text import one_line

_TEXT_LIMIT = 300


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


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """A silence of Alertmanager's that was made from an incident; ``comment`` is the one that Alertmanager has."""

    id: str
    by: str
    until: datetime
    comment: str = ""


def silence_hold(silence: Silence) -> Hold:
    """Why a silenced incident is not paged. The same for a silence that was made here and for one that was found."""
    by, comment = one_line(silence.by, 100) or "nobody", one_line(silence.comment, _TEXT_LIMIT)
    return Hold(
        kind=HoldKind.SILENCE,
        by=f"{one_line(silence.id, 60)} by {by}",
        text=one_line(f"silenced by {by}: {comment}", _TEXT_LIMIT) if comment else f"silenced by {by}",
        until=silence.until,
    )
