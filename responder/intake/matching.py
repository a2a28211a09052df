"""The matchers of a silence that silences what fires in one incident, and nothing of any other."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from responder.incident.state import Incident
from responder.intake.silences import Silences
from responder.matchers import Matcher, Operator
from responder.rules.model import RuleSet
from responder.store.comparison import Comparison
from responder.store.loaded import record_body

_ALERTNAME = "alertname"
_NAMES_AT_MOST = 50
_SLICE = 500
#: What RE2 reads as more than itself.
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


class NoMatchersError(Exception):
    """No silence can be made for the incident; the text says why, and what to do instead."""


class _Labels(msgspec.Struct, frozen=True):
    labels: dict[str, str] = {}
    fingerprint: str = ""


_LABELS = msgspec.json.Decoder(_Labels)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Common:
    """The labels that every alert seen so far has, and their alert names."""

    def __init__(self) -> None:
        self.count = 0
        self.labels: dict[str, str] = {}
        self.names: set[str] = set()

    def add(self, labels: Mapping[str, str]) -> None:
        if self.count == 0:
            self.labels = dict(labels)
        else:
            self.labels = {k: v for k, v in self.labels.items() if labels.get(k) == v}
        self.names.add(labels.get(_ALERTNAME, ""))
        self.count += 1


class Matching:
    """Finds them from the alerts of the incident, and looks in Alertmanager's list what else they would match."""

    def __init__(self, book: Comparison, rules: Callable[[], RuleSet]) -> None:
        self._book = book
        self._rules = rules

    async def matchers(self, incident: Incident, silences: Silences) -> tuple[Matcher, ...]:
        """The labels that all its firing alerts have in common, with the names of these alerts.

        Raises:
            NoMatchersError: where there are none, or where they would silence others as well.
            SilenceError: where no Alertmanager answers.
        """
        common = await self._common(incident)
        if common.count == 0:
            raise NoMatchersError("nothing fires in this incident: there is nothing to silence")
        found = _matchers(common)
        await self._check(incident, await silences.matched(found), found)
        return found

    async def _common(self, incident: Incident) -> _Common:
        common = _Common()
        async for names in self._book.members(incident.id):
            records = await self._book.records(names)
            firing = [n for n, one in records.items() if one.status == "F" and one.incident == incident.id]
            for start in range(0, len(firing), _SLICE):
                for record in await self._book.bodies(firing[start : start + _SLICE]):
                    if record[:1] == b"F":
                        common.add(_labels(record_body(record)).labels)
                await asyncio.sleep(0)
        return common

    async def _check(
        self, incident: Incident, matched: Sequence[msgspec.Raw], matchers: Sequence[Matcher]
    ) -> None:
        """Among what they match must be something of this incident, and nothing of another."""
        rules, own, others = self._rules(), 0, []
        for start in range(0, len(matched), _SLICE):
            alerts = [_labels(row) for row in matched[start : start + _SLICE]]
            records = await self._book.records([one.fingerprint for one in alerts])
            for alert in alerts:
                record = records.get(alert.fingerprint)
                known = record is not None and record.status == "F" and record.incident_open
                if known and record is not None and record.incident == incident.id:
                    own += 1
                elif known or rules.match(alert.labels).key != incident.key:
                    others.append(alert.labels)
            await asyncio.sleep(0)
        if others:
            example = ", ".join(f'{name}="{value}"' for name, value in sorted(others[0].items()))
            raise NoMatchersError(
                f"its alerts have too little in common: {', '.join(map(str, matchers))} would also silence "
                f"{len(others)} alert(s) of others, such as {{{example[:300]}}}; silence it in Alertmanager, or snooze it"
            )
        if not own:
            raise NoMatchersError(
                "Alertmanager lists none of its alerts just now: a silence would do nothing; snooze it instead"
            )


def _matchers(common: _Common) -> tuple[Matcher, ...]:
    labels = dict(sorted(common.labels.items()))
    name = labels.pop(_ALERTNAME, None)
    found = [Matcher(label, Operator.EQUAL, value) for label, value in labels.items() if value]
    if name is not None:
        return (Matcher(_ALERTNAME, Operator.EQUAL, name), *found)
    if "" not in common.names and len(common.names) <= _NAMES_AT_MOST:
        pattern = "|".join(_SPECIAL.sub(r"\\\g<0>", one) for one in sorted(common.names))
        return (Matcher(_ALERTNAME, Operator.MATCHES, pattern), *found)
    if not found:
        raise NoMatchersError(
            "its alerts have no label in common; silence them in Alertmanager, or snooze the incident"
        )
    return tuple(found)


def _labels(raw: bytes | msgspec.Raw) -> _Labels:
    try:
        return _LABELS.decode(raw)
    except _UNREADABLE:
        return _Labels()
