"""What holds pages back: a silence, an inhibition, a maintenance window, a dependency that pages already, the night."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import msgspec

from responder.text import one_line

_TEXT_LIMIT = 300
_OURS = " (responder "


class HoldKind(StrEnum):
    """Why somebody is not paged although an alert fires."""

    SILENCE = "silence"
    INHIBITION = "inhibition"
    MAINTENANCE = "maintenance"
    DEPENDENCY = "dependency"
    QUIET_HOURS = "quiet hours"


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """One reason to wait. It is looked at anew at each decision: what is over holds nothing back any more.

    ``by`` names the configuration or the person that it comes from (a silence's id and author, a window's name, the id
    of the incident that pages already); ``text`` says it to people. ``until`` is when it ends by itself, where that is
    known; ``since`` is when it began to hold this incident.
    """

    kind: HoldKind
    by: str
    text: str
    until: datetime | None = None
    since: datetime | None = None

    def over(self, now: datetime) -> bool:
        """Whether it has ended by itself."""
        return self.until is not None and now >= self.until

    def same(self, other: Hold) -> bool:
        """Whether both are one reason, whatever they say of their end."""
        return (self.kind, self.by) == (other.kind, other.by)


_ENDED = {
    HoldKind.SILENCE: "the silence",
    HoldKind.INHIBITION: "what muted it in Alertmanager",
    HoldKind.MAINTENANCE: "the maintenance",
    HoldKind.QUIET_HOURS: "the night of who is paged first",
}
#: It ends so, or by being held back in its turn: what is attached to it cannot tell which.
_CARRIER_ENDED = "the incident of what it depends on is over or held back itself"
_LEAD = "paging is held back"


def held_words(hold: Hold) -> str:
    """That pages are held back, by what, and until when: a line for people."""
    return f"{_LEAD} ({hold.kind}): {hold.text}{until_words(hold.until)}"


def reason_alone(line: str) -> str:
    """The reason that such a line tells."""
    return line.removeprefix(f"{_LEAD} (").replace("): ", ": ", 1) if line.startswith(_LEAD) else line


def ended_words(kinds: Iterable[HoldKind]) -> str:
    """What of these is over."""
    ended = dict.fromkeys(kinds)
    what = [_ENDED[one] for one in ended if one is not HoldKind.DEPENDENCY]
    over = [f"{' and '.join(what)} {'is' if len(what) == 1 else 'are'} over"] if what else []
    carrier = [_CARRIER_ENDED] if HoldKind.DEPENDENCY in ended else []
    return ", and ".join([*over, *carrier])


def until_words(at: datetime | None) -> str:
    """When something ends by itself, as it follows on what is said of it; nothing where that is not known."""
    return f" until {at:%Y-%m-%d %H:%M} UTC" if at is not None else ""


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """A silence of Alertmanager's that was made from an incident."""

    id: str
    by: str
    until: datetime
    comment: str = ""


def comment_with_link(comment: str, url: str) -> str:
    """A silence's comment in Alertmanager, with the incident's address."""
    return f"{comment}{_OURS}{url})"


def comment_alone(comment: str) -> str:
    """The comment without the incident's address."""
    words, ours, url = comment.rpartition(_OURS)
    return words.rstrip() if ours and url.endswith(")") and " " not in url else comment


def silence_hold(silence: Silence) -> Hold:
    """Why a silenced incident is not paged. The same for a silence that was made here and for one that was found."""
    by = one_line(silence.by, 100) or "nobody"
    comment = one_line(comment_alone(silence.comment), _TEXT_LIMIT)
    return Hold(
        kind=HoldKind.SILENCE,
        by=f"{one_line(silence.id, 60)} by {by}",
        text=one_line(f"silenced by {by}: {comment}", _TEXT_LIMIT) if comment else f"silenced by {by}",
        until=silence.until,
    )
