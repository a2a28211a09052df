"""Why Alertmanager does not send an alert that fires, and what that means for an incident. Pure.

A silence that was withdrawn and is active again counts for nothing (see ``reconcile.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from responder.incident.hold import Hold, HoldKind
from responder.intake.alertmanager import ListedAlert, View
from responder.text import one_line

_HOLDS_SHOWN = 5


class _Labels(msgspec.Struct, frozen=True):
    labels: dict[str, str] = {}


_LABELS = msgspec.json.Decoder(_Labels)


class Mutes:
    """One look's view, asked about single alerts and about incidents."""

    def __init__(self, view: View, returned: frozenset[str], now: datetime, confirmed_for: timedelta) -> None:
        """``confirmed_for``: how long an inhibition is believed to last that no further look confirms."""
        self._view = view
        self._returned = returned
        self.now = now
        self._confirmed_for = confirmed_for

    def cause(self, alert: ListedAlert) -> Hold | None:
        """What mutes an alert; ``None`` where Alertmanager would send it, or should."""
        if alert.inhibited_by:
            return self._inhibition(alert.inhibited_by)
        if alert.muted_by:
            name = one_line(alert.muted_by[0], 100)
            text = f"muted by Alertmanager's time interval {name}"
            return Hold(kind=HoldKind.INHIBITION, by=f"time interval {name}", text=text)
        return self._silence(alert.silenced_by)

    def _inhibition(self, sources: tuple[str, ...]) -> Hold:
        listed = [name for name in sources if name in self._view.alerts]
        source = min(listed or sources)
        name = self._name(source)
        text = f"inhibited by the alert {name}" if name else "inhibited by another alert"
        return Hold(kind=HoldKind.INHIBITION, by=one_line(source, 20), text=text)

    def _name(self, fingerprint: str) -> str:
        alert = self._view.alerts.get(fingerprint)
        if alert is None:
            return ""
        try:
            labels = _LABELS.decode(alert.raw).labels
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ""
        return one_line(labels.get("alertname", ""), 100)

    def _silence(self, ids: Iterable[str]) -> Hold | None:
        """The silence that lasts longest."""
        found: Hold | None = None
        for one in ids:
            known = self._view.silences.get(one)
            if one in self._returned or (known is not None and not known.active):
                continue
            if known is None:  # made between two questions: the next look knows it
                hold = Hold(kind=HoldKind.SILENCE, by=one_line(one, 60), text="silenced in Alertmanager")
            else:
                hold = known.hold(known.ends_at)
            if found is None or _ends(hold) > _ends(found):
                found = hold
        return found

    def of(self, alerts: Iterable[ListedAlert]) -> tuple[Hold, ...]:
        """Why an incident is not paged all of whose alerts are muted.

        It is over when the first of its alerts is sent again: at that end all of these are.
        """
        causes: dict[tuple[str, str], Hold] = {}
        for alert in alerts:
            hold = self.cause(alert)
            if hold is not None:
                causes[hold.kind, hold.by] = hold
        ordered = [causes[key] for key in sorted(causes)]
        until = min((hold.until for hold in ordered if hold.until is not None), default=None)
        confirmed = self.now + self._confirmed_for
        shown = [
            msgspec.structs.replace(
                hold, until=until if hold.until is not None else min(confirmed, until or confirmed)
            )
            for hold in ordered[:_HOLDS_SHOWN]
        ]
        if more := len(ordered) - len(shown):
            shown[-1] = msgspec.structs.replace(shown[-1], text=f"{shown[-1].text}, and {more} more")
        return tuple(shown)

    def differ(self, known: tuple[Hold, ...], found: tuple[Hold, ...]) -> bool:
        """Whether an incident has to be told: something else mutes it, or what it was told is soon unconfirmed."""
        if [_lasting(hold) for hold in known] != [_lasting(hold) for hold in found]:
            return True
        return any(self._moved(old, new) for old, new in zip(known, found, strict=True))

    def _moved(self, old: Hold, new: Hold) -> bool:
        if new.kind is HoldKind.SILENCE or old.until is None or new.until is None:
            return old.until != new.until
        return old.until > new.until or old.until < min(self.now + self._confirmed_for / 2, new.until)


def _ends(hold: Hold) -> float:
    return hold.until.timestamp() if hold.until is not None else float("inf")


def _lasting(hold: Hold) -> tuple[str, str, str]:
    return hold.kind, hold.by, hold.text
