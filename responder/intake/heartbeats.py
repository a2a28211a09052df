"""Signs of life that are waited for: which alerts are one, and what is written when one comes or stays away.

A watch is named, in the store, by the fingerprint of the alert of its absence. A sign of life moves the time at which
it is due and resolves that alert in one step, in the same call that takes a webhook's alerts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from responder.alerts import fingerprint
from responder.config import HeartbeatConfig
from responder.durations import format_duration
from responder.incident.own import HEARTBEAT_MISSED
from responder.intake.notices import Own, firing, labels_of
from responder.matchers import Matcher, parse_matcher
from responder.rules.model import RuleSet
from responder.store.store import AlertWrite, ms, to_ms

#: The alert of an absence is repeated at this pace, so that an incident closed over it opens anew.
REPEAT_EVERY = timedelta(hours=1)


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """One configured heartbeat. ``key`` names it in the store; without ``matchers`` only pings count."""

    config: HeartbeatConfig
    key: str
    matchers: tuple[Matcher, ...]

    @property
    def interval(self) -> timedelta:
        """How long after one sign of life the next must have come."""
        return self.config.every + self.config.grace

    @property
    def beat(self) -> AlertWrite:
        """The write of a sign of life."""
        return beat(self.key, self.interval)


def beat(watch: str, interval: timedelta) -> AlertWrite:
    """A sign of life of a watch; with an interval of zero it is watched no more."""
    return (watch, "B", ms(interval), 0, 4, "", "", "")


class Heartbeats:
    """The configured heartbeats."""

    def __init__(self, configured: Sequence[HeartbeatConfig]) -> None:
        """``match`` was checked when the configuration was loaded."""
        watches = [
            Watch(
                config=one,
                key=fingerprint(labels_of(_own(one))),
                matchers=tuple(parse_matcher(text) for text in one.match),
            )
            for one in configured
        ]
        self.by_name: dict[str, Watch] = {watch.config.name: watch for watch in watches}
        self.by_key: dict[str, Watch] = {watch.key: watch for watch in watches}
        self._by_alertname: dict[str, list[Watch]] = {}
        self._others: list[Watch] = []
        for watch in watches:
            self._place(watch)

    def _place(self, watch: Watch) -> None:
        """Most heartbeats name their alert: then one look-up tells that an alert is none."""
        if not watch.matchers:
            return
        literal = next((m.literals for m in watch.matchers if m.name == "alertname" and m.literals), None)
        if literal is None or "" in literal:
            self._others.append(watch)
            return
        for name in literal:
            self._by_alertname.setdefault(name, []).append(watch)

    def of(self, labels: Mapping[str, str]) -> list[Watch]:
        """The watches of which a firing alert with these labels is a sign of life."""
        named = self._by_alertname.get(labels.get("alertname", ""), ()) if self._by_alertname else ()
        if not named and not self._others:
            return []
        return [one for one in (*named, *self._others) if all(m.matches(labels) for m in one.matchers)]

    def intervals(self) -> dict[str, timedelta]:
        """Each watch and its interval, as the store is told of them."""
        return {watch.key: watch.interval for watch in self.by_name.values()}


def _own(config: HeartbeatConfig) -> Own:
    labels = {"alertname": HEARTBEAT_MISSED, "heartbeat": config.name}
    return Own(labels=labels, text="", service=config.service, severity=config.severity)


def absence(
    watch: Watch, rules: RuleSet, due_at: datetime, seen_at: datetime | None, repeat: timedelta
) -> AlertWrite:
    """The write by which the alert of an absence fires, where the watch is still due when it is written.

    The text becomes an incident's title, which stays when it is missed once more: when the last sign came is said beside it.
    """
    config = watch.config
    seen = f"the last one came at {seen_at:%Y-%m-%d %H:%M:%S} UTC" if seen_at else "none has come yet"
    text = f"no sign of life from {config.name} within {format_duration(watch.interval)}"
    own = msgspec.structs.replace(_own(config), text=text, detail=seen, starts_at=due_at)
    name, _, _, _, rank, key, opening, body = firing(own, rules)
    return (name, "M", to_ms(due_at), ms(repeat), rank, key, opening, body)
