"""Where a schedule's iCalendar events come from, as the rule files say it."""

from __future__ import annotations

from datetime import timedelta, tzinfo

import msgspec

from responder.oncall.calendar import Acquaintances
from responder.secrets import Secret


class CalendarSource(msgspec.Struct, frozen=True, kw_only=True):
    """A file or a URL (which may hold a token, so it is a secret), read anew every ``refresh``.

    ``zone`` is that of the schedule: where an event without one is placed. ``who`` knows people by the texts of events.
    """

    file: str | None = None
    url: Secret | None = None
    refresh: timedelta
    zone: tzinfo
    who: Acquaintances

    @property
    def origin(self) -> tuple[str | None, Secret | None]:
        """What is read, whatever is made of it."""
        return self.file, self.url
